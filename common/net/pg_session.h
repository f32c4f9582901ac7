/*
 * pg_session.h - a PostgreSQL session that never stops the loop and always comes back
 *
 * One statement at a time; its owner decides what comes next. The name is looked up by resolve.h
 * and given to libpq as hostaddr, since libpq's own lookup blocks. A session that is lost is made
 * again with jittered backoff, for ever. Source: libpq manual, "Asynchronous Command Processing",
 * https://www.postgresql.org/docs/15/libpq-async.html
 */
#ifndef MTC_PG_SESSION_H
#define MTC_PG_SESSION_H

#include "base/loop.h"
#include "net/pg_error.h"
#include "net/resolve.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct pg_session;

struct pg_session_settings { /* strings are borrowed */
    const char *conninfo, *password_file, *application_name;
    const char *session_sql; /* run once in each new session before on_up; "" for none */
    int64_t connect_timeout_ms;
};

struct pg_session_events {
    void (*on_up)(void *arg);
    /* It was up and is lost. A statement under way is not called back: it may or may not have been
     * committed. */
    void (*on_down)(const char *reason, void *arg);
    void (*on_notify)(const char *channel, const char *payload, void *arg); /* may be NULL */
};

/* Starts connecting. NULL with a message if conninfo can't be parsed. */
struct pg_session *pg_session_new(struct loop *loop, struct resolver *resolver,
                                  const struct pg_session_settings *settings,
                                  const struct pg_session_events *events, void *arg, char *error,
                                  size_t error_size);
void pg_session_free(struct pg_session *session);

bool pg_session_is_up(const struct pg_session *session);
bool pg_session_is_idle(const struct pg_session *session); /* up, and nothing under way */

/* Exactly one of rows and error is not NULL; it is valid during the call. */
typedef void (*pg_done)(const PGresult *rows, const struct pg_error *error, void *arg);

/* To be called only while pg_session_is_idle(). Values are text or NULL. */
void pg_session_query(struct pg_session *session, const char *sql, int count,
                      const char *const *values, pg_done done, void *arg);

/* Gives the session up (it comes back after a pause). */
void pg_session_fail(struct pg_session *session, const char *reason);

#endif
