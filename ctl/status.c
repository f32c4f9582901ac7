/* status.c - mtcctl status and mtcctl top: one screen of how things stand */
#include "base/clock.h"
#include "ctl.h"
#include "management.h"
#include "output.h"
#include "programs.h"
#include "suite/topology.h"
#include "version.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static json_t *error_object(const char *text)
{
    json_t *message = json_string(text);
    return json_pack("{s:o}", "error", message ? message : json_string("unknown"));
}

static void add_first_row(struct ctl *ctl, json_t *status, const char *name, const char *sql)
{
    PGresult *result = ctl_query(ctl, sql, 0, NULL);
    if (!result)
        json_object_set_new(status, name, error_object(ctl->error));
    else
        json_object_set_new(status, name, PQntuples(result) ? output_row(result, 0) : json_null());
    PQclear(result);
}

static void add_postgres(struct ctl *ctl, json_t *status)
{
    if (!ctl_pg(ctl)) {
        json_object_set_new(status, "postgres", error_object(ctl->error));
        return;
    }
    add_first_row(
        ctl, status, "postgres",
        "SELECT current_setting('server_version') AS version, current_database() AS database,"
        " (SELECT json_object_agg(component, version) FROM (SELECT component, max(version) AS version"
        " FROM mtc.schema_version GROUP BY 1 ORDER BY 1) v) AS schema");
    add_first_row(
        ctl, status, "events",
        "SELECT count(*) FILTER (WHERE published_at IS NULL AND outcome IS NULL) AS waiting,"
        " coalesce(round(extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE "
        "published_at IS NULL AND"
        " outcome IS NULL)), 1), 0) AS oldest_waiting_s,"
        " count(*) FILTER (WHERE published_at IS NOT NULL AND outcome IS NULL) AS published,"
        " coalesce(round(extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE "
        "published_at IS NOT NULL AND"
        " outcome IS NULL)), 1), 0) AS oldest_published_s,"
        " count(*) FILTER (WHERE outcome = 'delivered') AS delivered, count(*) FILTER (WHERE "
        "outcome = 'dead') AS dead,"
        " count(*) FILTER (WHERE created_at > clock_timestamp() - interval '1 minute') AS "
        "last_minute FROM mtc.outbox");
    add_first_row(
        ctl, status, "cycle_run",
        "SELECT mtc.utc_text(started_at) AS started_at, round(extract(epoch FROM finished_at - "
        "started_at), 3) AS"
        " seconds, worker, asked, answered, changed, failed FROM mtc.cycle_run");
}

static bool add_queue(struct ctl *ctl, json_t *queues, const char *name, const json_t *known)
{
    struct amqp_plain_count count;
    if (!amqp_plain_count(ctl->broker, name, &count))
        return false;
    json_t *queue = json_pack("{s:s, s:b}", "name", name, "exists", count.exists);
    if (count.exists) {
        json_object_set_new(queue, "ready", json_integer(count.ready));
        json_object_set_new(queue, "consumers", json_integer(count.consumers));
        management_add(known, name, queue);
    }
    json_array_append_new(queues, queue);
    return true;
}

static void add_rabbitmq(struct ctl *ctl, json_t *status)
{
    static const char *const named[] = {TOPOLOGY_OUTCOMES, TOPOLOGY_CYCLE_TIMES, TOPOLOGY_DEAD};
    struct amqp_plain_count control = {0};
    if (!ctl_broker(ctl)) {
        json_object_set_new(status, "rabbitmq", error_object(ctl->error));
        return;
    }
    json_t *known = management_queues(ctl->config), *queues = json_array();
    bool ok = true;
    for (int p = 0; ok && p < (int)ctl->config->topology_partitions; p++) {
        char name[TOPOLOGY_NAME_BYTES];
        ok = add_queue(ctl, queues, topology_partition_name(p, name), known);
    }
    for (size_t i = 0; ok && i < sizeof named / sizeof named[0]; i++)
        ok = add_queue(ctl, queues, named[i], known);
    ok = ok && amqp_plain_count(ctl->broker, TOPOLOGY_CONTROL, &control);
    json_decref(known);
    if (!ok) {
        json_object_set_new(status, "rabbitmq", error_object(amqp_plain_error(ctl->broker)));
        json_decref(queues);
        return;
    }
    json_object_set_new(status, "rabbitmq",
                        json_pack("{s:s, s:b, s:o}", "version", amqp_plain_version(ctl->broker),
                                  "paused", control.ready > 0, "queues", queues));
}

