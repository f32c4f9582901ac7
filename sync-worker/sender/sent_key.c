/* sent_key.c - which events MTConnect has taken; see sent_key.h */
#include "sent_key.h"
#include "recent.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PREFIX    "mtc:sent:"
#define KEY_BYTES (HELD_NAME + sizeof PREFIX)

struct sent_keys {
    struct redis_conn *redis; /* NULL: configured to do without */
    int64_t ttl_s;
    struct recent *recent;
};

struct sent_keys *sent_keys_new(struct redis_conn *redis, int64_t ttl_s)
{
    struct sent_keys *keys = xcalloc(1, sizeof *keys);
    keys->redis = redis;
    keys->ttl_s = ttl_s;
    keys->recent = recent_new();
    return keys;
}

void sent_keys_free(struct sent_keys *keys)
{
    if (!keys)
        return;
    recent_free(keys->recent);
    free(keys);
}

bool sent_key_is_recent(const struct sent_keys *keys, const struct held *held)
{
    char name[HELD_NAME];
    return recent_has(keys->recent, held_name(held, name));
}

bool sent_key_look_up(struct sent_keys *keys, const struct held *held, redis_done done, void *arg)
{
    char key[KEY_BYTES], name[HELD_NAME];
    snprintf(key, sizeof key, PREFIX "%s", held_name(held, name));
    const char *words[] = {"GET", key};
    return keys->redis && redis_conn_command(keys->redis, 2, words, done, arg);
}

bool sent_key_is_found(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_STRING;
}

bool sent_key_write(struct sent_keys *keys, const struct held *held, redis_done done, void *arg)
{
    char key[KEY_BYTES], ttl[24], name[HELD_NAME];
    snprintf(key, sizeof key, PREFIX "%s", held_name(held, name));
    snprintf(ttl, sizeof ttl, "%" PRId64, keys->ttl_s);
    const char *words[] = {"SET", key, "1", "EX", ttl};
    recent_add(keys->recent, name);
    return keys->redis && redis_conn_command(keys->redis, 5, words, done, arg);
}
