/*
 * doctor.c - mtcctl doctor: looks at everything the suite depends on, and says what to do about
 * what is not well
 */
#include "base/clock.h"
#include "base/secret.h"
#include "ctl.h"
#include "net/http_client.h"
#include "net/http_plain.h"
#include "net/redis_plain.h"
#include "suite/settings.h"
#include "output.h"
#include "programs.h"
#include "schema.h"
#include "suite/topology.h"
#include "base/xalloc.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKEW_MAX_S 5.0

enum verdict { WELL, WARNING, ILL };

struct doctor {
    struct ctl ctl;
    json_t *findings;
    int ill;
};

/* advice: what to do; NULL when it is well. */
__attribute__((format(printf, 5, 6))) static void find(struct doctor *doctor, enum verdict verdict,
                                                       const char *what, const char *advice,
                                                       const char *format, ...)
{
    static const char *const names[] = {"ok", "warning", "ill"};
    char detail[512];
    va_list words;
    va_start(words, format);
    vsnprintf(detail, sizeof detail, format, words);
    va_end(words);
    json_t *finding = json_pack("{s:s, s:s, s:s}", "verdict", names[verdict], "what", what,
                                "detail", detail);
    if (!finding)
        finding = json_pack("{s:s, s:s, s:s}", "verdict", names[verdict], "what", what, "detail",
                            "(no UTF-8)");
    if (advice)
        json_object_set_new(finding, "advice", json_string(advice));
    json_array_append_new(doctor->findings, finding);
    doctor->ill += verdict == ILL;
}

/* --- PostgreSQL --- */

static long number(const PGresult *result, int column)
{
    return strtol(PQgetvalue(result, 0, column), NULL, 10);
}

/* False: nothing more can be asked of this database. */
static bool look_at_schema(struct doctor *doctor)
{
    PGresult *result = ctl_query(
        &doctor->ctl,
        "SELECT coalesce(max(version), 0) FROM mtc.schema_version WHERE component = 'core'", 0,
        NULL);
    if (!result) {
        find(doctor, ILL, "schema mtc",
             "run mtcctl migrate --adapter production_tracking, as the owner of the database", "%s",
             doctor->ctl.error);
        return false;
    }
    int have = (int)number(result, 0), known = migrations_newest(MIGRATIONS_CORE);
    PQclear(result);
    if (have != known) {
        find(doctor, ILL, "schema mtc",
             have < known ? "run mtcctl migrate" : "use the newer programs the schema was made by",
             "version %d, this program is of version %d", have, known);
        return false;
    }
    result = schema_stale_functions(doctor->ctl.pg, doctor->ctl.error, sizeof doctor->ctl.error);
    if (result && PQntuples(result))
        find(doctor, ILL, "schema mtc", "run mtcctl migrate",
             "version %d, but functions of another program: %s", have, PQgetvalue(result, 0, 0));
    else
        find(doctor, WELL, "schema mtc", NULL, "version %d", have);
    PQclear(result);
    return true;
}

/* What the database says of itself: its adapter, permissions, and who is at work in it. */
static void look_at_health(struct doctor *doctor)
{
    PGresult *result = ctl_query(&doctor->ctl,
                                 "SELECT verdict, what, detail, advice FROM mtc.health()", 0, NULL);
    if (!result) {
        find(doctor, ILL, "schema mtc", "run mtcctl migrate", "%s", doctor->ctl.error);
        return;
    }
    for (int row = 0; row < PQntuples(result); row++) {
        const char *said = PQgetvalue(result, row, 0);
        enum verdict verdict = strcmp(said, "ok") == 0        ? WELL
                               : strcmp(said, "warning") == 0 ? WARNING
                                                              : ILL;
        find(doctor, verdict, PQgetvalue(result, row, 1),
             PQgetisnull(result, row, 3) ? NULL : PQgetvalue(result, row, 3), "%s",
             PQgetvalue(result, row, 2));
    }
    PQclear(result);
}

static void look_at_postgres(struct doctor *doctor)
{
    if (!ctl_pg(&doctor->ctl)) {
        find(doctor, ILL, "PostgreSQL",
             "check postgres.conninfo and postgres.password_file, and that the server runs", "%s",
             doctor->ctl.error);
        return;
    }
    PGresult *result = ctl_query(
        &doctor->ctl,
        "SELECT current_setting('server_version_num')::int, current_setting('server_version'),"
        " extract(epoch FROM clock_timestamp())",
        0, NULL);
    if (!result)
        return;
    double skew = strtod(PQgetvalue(result, 0, 2), NULL) - (double)utc_us() / 1e6;
    if (number(result, 0) < 140000)
        find(doctor, ILL, "PostgreSQL", "use version 14 or later", "version %s",
             PQgetvalue(result, 0, 1));
    else
        find(doctor, WELL, "PostgreSQL", NULL, "version %s", PQgetvalue(result, 0, 1));
    if (fabs(skew) > SKEW_MAX_S)
        find(doctor, WARNING, "clock of PostgreSQL", "set both clocks, by NTP", "%.0f s from ours",
             skew);
    PQclear(result);
    if (look_at_schema(doctor))
        look_at_health(doctor);
}

