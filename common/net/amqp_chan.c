/* amqp_chan.c - channels: calls, publishing with confirms, consuming; see amqp_chan.h */
#include "net/amqp_chan.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "net/amqp_internal.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX (512u << 20) /* RabbitMQ's own upper bound for a message */

struct call {
    amqp_method_number_t reply_id;
    amqp_reply on_reply;
    void *arg;
    int64_t sent_ms;
    struct call *next;
};

/* The message whose frames are coming in: method, header, body, body ... */
struct assembly {
    enum { NO_CONTENT, WANT_HEADER, WANT_BODY } stage;
    bool returned;
    struct amqp_incoming message;
    size_t expected;
};

struct amqp_chan {
    struct amqp_conn *conn;
    struct amqp_chan_events events;
    void *arg;
    uint16_t id;
    bool closing;
    uint64_t next_tag; /* of the next publish; never 0, which says that nothing was sent */
    struct call *first, **last;
    struct assembly assembly;
    size_t body_most; /* 0: every body is kept */
};

struct amqp_chan *amqp_chan_open(struct amqp_conn *conn, const struct amqp_chan_events *events,
                                 void *arg)
{
    if (!amqp_conn_is_up(conn))
        return NULL;
    uint16_t id = 1;
    while (id <= conn->channel_max && conn->channels[id])
        id++;
    if (id > conn->channel_max)
        return NULL;
    struct amqp_chan *chan = xcalloc(1, sizeof *chan);
    chan->conn = conn;
    chan->events = *events;
    chan->arg = arg;
    chan->id = id;
    chan->last = &chan->first;
    chan->next_tag = 1;
    conn->channels[id] = chan;
    amqp_channel_open_t open = {.out_of_band = amqp_empty_bytes};
    amqp_chan_call(chan, AMQP_CHANNEL_OPEN_METHOD, &open, AMQP_CHANNEL_OPEN_OK_METHOD, NULL, NULL);
    return chan;
}

static void chan_free(struct amqp_chan *chan)
{
    chan->conn->channels[chan->id] = NULL;
    while (chan->first) {
        struct call *call = chan->first;
        chan->first = call->next;
        free(call);
    }
    free(chan->assembly.message.body);
    free(chan);
}

void amqp_chan_drop_all(struct amqp_conn *conn)
{
    for (int i = 1; i <= AMQP_CHANNELS_MAX; i++) {
        if (conn->channels[i])
            chan_free(conn->channels[i]);
    }
}

int64_t amqp_chan_oldest_call_ms(const struct amqp_conn *conn)
{
    int64_t oldest = 0;
    for (int i = 1; i <= AMQP_CHANNELS_MAX; i++) {
        const struct amqp_chan *chan = conn->channels[i];
        if (chan && chan->first && (!oldest || chan->first->sent_ms < oldest))
            oldest = chan->first->sent_ms;
    }
    return oldest;
}

void amqp_chan_call(struct amqp_chan *chan, amqp_method_number_t id, void *decoded,
                    amqp_method_number_t reply_id, amqp_reply on_reply, void *arg)
{
    if (chan->closing)
        return;
    if (!amqp_put_method(amqp_conn_output(chan->conn), chan->id, id, decoded)) {
        amqp_conn_fail(chan->conn, "a method does not fit into a frame");
        return;
    }
    struct call *call = xcalloc(1, sizeof *call);
    call->reply_id = reply_id;
    call->on_reply = on_reply;
    call->arg = arg;
    call->sent_ms = mono_ms();
    *chan->last = call;
    chan->last = &call->next;
}

void amqp_chan_close(struct amqp_chan *chan)
{
    amqp_channel_close_t close = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_text("bye")};
    amqp_chan_call(chan, AMQP_CHANNEL_CLOSE_METHOD, &close, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL,
                   NULL);
    chan->closing = true;
}

void amqp_chan_confirm_select(struct amqp_chan *chan)
{
    amqp_confirm_select_t select = {.nowait = 0};
    amqp_chan_call(chan, AMQP_CONFIRM_SELECT_METHOD, &select, AMQP_CONFIRM_SELECT_OK_METHOD, NULL,
                   NULL);
    chan->next_tag = 1;
}

uint64_t amqp_chan_publish(struct amqp_chan *chan, const char *exchange, amqp_bytes_t routing_key,
                           amqp_basic_properties_t *properties, const void *body, size_t len)
{
    amqp_basic_publish_t publish = {
        .exchange = amqp_text(exchange), .routing_key = routing_key, .mandatory = 1};
    if (!amqp_put_publish(amqp_conn_output(chan->conn), chan->id, chan->conn->frame_max, &publish,
                          properties, body, len))
        return 0;
    return chan->next_tag++;
}

