/* replay.c - mtcctl replay: events sent again */
#include "ctl.h"
#include "output.h"

#include <stdio.h>

#define IDS_BYTES 4096

static const char help[] =
    "usage: mtcctl replay [--machine NAME] [--since WHEN] [--until WHEN] [--id EVENT]... "
    "[--all] [--new-keys] [--dry-run]\n"
    "                     [--json]\n"
    "  Sends events again, in their old order: with their own keys, "
    "for an MTConnect that has lost them, or with new\n"
    "  ones, for one that is to apply them twice. "
    "Without a choice --all is needed. WHEN as in mtcctl events.\n";

/* Parameters of mtc.replay(); NULL for what is not asked for. */
enum { MACHINE, SINCE, UNTIL, IDS, NEW_KEYS, DRY_RUN, PARAMETERS };

struct request {
    const char *values[PARAMETERS];
    char since[CTL_MOMENT], until[CTL_MOMENT];
    char ids[IDS_BYTES]; /* an array as PostgreSQL writes it */
    size_t ids_len;
    bool all, json;
};

/* False: it is no event id, or there is no room for more of them. */
static bool add_id(struct request *request, const char *id)
{
    if (!ctl_event_id(id) || request->ids_len + CTL_EVENT_ID_LEN + 2 >= sizeof request->ids)
        return false;
    request->ids_len += (size_t)snprintf(request->ids + request->ids_len,
                                         sizeof request->ids - request->ids_len, "%c%s",
                                         request->ids_len ? ',' : '{', id);
    return true;
}

/* False: wrong usage, or the help is asked for. */
static bool take_option(struct request *request, int option, const char *word)
{
    switch (option) {
    case 'm':
        request->values[MACHINE] = word;
        return true;
    case 'f':
        request->values[SINCE] = request->since;
        return ctl_moment(word, request->since);
    case 'u':
        request->values[UNTIL] = request->until;
        return ctl_moment(word, request->until);
    case 'i':
        request->values[IDS] = request->ids;
        return add_id(request, word);
    case 'a':
        request->all = true;
        return true;
    case 'k':
        request->values[NEW_KEYS] = "true";
        return true;
    case 'd':
        request->values[DRY_RUN] = "true";
        return true;
    case 'j':
        request->json = true;
        return true;
    default:
        return false;
    }
}

/* -1 to go on, or the exit status. */
static int parse_options(int argc, char **argv, struct request *request)
{
    static const struct option options[] = {
        {"machine", required_argument, NULL, 'm'}, {"since", required_argument, NULL, 'f'},
        {"until", required_argument, NULL, 'u'},   {"id", required_argument, NULL, 'i'},
        {"all", no_argument, NULL, 'a'},           {"new-keys", no_argument, NULL, 'k'},
        {"dry-run", no_argument, NULL, 'd'},       {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},          {0}};
    const char **values = request->values;
    int option;
    optind = 0; /* glibc: begin anew, options after words too */
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (!take_option(request, option, optarg))
            return ctl_usage(help, option == 'h' ? stdout : stderr);
    }
    bool chosen = values[MACHINE] || values[SINCE] || values[UNTIL] || values[IDS];
    if (chosen == request->all) {
        fputs(chosen ? "mtcctl: --all and a narrower choice exclude each other\n"
                     : "mtcctl: which events? choose them, or say --all\n",
              stderr);
        return ctl_usage(help, stderr);
    }
    if (optind < argc) {
        fprintf(stderr, "mtcctl: what is \"%s\"?\n", argv[optind]);
        return ctl_usage(help, stderr);
    }
    if (values[IDS])
        snprintf(request->ids + request->ids_len, sizeof request->ids - request->ids_len, "}");
    return -1;
}

int replay_main(const struct config *config, int argc, char **argv)
{
    struct ctl ctl = {.config = config};
    struct request request = {.values = {[NEW_KEYS] = "false", [DRY_RUN] = "false"}};
    int done = parse_options(argc, argv, &request);
    if (done >= 0)
        return done;
    PGresult *result = ctl_query(&ctl, "SELECT mtc.replay($1, $2, $3, $4, $5, $6) AS events",
                                 PARAMETERS, request.values);
    ctl_close(&ctl);
    if (!result)
        return ctl_fail(&ctl);
    if (request.json)
        output_json(output_row(result, 0));
    else
        printf("%s events %s\n", PQgetvalue(result, 0, 0),
               request.values[DRY_RUN][0] == 't' ? "would be sent again"
                                                 : "are on their way again");
    PQclear(result);
    return 0;
}
