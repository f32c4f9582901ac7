/* presence.c - a program that answers when mtcctl asks who is there; see presence.h */
#include "suite/presence.h"
#include "version.h"
#include "base/entropy.h"
#include "base/log.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WORKER  "worker"
#define VERSION "version"
#define LISTEN  "listen"
#define MISSING "missing"
#define REMARKS "remarks"
#define DID     "did"

#define QUEUE_BYTES 256 /* AMQP's short string */

struct presence {
    struct presence_settings settings;
    char queue[QUEUE_BYTES];
};

struct presence *presence_new(const struct presence_settings *settings)
{
    struct presence *presence = xcalloc(1, sizeof *presence);
    presence->settings = *settings;
    return presence;
}

void presence_free(struct presence *presence)
{
    free(presence);
}

/* --- answering --- */

static amqp_table_entry_t text_header(const char *key, const char *value)
{
    return (amqp_table_entry_t){
        .key = amqp_text(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_text(value)}};
}

/* extra: one header more; its value may be NULL: there is none. */
static void publish_answer(const struct presence *presence, struct amqp_chan *chan,
                           const amqp_basic_properties_t *question, const char *text, size_t len,
                           const char *extra, const char *value)
{
    const struct presence_settings *settings = &presence->settings;
    const char *why = "not ready";
    amqp_table_entry_t headers[5] = {text_header(WORKER, settings->worker),
                                     text_header(VERSION, MTC_VERSION),
                                     text_header(LISTEN, settings->listen)};
    int count = 3;
    if (!settings->ready(settings->arg, &why))
        headers[count++] = text_header(MISSING, why);
    if (value)
        headers[count++] = text_header(extra, value);
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_APP_ID_FLAG | AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG,
        .app_id = amqp_text(settings->program),
        .content_type = amqp_text("text/plain; version=0.0.4"),
        .headers = {.num_entries = count, .entries = headers}};
    if (question->_flags & AMQP_BASIC_CORRELATION_ID_FLAG) {
        properties._flags |= AMQP_BASIC_CORRELATION_ID_FLAG;
        properties.correlation_id = question->correlation_id;
    }
    if (!amqp_chan_publish(chan, "", question->reply_to, &properties, text, len))
        log_warn("mtcctl gets no answer: its headers do not fit into a message");
}

/* Any other address may be one of the suite's own queues. */
static bool is_reply_address(const amqp_basic_properties_t *question)
{
    static const char prefix[] = "amq.rabbitmq.reply-to.";
    return question->_flags & AMQP_BASIC_REPLY_TO_FLAG &&
           question->reply_to.len > sizeof prefix - 1 &&
           memcmp(question->reply_to.bytes, prefix, sizeof prefix - 1) == 0;
}

static void answer_question(const struct presence *presence, struct amqp_chan *chan,
                            const amqp_basic_properties_t *question)
{
    const struct presence_settings *settings = &presence->settings;
    size_t len;
    char *text = metrics_render(settings->metrics, &len);
    char *remarks = settings->remarks ? settings->remarks(settings->arg) : NULL;
    publish_answer(presence, chan, question, text, len, REMARKS, remarks);
    free(remarks);
    free(text);
}

static void take_order(const struct presence *presence, struct amqp_chan *chan,
                       const struct amqp_incoming *order)
{
    const struct presence_settings *settings = &presence->settings;
    if (!settings->on_order || order->len > PRESENCE_ORDER_MAX)
        return;
    char *text = xstrndup(order->body, order->len);
    char *did = settings->on_order(text, settings->arg);
    free(text);
    if (!did)
        return;
    log_warn("an operator's order", LF_S("result", did));
    publish_answer(presence, chan, order->properties, "", 0, DID, did);
    free(did);
}

static void on_delivery(struct amqp_chan *chan, struct amqp_incoming *question, void *arg)
{
    const struct presence *presence = arg;
    if (is_reply_address(question->properties)) {
        if (question->len)
            take_order(presence, chan, question);
        else
            answer_question(presence, chan, question->properties);
    }
    amqp_chan_ack(chan, question->delivery_tag, false);
}

/* --- the queue --- */

/* Named for people who look at the broker's queues; the end keeps it from its predecessor's, which
 * the broker may still have. */
