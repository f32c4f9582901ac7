/* fence.c - what an earlier relay still has on its way is refused by the broker; see fence.h */
#include "fence.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "suite/topology.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_BYTES 40

enum state { NONE, ASKED, FENCING, FENCED, RECORDING, OPEN };

struct fence {
    struct election *election;
    struct fence_events events;
    void *arg;
    struct publisher *publisher; /* NULL: no channel */
    enum state state;
    int64_t term, fenced; /* this one; earlier ones up to here have no exchange any more */
    bool unused;          /* the term is this session's, and nothing was published in it */
    int bindings_awaited; /* on this channel: of this term, and of those given up */
    char exchange[NAME_BYTES];
};

static const char *exchange_of(int64_t term, char out[NAME_BYTES])
{
    snprintf(out, NAME_BYTES, TOPOLOGY_RELAY "%" PRId64, term);
    return out;
}

/* --- at the broker --- */

static void delete_exchange(struct amqp_chan *chan, const char *name)
{
    amqp_exchange_delete_t delete = {.exchange = amqp_text(name)};
    amqp_chan_call(chan, AMQP_EXCHANGE_DELETE_METHOD, &delete, AMQP_EXCHANGE_DELETE_OK_METHOD, NULL,
                   NULL);
}

/* Calls on a channel are done in their order: this one is the last. */
static void on_bound(struct amqp_chan *chan, const amqp_method_t *reply, void *arg)
{
    struct fence *fence = arg;
    (void)chan;
    (void)reply;
    if (--fence->bindings_awaited || fence->state != FENCING)
        return;
    fence->state = FENCED;
    fence->events.on_idle(fence->arg);
}

static void fence_off(struct fence *fence)
{
    struct amqp_chan *chan = publisher_channel(fence->publisher);
    char name[NAME_BYTES];
    for (int64_t term = fence->fenced + 1; term < fence->term; term++)
        delete_exchange(chan, exchange_of(term, name));
    amqp_exchange_declare_t declare = {
        .exchange = amqp_text(fence->exchange), .type = amqp_text("fanout"), .durable = 1};
    amqp_chan_call(chan, AMQP_EXCHANGE_DECLARE_METHOD, &declare, AMQP_EXCHANGE_DECLARE_OK_METHOD,
                   NULL, NULL);
    amqp_exchange_bind_t bind = {.destination = amqp_text(TOPOLOGY_PARTITIONS),
                                 .source = amqp_text(fence->exchange)};
    fence->bindings_awaited++;
    fence->state = FENCING;
    amqp_chan_call(chan, AMQP_EXCHANGE_BIND_METHOD, &bind, AMQP_EXCHANGE_BIND_OK_METHOD, on_bound,
                   fence);
}

/* --- in PostgreSQL --- */

static void on_term(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct fence *fence = arg;
    if (error) {
        election_fail(fence->election, error->text);
        return;
    }
    fence->term = strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
    fence->fenced = strtoll(PQgetvalue(rows, 0, 1), NULL, 10);
    fence->unused = true;
    exchange_of(fence->term, fence->exchange);
    if (fence->state == ASKED) /* else its channel was lost meanwhile */
        fence_off(fence);
    fence->events.on_idle(fence->arg);
}

static void on_recorded(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct fence *fence = arg;
    (void)rows;
    if (error) {
        election_fail(fence->election, error->text);
        return;
    }
    if (fence->state == RECORDING) {
        fence->state = OPEN;
        fence->unused = false;
        log_debug("a term has begun", LF_S("exchange", fence->exchange));
        fence->events.on_open(fence->publisher, fence->exchange, fence->arg);
    }
    fence->events.on_idle(fence->arg);
}

bool fence_run(struct fence *fence)
{
    char number[24];
    const char *values[] = {number};
    bool wanted = fence->state == NONE && fence->publisher &&
                  !publisher_is_blocked(fence->publisher); /* then no call is answered either */
    if (wanted && fence->unused) {
        fence_off(fence);
        return false;
    }
    if (wanted) {
        fence->state = ASKED;
        election_query(fence->election, "SELECT * FROM mtc.begin_term()", 0, NULL, on_term, fence);
        return true;
    }
    if (fence->state == FENCED) {
        fence->state = RECORDING;
        snprintf(number, sizeof number, "%" PRId64, fence->term);
        election_query(fence->election, "SELECT mtc.term_begun($1)", 1, values, on_recorded, fence);
        return true;
    }
    return false;
}

/* --- what is gained and lost --- */

void fence_on_publisher_ready(struct fence *fence, struct publisher *publisher)
{
    fence->publisher = publisher;
}

void fence_on_publisher_lost(struct fence *fence)
{
    fence->publisher = NULL;
    fence->bindings_awaited = 0;
    fence->state = NONE;
}

void fence_on_session_lost(struct fence *fence)
{
    fence->unused = false;
    fence->state = NONE;
}

struct fence *fence_new(struct election *election, const struct fence_events *events, void *arg)
{
    struct fence *fence = xcalloc(1, sizeof *fence);
    fence->election = election;
    fence->events = *events;
    fence->arg = arg;
    return fence;
}

void fence_free(struct fence *fence)
{
    free(fence);
}