/* --- RabbitMQ --- */

static void look_at_queues(struct doctor *doctor)
{
    static const char *const named[] = {TOPOLOGY_OUTCOMES, TOPOLOGY_CYCLE_TIMES, TOPOLOGY_DEAD,
                                        TOPOLOGY_CONTROL};
    int partitions = (int)doctor->ctl.config->topology_partitions, missing = 0, alone = 0;
    struct amqp_plain_count count;
    for (int p = 0; p < partitions; p++) {
        char name[TOPOLOGY_NAME_BYTES];
        if (!amqp_plain_count(doctor->ctl.broker, topology_partition_name(p, name), &count))
            return;
        missing += !count.exists;
        alone += count.exists && count.consumers == 0;
    }
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        if (!amqp_plain_count(doctor->ctl.broker, named[i], &count))
            return;
        missing += !count.exists;
        if (strcmp(named[i], TOPOLOGY_DEAD) == 0 && count.ready > 0)
            find(doctor, WARNING, "dead letters",
                 "see mtcctl dead list; mtcctl dead requeue when the cause is gone", "%u of them",
                 count.ready);
        if (strcmp(named[i], TOPOLOGY_CONTROL) == 0 && count.ready > 0)
            find(doctor, WARNING, "pause", "mtcctl resume", "an operator has paused the senders");
    }
    if (missing)
        find(doctor, ILL, "queues",
             "start any of the programs: each declares them; see its log if it can't",
             "%d of %d are missing", missing, partitions + (int)(sizeof named / sizeof named[0]));
    else
        find(doctor, WELL, "queues", NULL, "all there");
    if (alone)
        find(doctor, ILL, "senders", "start mtc-sender, and see its log",
             "%d partitions have no consumer", alone);
    else if (!missing)
        find(doctor, WELL, "senders", NULL, "every partition has a consumer");
}

static void look_at_rabbitmq(struct doctor *doctor)
{
    bool exists;
    if (!ctl_broker(&doctor->ctl)) {
        find(doctor, ILL, "RabbitMQ",
             "check amqp.url, amqp.password_file, the vhost and the user's permissions", "%s",
             doctor->ctl.error);
        return;
    }
    const char *version = amqp_plain_version(doctor->ctl.broker);
    int major = (int)strtol(version, NULL, 10);
    const char *dot = strchr(version, '.');
    if (major < 3 || (major == 3 && dot && strtol(dot + 1, NULL, 10) < 10))
        find(doctor, ILL, "RabbitMQ", "use version 3.10 or later", "version %s", version);
    else
        find(doctor, WELL, "RabbitMQ", NULL, "version %s", version);
    if (!amqp_plain_exchange_exists(doctor->ctl.broker, TOPOLOGY_EVENTS, &exists))
        return;
    if (!exists)
        find(doctor, ILL, "exchange mtc.events",
             "enable the plugin rabbitmq_consistent_hash_exchange, and start any of the programs",
             "missing");
    look_at_queues(doctor);
}

/* --- Redis --- */

static void look_at_redis(struct doctor *doctor)
{
    const struct config *config = doctor->ctl.config;
    static const char advice[] =
        "start Redis, or check redis.url and redis.password_file; without it repeats are not recognised";
    if (!*config->redis_url) {
        find(doctor, WARNING, "Redis", advice, "none is configured");
        return;
    }
    struct redis_conn_settings settings = settings_redis(config);
    char error[512];
    if (redis_plain_ping(&settings, error, sizeof error))
        find(doctor, WELL, "Redis", NULL, "answers");
    else
        find(doctor, ILL, "Redis", advice, "%s", error);
}

/* --- MTConnect --- */

static char *some_machine(struct doctor *doctor)
{
    PGresult *result = doctor->ctl.pg
                           ? ctl_query(&doctor->ctl,
                                       "SELECT machine FROM mtc.active_machine LIMIT 1", 0, NULL)
                           : NULL;
    char *name = xstrdup(result && PQntuples(result) ? PQgetvalue(result, 0, 0) : "doctor");
    PQclear(result);
    return name;
}

static void judge_mtconnect(struct doctor *doctor, const struct http_plain *answer,
                            const char *machine)
{
    if (answer->status == 0)
        find(doctor, ILL, "MTConnect",
             "check mtconnect.base_url, and that it runs; events wait, nothing is lost", "%s",
             answer->error);
    else if (answer->status == 401 || answer->status == 403)
        find(doctor, ILL, "API key",
             "put the right one into mtconnect.api_key_file; no restart is needed",
             "MTConnect refuses it: HTTP %ld", answer->status);
    else if (answer->status == 404)
        find(doctor, WARNING, "MTConnect",
             "if its name there is another, put it into mtc.machine_name",
             "answers, but does not know machine %s", machine);
    else if (answer->status / 100 != 2)
        find(doctor, ILL, "MTConnect", "see its log; events wait, nothing is lost", "HTTP %ld",
             answer->status);
    else
        find(doctor, WELL, "MTConnect", NULL, "answers, and takes the API key");
    if (fabs(answer->clock_ahead_s) > SKEW_MAX_S)
        find(doctor, WARNING, "clock of MTConnect",
             "set both clocks, by NTP; web-hooks are refused when they differ by more than "
             "receiver.tolerance_s",
             "%.0f s from ours", answer->clock_ahead_s);
}

