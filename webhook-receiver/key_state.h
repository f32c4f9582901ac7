/*
 * key_state.h - what Redis knows of an idempotency key
 *
 *   (nothing) --lease--> leased --done--> done
 *                          |  ^
 *                 release  |  | lease (after the release, or when its time is over)
 *                          v  |
 *                        free-'
 *
 * The record is a hash at mtc:hook:<key>, kept for receiver.key_ttl_s after its last change: fp
 * (SHA-256 of the body), state, until (ms, by the clock of Redis), token (of the lease), at
 * (microseconds: when the key came first). `at` survives everything: a request that was published
 * and not seen to be is published again with the same time of arrival, and is applied once.
 *
 * A key counts as done only after the broker's confirm. Draft of the header:
 * https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
 */
#ifndef MTC_KEY_STATE_H
#define MTC_KEY_STATE_H

#include "net/redis_conn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_FINGERPRINT 65 /* hex, and the NUL */
#define KEY_TOKEN       40

enum key_answer {
    KEY_LEASED,  /* it is ours until the lease ends */
    KEY_HELD,    /* somebody has it */
    KEY_DONE,    /* the same body was taken before */
    KEY_OTHER,   /* it came with another body before */
    KEY_UNKNOWN, /* Redis can't say */
};

struct key_verdict {
    enum key_answer answer;
    int64_t first_us; /* KEY_LEASED: when the key came first */
    int64_t held_ms;  /* KEY_HELD: how much longer at most */
};

struct key_lease {
    const char *key;                   /* borrowed */
    char fingerprint[KEY_FINGERPRINT]; /* of the body: key_fingerprint() */
    char token[KEY_TOKEN];             /* of this request, told from all others */
    int64_t first_us;                  /* when the key came first, as far as is known */
    int64_t lease_ms, ttl_s;
};

void key_fingerprint(const char *body, size_t len, char out[KEY_FINGERPRINT]);

/*
 * Each sends one command; the lease is copied. False: Redis is down, or there is none (NULL), and
 * done will not be called. key_verdict_of() reads the reply of key_state_lease(); without a reply,
 * which is the case of an error, it says KEY_UNKNOWN.
 */
bool key_state_lease(struct redis_conn *redis, const struct key_lease *lease, redis_done done,
                     void *arg);
bool key_state_done(struct redis_conn *redis, const struct key_lease *lease, redis_done done,
                    void *arg);
bool key_state_release(struct redis_conn *redis, const struct key_lease *lease, redis_done done,
                       void *arg);
struct key_verdict key_verdict_of(const redisReply *reply);

#endif
