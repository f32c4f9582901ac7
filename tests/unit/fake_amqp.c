/* fake_amqp.c - a broker that does what a test tells it; see fake_amqp.h */
#include "fake_amqp.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>

struct fake_call {
    amqp_method_number_t reply_id;
    amqp_reply on_reply;
    void *arg;
};

struct amqp_chan {
    struct amqp_conn *conn;
    struct amqp_chan_events events;
    void *arg;
    uint64_t next_tag;
    struct fake_message published[FAKE_MAX];
    int published_count;
    uint64_t acked[FAKE_MAX];
    int acked_count;
    uint64_t rejected[FAKE_MAX];
    int rejected_count;
    size_t body_most;
    char queue[64];
    bool closing, opened, closed;
    struct fake_call calls[FAKE_MAX];
    int first_call, call_count;
    char exchange_calls[512];
};

struct amqp_conn {
    struct amqp_chan *channels[FAKE_MAX];
    int count;
    bool blocked, silent; /* silent: it is not read */
    char failed[200];
};

/* --- the test's side --- */

struct amqp_conn *fake_conn_new(void)
{
    return xcalloc(1, sizeof(struct amqp_conn));
}

void fake_conn_free(struct amqp_conn *conn)
{
    for (int i = 0; i < conn->count; i++)
        free(conn->channels[i]);
    free(conn);
}

const char *fake_conn_failed(const struct amqp_conn *conn)
{
    return conn->failed;
}

void fake_conn_block(struct amqp_conn *conn, bool blocked)
{
    conn->blocked = blocked;
}

int fake_conn_channels(const struct amqp_conn *conn)
{
    return conn->count;
}

struct amqp_chan *fake_conn_channel(struct amqp_conn *conn, int n)
{
    return conn->channels[n];
}

int fake_published(const struct amqp_chan *chan, const struct fake_message **messages)
{
    *messages = chan->published;
    return chan->published_count;
}

int fake_acked(const struct amqp_chan *chan, const uint64_t **tags)
{
    *tags = chan->acked;
    return chan->acked_count;
}

int fake_rejected(const struct amqp_chan *chan, const uint64_t **tags)
{
    *tags = chan->rejected;
    return chan->rejected_count;
}

const char *fake_consumed(const struct amqp_chan *chan)
{
    return chan->queue;
}

const char *fake_exchange_calls(const struct amqp_chan *chan)
{
    return chan->exchange_calls;
}

bool fake_is_closing(const struct amqp_chan *chan)
{
    return chan->closing;
}

static bool answer_one(struct amqp_chan *chan)
{
    if (!chan->opened && !chan->closed) {
        chan->opened = true;
        if (chan->events.on_open)
            chan->events.on_open(chan, chan->arg);
        return true;
    }
    if (chan->first_call < chan->call_count) {
        struct fake_call call = chan->calls[chan->first_call++];
        amqp_method_t method = {.id = call.reply_id};
        if (call.on_reply)
            call.on_reply(chan, &method, call.arg);
        return true;
    }
    if (chan->closing && !chan->closed) {
        chan->closed = true;
        chan->events.on_closed(chan, 0, "closed", chan->arg);
        return true;
    }
    return false;
}

void fake_answer(struct amqp_conn *conn)
{
    for (int i = 0; i < conn->count; i++) {
        while (answer_one(conn->channels[i]))
            ;
    }
}

void fake_confirm(struct amqp_chan *chan, uint64_t tag, bool multiple, bool ack)
{
    chan->events.on_confirm(chan, tag, multiple, ack, chan->arg);
}

void fake_deliver(struct amqp_chan *chan, uint64_t tag, const char *body)
{
    amqp_basic_properties_t properties = {._flags = 0};
    fake_deliver_with(chan, tag, &properties, body);
}

void fake_deliver_with(struct amqp_chan *chan, uint64_t tag, amqp_basic_properties_t *properties,
                       const char *body)
{
    struct amqp_incoming incoming = {
        .delivery_tag = tag, .properties = properties, .body = xstrdup(body), .len = strlen(body)};
    chan->events.on_delivery(chan, &incoming, chan->arg);
    free(incoming.body);
}

void fake_deliver_large(struct amqp_chan *chan, uint64_t tag, size_t len)
{
    amqp_basic_properties_t properties = {._flags = 0};
    struct amqp_incoming incoming = {.delivery_tag = tag, .properties = &properties, .len = len};
    if (!chan->body_most || len <= chan->body_most)
        abort(); /* the test is wrong */
    chan->events.on_delivery(chan, &incoming, chan->arg);
}

void fake_cancel(struct amqp_chan *chan)
{
    chan->events.on_cancelled(chan, chan->arg);
}

void fake_return(struct amqp_chan *chan, int code, const char *text)
{
    struct amqp_incoming incoming = {.reply_code = code, .reply_text = amqp_text(text)};
    chan->events.on_return(chan, &incoming, chan->arg);
}

void fake_close(struct amqp_chan *chan, int code, const char *text)
{
    chan->closed = true;
    chan->events.on_closed(chan, code, text, chan->arg);
}

/* --- net/amqp_conn.h and net/amqp_chan.h --- */

bool amqp_conn_is_up(const struct amqp_conn *conn)
{
    return !*conn->failed;
}

