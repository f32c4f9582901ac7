/* consumer.c - messages that are applied in PostgreSQL: take, apply, ack; see consumer.h */
#include "suite/consumer.h"
#include "base/xalloc.h"
#include "suite/dead_letter.h"

#include <stdio.h>
#include <stdlib.h>

struct consumer {
    struct consumer_settings settings;
    struct consumer_events events;
    void *arg;
    struct amqp_chan *chan;         /* NULL: not started */
    struct publisher *letters;      /* on the same connection; NULL: never started */
    uint64_t generation;            /* counts how often everything was forgotten */
    struct delivery *first, **last; /* waiting, in order of arrival */
    struct delivery *applying;      /* the batch under way */
    struct delivery *buried;        /* dead letters the broker has not confirmed yet */
    bool one_by_one;                /* a batch was refused: find the culprit */
};

/* What a confirm of a dead letter needs to know. */
struct burial {
    struct consumer *consumer;
    struct delivery *delivery;
    uint64_t
        generation; /* an earlier one: the delivery is gone, and the broker has the message back */
};

/* --- lists --- */

static void delivery_free(struct delivery *delivery)
{
    free(delivery->body);
    free(delivery);
}

static void free_all(struct delivery **list)
{
    while (*list) {
        struct delivery *delivery = *list;
        *list = delivery->next;
        delivery_free(delivery);
    }
}

static void forget_all(struct consumer *consumer)
{
    free_all(&consumer->first);
    free_all(&consumer->applying);
    free_all(&consumer->buried);
    consumer->last = &consumer->first;
    consumer->one_by_one = false;
    consumer->generation++;
}

static struct delivery *take_first(struct consumer *consumer)
{
    struct delivery *delivery = consumer->first;
    consumer->first = delivery->next;
    if (!consumer->first)
        consumer->last = &consumer->first;
    delivery->next = NULL;
    return delivery;
}

/* The last step: PostgreSQL has what it says, or mtc.dead has the message; the broker may forget
 * it. */
static void ack(struct consumer *consumer, struct delivery *delivery)
{
    amqp_chan_ack(consumer->chan, delivery->tag, false);
    delivery_free(delivery);
}

/* --- burying --- */

static void on_buried(bool confirmed, void *arg)
{
    struct burial burial = *(struct burial *)arg;
    free(arg);
    if (!confirmed || burial.generation != burial.consumer->generation)
        return; /* it went with its channel, and is delivered again */
    for (struct delivery **at = &burial.consumer->buried; *at; at = &(*at)->next) {
        if (*at == burial.delivery) {
            *at = burial.delivery->next;
            ack(burial.consumer, burial.delivery);
            return;
        }
    }
}

/* Acked when the broker has confirmed the copy. */
static void bury(struct consumer *consumer, struct delivery *delivery, const char *reason)
{
    struct envelope envelope = {.kind = consumer->settings.kind};
    struct dead_letter letter = dead_letter_of(&envelope, reason);
    consumer->events.on_buried(delivery, reason, consumer->arg);
    delivery->next = consumer->buried;
    consumer->buried = delivery;
    if (!publisher_is_ready(consumer->letters))
        return; /* the connection is about to go, and the message with it */
    struct burial *burial = xmalloc(sizeof *burial);
    *burial = (struct burial){
        .consumer = consumer, .delivery = delivery, .generation = consumer->generation};
    dead_letter_send(consumer->letters, &letter, delivery->body, delivery->len, on_buried, burial);
}

/* The broker buries it: whoever would copy it had to hold it. */
static void refuse_large(struct consumer *consumer, uint64_t tag, size_t len)
{
    struct delivery delivery = {.body = (char[]){""}, .tag = tag};
    char reason[128];
    snprintf(reason, sizeof reason, "a message of %zu bytes, and %zu are the most", len,
             consumer->settings.body_max);
    consumer->events.on_buried(&delivery, reason, consumer->arg);
    amqp_chan_reject(consumer->chan, tag);
}

/* --- from the broker --- */

static void on_delivery(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg)
{
    struct consumer *consumer = arg;
    if (chan != consumer->chan) /* one that is being closed: the broker has it back */
        return;
    if (!incoming->body) {
        refuse_large(consumer, incoming->delivery_tag, incoming->len);
        return;
    }
    struct delivery *delivery = xcalloc(1, sizeof *delivery);
    delivery->tag = incoming->delivery_tag;
    delivery->body = incoming->body;
    delivery->len = incoming->len;
    incoming->body = NULL;
    const char *problem = NULL;
    if (consumer->events.check)
        problem = consumer->events.check(delivery, incoming->properties, consumer->arg);
    if (problem) {
        bury(consumer, delivery, problem);
        return;
    }
    *consumer->last = delivery;
    consumer->last = &delivery->next;
    consumer->events.on_arrived(consumer->arg);
}

