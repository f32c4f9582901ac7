/* machines.c - which machines there are, as PostgreSQL last said; see machines.h */
#include "machines.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "suite/settings.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define FRESH_MS 1000

/* An unknown name is only refused on the word of a list at most so many periods old. */
#define TRUST_READ 3

struct known {
    int id;
    char *name;
    UT_hash_handle by_id, by_name;
};

struct waiter {
    void (*done)(void *arg);
    void *arg;
    struct waiter *next;
};

struct machines {
    struct service *service;
    struct pg_session *pg;
    struct timer *timer;
    struct known *by_id, *by_name;
    int64_t read_ms; /* 0: never */
    bool reading;
    struct waiter *waiting;
};

static void clear(struct machines *machines)
{
    struct known *known = machines->by_id, *next;
    HASH_CLEAR(by_name, machines->by_name);
    HASH_CLEAR(by_id, machines->by_id); /* lets go of them all; their list is still whole */
    for (; known; known = next) {
        next = known->by_id.next;
        free(known->name);
        free(known);
    }
}

static void add(struct machines *machines, int id, const char *name)
{
    struct known *known = xcalloc(1, sizeof *known);
    known->id = id;
    known->name = xstrdup(name);
    HASH_ADD(by_id, machines->by_id, id, sizeof known->id, known);
    HASH_ADD_KEYPTR(by_name, machines->by_name, known->name, strlen(known->name), known);
}

static void tell_waiting(struct machines *machines)
{
    struct waiter *waiter = machines->waiting;
    machines->waiting = NULL;
    while (waiter) {
        struct waiter *next = waiter->next;
        waiter->done(waiter->arg);
        free(waiter);
        waiter = next;
    }
}

static void on_list(const PGresult *result, const struct pg_error *error, void *arg)
{
    struct machines *machines = arg;
    machines->reading = false;
    if (error) {
        pg_session_fail(machines->pg, error->text);
        return;
    }
    clear(machines);
    for (int row = 0; row < PQntuples(result); row++)
        add(machines, (int)strtol(PQgetvalue(result, row, 0), NULL, 10),
            PQgetvalue(result, row, 1));
    machines->read_ms = mono_ms();
    tell_waiting(machines);
}

static void read_list(struct machines *machines)
{
    if (machines->reading || !pg_session_is_idle(machines->pg))
        return;
    machines->reading = true;
    pg_session_query(machines->pg,
                     "SELECT DISTINCT ON (machine_id) machine_id, machine FROM mtc.machine", 0,
                     NULL, on_list, machines);
}

static void on_timer(void *arg)
{
    read_list(arg);
}

static void on_up(void *arg)
{
    read_list(arg);
}

static void on_down(const char *reason, void *arg)
{
    (void)reason;
    struct machines *machines = arg;
    machines->reading = false;
    tell_waiting(machines);
}

enum machines_answer machines_find(const struct machines *machines, const struct hook_body *body,
                                   int *id)
{
    struct known *known;
    if (body->machine_id)
        HASH_FIND(by_id, machines->by_id, &body->machine_id, sizeof body->machine_id, known);
    else
        HASH_FIND(by_name, machines->by_name, body->machine, strlen(body->machine), known);
    if (known) {
        *id = known->id;
        return MACHINE_KNOWN;
    }
    int64_t trusted_ms = machines->service->config->receiver_machines_refresh_s * 1000 * TRUST_READ;
    return machines->read_ms && mono_ms() - machines->read_ms <= trusted_ms ? MACHINE_UNKNOWN
                                                                            : MACHINE_CANT_SAY;
}

bool machines_is_fresh(const struct machines *machines)
{
    return machines->read_ms && mono_ms() - machines->read_ms <= FRESH_MS;
}

bool machines_look_again(struct machines *machines, void (*done)(void *arg), void *arg)
{
    if (!pg_session_is_up(machines->pg))
        return false;
    struct waiter *waiter = xmalloc(sizeof *waiter);
    *waiter = (struct waiter){.done = done, .arg = arg, .next = machines->waiting};
    machines->waiting = waiter;
    read_list(machines);
    return true;
}

void machines_forget(struct machines *machines, const void *arg)
{
    for (struct waiter **at = &machines->waiting; *at; at = &(*at)->next) {
        struct waiter *waiter = *at;
        if (waiter->arg == arg) {
            *at = waiter->next;
            free(waiter);
            return;
        }
    }
}

struct machines *machines_new(struct service *service, char *error, size_t error_size)
{
    static const struct pg_session_events events = {.on_up = on_up, .on_down = on_down};
    struct machines *machines = xcalloc(1, sizeof *machines);
    machines->service = service;
    machines->timer = timer_new(service->loop, on_timer, machines);
    timer_every(machines->timer, service->config->receiver_machines_refresh_s * 1000);
    struct pg_session_settings settings = settings_pg(
        service->config, service->connection_name,
        "SET default_transaction_read_only = on; SET jit = off");
    machines->pg = pg_session_new(service->loop, service->resolver, &settings, &events, machines,
                                  error, error_size);
    if (!machines->pg) {
        machines_free(machines);
        return NULL;
    }
    return machines;
}

void machines_free(struct machines *machines)
{
    if (!machines)
        return;
    pg_session_free(machines->pg);
    timer_free(machines->timer);
    while (machines->waiting) {
        struct waiter *waiter = machines->waiting;
        machines->waiting = waiter->next;
        free(waiter);
    }
    clear(machines);
    free(machines);
}
