/*
 * redis_conn.h - a Redis connection that never stops the loop and always comes back
 *
 * Redis is a help here, never a condition: every command is answered, if need be with an error for
 * "Redis can't say", at the latest a quarter past the timeout, however slow Redis is with others. A
 * Redis that answers but can't do its work (READONLY after a failover, OOM, LOADING ...) is as good
 * as down: the connection is made again, with growing pauses.
 *
 * Source: hiredis README, "Asynchronous API";
 * https://redis.io/docs/latest/develop/reference/protocol-spec/
 */
#ifndef MTC_REDIS_CONN_H
#define MTC_REDIS_CONN_H

#include "base/loop.h"
#include "net/resolve.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>

struct redis_conn;

struct redis_conn_settings { /* strings are borrowed */
    const char *url;         /* redis://[user:password@]host[:port][/database] */
    const char *password_file;
    int64_t timeout_ms;
};

/* Starts connecting. NULL with a message if the URL can't be used. */
struct redis_conn *redis_conn_new(struct loop *loop, struct resolver *resolver,
                                  const struct redis_conn_settings *settings, char *error,
                                  size_t error_size);
void redis_conn_free(struct redis_conn *conn); /* what is under way is answered NULL first */

bool redis_conn_is_up(const struct redis_conn *conn);

struct redis_error {
    bool refused; /* Redis answered, with an error of this command's; else it was lost, did not
                     answer in time, or is as good as down */
    char text[160];
};

/* Exactly one of reply (never an error reply) and error is not NULL; it is valid during the
 * call. */
typedef void (*redis_done)(const redisReply *reply, const struct redis_error *error, void *arg);

/*
 * Sends one command; done is called once. False if Redis is down: nothing was sent and done will
 * not be called.
 */
bool redis_conn_command(struct redis_conn *conn, int count, const char **words, redis_done done,
                        void *arg);

#endif