static void on_closed(struct amqp_chan *chan, int code, const char *text, void *arg)
{
    struct consumer *consumer = arg;
    (void)code;
    if (chan != consumer->chan) /* consumer_stop() asked for it */
        return;
    consumer_on_conn_down(consumer);
    amqp_conn_fail(amqp_chan_conn(chan), text);
}

static void on_cancelled(struct amqp_chan *chan, void *arg)
{
    const struct consumer *consumer = arg;
    char text[128];
    snprintf(text, sizeof text, "the broker cancelled the consumer of %s",
             consumer->settings.queue);
    amqp_conn_fail(amqp_chan_conn(chan), text);
}

void consumer_start(struct consumer *consumer, struct amqp_conn *conn)
{
    static const struct amqp_chan_events events = {
        .on_closed = on_closed, .on_delivery = on_delivery, .on_cancelled = on_cancelled};
    static const struct publisher_events no_events = {.on_ready = NULL};
    if (!consumer->letters)
        consumer->letters = publisher_new(conn, "a dead letter", &no_events, NULL);
    if (!publisher_is_ready(consumer->letters))
        publisher_open(consumer->letters);
    consumer->chan = amqp_chan_open(conn, &events, consumer);
    if (!consumer->chan) {
        amqp_conn_fail(conn, "no channel left");
        return;
    }
    amqp_chan_bound_bodies(consumer->chan, consumer->settings.body_max);
    amqp_chan_consume(consumer->chan, consumer->settings.queue, consumer->settings.tag,
                      consumer->settings.prefetch, 0, NULL, NULL);
}

void consumer_stop(struct consumer *consumer)
{
    struct amqp_chan *chan = consumer->chan;
    consumer->chan = NULL;
    forget_all(consumer);
    if (chan)
        amqp_chan_close(chan);
}

void consumer_on_conn_down(struct consumer *consumer)
{
    consumer->chan = NULL;
    forget_all(consumer);
    if (consumer->letters)
        publisher_on_conn_down(consumer->letters);
}

/* --- into PostgreSQL --- */

const struct delivery *consumer_take(struct consumer *consumer)
{
    struct delivery **end = &consumer->applying;
    if (consumer->applying || !consumer->chan)
        return NULL;
    int most = consumer->one_by_one ? 1 : consumer->settings.batch_max;
    for (int count = 0; consumer->first && count < most;) {
        struct delivery *delivery = take_first(consumer);
        if (consumer->events.is_obsolete && consumer->events.is_obsolete(delivery, consumer->arg)) {
            ack(consumer, delivery);
            continue;
        }
        *end = delivery;
        end = &delivery->next;
        count++;
    }
    return consumer->applying;
}

static size_t bytes_of(const struct delivery *list)
{
    size_t bytes = 0;
    for (; list; list = list->next)
        bytes += sizeof *list + list->len;
    return bytes;
}

size_t consumer_held(const struct consumer *consumer)
{
    return bytes_of(consumer->first) + bytes_of(consumer->applying) + bytes_of(consumer->buried);
}

bool consumer_is_applying(const struct consumer *consumer)
{
    return consumer->applying != NULL;
}

void consumer_applied(struct consumer *consumer, const int *culprits, int culprit_count,
                      const char *reason)
{
    int next = 0;
    for (int position = 0; consumer->applying; position++) {
        struct delivery *delivery = consumer->applying;
        consumer->applying = delivery->next;
        if (next < culprit_count && culprits[next] == position) {
            next++;
            bury(consumer, delivery, reason);
        } else {
            ack(consumer, delivery);
        }
    }
    consumer->one_by_one = consumer->one_by_one && consumer->first;
}

/* Puts the batch back where it was taken from. */
void consumer_uncertain(struct consumer *consumer)
{
    if (!consumer->applying)
        return;
    struct delivery *end = consumer->applying;
    while (end->next)
        end = end->next;
    end->next = consumer->first;
    if (!consumer->first)
        consumer->last = &end->next;
    consumer->first = consumer->applying;
    consumer->applying = NULL;
}

void consumer_refused(struct consumer *consumer, const char *reason)
{
    if (!consumer->applying)
        return; /* its channel was lost meanwhile, and the broker has it back */
    if (!consumer->applying->next) {
        struct delivery *delivery = consumer->applying;
        consumer->applying = NULL;
        bury(consumer, delivery, reason);
        return;
    }
    consumer->one_by_one = true;
    consumer_uncertain(consumer);
}

struct consumer *consumer_new(const struct consumer_settings *settings,
                              const struct consumer_events *events, void *arg)
{
    struct consumer *consumer = xcalloc(1, sizeof *consumer);
    consumer->settings = *settings;
    consumer->events = *events;
    consumer->arg = arg;
    consumer->last = &consumer->first;
    return consumer;
}

void consumer_free(struct consumer *consumer)
{
    if (!consumer)
        return;
    consumer_on_conn_down(consumer); /* lets go of the burials that wait for a confirm */
    publisher_free(consumer->letters);
    free(consumer);
}
