/* suspect.c - what is known against an event, kept in Redis; see suspect.h */
#include "suspect.h"
#include "base/log.h"

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
    char key[KEY_BYTES], value[64], ttl[24];
    const struct blame_case *event = &held->blame;
    snprintf(value, sizeof value, "%d %d %d", event->counted, event->accused, event->probes);
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

/* The count at *at, which is moved past it. */
static bool take_count(const char **at, int *out)
{
    char *after;
    long count = strtol(*at, &after, 10);
    if (after == *at || count < 0 || count > COUNT_MAX)
        return false;
    *at = after;
    *out = (int)count;
    return true;
}

void suspect_read(const redisReply *reply, struct blame_case *event, int64_t now_ms)
{
    struct blame_case told = {.failed = true, .first_failed_ms = now_ms};
    if (!reply || reply->type != REDIS_REPLY_STRING)
        return;
    const char *at = reply->str;
    if (take_count(&at, &told.counted) && take_count(&at, &told.accused) &&
        take_count(&at, &told.probes))
        *event = told;
}
