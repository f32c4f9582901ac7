/* ctl.c - what the verbs of mtcctl share; see ctl.h */
#include "ctl.h"
#include "base/clock.h"
#include "base/rfc3339.h"
#include "suite/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ctl_pg(struct ctl *ctl)
{
    struct pg_session_settings settings = settings_pg(ctl->config, "mtcctl", "");
    if (!ctl->pg)
        ctl->pg = pg_plain_connect(&settings, ctl->error, sizeof ctl->error);
    return ctl->pg != NULL;
}

bool ctl_broker(struct ctl *ctl)
{
    struct amqp_conn_settings settings = settings_amqp(ctl->config, "mtcctl");
    if (!ctl->broker)
        ctl->broker = amqp_plain_connect(&settings, ctl->error, sizeof ctl->error);
    return ctl->broker != NULL;
}

bool ctl_broker_did(struct ctl *ctl, bool ok)
{
    if (!ok)
        snprintf(ctl->error, sizeof ctl->error, "%s", amqp_plain_error(ctl->broker));
    return ok;
}

void ctl_close(struct ctl *ctl)
{
    pg_plain_close(ctl->pg);
    amqp_plain_close(ctl->broker);
    ctl->pg = NULL;
    ctl->broker = NULL;
}

PGresult *ctl_query(struct ctl *ctl, const char *sql, int count, const char *const *values)
{
    if (!ctl_pg(ctl))
        return NULL;
    return pg_plain_query(ctl->pg, sql, count, values, ctl->error, sizeof ctl->error);
}

bool ctl_run(struct ctl *ctl, const char *sql, int count, const char *const *values)
{
    PGresult *result = ctl_query(ctl, sql, count, values);
    PQclear(result);
    return result != NULL;
}

int ctl_fail(const struct ctl *ctl)
{
    fprintf(stderr, "mtcctl: %s\n", ctl->error);
    return 1;
}

int ctl_usage(const char *help, FILE *out)
{
    fputs(help, out);
    return out == stdout ? 0 : 2;
}

int ctl_options(int argc, char **argv, const char *help, bool *json)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    int option;
    optind = 0; /* glibc: begin anew, options after words too */
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option != 'j')
            return ctl_usage(help, option == 'h' ? stdout : stderr);
        *json = true;
    }
    return -1;
}

bool ctl_number(const char *what, const char *text, long least, long *out)
{
    char *end;
    errno = 0;
    *out = strtol(text, &end, 10);
    if (errno == 0 && end > text && !*end && *out >= least)
        return true;
    fprintf(stderr, "mtcctl: %s \"%s\" is no whole number from %ld on\n", what, text, least);
    return false;
}

bool ctl_moment(const char *text, char out[CTL_MOMENT])
{
    static const char units[] = "smhd";
    static const int64_t seconds[] = {1, 60, 3600, 86400};
    char *end, when[UTC_TEXT];
    int64_t us, number = strtoll(text, &end, 10);
    const char *unit = *end && !end[1] && end > text ? strchr(units, *end) : NULL;
    if (unit && number >= 0 && number < 1000000000)
        us = utc_us() - number * seconds[unit - units] * 1000000;
    else if (!rfc3339_parse(text, &us)) {
        fprintf(stderr,
                "mtcctl: \"%s\" is no moment: 30s, 10m, 2h or 7d ago, "
                "or a time like 2025-12-28T12:12:33Z\n",
                text);
        return false;
    }
    snprintf(out, CTL_MOMENT, "%s", utc_format_us(us, when));
    return true;
}

bool ctl_event_id(const char *text)
{
    if (strlen(text) == CTL_EVENT_ID_LEN &&
        strspn(text, "0123456789abcdefABCDEF-") == CTL_EVENT_ID_LEN)
        return true;
    fprintf(stderr, "mtcctl: \"%s\" is no event id\n", text);
    return false;
}
