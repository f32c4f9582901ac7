/* pause.c - mtcctl pause and mtcctl resume: the senders stop sending, and go on */
#include "let_go.h"
#include "output.h"
#include "base/clock.h"
#include "suite/topology.h"

#include <stdio.h>
#include <unistd.h>

static bool find_control(struct ctl *ctl, struct amqp_plain_count *count)
{
    if (!ctl_broker(ctl))
        return false;
    if (!ctl_broker_did(ctl, amqp_plain_count(ctl->broker, TOPOLOGY_CONTROL, count)))
        return false;
    if (!count->exists)
        snprintf(ctl->error, sizeof ctl->error,
                 "queue " TOPOLOGY_CONTROL " is missing: no sender has run yet");
    return count->exists;
}

static void tell(const struct ctl *ctl, bool was, bool paused, const char *text)
{
    if (ctl->json)
        output_json(json_pack("{s:b, s:b}", "paused", paused, "was_paused", was));
    else
        puts(text);
}

/* Lays the message into the control queue that makes senders pause, unless it is there. */
static bool lay(struct ctl *ctl)
{
    char now[UTC_TEXT], text[80];
    snprintf(text, sizeof text, "paused at %s by uid %ld", utc_format(utc_us(), now),
             (long)getuid());
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .delivery_mode = 2};
    return amqp_plain_publish(ctl->broker, "", TOPOLOGY_CONTROL, &properties, amqp_text(text));
}

static int change(const struct config *config, bool json, bool pause)
{
    struct ctl ctl = {.config = config, .json = json};
    struct amqp_plain_count count;
    bool ok = find_control(&ctl, &count);
    bool was = ok && count.ready > 0;
    if (ok && pause != was)
        ok = ctl_broker_did(&ctl,
                            pause ? lay(&ctl) : amqp_plain_purge(ctl.broker, TOPOLOGY_CONTROL));
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
