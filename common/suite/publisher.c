/* publisher.c - a channel on which nothing is lost without a word; see publisher.h */
#include "suite/publisher.h"
#include "base/xalloc.h"
#include "suite/topology.h"

#include <stdio.h>
#include <stdlib.h>

struct waiting { /* for its confirm */
    uint64_t tag;
    publisher_done done;
    void *arg;
    struct waiting *next;
};

struct publisher {
    struct amqp_conn *conn;
    const char *what;
    struct publisher_events events;
    void *arg;
    struct topology *topology; /* while it is being declared */
    struct amqp_chan *chan;    /* NULL: not ready */
    struct waiting *first, **last;
    int count;
};

/* --- confirms --- */

/* Those up to tag (all of them if multiple), in order. The callbacks may publish again. */
static struct waiting *take_confirmed(struct publisher *publisher, uint64_t tag, bool multiple)
{
    struct waiting **at = &publisher->first, *confirmed = NULL, **end = &confirmed;
    while (*at && (*at)->tag <= tag) {
        struct waiting *waiting = *at;
        if (!multiple && waiting->tag != tag) {
            at = &waiting->next;
            continue;
        }
        *at = waiting->next;
        if (!*at)
            publisher->last = at;
        publisher->count--;
        waiting->next = NULL;
        *end = waiting;
        end = &waiting->next;
    }
    return confirmed;
}

static struct waiting *take_all(struct publisher *publisher)
{
    struct waiting *all = publisher->first;
    publisher->first = NULL;
    publisher->last = &publisher->first;
    publisher->count = 0;
    return all;
}

static void tell(struct waiting *list, bool confirmed)
{
    while (list) {
        struct waiting *waiting = list;
        list = waiting->next;
        waiting->done(confirmed, waiting->arg);
        free(waiting);
    }
}

/* Here responsibility passes to the broker: an ack says that the message is on disk at a
 * majority. */
static void on_confirm(struct amqp_chan *chan, uint64_t tag, bool multiple, bool ack, void *arg)
{
    struct publisher *publisher = arg;
    if (chan != publisher->chan) /* one its owner has given up */
        return;
    if (!ack) { /* what followed may have been taken: nobody can tell without beginning anew */
        amqp_conn_fail(amqp_chan_conn(chan), "the broker refused a message");
        return;
    }
    struct waiting *confirmed = take_confirmed(publisher, tag, multiple);
    if (publisher->events.on_confirmed)
        publisher->events.on_confirmed(tag, multiple, publisher->arg);
    tell(confirmed, true);
}

/*
 * A message no queue took comes back, and is confirmed after that as if nothing had happened: the
 * connection is given up before the confirm is looked at, and the topology is declared anew.
 */
static void on_return(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg)
{
    const struct publisher *publisher = arg;
    char text[160];
    if (chan != publisher->chan)
        return;
    snprintf(text, sizeof text, "%s was returned: %d %.*s", publisher->what, incoming->reply_code,
             (int)(incoming->reply_text.len < 80 ? incoming->reply_text.len : 80),
             (const char *)incoming->reply_text.bytes);
    amqp_conn_fail(amqp_chan_conn(chan), text);
}

/* --- up and down --- */

static void lose(struct publisher *publisher)
{
    struct waiting *lost = take_all(publisher);
    bool was_ready = publisher->chan != NULL;
    publisher->chan = NULL;
    if (was_ready && publisher->events.on_lost)
        publisher->events.on_lost(publisher->arg);
    tell(lost, false);
}

static void on_closed(struct amqp_chan *chan, int code, const char *text, void *arg)
{
    struct publisher *publisher = arg;
    (void)code; /* never 0: a publisher's channel is not closed but with its connection */
    if (chan != publisher->chan)
        return;
    lose(publisher);
    amqp_conn_fail(amqp_chan_conn(chan), text);
}

void publisher_open(struct publisher *publisher)
{
    static const struct amqp_chan_events events = {
        .on_closed = on_closed, .on_confirm = on_confirm, .on_return = on_return};
    publisher->chan = amqp_chan_open(publisher->conn, &events, publisher);
    if (!publisher->chan) {
        amqp_conn_fail(publisher->conn, "no channel left");
        return;
    }
    amqp_chan_confirm_select(publisher->chan);
    if (publisher->events.on_ready)
        publisher->events.on_ready(publisher->arg);
}

static void on_declared(const char *error, void *arg)
{
    struct publisher *publisher = arg;
    publisher->topology = NULL;
    if (error)
        amqp_conn_fail(publisher->conn, error);
    else
        publisher_open(publisher);
}

void publisher_declare_and_open(struct publisher *publisher, int partitions)
{
    publisher->topology = topology_declare(publisher->conn, partitions, on_declared, publisher);
}

void publisher_on_conn_down(struct publisher *publisher)
{
    topology_forget(publisher->topology);
    publisher->topology = NULL;
    lose(publisher);
}

bool publisher_is_ready(const struct publisher *publisher)
{
    return publisher->chan != NULL;
}

struct amqp_chan *publisher_channel(const struct publisher *publisher)
{
    return publisher->chan;
}

bool publisher_is_blocked(const struct publisher *publisher)
{
    return amqp_conn_is_blocked(publisher->conn);
}

size_t publisher_unsent(const struct publisher *publisher)
{
    return amqp_conn_unsent(publisher->conn);
}

void publisher_fail(struct publisher *publisher, const char *reason)
{
    amqp_conn_fail(publisher->conn, reason);
}

int publisher_waiting(const struct publisher *publisher)
{
    return publisher->count;
}

/* --- sending --- */

static void wait_for_confirm(struct publisher *publisher, uint64_t tag, publisher_done done,
                             void *arg)
{
    struct waiting *waiting = xmalloc(sizeof *waiting);
    *waiting = (struct waiting){.tag = tag, .done = done, .arg = arg};
    *publisher->last = waiting;
    publisher->last = &waiting->next;
    publisher->count++;
}

uint64_t publisher_send(struct publisher *publisher, const char *exchange, const char *key,
                        amqp_basic_properties_t *properties, const void *body, size_t len,
                        publisher_done done, void *arg)
{
    uint64_t tag = amqp_chan_publish(publisher->chan, exchange, amqp_text(key), properties, body,
                                     len);
    if (tag && done)
        wait_for_confirm(publisher, tag, done, arg);
    return tag;
}

struct publisher *publisher_new(struct amqp_conn *conn, const char *what,
                                const struct publisher_events *events, void *arg)
{
    struct publisher *publisher = xcalloc(1, sizeof *publisher);
    publisher->conn = conn;
    publisher->what = what;
    publisher->events = *events;
    publisher->arg = arg;
    publisher->last = &publisher->first;
    return publisher;
}

void publisher_free(struct publisher *publisher)
{
    if (!publisher)
        return;
    topology_forget(publisher->topology);
    struct waiting *list = take_all(publisher);
    while (list) {
        struct waiting *waiting = list;
        list = waiting->next;
        free(waiting);
    }
    free(publisher);
}
