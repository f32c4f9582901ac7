/*
 * amqp_conn.c - a connection to RabbitMQ that never stops the loop and always comes back; see
 * amqp_conn.h
 *
 * Diagnostics: a refused or lost connection is a warning with the reason and the pause; a wrong
 * password or vhost too, since an operator may be putting it right at this moment. Only a malformed
 * URL is an error to the caller.
 */
#include "net/amqp_conn.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/xalloc.h"
#include "net/amqp_internal.h"

#include <event2/buffer.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TICK_MS       1000
#define CLOSE_WAIT_MS 3000
#define STABLE_MS     3000

static void start_attempt(struct amqp_conn *conn);

struct evbuffer *amqp_conn_output(struct amqp_conn *conn)
{
    return bufferevent_get_output(conn->stream);
}

static void arm(struct amqp_conn *conn, int64_t ms)
{
    timer_in(conn->timer, ms);
}

void amqp_conn_fail(struct amqp_conn *conn, const char *reason)
{
    if (conn->failing || conn->state == AMQP_WAITING)
        return;
    conn->failing = true;
    snprintf(conn->reason, sizeof conn->reason, "%s", reason);
    timer_soon(conn->failed);
}

static void drop_stream(struct amqp_conn *conn)
{
    amqp_chan_drop_all(conn);
    if (conn->stream)
        bufferevent_free(conn->stream);
    conn->stream = NULL;
    if (conn->codec)
        amqp_destroy_connection(conn->codec);
    conn->codec = NULL;
    conn->reading = true;
    conn->behind_since_ms = conn->reading_since_ms = 0;
    timer_cancel(conn->catch_up);
}

static void finish_close(struct amqp_conn *conn)
{
    drop_stream(conn);
    conn->state = AMQP_WAITING;
    timer_cancel(conn->timer);
    if (conn->on_close_done)
        conn->on_close_done(conn->close_arg);
}

static void on_failed(void *arg)
{
    struct amqp_conn *conn = arg;
    bool was_up = conn->state == AMQP_UP, restarting = conn->restarting;
    conn->failing = conn->restarting = false;
    if (conn->state == AMQP_CLOSING && !restarting) {
        finish_close(conn);
        return;
    }
    drop_stream(conn);
    conn->state = AMQP_WAITING;
    conn->blocked = false;
    if (restarting) {
        arm(conn, 0);
        conn->events.on_down("restarted", conn->arg);
        return;
    }
    int64_t pause = backoff_next_ms(&conn->backoff);
    log_warn(was_up ? "lost RabbitMQ" : "cannot reach RabbitMQ", LF_S("host", conn->url.host),
             LF_I("port", conn->url.port), LF_S("reason", conn->reason), LF_I("retry_ms", pause));
    arm(conn, pause);
    if (was_up)
        conn->events.on_down(conn->reason, conn->arg);
}

void amqp_conn_send(struct amqp_conn *conn, amqp_method_number_t id, void *decoded)
{
    if (!amqp_put_method(amqp_conn_output(conn), 0, id, decoded))
        amqp_conn_fail(conn, "a connection method does not fit into a frame");
}

static void on_open_ok(struct amqp_conn *conn)
{
    conn->state = AMQP_UP;
    conn->up_since_ms = mono_ms();
    conn->last_sent_ms = mono_ms();
    arm(conn, TICK_MS);
    log_info("connected to RabbitMQ", LF_S("host", conn->url.host), LF_I("port", conn->url.port),
             LF_S("vhost", conn->url.vhost), LF_I("major", conn->server_major));
    conn->events.on_up(conn->arg);
}