static json_t *collect(struct ctl *ctl)
{
    char now[UTC_TEXT];
    json_t *status = json_pack("{s:s, s:s}", "version", MTC_VERSION, "at",
                               utc_format(utc_us(), now));
    add_postgres(ctl, status);
    add_rabbitmq(ctl, status);
    json_object_set_new(status, "programs", programs_ask(ctl->config));
    return status;
}

/* --- for people --- */

static const char *error_of(const json_t *part)
{
    return json_string_value(json_object_get(part, "error"));
}

static long long number(const json_t *part, const char *name)
{
    const json_t *value = json_object_get(part, name);
    return json_is_real(value) ? (long long)json_real_value(value) : json_integer_value(value);
}

static void print_events(const json_t *events)
{
    if (error_of(events)) {
        printf("events      ?   %s\n", error_of(events));
        return;
    }
    printf(
        "events      waiting %lld (oldest %lld s)   published %lld (oldest %lld s)   delivered %lld   "
        "dead %lld   last minute "
        "%lld\n",
        number(events, "waiting"), number(events, "oldest_waiting_s"), number(events, "published"),
        number(events, "oldest_published_s"), number(events, "delivered"), number(events, "dead"),
        number(events, "last_minute"));
}

static void print_postgres(const json_t *status)
{
    const json_t *postgres = json_object_get(status, "postgres");
    if (error_of(postgres)) {
        printf("PostgreSQL  DOWN   %s\n", error_of(postgres));
        return;
    }
    printf("PostgreSQL  %s   database %s   schema",
           json_string_value(json_object_get(postgres, "version")),
           json_string_value(json_object_get(postgres, "database")));
    const char *name;
    json_t *version;
    json_object_foreach (json_object_get(postgres, "schema"), name, version) {
        printf(" %s %lld", name, (long long)json_integer_value(version));
    }
    putchar('\n');
    print_events(json_object_get(status, "events"));
}

static void print_cycle_run(const json_t *run)
{
    if (error_of(run)) {
        printf("cycle times ?   %s\n", error_of(run));
    } else if (json_is_object(run)) {
        printf("cycle times last pull %s by %s: %lld asked, %lld answered, %lld changed",
               json_string_value(json_object_get(run, "started_at")),
               json_string_value(json_object_get(run, "worker")), number(run, "asked"),
               number(run, "answered"), number(run, "changed"));
        const char *name;
        json_t *why;
        json_object_foreach (json_object_get(run, "failed"), name, why) {
            printf("\n            %s: %s", name, json_string_value(why));
        }
        putchar('\n');
    } else {
        printf("cycle times never pulled\n");
    }
}

static void print_queue(const json_t *queue)
{
    const char *name = json_string_value(json_object_get(queue, "name"));
    const char *active = json_string_value(json_object_get(queue, "active"));
    const json_t *unacked = json_object_get(queue, "unacked");
    char held[24] = "-";
    if (!json_is_true(json_object_get(queue, "exists"))) {
        printf("  %-18s MISSING\n", name);
        return;
    }
    if (unacked)
        snprintf(held, sizeof held, "%lld", (long long)json_integer_value(unacked));
    printf("  %-18s %10lld %10s %10lld   %s\n", name, number(queue, "ready"), held,
           number(queue, "consumers"), active ? active : "-");
}

static void print_rabbitmq(const json_t *rabbitmq)
{
    if (error_of(rabbitmq)) {
        printf("RabbitMQ    DOWN   %s\n", error_of(rabbitmq));
        return;
    }
    printf("RabbitMQ    %s%s\n", json_string_value(json_object_get(rabbitmq, "version")),
           json_is_true(json_object_get(rabbitmq, "paused"))
               ? "   SENDERS ARE PAUSED (mtcctl resume)"
               : "");
    printf("  %-18s %10s %10s %10s   %s\n", "queue", "ready", "unacked", "consumers", "active");
    size_t i;
    json_t *queue;
    json_array_foreach (json_object_get(rabbitmq, "queues"), i, queue) {
        print_queue(queue);
    }
}