void amqp_chan_consume(struct amqp_chan *chan, const char *queue, const char *consumer_tag,
                       uint16_t prefetch, int32_t priority, amqp_reply on_reply, void *arg)
{
    amqp_basic_qos_t qos = {.prefetch_count = prefetch};
    amqp_chan_call(chan, AMQP_BASIC_QOS_METHOD, &qos, AMQP_BASIC_QOS_OK_METHOD, NULL, NULL);
    amqp_table_entry_t argument = {.key = amqp_text("x-priority"),
                                   .value = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = priority}};
    amqp_basic_consume_t consume = {
        .queue = amqp_text(queue),
        .consumer_tag = amqp_text(consumer_tag),
        .arguments = {.num_entries = 1, .entries = &argument},
    };
    amqp_chan_call(chan, AMQP_BASIC_CONSUME_METHOD, &consume, AMQP_BASIC_CONSUME_OK_METHOD,
                   on_reply, arg);
}

void amqp_chan_get(struct amqp_chan *chan, const char *queue, amqp_reply on_reply, void *arg)
{
    amqp_basic_get_t get = {.queue = amqp_text(queue)};
    amqp_chan_call(chan, AMQP_BASIC_GET_METHOD, &get, AMQP_BASIC_GET_OK_METHOD, on_reply, arg);
}

void amqp_chan_ack(struct amqp_chan *chan, uint64_t delivery_tag, bool multiple)
{
    if (chan->closing)
        return; /* the broker has been told to take everything back */
    amqp_basic_ack_t ack = {.delivery_tag = delivery_tag, .multiple = multiple};
    if (!amqp_put_method(amqp_conn_output(chan->conn), chan->id, AMQP_BASIC_ACK_METHOD, &ack))
        amqp_conn_fail(chan->conn, "an ack does not fit into a frame");
}

void amqp_chan_reject(struct amqp_chan *chan, uint64_t delivery_tag)
{
    if (chan->closing)
        return;
    amqp_basic_reject_t reject = {.delivery_tag = delivery_tag, .requeue = 0};
    if (!amqp_put_method(amqp_conn_output(chan->conn), chan->id, AMQP_BASIC_REJECT_METHOD, &reject))
        amqp_conn_fail(chan->conn, "a reject does not fit into a frame");
}

void amqp_chan_bound_bodies(struct amqp_chan *chan, size_t most)
{
    chan->body_most = most;
}

struct amqp_conn *amqp_chan_conn(const struct amqp_chan *chan)
{
    return chan->conn;
}

static void on_server_close(struct amqp_chan *chan, const amqp_channel_close_t *close)
{
    char text[256];
    size_t len = close->reply_text.len < sizeof text - 1 ? close->reply_text.len : sizeof text - 1;
    memcpy(text, close->reply_text.bytes, len);
    text[len] = '\0';
    amqp_channel_close_ok_t ok = {.dummy = 0};
    if (!amqp_put_method(amqp_conn_output(chan->conn), chan->id, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok))
        amqp_conn_fail(chan->conn, "close-ok does not fit into a frame");
    chan->closing = true;
    int code = close->reply_code;
    chan->events.on_closed(chan, code ? code : AMQP_INTERNAL_ERROR, text, chan->arg);
    chan_free(chan);
}

static bool is_answer(const struct call *call, amqp_method_number_t id)
{
    return call->reply_id == id ||
           (call->reply_id == AMQP_BASIC_GET_OK_METHOD && id == AMQP_BASIC_GET_EMPTY_METHOD);
}

static void on_answer(struct amqp_chan *chan, const amqp_method_t *method)
{
    struct call *call = chan->first;
    if (!call || !is_answer(call, method->id)) {
        if (!chan->closing)
            amqp_conn_fail(chan->conn, "an answer the channel did not ask for");
        return;
    }
    chan->first = call->next;
    if (!chan->first)
        chan->last = &chan->first;
    amqp_reply on_reply = call->on_reply;
    void *arg = call->arg;
    free(call);
    if (method->id == AMQP_CHANNEL_CLOSE_OK_METHOD) {
        chan->events.on_closed(chan, 0, "closed", chan->arg);
        chan_free(chan);
    } else if (method->id == AMQP_CHANNEL_OPEN_OK_METHOD) {
        if (chan->events.on_open)
            chan->events.on_open(chan, chan->arg);
    } else if (on_reply && !chan->closing) {
        on_reply(chan, method, arg);
    }
}

static void begin_delivery(struct amqp_chan *chan, const amqp_basic_deliver_t *deliver)
{
    chan->assembly = (struct assembly){.stage = WANT_HEADER};
    chan->assembly.message = (struct amqp_incoming){
        .delivery_tag = deliver->delivery_tag,
        .redelivered = deliver->redelivered,
        .consumer_tag = deliver->consumer_tag,
        .exchange = deliver->exchange,
        .routing_key = deliver->routing_key,
    };
}

static void begin_got(struct amqp_chan *chan, const amqp_basic_get_ok_t *got)
{
    chan->assembly = (struct assembly){.stage = WANT_HEADER};
    chan->assembly.message = (struct amqp_incoming){
        .delivery_tag = got->delivery_tag,
        .redelivered = got->redelivered,
        .exchange = got->exchange,
        .routing_key = got->routing_key,
    };
}

