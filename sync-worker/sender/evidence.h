/*
 * evidence.h - senders tell each other how first attempts ended, through Redis
 *
 * Or else the machines of a shop with as many senders as machines would each be alone, and nothing
 * would ever be proven (blame.h). What is heard here goes into the route's own evidence at once. At
 * most once a second a route, the last first attempts are written; what others wrote is read only
 * while heads of a route are doubted. Without Redis each sender has its own evidence.
 *
 * A route is a stream, mtc:evidence:<path>, of at most about EVIDENCE_ENTRIES entries, gone
 * EVIDENCE_TTL_MS after the last: fields "worker" and "seen", a list of
 * "<machine>:<began>:<ended>:<0 or 1>", machine as hexadecimal fingerprint, times in ms before the
 * entry was written. Entries bear Redis' time (their ids), and readers ask for it (TIME), so the
 * clocks of senders don't matter.
 *
 * Source: https://redis.io/docs/latest/develop/data-types/streams/
 */
#ifndef MTC_EVIDENCE_H
#define MTC_EVIDENCE_H

#include "route.h"
#include "base/loop.h"
#include "net/redis_conn.h"

#define EVIDENCE_ENTRIES 256
#define EVIDENCE_TTL_MS  (2 * BLAME_PROOF_MS)

struct evidence;

struct evidence_settings { /* all borrowed */
    struct loop *loop;
    struct redis_conn *redis; /* NULL: to do without */
    struct routes *routes;
    const char *worker; /* this sender's name among its like */
};

/* on_news: a route has heard from others. */
struct evidence *evidence_new(const struct evidence_settings *settings, void (*on_news)(void *arg),
                              void *arg);
/* After Redis, whose answers come here. NULL is fine. */
void evidence_free(struct evidence *evidence);

/* A first attempt has ended. */
void evidence_hear(struct evidence *evidence, struct route *route, const struct witness *witness);

#endif
