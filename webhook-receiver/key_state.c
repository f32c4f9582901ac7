/* key_state.c - what Redis knows of an idempotency key; see key_state.h */
#include "key_state.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char lease_script[] =
    "local had = redis.call('HMGET', KEYS[1], 'fp', 'state', 'until', 'at')\n"
    "local clock = redis.call('TIME')\n"
    "local now = clock[1] * 1000 + math.floor(clock[2] / 1000)\n"
    "if had[1] and had[1] ~= ARGV[1] then return {'other', '0'} end\n"
    "if had[2] == 'done' then return {'done', '0'} end\n"
    "if had[3] and tonumber(had[3]) > now then\n"
    "    return {'held', string.format('%d', had[3] - now)}\n"
    "end\n"
    "local at = had[4] or ARGV[3]\n"
    "redis.call('HSET', KEYS[1], 'fp', ARGV[1], 'state', 'leased', 'token', ARGV[2],\n"
    "           'until', string.format('%d', now + ARGV[4]), 'at', at)\n"
    "redis.call('EXPIRE', KEYS[1], ARGV[5])\n"
    "return {'leased', at}\n";

/* Sets everything: the record may have been lost meanwhile. */
static const char done_script[] =
    "redis.call('HSET', KEYS[1], 'fp', ARGV[1], 'state', 'done', 'at', ARGV[2])\n"
    "redis.call('HDEL', KEYS[1], 'token', 'until')\n"
    "redis.call('EXPIRE', KEYS[1], ARGV[3])\n"
    "return 1\n";

static const char release_script[] = "if redis.call('HGET', KEYS[1], 'token') == ARGV[1] then\n"
                                     "    redis.call('HDEL', KEYS[1], 'until')\n"
                                     "end\n"
                                     "return 1\n";

void key_fingerprint(const char *body, size_t len, char out[KEY_FINGERPRINT])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!EVP_Digest(body, len, digest, &size, EVP_sha256(), NULL))
        abort(); /* SHA-256 is always there */
    for (unsigned i = 0; i < size; i++)
        snprintf(out + (size_t)2 * i, 3, "%02x", digest[i]);
}

static void name_of(const char *key, char out[192])
{
    snprintf(out, 192, "mtc:hook:%s", key);
}

bool key_state_lease(struct redis_conn *redis, const struct key_lease *lease, redis_done done,
                     void *arg)
{
    char name[192], first[24], lease_ms[24], ttl[24];
    name_of(lease->key, name);
    snprintf(first, sizeof first, "%" PRId64, lease->first_us);
    snprintf(lease_ms, sizeof lease_ms, "%" PRId64, lease->lease_ms);
    snprintf(ttl, sizeof ttl, "%" PRId64, lease->ttl_s);
    const char *words[] = {"EVAL",       lease_script, "1",      name, lease->fingerprint,
                           lease->token, first,        lease_ms, ttl};
    return redis && redis_conn_command(redis, 9, words, done, arg);
}

bool key_state_done(struct redis_conn *redis, const struct key_lease *lease, redis_done done,
                    void *arg)
{
    char name[192], first[24], ttl[24];
    name_of(lease->key, name);
    snprintf(first, sizeof first, "%" PRId64, lease->first_us);
    snprintf(ttl, sizeof ttl, "%" PRId64, lease->ttl_s);
    const char *words[] = {"EVAL", done_script, "1", name, lease->fingerprint, first, ttl};
    return redis && redis_conn_command(redis, 7, words, done, arg);
}

bool key_state_release(struct redis_conn *redis, const struct key_lease *lease, redis_done done,
                       void *arg)
{
    char name[192];
    name_of(lease->key, name);
    const char *words[] = {"EVAL", release_script, "1", name, lease->token};
    return redis && redis_conn_command(redis, 5, words, done, arg);
}

struct key_verdict key_verdict_of(const redisReply *reply)
{
    struct key_verdict verdict = {.answer = KEY_UNKNOWN};
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_STRING)
        return verdict;
    const char *word = reply->element[0]->str;
    int64_t number = strtoll(reply->element[1]->str, NULL, 10);
    if (strcmp(word, "leased") == 0) {
        verdict.answer = KEY_LEASED;
        verdict.first_us = number;
    } else if (strcmp(word, "held") == 0) {
        verdict.answer = KEY_HELD;
        verdict.held_ms = number;
    } else if (strcmp(word, "done") == 0) {
        verdict.answer = KEY_DONE;
    } else if (strcmp(word, "other") == 0) {
        verdict.answer = KEY_OTHER;
    }
    return verdict;
}
