/*
 * ctl.h - what the verbs of mtcctl share: connections made when they are needed, options, exit
 * statuses
 *
 * Exit statuses: 0 all well, 1 it failed or something is not well, 2 wrong usage.
 */
#ifndef MTC_CTL_H
#define MTC_CTL_H

#include "net/amqp_plain.h"
#include "net/pg_plain.h"
#include "suite/config.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

struct ctl {
    const struct config *config;
    bool json;
    struct pg_plain *pg;
    struct amqp_plain *broker;
    char error[512];
};

/* Connects unless it is connected. False: error says why. */
bool ctl_pg(struct ctl *ctl);
bool ctl_broker(struct ctl *ctl);

/* ok, which a call to the broker has returned; if it is false, error says what the broker said. */
bool ctl_broker_did(struct ctl *ctl, bool ok);

void ctl_close(struct ctl *ctl);

/* NULL: error says why. */
PGresult *ctl_query(struct ctl *ctl, const char *sql, int count, const char *const *values);

/* The same for statements whose rows, if any, don't matter. */
bool ctl_run(struct ctl *ctl, const char *sql, int count, const char *const *values);

/* Prints the error; returns 1. */
int ctl_fail(const struct ctl *ctl);

/*
 * The options of a verb that has only --json and --help; argv[0] is the verb, help all it has to
 * say. Returns -1 to go on, with optind at the first word that is no option, or the exit status.
 */
int ctl_options(int argc, char **argv, const char *help, bool *json);

/* help to out; the exit status: 0 when it was asked for (stdout), 2 after wrong usage. */
int ctl_usage(const char *help, FILE *out);

/* A whole number from least on. False with a message that names what. */
bool ctl_number(const char *what, const char *text, long least, long *out);

/*
 * A moment as people give it, as PostgreSQL reads it: "10m", "2h", "7d", "30s" ago, or an RFC 3339
 * time. False with a message for anything else.
 */
#define CTL_MOMENT 40
bool ctl_moment(const char *text, char out[CTL_MOMENT]);

/* A UUID, by its length and characters. False with a message for anything else. */
#define CTL_EVENT_ID_LEN 36
bool ctl_event_id(const char *text);

/* The verbs. argv[0] is the verb. */
int status_main(const struct config *config, int argc, char **argv);
int top_main(const struct config *config, int argc, char **argv);
int events_main(const struct config *config, int argc, char **argv);
int dead_main(const struct config *config, int argc, char **argv);
int replay_main(const struct config *config, int argc, char **argv);
int audit_main(const struct config *config, int argc, char **argv);
int doctor_main(const struct config *config, int argc, char **argv);
int pause_main(const struct config *config, int argc, char **argv);
int resume_main(const struct config *config, int argc, char **argv);
int restored_main(const struct config *config, int argc, char **argv);
int skip_main(const struct config *config, int argc, char **argv);
int options_main(const struct config *config, int argc, char **argv);
int metrics_main(const struct config *config, int argc, char **argv);

#endif
