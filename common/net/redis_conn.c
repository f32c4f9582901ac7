/*
 * redis_conn.c - a Redis connection that never stops the loop and always comes back; see
 * redis_conn.h
 *
 * Diagnostics: losing or not reaching Redis is a warning, once a minute while it lasts (plan,
 * section 9).
 */
#include "net/redis_conn.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/timer.h"
#include "base/xalloc.h"
#include "net/redis_url.h"

#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_LOOKS 4 /* so often in a timeout: a command waits for a quarter more at most */

enum redis_state { REDIS_WAITING, REDIS_RESOLVING, REDIS_CONNECTING, REDIS_GREETING, REDIS_UP };

struct redis_conn {
    struct loop *loop;
    struct resolver *resolver;
    struct redis_conn_settings settings;
    struct redis_url url;
    enum redis_state state;
    struct resolve_query *lookup;
    redisAsyncContext *context;
    struct timer *timer;  /* next attempt, or the watch over one */
    struct timer *failed; /* runs the teardown outside of whoever noticed */
    struct backoff backoff;
    struct log_limit limit;
    char reason[160];
    struct pending *oldest, **newest; /* unanswered commands; answers come in their order */
    bool useless;                     /* it answers, but could not do its work the last time */
    bool freeing;
};

struct pending {
    struct redis_conn *conn;
    redis_done done;
    void *arg;
    int64_t sent_ms;
    struct pending *next;
};

static void start_attempt(struct redis_conn *conn);

static void arm(struct redis_conn *conn, int64_t ms)
{
    timer_in(conn->timer, ms);
}

static void fail(struct redis_conn *conn, const char *reason)
{
    if (conn->state == REDIS_WAITING || conn->freeing)
        return;
    snprintf(conn->reason, sizeof conn->reason, "%s", reason);
    timer_soon(conn->failed);
}

static void drop_context(struct redis_conn *conn)
{
    if (conn->lookup)
        resolve_cancel(conn->lookup);
    conn->lookup = NULL;
    redisAsyncContext *context = conn->context;
    conn->context = NULL;
    if (context) {
        context->data =
            NULL; /* hiredis calls back from inside; on_disconnect then knows it is us */
        redisAsyncFree(context);
    }
}

static void on_failed(void *arg)
{
    struct redis_conn *conn = arg;
    if (conn->state == REDIS_WAITING)
        return;
    bool was_up = conn->state == REDIS_UP;
    conn->state = REDIS_WAITING;
    drop_context(conn);
    int64_t pause = backoff_next_ms(&conn->backoff);
    if (log_limit_ok(&conn->limit, 60000))
        log_warn(was_up ? "lost Redis; going on without it"
                        : "cannot reach Redis; going on without it",
                 LF_S("host", conn->url.host), LF_I("port", conn->url.port),
                 LF_S("reason", conn->reason));
    arm(conn, pause);
}

/*
 * Redis answers, but is not there for us: it became a replica, is full, loads its data, may not
 * write to its disk. Source: Redis' src/server.c, "shared.*err".
 */
static bool is_as_if_down(const redisReply *reply)
{
    static const char *const words[] = {"READONLY ", "OOM ",        "MISCONF ",
                                        "LOADING ",  "MASTERDOWN ", "CLUSTERDOWN ",
                                        "BUSY ",     "NOREPLICAS ", "TRYAGAIN "};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strncmp(reply->str, words[i], strlen(words[i])) == 0)
            return true;
    }
    return false;
}

/* It did what it was asked: only now is it known to be there for us. */
static void on_use(struct redis_conn *conn)
{
    if (conn->useless)
        log_info("Redis works again", LF_S("host", conn->url.host), LF_I("port", conn->url.port));
    conn->useless = false;
    backoff_reset(&conn->backoff);
    conn->limit = (struct log_limit){0};
}

static void tell_owner(const struct pending *pending, const redisReply *reply)
{
    struct redis_conn *conn = pending->conn;
    struct redis_error error = {.refused = reply != NULL};
    if (reply && reply->type != REDIS_REPLY_ERROR) {
        on_use(conn);
        pending->done(reply, NULL, pending->arg);
        return;
    }
    if (reply && is_as_if_down(reply)) {
        error.refused = false;
        conn->useless = true;
        fail(conn, reply->str);
    }
    snprintf(error.text, sizeof error.text, "%s", reply ? reply->str : "no answer");
    pending->done(NULL, &error, pending->arg);
}

static void on_reply(redisAsyncContext *context, void *reply, void *arg)
{
    (void)context;
    struct pending *pending = arg;
    struct redis_conn *conn = pending->conn;
    conn->oldest = pending->next; /* answers come in order, also those of a connection that ends */
    if (!conn->oldest)
        conn->newest = &conn->oldest;
    tell_owner(pending, reply);
    free(pending);
}

bool redis_conn_command(struct redis_conn *conn, int count, const char **words, redis_done done,
                        void *arg)
{
    if (!redis_conn_is_up(conn))
        return false;
    struct pending *pending = xmalloc(sizeof *pending);
    *pending = (struct pending){.conn = conn, .done = done, .arg = arg, .sent_ms = mono_ms()};
    if (redisAsyncCommandArgv(conn->context, on_reply, pending, count, words, NULL) != REDIS_OK) {
        free(pending);
        return false;
    }
    *conn->newest = pending;
    conn->newest = &pending->next;
    return true;
}