static void on_server_close(struct amqp_conn *conn, const amqp_connection_close_t *close)
{
    char reason[200];
    snprintf(reason, sizeof reason, "closed by the broker: %d %.*s", close->reply_code,
             (int)(close->reply_text.len < 150 ? close->reply_text.len : 150),
             (const char *)close->reply_text.bytes);
    amqp_connection_close_ok_t ok = {.dummy = 0};
    amqp_conn_send(conn, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
    bufferevent_flush(conn->stream, EV_WRITE, BEV_FLUSH);
    amqp_conn_fail(conn, reason);
}

static void set_blocked(struct amqp_conn *conn, bool blocked)
{
    conn->blocked = blocked;
    if (blocked)
        log_warn("RabbitMQ blocks publishers (memory or disk alarm); publishing waits");
    else
        log_info("RabbitMQ accepts publishing again");
    if (conn->events.on_blocked)
        conn->events.on_blocked(blocked, conn->arg);
}

void amqp_conn_on_method(struct amqp_conn *conn, const amqp_method_t *method)
{
    enum amqp_state state = conn->state;
    switch (method->id) {
    case AMQP_CONNECTION_START_METHOD:
        if (state == AMQP_STARTING) {
            amqp_handshake_on_start(conn, method->decoded);
            return;
        }
        break;
    case AMQP_CONNECTION_TUNE_METHOD:
        if (state == AMQP_TUNING) {
            amqp_handshake_on_tune(conn, method->decoded);
            return;
        }
        break;
    case AMQP_CONNECTION_OPEN_OK_METHOD:
        if (state == AMQP_OPENING) {
            on_open_ok(conn);
            return;
        }
        break;
    case AMQP_CONNECTION_CLOSE_METHOD:
        on_server_close(conn, method->decoded);
        return;
    case AMQP_CONNECTION_CLOSE_OK_METHOD:
        amqp_conn_fail(conn, "closed");
        return;
    case AMQP_CONNECTION_BLOCKED_METHOD:
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        if (state == AMQP_UP) {
            set_blocked(conn, method->id == AMQP_CONNECTION_BLOCKED_METHOD);
            return;
        }
        break;
    default:
        break;
    }
    if (state != AMQP_CLOSING)
        amqp_conn_fail(conn, "unexpected connection method from the broker");
}

static void set_socket_options(evutil_socket_t fd)
{
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        log_debug("TCP_NODELAY refused"); /* slower acks, nothing worse */
}

static void on_stream_event(struct bufferevent *stream, short what, void *arg)
{
    struct amqp_conn *conn = arg;
    if (what & BEV_EVENT_CONNECTED) {
        set_socket_options(bufferevent_getfd(stream));
        conn->state = AMQP_STARTING;
        amqp_put_protocol_header(bufferevent_get_output(stream));
        return;
    }
    if (what & BEV_EVENT_EOF) {
        amqp_conn_fail(conn, conn->state == AMQP_TUNING ? "closed by the broker during login"
                                                        : "closed by the broker");
        return;
    }
    int dns = bufferevent_socket_get_dns_error(stream);
    amqp_conn_fail(conn, dns ? evutil_gai_strerror(dns)
                             : evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
}

/* True when the broker has to be given up. */
static bool is_dead(struct amqp_conn *conn, int64_t now)
{
    if (!conn->reading)
        return false; /* it may have said what it likes: we would not know */
    if (now - conn->last_received_ms > 2 * conn->heartbeat_ms + TICK_MS) {
        amqp_conn_fail(conn, "missed heartbeats");
        return true;
    }
    int64_t oldest = amqp_chan_oldest_call_ms(conn);
    if (oldest && oldest < conn->reading_since_ms)
        oldest = conn->reading_since_ms; /* the answer may stand behind what was not read */
    if (oldest && now - oldest > conn->settings.rpc_timeout_ms) {
        amqp_conn_fail(conn, "no answer to a call");
        return true;
    }
    return false;
}

static void on_tick(struct amqp_conn *conn)
{
    int64_t now = mono_ms();
    if (is_dead(conn, now))
        return;
    /* A broker that lets us in and throws us out again gets the long pauses too. */
    if (now - conn->up_since_ms > STABLE_MS)
        backoff_reset(&conn->backoff);
    if (now - conn->last_sent_ms >= conn->heartbeat_ms / 2 && amqp_conn_unsent(conn) == 0) {
        amqp_put_heartbeat(amqp_conn_output(conn));
        conn->last_sent_ms = now;
    }
    arm(conn, TICK_MS);
}

static void on_timer(void *arg)
{
    struct amqp_conn *conn = arg;
    switch (conn->state) {
    case AMQP_WAITING:
        start_attempt(conn);
        break;
    case AMQP_UP:
        on_tick(conn);
        break;
    default:
        amqp_conn_fail(conn, "no answer in time");
        break;
    }
}

static bool read_password(struct amqp_conn *conn)
{
    if (!*conn->settings.password_file)
        return true;
    char error[256];
    char *password = secret_read(conn->settings.password_file, error, sizeof error);
    if (!password) {
        amqp_conn_fail(conn, error);
        return false;
    }
    free(conn->url.password);
    conn->url.password = password;
    return true;
}

static void start_attempt(struct amqp_conn *conn)
{
    conn->state = AMQP_CONNECTING;
    arm(conn, conn->settings.rpc_timeout_ms);
    if (!read_password(conn))
        return;
    conn->codec = amqp_new_connection();
    conn->stream = bufferevent_socket_new(loop_events(conn->loop), -1, BEV_OPT_CLOSE_ON_FREE);
    if (!conn->codec || !conn->stream)
        out_of_memory(0);
    bufferevent_setcb(conn->stream, amqp_input_on_readable, NULL, on_stream_event, conn);
    bufferevent_set_max_single_read(conn->stream, AMQP_READ_MAX);
    bufferevent_set_max_single_write(conn->stream, 262144);
    bufferevent_enable(conn->stream, EV_READ | EV_WRITE);
    if (bufferevent_socket_connect_hostname(conn->stream, resolver_dns(conn->resolver), AF_UNSPEC,
                                            conn->url.host, conn->url.port) != 0)
        amqp_conn_fail(conn, "cannot start connecting");
}

struct amqp_conn *amqp_conn_new(struct loop *loop, struct resolver *resolver,
                                const struct amqp_conn_settings *settings,
                                const struct amqp_conn_events *events, void *arg, char *error,
                                size_t error_size)
{
    struct amqp_conn *conn = xcalloc(1, sizeof *conn);
    conn->loop = loop;
    conn->resolver = resolver;
    conn->settings = *settings;
    conn->events = *events;
    conn->arg = arg;
    conn->backoff = (struct backoff){.min_ms = 200, .max_ms = 5000};
    conn->timer = timer_new(loop, on_timer, conn);
    conn->failed = timer_new(loop, on_failed, conn);
    conn->catch_up = timer_new(loop, amqp_input_on_catch_up, conn);
    conn->reading = true;
    if (!amqp_url_parse(settings->url, &conn->url, error, error_size)) {
        amqp_conn_free(conn);
        return NULL;
    }
    arm(conn, 0);
    return conn;
}

void amqp_conn_free(struct amqp_conn *conn)
{
    if (!conn)
        return;
    drop_stream(conn);
    timer_free(conn->timer);
    timer_free(conn->failed);
    timer_free(conn->catch_up);
    amqp_url_free(&conn->url);
    free(conn);
}

static void say_goodbye(struct amqp_conn *conn)
{
    amqp_connection_close_t close = {.reply_code = AMQP_REPLY_SUCCESS,
                                     .reply_text = amqp_text("bye")};
    amqp_conn_send(conn, AMQP_CONNECTION_CLOSE_METHOD, &close);
    conn->state = AMQP_CLOSING;
    amqp_conn_read_on(conn); /* the answer stands behind what was not read */
    arm(conn, CLOSE_WAIT_MS);
}

void amqp_conn_close(struct amqp_conn *conn, void (*done)(void *arg), void *arg)
{
    conn->on_close_done = done;
    conn->close_arg = arg;
    conn->restarting = false;
    if (conn->state != AMQP_UP || conn->failing) {
        conn->state = AMQP_CLOSING;
        conn->failing = false;
        amqp_conn_fail(conn, "closed while down");
        return;
    }
    say_goodbye(conn);
}

void amqp_conn_restart(struct amqp_conn *conn)
{
    if (!amqp_conn_is_up(conn))
        return; /* it is being made again anyway */
    conn->restarting = true;
    say_goodbye(conn);
}

bool amqp_conn_is_up(const struct amqp_conn *conn)
{
    return conn->state == AMQP_UP && !conn->failing;
}
bool amqp_conn_is_blocked(const struct amqp_conn *conn)
{
    return conn->blocked;
}

size_t amqp_conn_unsent(const struct amqp_conn *conn)
{
    return conn->stream ? evbuffer_get_length(bufferevent_get_output(conn->stream)) : 0;
}
