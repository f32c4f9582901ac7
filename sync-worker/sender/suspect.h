/*
 * suspect.h - what is known against an event, kept in Redis
 *
 * So that a sender that is killed, or hands its events back, does not begin anew with the count of
 * attempts: whoever gets a suspect next goes on from there. A help, no condition: without Redis
 * counts begin anew, which costs an event that is poison five attempts more and nothing else.
 *
 * The key is mtc:suspect:<held_name()>; the value is, of blame_case, "<counted> <accused> <probes>
 * <since> <convicted>", since being ms of UTC, convicted 0 or 1.
 */
#ifndef MTC_SUSPECT_H
#define MTC_SUSPECT_H

#include "held.h"
#include "net/redis_conn.h"

#include <stdbool.h>

#define SUSPECT_TTL_S 604800

/* `redis` may be NULL: nothing is kept. */
void suspect_write(struct redis_conn *redis, const struct held *held);

/* Its fate is known: one that is put back begins anew. */
void suspect_forget(struct redis_conn *redis, const struct held *held);

/* Asks for it; done is called once. False if Redis can't be asked. */
bool suspect_look_up(struct redis_conn *redis, const struct held *held, redis_done done, void *arg);

/* Takes over what the answer to suspect_look_up() says, as of now; reply may be NULL. What this
 * process has not seen fail itself has failed first now: proof must be later than that. */
void suspect_read(const redisReply *reply, struct blame_case *event);

#endif
