/* suspect.c - what is known against an event, kept in Redis; see suspect.h */
#include "suspect.h"
#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PREFIX    "mtc:suspect:"
#define KEY_BYTES (HELD_NAME + sizeof PREFIX)
#define COUNT_MAX 1000000

static const char *key_of(const struct held *held, char key[KEY_BYTES])
{
    char name[HELD_NAME];
    snprintf(key, KEY_BYTES, PREFIX "%s", held_name(held, name));
    return key;
}

static void on_written(const redisReply *reply, const struct redis_error *error, void *arg)
{
    (void)reply;
    (void)arg;
    if (error && error->refused)
        log_warn("Redis refuses to keep the attempts of an event", LF_S("reason", error->text));
}

void suspect_write(struct redis_conn *redis, const struct held *held)
{
    char key[KEY_BYTES], value[96], ttl[24];
    const struct blame_case *event = &held->blame;
    snprintf(value, sizeof value, "%d %d %d %" PRId64 " %d", event->counted, event->accused,
             event->probes, utc_us() / 1000 - (mono_ms() - event->since_ms), event->convicted);
    snprintf(ttl, sizeof ttl, "%d", SUSPECT_TTL_S);
    const char *words[] = {"SET", key_of(held, key), value, "EX", ttl};
    if (redis)
        redis_conn_command(redis, 5, words, on_written, NULL);
}

void suspect_forget(struct redis_conn *redis, const struct held *held)
{
    char key[KEY_BYTES];
    const char *words[] = {"DEL", key_of(held, key)};
    if (redis && held->blame.failed)
        redis_conn_command(redis, 2, words, on_written, NULL);
}

bool suspect_look_up(struct redis_conn *redis, const struct held *held, redis_done done, void *arg)
{
    char key[KEY_BYTES];
    const char *words[] = {"GET", key_of(held, key)};
    return redis && redis_conn_command(redis, 2, words, done, arg);
}

/* The number at *at, which is moved past it. */
static bool take_number(const char **at, int64_t most, int64_t *out)
{
    char *after;
    long long number = strtoll(*at, &after, 10);
    if (after == *at || number < 0 || number > most)
        return false;
    *at = after;
    *out = number;
    return true;
}

void suspect_read(const redisReply *reply, struct blame_case *event)
{
    int64_t counted, accused, probes, since, convicted, now = mono_ms();
    if (!reply || reply->type != REDIS_REPLY_STRING)
        return;
    const char *at = reply->str;
    if (!take_number(&at, COUNT_MAX, &counted) || !take_number(&at, COUNT_MAX, &accused) ||
        !take_number(&at, COUNT_MAX, &probes) || !take_number(&at, INT64_MAX, &since) ||
        !take_number(&at, 1, &convicted))
        return;
    int64_t age = utc_us() / 1000 - since;
    *event = (struct blame_case){.failed = true,
                                 .first_failed_ms = now,
                                 .since_ms = now - (age > 0 ? age : 0),
                                 .counted = (int)counted,
                                 .accused = (int)accused,
                                 .probes = (int)probes,
                                 .convicted = convicted == 1};
}
