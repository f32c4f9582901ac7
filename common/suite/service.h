/*
 * service.h - the one skeleton of all programs
 *
 * A program's main.c is a description and a call of service_main(), which owns options,
 * configuration, logging, the event loop, signals, /healthz, /readyz and /metrics, and the answer
 * to mtcctl's question who is there (presence.h):
 *
 *   SIGTERM, SIGINT  drain: the program finishes what it has in hand and calls service_drained();
 *                    after 30 s, or at a second signal, it is ended all the same (nothing is lost
 *                    by that: what is not acked comes again)
 *   SIGHUP           the log level is read again, and reload() is called for what else can change
 *
 * Exit status: 0 after a drain, 1 if it could not start or not drain in time, 2 for wrong usage.
 */
#ifndef MTC_SERVICE_H
#define MTC_SERVICE_H

#include "base/metrics.h"
#include "base/timer.h"
#include "net/resolve.h"
#include "suite/config.h"
#include "suite/presence.h"

#include <stdbool.h>

struct service { /* borrowed by the program for its whole life */
    struct loop *loop;
    struct resolver *resolver;
    const struct config *config;
    struct metrics *metrics;
    struct presence *presence; /* told of each connection to the broker; NULL: it has none */
    const char *worker_name;
    const char *connection_name; /* "<program> <worker name>", for management UIs */
    const void *choices;         /* what the program's own switches chose; see below */
};

struct service_switch { /* a command-line option of the program's own */
    const char *name;
    const char *argument; /* its name in the help, or NULL */
    const char *help;
};

struct service_description {
    const char *name, *summary;
    size_t listen_option; /* offset in struct config of the char * that says where /metrics is */
    const struct service_switch *switches; /* ends with a NULL name; or NULL */
    /*
     * on_switch is called for each switch given, and notes it in choices, the program's own struct.
     * run_instead then may do a job of its own instead of serving, and returns the exit status, or
     * -1 to serve. is_brief: it does one job and ends, and listens nowhere. Each may be NULL.
     */
    void *choices;
    bool (*on_switch)(const char *name, const char *argument, void *choices);
    int (*run_instead)(const struct config *config, const void *choices);
    bool (*is_brief)(const void *choices);
    void *(*start)(struct service *service); /* NULL: cannot start, and it said why in the log */
    bool (*ready)(const void *state, const char **why); /* why: what is missing */
    void (*drain)(void *state);
    void (*reload)(void *state); /* may be NULL */
    void (*stop)(void *state);   /* frees everything */
    /* See presence.h; either may be NULL. */
    char *(*remarks)(const void *state);
    char *(*on_order)(void *state, const char *order);
};

int service_main(int argc, char **argv, const struct service_description *description);

/* The program has drained: the loop ends. */
void service_drained(struct service *service);

/* The same for a program that has one job to do: the loop ends, with this exit status. */
void service_finish(struct service *service, int status);

#endif