static void look_at_mtconnect(struct doctor *doctor)
{
    const struct config *config = doctor->ctl.config;
    char error[256] = "", *key = NULL, *header = NULL;
    if (*config->mtconnect_api_key_file &&
        !(key = secret_read(config->mtconnect_api_key_file, error, sizeof error))) {
        find(doctor, ILL, "API key",
             "put it into mtconnect.api_key_file, readable for the programs", "%s", error);
        return;
    }
    if (key)
        header = xasprintf("X-API-Key: %s", key);
    char *machine = some_machine(doctor), *escaped = http_escape(machine);
    size_t base = strlen(config->mtconnect_base_url);
    while (base && config->mtconnect_base_url[base - 1] == '/')
        base--;
    char *url = xasprintf("%.*s/api/ext/machines/%s/cycle-time", (int)base,
                          config->mtconnect_base_url, escaped);
    struct http_plain answer = http_plain_get(url, NULL, header,
                                              (long)config->mtconnect_timeout_ms);
    judge_mtconnect(doctor, &answer, machine);
    http_plain_free(&answer);
    free(escaped);
    free(machine);
    free(url);
    free(key);
    free(header);
}

/* --- secrets, programs --- */

static void look_at_secrets(struct doctor *doctor)
{
    const struct config *config = doctor->ctl.config;
    char error[256];
    if (!config->receiver_use_webhook || !config->receiver_require_signature)
        return;
    char *secret = secret_read(config->receiver_secret_file, error, sizeof error);
    if (secret)
        find(doctor, WELL, "web-hook secret", NULL, "readable");
    else
        find(doctor, ILL, "web-hook secret", "put it into receiver.secret_file", "%s", error);
    free(secret);
}

static void look_at_programs(struct doctor *doctor)
{
    json_t *programs = programs_ask(doctor->ctl.config);
    size_t i;
    json_t *told;
    json_array_foreach (programs, i, told) {
        const json_t *ready = json_object_get(told, "ready");
        const char *address = json_string_value(json_object_get(told, "address"));
        const char *program = json_string_value(json_object_get(told, "program"));
        if (json_is_true(ready))
            find(doctor, WELL, "program", NULL, "%s at %s is ready", program, address);
        else
            find(doctor, WARNING, "program", "see its log; if it runs elsewhere, set ctl.programs",
                 "%s: %s", address, json_string_value(ready));
        if (json_integer_value(json_object_get(told, "breaker_open")))
            find(doctor, ILL, "breaker",
                 "MTConnect does not take events; see the sender's log for the reason",
                 "open at %s", address);
    }
    json_decref(programs);
}

static void print_all(const struct doctor *doctor)
{
    size_t i;
    int warnings = 0;
    json_t *finding;
    json_array_foreach (doctor->findings, i, finding) {
        warnings += strcmp(json_string_value(json_object_get(finding, "verdict")), "warning") == 0;
        const char *advice = json_string_value(json_object_get(finding, "advice"));
        printf("%-8s %-20s %s\n", json_string_value(json_object_get(finding, "verdict")),
               json_string_value(json_object_get(finding, "what")),
               json_string_value(json_object_get(finding, "detail")));
        if (advice)
            printf("%29s -> %s\n", "", advice);
    }
    if (doctor->ill)
        puts("something is ill");
    else if (warnings)
        printf("nothing is ill; see the warning%s\n", warnings > 1 ? "s" : "");
    else
        puts("all is well");
}

int doctor_main(const struct config *config, int argc, char **argv)
{
    static const char help[] =
        "usage: mtcctl doctor [--json]\n"
        "  Looks at every dependency, permission and queue, and says what to do. Exit status 1 if anything "
        "is ill.\n";
    struct doctor doctor = {.ctl = {.config = config}};
    int done = ctl_options(argc, argv, help, &doctor.ctl.json);
    if (done >= 0)
        return done;
    if (optind < argc)
        return ctl_usage(help, stderr);
    doctor.findings = json_array();
    look_at_postgres(&doctor);
    look_at_rabbitmq(&doctor);
    look_at_redis(&doctor);
    look_at_mtconnect(&doctor);
    look_at_secrets(&doctor);
    look_at_programs(&doctor);
    ctl_close(&doctor.ctl);
    if (doctor.ctl.json)
        output_json(json_incref(doctor.findings));
    else
        print_all(&doctor);
    json_decref(doctor.findings);
    return doctor.ill ? 1 : 0;
}
