/* events.c - mtcctl events: the ledger */
#include "ctl.h"
#include "output.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: mtcctl events [--machine NAME] [--type TYPE] "
    "[--state waiting|published|delivered|dead] [--since WHEN]\n"
    "                     [--until WHEN] [--id EVENT] [--limit N] [--json]\n"
    "  The ledger, the newest first, 50 unless told otherwise. TYPE may end with %. "
    "WHEN: 30s, 10m, 2h or 7d ago, or a\n"
    "  time like 2025-12-28T12:12:33Z.\n";

static const char sql[] =
    "SELECT id, event_id, machine, type, state,"
    "       mtc.utc_text(created_at) AS created_at, mtc.utc_text(outcome_at) AS outcome_at,"
    "       attempts, status, reason, note"
    "  FROM mtc.event"
    " WHERE ($1::text IS NULL OR machine = $1)"
    "   AND ($2::text IS NULL OR type LIKE $2)"
    "   AND ($3::text IS NULL OR state = $3)"
    "   AND ($4::timestamptz IS NULL OR created_at >= $4::timestamptz)"
    "   AND ($5::timestamptz IS NULL OR created_at < $5::timestamptz)"
    "   AND ($6::uuid IS NULL OR event_id = $6::uuid)"
    " ORDER BY id DESC LIMIT $7::bigint";

/* Its parameters; NULL for what is not asked for. */
enum { MACHINE, TYPE, STATE, SINCE, UNTIL, ID, LIMIT, PARAMETERS };

struct request {
    const char *values[PARAMETERS];
    char since[CTL_MOMENT], until[CTL_MOMENT];
    bool json;
};

static bool is_state(const char *text)
{
    static const char *const states[] = {"waiting", "published", "delivered", "dead"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (strcmp(text, states[i]) == 0)
            return true;
    }
    fprintf(stderr, "mtcctl: \"%s\" is no state\n", text);
    return false;
}

/* -1 to go on, or the exit status. */
static int parse_options(int argc, char **argv, struct request *request)
{
    static const struct option options[] = {
        {"machine", required_argument, NULL, 'm'}, {"type", required_argument, NULL, 't'},
        {"state", required_argument, NULL, 's'},   {"since", required_argument, NULL, 'f'},
        {"until", required_argument, NULL, 'u'},   {"id", required_argument, NULL, 'i'},
        {"limit", required_argument, NULL, 'n'},   {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},          {0}};
    const char **values = request->values;
    long limit;
    int option;
    optind = 0; /* glibc: begin anew, options after words too */
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'm')
            values[MACHINE] = optarg;
        else if (option == 't')
            values[TYPE] = optarg;
        else if (option == 's' && is_state(optarg))
            values[STATE] = optarg;
        else if (option == 'f' && ctl_moment(optarg, request->since))
            values[SINCE] = request->since;
        else if (option == 'u' && ctl_moment(optarg, request->until))
            values[UNTIL] = request->until;
        else if (option == 'i' && ctl_event_id(optarg))
            values[ID] = optarg;
        else if (option == 'n' && ctl_number("--limit", optarg, 1, &limit))
            values[LIMIT] = optarg;
        else if (option == 'n')
            return 2;
        else if (option == 'j')
            request->json = true;
        else
            return ctl_usage(help, option == 'h' ? stdout : stderr);
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "mtcctl: what is \"%s\"?\n", argv[optind]);
    return ctl_usage(help, stderr);
}

int events_main(const struct config *config, int argc, char **argv)
{
    struct ctl ctl = {.config = config};
    struct request request = {.values = {[LIMIT] = "50"}};
    int done = parse_options(argc, argv, &request);
    if (done >= 0)
        return done;
    PGresult *result = ctl_query(&ctl, sql, PARAMETERS, request.values);
    ctl_close(&ctl);
    if (!result)
        return ctl_fail(&ctl);
    if (request.json)
        output_json(output_rows(result));
    else
        output_table(result);
    PQclear(result);
    return 0;
}
