/* pause.c - mtcctl pause and mtcctl resume: the senders stop sending, and go on */
#include "pause.h"
#include "let_go.h"
#include "output.h"
#include "suite/topology.h"

#include <stdio.h>

#define COPIES 32 /* of the message: so many senders may look at it at the same time */

/* What is on disk of a pause: how many messages. Programs of before have not made the queue. */
static bool look_at_memory(struct ctl *ctl, struct amqp_plain_count *memory)
{
    return ctl_broker_did(ctl, amqp_plain_count(ctl->broker, TOPOLOGY_PAUSE, memory));
}

bool pause_is_set(struct ctl *ctl, bool *paused)
{
    bool exists;
    struct amqp_plain_count memory;
    *paused = false;
    if (!ctl_broker(ctl) ||
        !ctl_broker_did(ctl, amqp_plain_exchange_exists(ctl->broker, TOPOLOGY_CONTROL, &exists)))
        return false;
    if (!exists) {
        snprintf(ctl->error, sizeof ctl->error,
                 "exchange " TOPOLOGY_CONTROL " is missing: no program has run yet");
        return false;
    }
    if (!ctl_broker_did(ctl,
                        amqp_plain_is_taken(ctl->broker, TOPOLOGY_CONTROL, "mtcctl", paused)) ||
        !look_at_memory(ctl, &memory))
        return false;
    *paused |= memory.ready > 0;
    return true;
}

static bool remember(struct ctl *ctl)
{
    const amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                                .delivery_mode = 2};
    struct amqp_plain_count memory;
    bool ok = look_at_memory(ctl, &memory);
    for (unsigned n = memory.ready; ok && memory.exists && n < COPIES; n++)
        ok = ctl_broker_did(ctl, amqp_plain_publish(ctl->broker, "", TOPOLOGY_PAUSE, &properties,
                                                    amqp_text("paused")));
    return ok;
}

static bool forget(struct ctl *ctl)
{
    struct amqp_plain_count memory;
    return look_at_memory(ctl, &memory) &&
           (!memory.exists || ctl_broker_did(ctl, amqp_plain_purge(ctl->broker, TOPOLOGY_PAUSE)));
}

/* Whoever finds the message makes the binding: so it comes first, and is the first to go. */
static bool bind(struct ctl *ctl)
{
    return remember(ctl) &&
           ctl_broker_did(ctl, amqp_plain_bind(ctl->broker, TOPOLOGY_CONTROL, TOPOLOGY_CONTROL));
}

static bool unbind(struct ctl *ctl)
{
    return forget(ctl) &&
           ctl_broker_did(ctl, amqp_plain_unbind(ctl->broker, TOPOLOGY_CONTROL, TOPOLOGY_CONTROL));
}

static void tell(const struct ctl *ctl, bool was, bool paused, const char *text)
{
    if (ctl->json)
        output_json(json_pack("{s:b, s:b}", "paused", paused, "was_paused", was));
    else
        puts(text);
}

static bool set(struct ctl *ctl, bool pause)
{
    bool paused = !pause;
    if (!(pause ? bind(ctl) : unbind(ctl)) || !pause_is_set(ctl, &paused))
        return false;
    if (paused != pause)
        snprintf(ctl->error, sizeof ctl->error, "somebody else has done the opposite meanwhile");
    return paused == pause;
}

static int change(const struct config *config, bool json, bool pause)
{
    struct ctl ctl = {.config = config, .json = json};
    bool was;
    bool ok = pause_is_set(&ctl, &was);
    if (ok)
        ok = set(&ctl, pause);
    if (ok && !pause) /* what was asked while it lasted; a pause of before is such a message too */
        ok = ctl_broker_did(&ctl, amqp_plain_purge(ctl.broker, TOPOLOGY_CONTROL));
    ctl_close(&ctl);
    if (!ok)
        return ctl_fail(&ctl);
    if (pause)
        tell(&ctl, was, true,
             was ? "paused already"
                 : "paused: within a second no sender sends; events wait, in order");
    else
        tell(&ctl, was, false, was ? "resumed: senders go on within a second" : "was not paused");
    return 0;
}

int pause_main(const struct config *config, int argc, char **argv)
{
    static const char help[] =
        "usage: mtcctl pause [--json]\n"
        "  Senders stop sending; events wait, in order, until mtcctl resume. "
        "It outlasts restarts.\n";
    bool json = false;
    int done = ctl_options(argc, argv, help, &json);
    if (done >= 0)
        return done;
    return optind < argc ? ctl_usage(help, stderr) : change(config, json, true);
}

static const char resume_help[] =
    "usage: mtcctl resume [--machine NAME] [--json]\n"
    "  Senders that mtcctl pause has stopped go on; with --machine, a machine that has stopped at\n"
    "  an event that would be dead (sender.on_dead): that one becomes a dead letter.\n";

/* -1 to go on, or the exit status. */
static int parse_resume(int argc, char **argv, const char **machine, bool *json)
{
    static const struct option options[] = {{"machine", required_argument, NULL, 'm'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;
    optind = 0; /* glibc: begin anew, options after words too */
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'j')
            *json = true;
        else if (option == 'm')
            *machine = optarg;
        else
            return ctl_usage(resume_help, option == 'h' ? stdout : stderr);
    }
    return optind < argc ? ctl_usage(resume_help, stderr) : -1;
}

int resume_main(const struct config *config, int argc, char **argv)
{
    const char *machine = NULL;
    bool json = false;
    int done = parse_resume(argc, argv, &machine, &json);
    if (done >= 0)
        return done;
    return machine ? let_go(config, json, "machine", machine) : change(config, json, false);
}