static void on_greeted(redisAsyncContext *context, void *reply, void *arg)
{
    struct redis_conn *conn = arg;
    const redisReply *answer = reply;
    if (!answer || conn->context != context || conn->state != REDIS_GREETING)
        return; /* going down; on_disconnect says why */
    if (answer->type == REDIS_REPLY_ERROR) {
        fail(conn, answer->str);
        return;
    }
    conn->state = REDIS_UP;
    if (!conn->useless)
        log_info("connected to Redis", LF_S("host", conn->url.host), LF_I("port", conn->url.port));
    arm(conn, conn->settings.timeout_ms / DEADLINE_LOOKS);
}

static void on_refused(redisAsyncContext *context, void *reply, void *arg)
{
    struct redis_conn *conn = arg;
    const redisReply *answer = reply;
    if (answer && conn->context == context && answer->type == REDIS_REPLY_ERROR)
        fail(conn, answer->str);
}

/* Logs in, chooses the database, and asks for a sign of life last: answers come in order. */
static void greet(struct redis_conn *conn)
{
    char error[160];
    char *password = NULL;
    int sent = REDIS_OK;
    conn->state = REDIS_GREETING;
    if (*conn->settings.password_file) {
        password = secret_read(conn->settings.password_file, error, sizeof error);
        if (!password) {
            fail(conn, error);
            return;
        }
    } else if (conn->url.password) {
        password = xstrdup(conn->url.password);
    }
    if (password && conn->url.user)
        sent |= redisAsyncCommand(conn->context, on_refused, conn, "AUTH %s %s", conn->url.user,
                                  password);
    else if (password)
        sent |= redisAsyncCommand(conn->context, on_refused, conn, "AUTH %s", password);
    free(password);
    if (conn->url.database)
        sent |= redisAsyncCommand(conn->context, on_refused, conn, "SELECT %s", conn->url.database);
    sent |= redisAsyncCommand(conn->context, on_greeted, conn, "PING");
    if (sent != REDIS_OK)
        fail(conn, "cannot send the greeting");
}

static void on_connect(const redisAsyncContext *context, int status)
{
    struct redis_conn *conn = context->data;
    if (!conn)
        return;
    if (status == REDIS_OK) {
        greet(conn);
        return;
    }
    conn->context = NULL; /* hiredis frees it after this */
    fail(conn, context->errstr);
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    struct redis_conn *conn = context->data;
    if (!conn)
        return;
    conn->context = NULL; /* hiredis frees it after this */
    fail(conn, status == REDIS_OK ? "closed" : context->errstr);
}

static void on_address(const char *address, const char *error, void *arg)
{
    struct redis_conn *conn = arg;
    conn->lookup = NULL;
    if (!address) {
        fail(conn, error);
        return;
    }
    conn->state = REDIS_CONNECTING;
    conn->context = redisAsyncConnect(address, conn->url.port);
    if (!conn->context)
        out_of_memory(0);
    if (conn->context->err) {
        fail(conn, conn->context->errstr);
        return;
    }
    conn->context->data = conn;
    if (redisLibeventAttach(conn->context, loop_events(conn->loop)) != REDIS_OK ||
        redisAsyncSetConnectCallback(conn->context, on_connect) != REDIS_OK ||
        redisAsyncSetDisconnectCallback(conn->context, on_disconnect) != REDIS_OK)
        fail(conn, "hiredis refuses the event loop");
}

static void start_attempt(struct redis_conn *conn)
{
    conn->state = REDIS_RESOLVING;
    arm(conn, conn->settings.timeout_ms);
    conn->lookup = resolve_start(conn->resolver, conn->url.host, on_address, conn);
}

static void on_timer(void *arg)
{
    struct redis_conn *conn = arg;
    if (conn->state == REDIS_WAITING) {
        start_attempt(conn);
    } else if (conn->state != REDIS_UP) {
        fail(conn, "no connection in time");
    } else if (conn->oldest && mono_ms() - conn->oldest->sent_ms > conn->settings.timeout_ms) {
        fail(conn, "no answer in time");
    } else {
        arm(conn, conn->settings.timeout_ms / DEADLINE_LOOKS);
    }
}

struct redis_conn *redis_conn_new(struct loop *loop, struct resolver *resolver,
                                  const struct redis_conn_settings *settings, char *error,
                                  size_t error_size)
{
    struct redis_conn *conn = xcalloc(1, sizeof *conn);
    conn->loop = loop;
    conn->resolver = resolver;
    conn->settings = *settings;
    conn->backoff = (struct backoff){.min_ms = 100, .max_ms = 3000};
    conn->newest = &conn->oldest;
    conn->timer = timer_new(loop, on_timer, conn);
    conn->failed = timer_new(loop, on_failed, conn);
    if (!redis_url_parse(settings->url, &conn->url, error, error_size)) {
        redis_conn_free(conn);
        return NULL;
    }
    arm(conn, 0);
    return conn;
}

void redis_conn_free(struct redis_conn *conn)
{
    if (!conn)
        return;
    conn->freeing = true;
    conn->state = REDIS_WAITING; /* callbacks from drop_context see it down */
    drop_context(conn);
    timer_free(conn->timer);
    timer_free(conn->failed);
    redis_url_free(&conn->url);
    free(conn);
}

bool redis_conn_is_up(const struct redis_conn *conn)
{
    return conn && conn->state == REDIS_UP && conn->context;
}
