/*
 * sent_key.h - which events MTConnect has taken: sent keys in Redis, and the last ones in memory
 *
 * A delivered event leaves the key mtc:sent:<name> (held_name()) behind, for sender.sent_key_ttl_s
 * seconds: whoever gets the event again, this sender or another, finds it and does not send
 * it. Memory (recent.h) answers first, and also while Redis is down or not configured. A help, no
 * condition: what neither knows is sent, and MTConnect knows its idempotency key.
 */
#ifndef MTC_SENT_KEY_H
#define MTC_SENT_KEY_H

#include "held.h"
#include "net/redis_conn.h"

#include <stdbool.h>

struct sent_keys;

/* redis: borrowed; NULL to do without. */
struct sent_keys *sent_keys_new(struct redis_conn *redis, int64_t ttl_s);
void sent_keys_free(struct sent_keys *keys); /* NULL is fine */

/* This process remembers having delivered it. */
bool sent_key_is_recent(const struct sent_keys *keys, const struct held *held);

/* Asks Redis; done is called once. False if Redis can't be asked: done will not be called. */
bool sent_key_look_up(struct sent_keys *keys, const struct held *held, redis_done done, void *arg);

/* What the answer to sent_key_look_up() says; `reply` may be NULL: Redis can't say. */
bool sent_key_is_found(const redisReply *reply);

/* Remembers it and tells Redis; done and the return value are as for sent_key_look_up(). */
bool sent_key_write(struct sent_keys *keys, const struct held *held, redis_done done, void *arg);

#endif
