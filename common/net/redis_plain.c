/* redis_plain.c - a blocking sign of life from Redis, for people's commands; see redis_plain.h */
#include "net/redis_plain.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/xalloc.h"
#include "net/redis_url.h"

#include <stdio.h>
#include <stdlib.h>

/* A refused password shows in the answer to PING. */
static bool ping(redisContext *redis, const char *user, const char *password, char *error,
                 size_t error_size)
{
    if (password && user)
        freeReplyObject(redisCommand(redis, "AUTH %s %s", user, password));
    else if (password)
        freeReplyObject(redisCommand(redis, "AUTH %s", password));
    redisReply *reply = redisCommand(redis, "PING");
    bool ok = reply && reply->type != REDIS_REPLY_ERROR;
    if (!ok)
        snprintf(error, error_size, "%s", reply ? reply->str : redis->errstr);
    freeReplyObject(reply);
    return ok;
}

bool redis_plain_ping(const struct redis_conn_settings *settings, char *error, size_t error_size)
{
    struct redis_url url;
    struct timeval limit = ms_to_timeval(settings->timeout_ms);
    char *password = NULL;
    bool ok = false;
    if (!redis_url_parse(settings->url, &url, error, error_size))
        return false;
    if (*settings->password_file &&
        !(password = secret_read(settings->password_file, error, error_size))) {
        redis_url_free(&url);
        return false;
    }
    redisContext *redis = redisConnectWithTimeout(url.host, url.port, limit);
    if (!redis)
        out_of_memory(0);
    if (redis->err || redisSetTimeout(redis, limit) != REDIS_OK)
        snprintf(error, error_size, "%s", redis->errstr);
    else
        ok = ping(redis, url.user, password ? password : url.password, error, error_size);
    redisFree(redis);
    redis_url_free(&url);
    free(password);
    return ok;
}
