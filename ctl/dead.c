/*
 * dead.c - mtcctl dead: the dead letters
 *
 * The queue is read to its end with everything held unacked; what is chosen is acked (after its
 * copy is confirmed, for requeue), the rest goes back when the connection closes. Dying anywhere
 * in between leaves a letter in the queue, at worst beside a copy with the same key.
 */
#include "dead.h"
#include "output.h"
#include "suite/topology.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: mtcctl dead list    [CHOICE] [--json]\n"
    "       mtcctl dead show    CHOICE [--json]\n"
    "       mtcctl dead requeue CHOICE [--json]\n"
    "       mtcctl dead drop    CHOICE [--json]\n"
    "  CHOICE: --id EVENT, --machine NAME, --reason TEXT (part of it), or --all; "
    "several must all fit.\n"
    "  requeue sends events again with their own keys; "
    "events of the same machine that have been delivered meanwhile are\n"
    "  not called back: the old ones come after them.\n";

enum action { LIST, SHOW, REQUEUE, DROP };

struct choice {
    enum action action;
    const char *id, *machine, *reason;
    bool all;
};

struct tally {
    int chosen, left; /* left: could not be sent as they are */
    json_t *told;     /* those chosen, as JSON */
};

static bool fits(const struct dead_letter_told *told, const struct choice *choice)
{
    return (!choice->id || strcmp(choice->id, told->id) == 0) &&
           (!choice->machine || strcmp(choice->machine, told->machine) == 0) &&
           (!choice->reason || strstr(told->reason, choice->reason));
}

static enum letter_fate act(struct ctl *ctl, enum action action, const struct letter *letter)
{
    switch (action) {
    case REQUEUE:
        return letter_requeue(ctl, letter);
    case DROP:
        return letter_drop(ctl, letter);
    case LIST:
    case SHOW:
        break;
    }
    return LETTER_DONE;
}

/* False: it failed, and the walk ends. */
static bool handle(struct ctl *ctl, const struct choice *choice, const struct letter *letter,
                   struct tally *tally)
{
    if (!fits(&letter->told, choice))
        return true;
    enum letter_fate fate = act(ctl, choice->action, letter);
    tally->chosen += fate == LETTER_DONE;
    tally->left += fate == LETTER_LEFT;
    if (fate != LETTER_DONE)
        return fate != LETTER_FAILED;
    if (ctl->json)
        json_array_append_new(tally->told, letter_json(letter, choice->action == SHOW));
    else
        letter_print(letter, choice->action == SHOW);
    return true;
}

static bool connect_for(struct ctl *ctl, enum action action)
{
    return ctl_broker(ctl) && (action == LIST || action == SHOW || ctl_pg(ctl));
}

static bool walk(struct ctl *ctl, const struct choice *choice, unsigned letters,
                 struct tally *tally)
{
    for (unsigned n = 0; n < letters; n++) {
        struct letter letter;
        int got = amqp_plain_get(ctl->broker, TOPOLOGY_DEAD, &letter.message);
        if (got <= 0)
            return ctl_broker_did(ctl, got == 0);
        dead_letter_read(&letter.message.content.properties, &letter.told);
        bool ok = handle(ctl, choice, &letter, tally);
        dead_letter_told_free(&letter.told);
        amqp_plain_message_free(&letter.message);
        if (!ok)
            return false;
    }
    return true;
}

static void print_tally(const struct ctl *ctl, enum action action, const struct tally *tally)
{
    static const char *const words[] = {"dead letters", "dead letters", "put back", "dropped"};
    if (ctl->json)
        output_json(json_incref(tally->told));
    else
        printf("%d %s\n", tally->chosen, words[action]);
}

/* Returns the exit status. */
static int walk_and_tell(struct ctl *ctl, const struct choice *choice)
{
    struct amqp_plain_count count;
    if (!connect_for(ctl, choice->action) ||
        !ctl_broker_did(ctl, amqp_plain_count(ctl->broker, TOPOLOGY_DEAD, &count)))
        return ctl_fail(ctl);
    struct tally tally = {.told = json_array()};
    /* As many as there are now: what dies while we walk is for the next time. */
    bool ok = walk(ctl, choice, count.ready, &tally);
    if (!ok)
        ctl_fail(ctl);
    print_tally(ctl, choice->action, &tally);
    json_decref(tally.told);
    return ok && tally.left == 0 && !(choice->id && tally.chosen == 0) ? 0 : 1;
}

static bool parse_action(const char *word, enum action *action)
{
    static const char *const names[] = {"list", "show", "requeue", "drop"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(word, names[i]) == 0) {
            *action = (enum action)i;
            return true;
        }
    }
    return false;
}

/* -1 to go on, or the exit status. */
static int parse_options(int argc, char **argv, struct choice *choice, bool *json)
{
    static const struct option options[] = {{"id", required_argument, NULL, 'i'},
                                            {"machine", required_argument, NULL, 'm'},
                                            {"reason", required_argument, NULL, 'r'},
                                            {"all", no_argument, NULL, 'a'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;
    optind = 2; /* behind the action */
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'i')
            choice->id = optarg;
        else if (option == 'm')
            choice->machine = optarg;
        else if (option == 'r')
            choice->reason = optarg;
        else if (option == 'a')
            choice->all = true;
        else if (option == 'j')
            *json = true;
        else
            return ctl_usage(help, option == 'h' ? stdout : stderr);
    }
    bool narrowed = choice->id || choice->machine || choice->reason;
    if (choice->all && narrowed)
        fputs("mtcctl: --all and a narrower choice exclude each other\n", stderr);
    else if (choice->action != LIST && !choice->all && !narrowed)
        fputs("mtcctl: which letters? choose them, or say --all\n", stderr);
    else if (optind < argc)
        fprintf(stderr, "mtcctl: what is \"%s\"?\n", argv[optind]);
    else
        return -1;
    return ctl_usage(help, stderr);
}

int dead_main(const struct config *config, int argc, char **argv)
{
    struct ctl ctl = {.config = config};
    struct choice choice = {.action = LIST};
    if (argc >= 2 && strcmp(argv[1], "--help") == 0)
        return ctl_usage(help, stdout);
    if (argc < 2 || !parse_action(argv[1], &choice.action)) {
        if (argc >= 2)
            fprintf(stderr, "mtcctl: \"%s\" is none of list, show, requeue and drop\n", argv[1]);
        return ctl_usage(help, stderr);
    }
    int done = parse_options(argc, argv, &choice, &ctl.json);
    if (done >= 0)
        return done;
    int status = walk_and_tell(&ctl, &choice);
    ctl_close(&ctl);
    return status;
}