static void print_programs(const json_t *programs)
{
    size_t i;
    json_t *told;
    printf("programs\n");
    json_array_foreach (programs, i, told) {
        const json_t *ready = json_object_get(told, "ready");
        const char *program = json_string_value(json_object_get(told, "program"));
        printf("  %-10s %-22s %s", *program ? program : "?",
               json_string_value(json_object_get(told, "address")),
               json_is_true(ready) ? "ready" : json_string_value(ready));
        const char *name;
        json_t *value;
        json_object_foreach (told, name, value) {
            if (strcmp(name, "breaker_open") == 0)
                printf("   breaker %s", json_integer_value(value) ? "OPEN" : "closed");
            else if (json_is_integer(value))
                printf("   %s %lld", name, (long long)json_integer_value(value));
        }
        putchar('\n');
    }
}

static void print_all(const json_t *status)
{
    printf("mtc-sync %s   %s\n", json_string_value(json_object_get(status, "version")),
           json_string_value(json_object_get(status, "at")));
    print_postgres(status);
    print_cycle_run(json_object_get(status, "cycle_run"));
    print_rabbitmq(json_object_get(status, "rabbitmq"));
    print_programs(json_object_get(status, "programs"));
}

static bool is_well(const json_t *status)
{
    return !error_of(json_object_get(status, "postgres")) &&
           !error_of(json_object_get(status, "events")) &&
           !error_of(json_object_get(status, "rabbitmq"));
}

int status_main(const struct config *config, int argc, char **argv)
{
    static const char help[] =
        "usage: mtcctl status [--json]\n"
        "  How things stand: events, queues, programs, the last pull. Exit status 1 if PostgreSQL or\n"
        "  RabbitMQ can't be asked.\n";
    struct ctl ctl = {.config = config};
    int done = ctl_options(argc, argv, help, &ctl.json);
    if (done >= 0)
        return done;
    if (optind < argc)
        return ctl_usage(help, stderr);
    json_t *status = collect(&ctl);
    ctl_close(&ctl);
    bool well = is_well(status);
    if (ctl.json) {
        output_json(status);
    } else {
        print_all(status);
        json_decref(status);
    }
    return well ? 0 : 1;
}

/* Whether the screen was written: a reader that has gone ends mtcctl top. */
static bool print_screen(const struct ctl *ctl, json_t *status)
{
    if (ctl->json) {
        json_dumpf(status, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        if (isatty(STDOUT_FILENO))
            fputs("\033[H\033[2J", stdout);
        print_all(status);
    }
    return fflush(stdout) == 0;
}

int top_main(const struct config *config, int argc, char **argv)
{
    static const char help[] =
        "usage: mtcctl top [--interval S] [--count N] [--json]\n"
        "  mtcctl status again and again, every 2 s unless told otherwise, until Ctrl-C (or N times).\n"
        "  With --json one object a line.\n";
    static const struct option options[] = {{"interval", required_argument, NULL, 'i'},
                                            {"count", required_argument, NULL, 'n'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct ctl ctl = {.config = config};
    long interval = 2, count = 0;
    int option;
    optind = 0; /* glibc: begin anew, options after words too */
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'j')
            ctl.json = true;
        else if (option != 'i' && option != 'n')
            return ctl_usage(help, option == 'h' ? stdout : stderr);
        else if (!(option == 'i' ? ctl_number("--interval", optarg, 1, &interval)
                                 : ctl_number("--count", optarg, 1, &count)))
            return 2;
    }
    if (optind < argc)
        return ctl_usage(help, stderr);
    bool told = true;
    for (long n = 0; told && (count == 0 || n < count); n++) {
        if (n > 0)
            clock_sleep_ms((int64_t)(unsigned)interval * 1000);
        json_t *status = collect(&ctl);
        told = print_screen(&ctl, status);
        if (!is_well(status))
            ctl_close(&ctl); /* made again the next time */
        json_decref(status);
    }
    ctl_close(&ctl);
    return told ? 0 : 1;
}
