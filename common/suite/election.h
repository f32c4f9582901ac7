/*
 * election.h - at most one active process of a kind per database
 *
 * Whoever holds an advisory lock of PostgreSQL is active; the others stand by and ask for the lock
 * again and again. The lock lives as long as its session, so no lease and no clock is involved: the
 * server frees it when the session ends, and it ends the session of a process that goes silent
 * (idle_session_timeout) or stops in the middle of an answer (tcp_user_timeout). An active process
 * that has nothing to ask therefore gives a sign of life.
 *
 * The election owns the session, and everything the active process does to the database goes
 * through it: who has lost the lock can't write any more. One statement is under way at a time, as
 * in pg_session.h.
 *
 *   OFFLINE --session--> STANDBY --lock--> ACTIVE
 *      ^--------- session lost ---------------'
 *
 * Source: PostgreSQL manual, "Advisory Locks",
 * https://www.postgresql.org/docs/15/explicit-locking.html#ADVISORY-LOCKS, and
 * idle_session_timeout.
 */
#ifndef MTC_ELECTION_H
#define MTC_ELECTION_H

#include "net/pg_session.h"
#include "suite/service.h"

/* First half of the key of every advisory lock of the suite; sql/functions/health.sql has it. */
#define ELECTION_LOCK_KEY 7173219

enum election_lock { ELECTION_RELAY = 1, ELECTION_MIGRATION = 2, ELECTION_SCHEDULER = 3 };

struct election;

struct election_settings {
    enum election_lock lock;
    const char *session_sql; /* besides what the election itself needs of its session */
    int64_t standby_poll_ms; /* pause between a standby's attempts */
};

struct election_events {
    void (*on_elected)(void *arg); /* active; the session is idle */
    void (*on_refused)(
        void *arg); /* another process is active; asked again after a while; may be NULL */
    /* The session is gone, and the lock with it. A statement under way is not called back. */
    void (*on_lost)(bool was_active, const char *reason, void *arg);
    /* The session is idle again after a sign of life: who had work to do can begin now. */
    void (*on_idle)(void *arg);
    void (*on_notify)(const char *channel, const char *payload, void *arg); /* may be NULL */
};

/* Starts connecting. NULL with a message if the connection string can't be parsed. */
struct election *election_new(const struct service *service,
                              const struct election_settings *settings,
                              const struct election_events *events, void *arg, char *error,
                              size_t error_size);
void election_free(struct election *election); /* NULL is fine; no callback follows */

bool election_is_connected(const struct election *election); /* STANDBY or ACTIVE */
bool election_is_active(const struct election *election);
bool election_is_idle(const struct election *election); /* ACTIVE, and no statement is under way */

/* To be called only while election_is_idle(). */
void election_query(struct election *election, const char *sql, int count,
                    const char *const *values, pg_done done, void *arg);

/* Gives the session up, and the lock with it; both are tried for again after a pause. */
void election_fail(struct election *election, const char *reason);

/* A standby asks for the lock no more: the program is draining. */
void election_withdraw(struct election *election);

#endif
