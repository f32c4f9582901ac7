/*
 * amqp_input.c - reading a connection's socket: frames, and reading nothing for a while; see
 * amqp_conn.h
 *
 * Frames go through librabbitmq's codec, but for those of bodies: it would keep all frames of a
 * message until the message is whole, and their room for good, a largest body's for each channel.
 * They are copied from the input straight to where the body grows.
 */
#include "base/clock.h"
#include "base/log.h"
#include "net/amqp_internal.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define FRAME_HEAD 7 /* type, channel (2 bytes), size (4) */
#define FRAME_END  0xce

static void on_frame(struct amqp_conn *conn, const amqp_frame_t *frame)
{
    if (frame->frame_type == 'A') /* librabbitmq's mark for "AMQP...", a peer's protocol header */
        amqp_conn_fail(conn, "the peer does not speak AMQP 0-9-1");
    else if (frame->frame_type == AMQP_FRAME_HEARTBEAT)
        ; /* its arrival is all it says */
    else if (frame->channel == 0 && frame->frame_type == AMQP_FRAME_METHOD)
        amqp_conn_on_method(conn, &frame->payload.method);
    else if (frame->channel != 0 && conn->state == AMQP_UP)
        amqp_chan_on_frame(conn, frame);
    if (frame->channel == 0 || conn->state != AMQP_UP)
        amqp_maybe_release_buffers_on_channel(conn->codec, frame->channel);
}

/* Gives the codec what is contiguous, up to the end of a frame. False: it makes nothing of it. */
static bool take_frame(struct amqp_conn *conn, struct evbuffer *input)
{
    struct evbuffer_iovec piece;
    amqp_frame_t frame = {.frame_type = 0};
    if (evbuffer_peek(input, -1, NULL, &piece, 1) < 1)
        return false;
    int used = amqp_handle_input(
        conn->codec, (amqp_bytes_t){.bytes = piece.iov_base, .len = piece.iov_len}, &frame);
    if (used < 0) {
        amqp_conn_fail(conn, amqp_error_string2(used));
        return false;
    }
    evbuffer_drain(input, (size_t)used);
    if (frame.frame_type)
        on_frame(conn, &frame);
    return used > 0 || frame.frame_type;
}

static bool is_body_frame(const struct amqp_conn *conn, struct evbuffer *input)
{
    unsigned char type;
    return conn->state >= AMQP_UP && amqp_release_buffers_ok(conn->codec) &&
           evbuffer_copyout(input, &type, 1) == 1 && type == AMQP_FRAME_BODY;
}

/* A frame of a body, when all of it has come. False: it has not. */
static bool take_body_frame(struct amqp_conn *conn, struct evbuffer *input)
{
    unsigned char head[FRAME_HEAD], end;
    if (evbuffer_copyout(input, head, sizeof head) < (ev_ssize_t)sizeof head)
        return false;
    uint16_t channel = (uint16_t)(head[1] << 8 | head[2]);
    size_t len = (size_t)head[3] << 24 | (size_t)head[4] << 16 | (size_t)head[5] << 8 | head[6];
    if (len > conn->frame_max - FRAME_HEAD - 1) {
        amqp_conn_fail(conn, "a frame is larger than was agreed");
        return false;
    }
    if (evbuffer_get_length(input) < FRAME_HEAD + len + 1)
        return false;
    evbuffer_drain(input, FRAME_HEAD);
    if (conn->state == AMQP_UP)
        amqp_chan_on_body(conn, channel, input, len);
    else
        evbuffer_drain(input, len);
    if (!conn->failing && (evbuffer_remove(input, &end, 1) != 1 || end != FRAME_END))
        amqp_conn_fail(conn, "a frame does not end where it should");
    return true;
}

static void take_input(struct amqp_conn *conn)
{
    struct evbuffer *input = bufferevent_get_input(conn->stream);
    while (conn->reading && !conn->failing && evbuffer_get_length(input) > 0) {
        if (!(is_body_frame(conn, input) ? take_body_frame(conn, input) : take_frame(conn, input)))
            return;
    }
}

void amqp_input_on_readable(struct bufferevent *stream, void *arg)
{
    struct amqp_conn *conn = arg;
    size_t came = evbuffer_get_length(bufferevent_get_input(stream));
    conn->last_received_ms = mono_ms();
    take_input(conn);
    if (came < AMQP_READ_MAX && conn->reading)
        conn->behind_since_ms = 0; /* less came than there was room for: it was all there was */
}

void amqp_input_on_catch_up(void *arg)
{
    struct amqp_conn *conn = arg;
    if (conn->stream && conn->reading)
        take_input(conn);
}

/* --- reading nothing --- */

/*
 * While nothing is read, a broker whose host is gone shows only in that it does not acknowledge our
 * heartbeats; 0 is the system's own patience with that, a quarter of an hour.
 */
static void set_patience(const struct amqp_conn *conn, int64_t ms)
{
    unsigned value = (unsigned)ms;
    if (setsockopt(bufferevent_getfd(conn->stream), IPPROTO_TCP, TCP_USER_TIMEOUT, &value,
                   sizeof value) != 0)
        log_debug("TCP_USER_TIMEOUT refused"); /* a dead host is noticed later */
}

void amqp_conn_stop_reading(struct amqp_conn *conn)
{
    if (!conn->reading || conn->state != AMQP_UP)
        return;
    conn->reading = false;
    if (!conn->behind_since_ms)
        conn->behind_since_ms = mono_ms();
    bufferevent_disable(conn->stream, EV_READ);
    set_patience(conn, 2 * conn->heartbeat_ms);
}

void amqp_conn_read_on(struct amqp_conn *conn)
{
    if (conn->reading)
        return;
    conn->reading = true;
    conn->last_received_ms = conn->reading_since_ms = mono_ms();
    set_patience(conn, 0);
    bufferevent_enable(conn->stream, EV_READ);
    timer_soon(conn->catch_up); /* what has been read and not looked at */
}

bool amqp_conn_is_reading(const struct amqp_conn *conn)
{
    return conn->reading;
}

int64_t amqp_conn_behind_since_ms(const struct amqp_conn *conn)
{
    return conn->behind_since_ms;
}
