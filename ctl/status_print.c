/* status_print.c - how things stand, as a screen for people; see status.h */
#include "status.h"
#include "programs.h"

#include <stdio.h>
#include <string.h>

const char *status_error(const json_t *part)
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
    if (status_error(events)) {
        printf("events      ?   %s\n", status_error(events));
        return;
    }
    printf("events      waiting %lld (oldest %lld s)   published %lld (oldest %lld s)   ",
           number(events, "waiting"), number(events, "oldest_waiting_s"),
           number(events, "published"), number(events, "oldest_published_s"));
    printf("delivered %lld   dead %lld   last minute %lld\n", number(events, "delivered"),
           number(events, "dead"), number(events, "last_minute"));
    if (number(events, "missing") || number(events, "lost"))
        printf("            MISSING in the broker %lld   lost by it and published again %lld\n",
               number(events, "missing"), number(events, "lost"));
}

static void print_postgres(const json_t *status)
{
    const json_t *postgres = json_object_get(status, "postgres");
    if (status_error(postgres)) {
        printf("PostgreSQL  DOWN   %s\n", status_error(postgres));
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
    if (status_error(run)) {
        printf("cycle times ?   %s\n", status_error(run));
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
    if (status_error(rabbitmq)) {
        printf("RabbitMQ    DOWN   %s\n", status_error(rabbitmq));
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
        const char *worker = json_string_value(json_object_get(told, "worker"));
        printf("  %-10s %-22s %s", *program ? program : "?",
               worker ? worker : json_string_value(json_object_get(told, "address")),
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

/* What waits and is not taken: machine, since when, the last answer. */
static void print_waiting(const json_t *told)
{
    const json_t *remarks = json_object_get(told, "remarks");
    size_t i;
    json_t *each;
    json_array_foreach (json_object_get(remarks, "waiting"), i, each) {
        printf("  %-22s %7lld s  %3lld  %4lld  %s   %s%s\n", program_text(each, "machine"),
               number(each, "for_s"), number(each, "counted"), number(each, "probes"),
               program_text(each, "event"), program_text(each, "answer"),
               json_is_true(json_object_get(each, "stopped"))
                   ? "   STOPPED (mtcctl resume --machine)"
                   : "");
    }
    if (number(remarks, "more"))
        printf("  and %lld more\n", number(remarks, "more"));
}

static void print_all_waiting(const json_t *programs)
{
    bool any = false;
    size_t i;
    json_t *told;
    json_array_foreach (programs, i, told) {
        if (!json_array_size(json_object_get(json_object_get(told, "remarks"), "waiting")))
            continue;
        if (!any)
            printf("machines that wait for an event that fails (mtcctl skip)\n"
                   "  %-22s %9s  %3s  %4s  %-36s   %s\n",
                   "machine", "for", "att", "prb", "event", "last answer");
        any = true;
        print_waiting(told);
    }
}

/* Senders that hold as many bytes as they may. */
static void print_memory(const json_t *programs)
{
    size_t i;
    json_t *told;
    json_array_foreach (programs, i, told) {
        const json_t *memory = json_object_get(json_object_get(told, "remarks"), "memory");
        if (!memory)
            continue;
        printf("%s %s holds %lld MiB, most by machine %s (%lld MiB); ",
               program_text(told, "program"), program_text(told, "worker"),
               number(memory, "held_bytes") >> 20, program_text(memory, "machine"),
               number(memory, "machine_bytes") >> 20);
        if (number(memory, "unread_s") >= 0)
            printf("the memory bound is reached, nothing read for %lld s; ",
                   number(memory, "unread_s"));
        printf("%lld events put aside\n", number(memory, "aside"));
    }
}

void status_print(const json_t *status)
{
    printf("mtc-sync %s   %s\n", json_string_value(json_object_get(status, "version")),
           json_string_value(json_object_get(status, "at")));
    print_postgres(status);
    print_cycle_run(json_object_get(status, "cycle_run"));
    print_rabbitmq(json_object_get(status, "rabbitmq"));
    print_programs(json_object_get(status, "programs"));
    print_all_waiting(json_object_get(status, "programs"));
    print_memory(json_object_get(status, "programs"));
}
