/* events.c - mtcctl events and mtcctl replay: the ledger, and events sent again */
#include "ctl.h"
#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UUID_LEN 36

static int events_usage(FILE *out)
{
    fputs(
        "usage: mtcctl events [--machine NAME] [--type TYPE] [--state waiting|published|delivered|dead] "
        "[--since WHEN]\n"
        "                     [--until WHEN] [--id EVENT] [--limit N] [--json]\n"
        "  The ledger, the newest first, 50 unless told otherwise. TYPE may end with %. WHEN: 30s, 10m, 2h "
        "or 7d ago, or a\n"
        "  time like 2025-12-28T12:12:33Z.\n",
        out);
    return out == stdout ? 0 : 2;
}

static bool is_state(const char *text)
{
    return strcmp(text, "waiting") == 0 || strcmp(text, "published") == 0 ||
           strcmp(text, "delivered") == 0 || strcmp(text, "dead") == 0;
}

static bool is_uuid(const char *text)
{
    if (strlen(text) == UUID_LEN && strspn(text, "0123456789abcdefABCDEF-") == UUID_LEN)
        return true;
    fprintf(stderr, "mtcctl: \"%s\" is no event id\n", text);
    return false;
}

int events_main(const struct config *config, int argc, char **argv)
{
    static const struct option options[] = {
        {"machine", required_argument, NULL, 'm'}, {"type", required_argument, NULL, 't'},
        {"state", required_argument, NULL, 's'},   {"since", required_argument, NULL, 'f'},
        {"until", required_argument, NULL, 'u'},   {"id", required_argument, NULL, 'i'},
        {"limit", required_argument, NULL, 'n'},   {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},          {0}};
    static const char sql[] =
        "SELECT id, event_id, machine, type, state, mtc.utc_text(created_at) AS created_at, "
        "mtc.utc_text(outcome_at) AS"
        " outcome_at, attempts, status, reason, note FROM mtc.event"
        " WHERE ($1::text IS NULL OR machine = $1) AND ($2::text IS NULL OR type LIKE $2) AND ($3::text IS "
        "NULL OR state = $3)"
        " AND ($4::timestamptz IS NULL OR created_at >= $4::timestamptz) AND ($5::timestamptz IS NULL OR "
        "created_at <"
        " $5::timestamptz) AND ($6::uuid IS NULL OR event_id = $6::uuid) ORDER BY id DESC LIMIT $7::bigint";
    struct ctl ctl = {.config = config};
    const char *values[7] = {[6] = "50"};
    char since[40], until[40];
    long limit;
    int option;
    optind = 0; /* glibc: begin anew, options after words too */
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'm')
            values[0] = optarg;
        else if (option == 't')
            values[1] = optarg;
        else if (option == 's' && is_state(optarg))
            values[2] = optarg;
        else if (option == 'f' && ctl_moment(optarg, since, sizeof since))
            values[3] = since;
        else if (option == 'u' && ctl_moment(optarg, until, sizeof until))
            values[4] = until;
        else if (option == 'i' && is_uuid(optarg))
            values[5] = optarg;
        else if (option == 'n' && ctl_number("--limit", optarg, 1, &limit))
            values[6] = optarg;
        else if (option == 'n')
            return 2;
        else if (option == 'j')
            ctl.json = true;
        else
            return events_usage(option == 'h' ? stdout : stderr);
    }
    if (optind < argc)
        return events_usage(stderr);
    PGresult *result = ctl_query(&ctl, sql, 7, values);
    if (!result) {
        ctl_close(&ctl);
        return ctl_fail(&ctl);
    }
    if (ctl.json)
        output_json(output_rows(result));
    else
        output_table(result);
    PQclear(result);
    ctl_close(&ctl);
    return 0;
}

static int replay_usage(FILE *out)
{
    fputs(
        "usage: mtcctl replay [--machine NAME] [--since WHEN] [--until WHEN] [--id EVENT]... [--all] "
        "[--new-keys] [--dry-run]\n"
        "                     [--json]\n"
        "  Sends events again, in their old order: with their own keys, for an MTConnect that has lost "
        "them, or with new\n"
        "  ones, for one that is to apply them twice. Without a choice --all is needed. WHEN as in mtcctl "
        "events.\n",
        out);
    return out == stdout ? 0 : 2;
}

int replay_main(const struct config *config, int argc, char **argv)
{
    static const struct option options[] = {
        {"machine", required_argument, NULL, 'm'}, {"since", required_argument, NULL, 'f'},
        {"until", required_argument, NULL, 'u'},   {"id", required_argument, NULL, 'i'},
        {"all", no_argument, NULL, 'a'},           {"new-keys", no_argument, NULL, 'k'},
        {"dry-run", no_argument, NULL, 'd'},       {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},          {0}};
    struct ctl ctl = {.config = config};
    const char *values[6] = {[4] = "false", [5] = "false"};
    char since[40], until[40], ids[4096] = "{";
    size_t ids_len = 1;
    bool all = false;
    int option;
    optind = 0; /* glibc: begin anew, options after words too */
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'm') {
            values[0] = optarg;
        } else if (option == 'f' && ctl_moment(optarg, since, sizeof since)) {
            values[1] = since;
        } else if (option == 'u' && ctl_moment(optarg, until, sizeof until)) {
            values[2] = until;
        } else if (option == 'i' && is_uuid(optarg) && ids_len + UUID_LEN + 2 < sizeof ids) {
            ids_len += (size_t)snprintf(ids + ids_len, sizeof ids - ids_len, "%s%s",
                                        ids_len > 1 ? "," : "", optarg);
        } else if (option == 'a') {
            all = true;
        } else if (option == 'k') {
            values[4] = "true";
        } else if (option == 'd') {
            values[5] = "true";
        } else if (option == 'j') {
            ctl.json = true;
        } else {
            return replay_usage(option == 'h' ? stdout : stderr);
        }
    }
    bool chosen = values[0] || values[1] || values[2] || ids[1];
    if (optind < argc || chosen == all)
        return replay_usage(stderr);
    if (ids[1]) {
        snprintf(ids + ids_len, sizeof ids - ids_len, "}");
        values[3] = ids;
    }
    PGresult *result = ctl_query(&ctl, "SELECT mtc.replay($1, $2, $3, $4, $5, $6) AS events", 6,
                                 values);
    if (!result) {
        ctl_close(&ctl);
        return ctl_fail(&ctl);
    }
    if (ctl.json)
        output_json(output_row(result, 0));
    else
        printf("%s events %s\n", PQgetvalue(result, 0, 0),
               values[5][0] == 't' ? "would be sent again" : "are on their way again");
    PQclear(result);
    ctl_close(&ctl);
    return 0;
}