static void begin_return(struct amqp_chan *chan, const amqp_basic_return_t *returned)
{
    chan->assembly = (struct assembly){.stage = WANT_HEADER, .returned = true};
    chan->assembly.message = (struct amqp_incoming){
        .exchange = returned->exchange,
        .routing_key = returned->routing_key,
        .reply_code = returned->reply_code,
        .reply_text = returned->reply_text,
    };
}

static void on_method(struct amqp_chan *chan, const amqp_method_t *method)
{
    switch (method->id) {
    case AMQP_BASIC_DELIVER_METHOD:
        begin_delivery(chan, method->decoded);
        break;
    case AMQP_BASIC_GET_OK_METHOD:
        begin_got(chan, method->decoded);
        on_answer(chan, method);
        break;
    case AMQP_BASIC_RETURN_METHOD:
        begin_return(chan, method->decoded);
        break;
    case AMQP_BASIC_ACK_METHOD: {
        const amqp_basic_ack_t *ack = method->decoded;
        if (chan->events.on_confirm && !chan->closing)
            chan->events.on_confirm(chan, ack->delivery_tag, ack->multiple, true, chan->arg);
        break;
    }
    case AMQP_BASIC_NACK_METHOD: {
        const amqp_basic_nack_t *nack = method->decoded;
        if (chan->events.on_confirm && !chan->closing)
            chan->events.on_confirm(chan, nack->delivery_tag, nack->multiple, false, chan->arg);
        break;
    }
    case AMQP_BASIC_CANCEL_METHOD:
        if (chan->events.on_cancelled && !chan->closing)
            chan->events.on_cancelled(chan, chan->arg);
        break;
    case AMQP_CHANNEL_CLOSE_METHOD:
        on_server_close(chan, method->decoded);
        break;
    default:
        on_answer(chan, method);
        break;
    }
}

/* The message is whole: hand it over. */
static void complete(struct amqp_chan *chan)
{
    struct amqp_incoming message = chan->assembly.message;
    bool returned = chan->assembly.returned;
    chan->assembly = (struct assembly){.stage = NO_CONTENT};
    if (message.body)
        message.body[message.len] = '\0';
    if (!chan->closing) {
        if (returned && chan->events.on_return)
            chan->events.on_return(chan, &message, chan->arg);
        else if (!returned && chan->events.on_delivery)
            chan->events.on_delivery(chan, &message, chan->arg);
    }
    free(message.body);
}

static void on_header(struct amqp_chan *chan, const amqp_frame_t *frame)
{
    struct assembly *assembly = &chan->assembly;
    if (assembly->stage != WANT_HEADER || frame->payload.properties.body_size > BODY_MAX) {
        amqp_conn_fail(chan->conn, "a content header out of place or absurdly large");
        return;
    }
    assembly->message.properties = frame->payload.properties.decoded;
    assembly->expected = (size_t)frame->payload.properties.body_size;
    if (!chan->body_most || assembly->expected <= chan->body_most)
        assembly->message.body = xmalloc(assembly->expected + 1);
    assembly->stage = WANT_BODY;
    if (assembly->expected == 0)
        complete(chan);
}

static struct amqp_chan *find(struct amqp_conn *conn, uint16_t id)
{
    struct amqp_chan *chan = id <= AMQP_CHANNELS_MAX ? conn->channels[id] : NULL;
    if (!chan)
        amqp_conn_fail(conn, "a frame for a channel that is not open");
    return chan;
}

/*
 * Decoded strings live in the channel's pool: it is emptied only between messages. A callback may
 * have ended the channel, or all of them.
 */
static void release(struct amqp_conn *conn, uint16_t id)
{
    if (conn->codec && (!conn->channels[id] || conn->channels[id]->assembly.stage == NO_CONTENT))
        amqp_maybe_release_buffers_on_channel(conn->codec, id);
}

void amqp_chan_on_body(struct amqp_conn *conn, uint16_t id, struct evbuffer *input, size_t len)
{
    struct amqp_chan *chan = find(conn, id);
    if (!chan)
        return;
    struct assembly *assembly = &chan->assembly;
    if (assembly->stage != WANT_BODY || len > assembly->expected - assembly->message.len) {
        amqp_conn_fail(conn, "a body frame out of place");
        return;
    }
    if (assembly->message.body)
        evbuffer_remove(input, assembly->message.body + assembly->message.len, len);
    else
        evbuffer_drain(input, len);
    assembly->message.len += len;
    if (assembly->message.len == assembly->expected)
        complete(chan);
    release(conn, id);
}

void amqp_chan_on_frame(struct amqp_conn *conn, const amqp_frame_t *frame)
{
    struct amqp_chan *chan = find(conn, frame->channel);
    if (!chan)
        return;
    if (frame->frame_type == AMQP_FRAME_METHOD)
        on_method(chan, &frame->payload.method);
    else if (frame->frame_type == AMQP_FRAME_HEADER)
        on_header(chan, frame);
    release(conn, frame->channel);
}