static const char *name_queue(struct presence *presence)
{
    snprintf(presence->queue, sizeof presence->queue, PRESENCE_EXCHANGE ".%.40s.%.128s.%08" PRIx32,
             presence->settings.program, presence->settings.worker, (uint32_t)entropy_u64());
    return presence->queue;
}

static void on_open(struct amqp_chan *chan, void *arg)
{
    struct presence *presence = arg;
    amqp_bytes_t queue = amqp_text(name_queue(presence)), exchange = amqp_text(PRESENCE_EXCHANGE);
    amqp_table_entry_t bounds[] = {
        {.key = amqp_text("x-max-length"),
         .value = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = PRESENCE_QUESTIONS_MAX}},
        {.key = amqp_text("x-message-ttl"),
         .value = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = PRESENCE_TTL_MS}}};
    amqp_exchange_declare_t declare_exchange = {
        .exchange = exchange, .type = amqp_text("fanout"), .durable = 1};
    amqp_queue_declare_t declare_queue = {
        .queue = queue, .exclusive = 1, .arguments = {.num_entries = 2, .entries = bounds}};
    amqp_queue_bind_t bind = {.queue = queue, .exchange = exchange};
    amqp_chan_call(chan, AMQP_EXCHANGE_DECLARE_METHOD, &declare_exchange,
                   AMQP_EXCHANGE_DECLARE_OK_METHOD, NULL, NULL);
    amqp_chan_call(chan, AMQP_QUEUE_DECLARE_METHOD, &declare_queue, AMQP_QUEUE_DECLARE_OK_METHOD,
                   NULL, NULL);
    amqp_chan_call(chan, AMQP_QUEUE_BIND_METHOD, &bind, AMQP_QUEUE_BIND_OK_METHOD, NULL, NULL);
    amqp_chan_consume(chan, presence->queue, presence->settings.worker, 1, 0, NULL, NULL);
}

static void on_closed(struct amqp_chan *chan, int code, const char *text, void *arg)
{
    (void)chan;
    (void)arg;
    if (code)
        log_warn("mtcctl does not see this program until it connects again", LF_I("code", code),
                 LF_S("reason", text));
}

static void on_cancelled(struct amqp_chan *chan, void *arg)
{
    struct presence *presence = arg;
    log_warn("somebody deleted the queue mtcctl's questions come by; making another",
             LF_S("queue", presence->queue));
    on_open(chan, presence);
}

void presence_on_conn_up(struct presence *presence, struct amqp_conn *conn)
{
    static const struct amqp_chan_events events = {.on_open = on_open,
                                                   .on_closed = on_closed,
                                                   .on_delivery = on_delivery,
                                                   .on_cancelled = on_cancelled};
    if (presence && !amqp_chan_open(conn, &events, presence))
        log_warn("mtcctl does not see this program: the connection has no channel left");
}

/* --- reading --- */

static char *copy(amqp_bytes_t bytes)
{
    return xstrndup(bytes.len ? bytes.bytes : "", bytes.len);
}

static char *header_text(const amqp_basic_properties_t *properties, const char *name)
{
    const amqp_field_value_t *value = amqp_header_get(properties, name);
    bool is_text = value &&
                   (value->kind == AMQP_FIELD_KIND_UTF8 || value->kind == AMQP_FIELD_KIND_BYTES);
    return is_text ? copy(value->value.bytes) : xstrdup("");
}

void presence_read(const amqp_basic_properties_t *properties, const void *body, size_t len,
                   struct presence_told *out)
{
    bool has_program = properties->_flags & AMQP_BASIC_APP_ID_FLAG;
    *out = (struct presence_told){
        .program = has_program ? copy(properties->app_id) : xstrdup(""),
        .worker = header_text(properties, WORKER),
        .version = header_text(properties, VERSION),
        .listen = header_text(properties, LISTEN),
        .missing = header_text(properties, MISSING),
        .remarks = header_text(properties, REMARKS),
        .did = header_text(properties, DID),
        .metrics = xstrndup(len ? body : "", len),
        .ready = !amqp_header_get(properties, MISSING),
    };
}

void presence_told_free(struct presence_told *told)
{
    free(told->program);
    free(told->worker);
    free(told->version);
    free(told->listen);
    free(told->missing);
    free(told->remarks);
    free(told->did);
    free(told->metrics);
}