bool amqp_conn_is_blocked(const struct amqp_conn *conn)
{
    return conn->blocked;
}

size_t amqp_conn_unsent(const struct amqp_conn *conn)
{
    (void)conn;
    return 0;
}

void amqp_conn_stop_reading(struct amqp_conn *conn)
{
    conn->silent = true;
}

void amqp_conn_read_on(struct amqp_conn *conn)
{
    conn->silent = false;
}

bool amqp_conn_is_reading(const struct amqp_conn *conn)
{
    return !conn->silent;
}

int64_t amqp_conn_behind_since_ms(const struct amqp_conn *conn)
{
    (void)conn;
    return 0;
}

void amqp_conn_fail(struct amqp_conn *conn, const char *reason)
{
    if (!*conn->failed)
        snprintf(conn->failed, sizeof conn->failed, "%s", reason);
}

struct amqp_chan *amqp_chan_open(struct amqp_conn *conn, const struct amqp_chan_events *events,
                                 void *arg)
{
    if (conn->count == FAKE_MAX || *conn->failed)
        return NULL;
    struct amqp_chan *chan = xcalloc(1, sizeof *chan);
    chan->conn = conn;
    chan->events = *events;
    chan->arg = arg;
    conn->channels[conn->count++] = chan;
    return chan;
}

struct amqp_conn *amqp_chan_conn(const struct amqp_chan *chan)
{
    return chan->conn;
}

void amqp_chan_close(struct amqp_chan *chan)
{
    chan->closing = true;
}

static const char *word(amqp_bytes_t bytes)
{
    return bytes.bytes; /* ours are texts */
}

static void note_exchange_call(struct amqp_chan *chan, amqp_method_number_t id, const void *decoded)
{
    size_t len = strlen(chan->exchange_calls), room = sizeof chan->exchange_calls - len;
    char *end = chan->exchange_calls + len;
    if (id == AMQP_EXCHANGE_DELETE_METHOD)
        snprintf(end, room, "delete %s, ",
                 word(((const amqp_exchange_delete_t *)decoded)->exchange));
    if (id == AMQP_EXCHANGE_DECLARE_METHOD)
        snprintf(end, room, "declare %s, ",
                 word(((const amqp_exchange_declare_t *)decoded)->exchange));
    if (id == AMQP_EXCHANGE_BIND_METHOD)
        snprintf(end, room, "bind %s to %s, ",
                 word(((const amqp_exchange_bind_t *)decoded)->source),
                 word(((const amqp_exchange_bind_t *)decoded)->destination));
}

void amqp_chan_call(struct amqp_chan *chan, amqp_method_number_t id, void *decoded,
                    amqp_method_number_t reply_id, amqp_reply on_reply, void *arg)
{
    note_exchange_call(chan, id, decoded);
    if (chan->call_count < FAKE_MAX)
        chan->calls[chan->call_count++] = (struct fake_call){reply_id, on_reply, arg};
}

void amqp_chan_confirm_select(struct amqp_chan *chan)
{
    chan->next_tag = 1;
}

static void copy(char *out, size_t size, amqp_bytes_t bytes)
{
    snprintf(out, size, "%.*s", (int)bytes.len, (const char *)bytes.bytes);
}

uint64_t amqp_chan_publish(struct amqp_chan *chan, const char *exchange, amqp_bytes_t routing_key,
                           amqp_basic_properties_t *properties, const void *body, size_t len)
{
    if (chan->published_count == FAKE_MAX)
        return 0;
    struct fake_message *message = &chan->published[chan->published_count++];
    message->tag = chan->next_tag;
    snprintf(message->exchange, sizeof message->exchange, "%s", exchange);
    copy(message->key, sizeof message->key, routing_key);
    snprintf(message->body, sizeof message->body, "%.*s", (int)len, (const char *)body);
    for (int i = 0; i < properties->headers.num_entries; i++) {
        const amqp_table_entry_t *entry = &properties->headers.entries[i];
        if (entry->key.len == 6 && memcmp(entry->key.bytes, "reason", 6) == 0)
            copy(message->reason, sizeof message->reason, entry->value.value.bytes);
        if (entry->key.len == 6 && memcmp(entry->key.bytes, "repeat", 6) == 0)
            message->repeat = true;
    }
    return chan->next_tag++;
}

void amqp_chan_consume(struct amqp_chan *chan, const char *queue, const char *consumer_tag,
                       uint16_t prefetch, int32_t priority, amqp_reply on_reply, void *arg)
{
    (void)consumer_tag;
    (void)prefetch;
    (void)priority;
    (void)on_reply;
    (void)arg;
    snprintf(chan->queue, sizeof chan->queue, "%s", queue);
}

void amqp_chan_reject(struct amqp_chan *chan, uint64_t delivery_tag)
{
    if (chan->rejected_count < FAKE_MAX)
        chan->rejected[chan->rejected_count++] = delivery_tag;
}

void amqp_chan_bound_bodies(struct amqp_chan *chan, size_t most)
{
    chan->body_most = most;
}

void amqp_chan_ack(struct amqp_chan *chan, uint64_t delivery_tag, bool multiple)
{
    (void)multiple;
    if (chan->acked_count < FAKE_MAX)
        chan->acked[chan->acked_count++] = delivery_tag;
}
