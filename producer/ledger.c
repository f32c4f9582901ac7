/*
 * ledger.c - outcomes from the broker into the outbox; see ledger.h
 *
 * Diagnostics: a batch PostgreSQL can't read is an error and goes to the dead letters; it is our
 * bug or somebody's experiment, and must not stop the others.
 */
#include "ledger.h"
#include "base/clock.h"
#include "suite/envelope.h"
#include "base/log.h"
#include "suite/settings.h"
#include "suite/topology.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>

#define JOIN_MAX 32 /* batches applied in one statement */

struct batch {
    uint64_t tag;
    char *body;
    size_t len;
    struct batch *next;
};

struct ledger {
    struct service *service;
    struct pg_conn *pg;
    struct amqp_chan *chan;
    struct batch *first, **last;
    int applying;    /* batches in the statement under way, from the front */
    bool one_by_one; /* a joined statement was refused: find the culprit */
    bool burying;    /* the first batch is on its way to the dead letters */
    struct metric *applied, *refused;
};

static void pump(struct ledger *ledger);

static void drop_first(struct ledger *ledger)
{
    struct batch *batch = ledger->first;
    ledger->first = batch->next;
    if (!ledger->first)
        ledger->last = &ledger->first;
    free(batch->body);
    free(batch);
}

static void drop_all(struct ledger *ledger)
{
    while (ledger->first)
        drop_first(ledger);
}

/* The commit is done: PostgreSQL has the outcomes, the broker may forget them. */
static void ack_applied(struct ledger *ledger)
{
    for (; ledger->applying > 0; ledger->applying--) {
        amqp_chan_ack(ledger->chan, ledger->first->tag, false);
        drop_first(ledger);
    }
}

static void bury_first(struct ledger *ledger, const char *reason)
{
    log_error("outcomes PostgreSQL can't read; they go to the dead letters",
              LF_S("reason", reason));
    metric_add(ledger->refused, 1);
    struct envelope envelope = {.kind = "outcomes"};
    struct envelope_properties message;
    envelope_write(&envelope, &message);
    envelope_add_text(&message, "reason", reason);
    ledger->burying = true; /* acked when the broker has confirmed the copy */
    amqp_chan_publish(ledger->chan, TOPOLOGY_DEAD, amqp_text(""), &message.properties,
                      ledger->first->body, ledger->first->len);
}

static void on_applied(const PGresult *result, const struct pg_error *error, void *arg)
{
    struct ledger *ledger = arg;
    int applying = ledger->applying;
    if (!error) {
        metric_add(ledger->applied, strtod(PQgetvalue(result, 0, 0), NULL));
        ack_applied(ledger); /* nothing, if the connection was lost meanwhile */
        ledger->one_by_one = ledger->one_by_one && ledger->first && applying > 0;
    } else if (!pg_error_is_data(error)) {
        ledger->applying = 0;
        pg_conn_fail(ledger->pg, error->text);
        return;
    } else if (applying > 1) {
        ledger->applying = 0;
        ledger->one_by_one = true;
    } else if (applying == 1) {
        ledger->applying = 0;
        bury_first(ledger, error->text);
    }
    pump(ledger);
}

/* What stands between the brackets of a JSON array, or all of it if it is none. */
static void inner(const struct batch *batch, const char **text, size_t *len)
{
    *text = batch->body;
    *len = batch->len;
    if (*len >= 2 && (*text)[0] == '[' && (*text)[*len - 1] == ']') {
        (*text)++;
        *len -= 2;
    }
}

/* Joins up to `most` batches from the front into one JSON array. */
static char *join(struct ledger *ledger, int most)
{
    size_t room = 3;
    int count = 0;
    for (const struct batch *batch = ledger->first; batch && count < most;
         batch = batch->next, count++)
        room += batch->len + 1;
    char *out = xmalloc(room);
    size_t at = 0;
    out[at++] = '[';
    const struct batch *batch = ledger->first;
    for (ledger->applying = 0; ledger->applying < count; ledger->applying++, batch = batch->next) {
        const char *text;
        size_t len;
        inner(batch, &text, &len);
        if (at > 1)
            out[at++] = ',';
        memcpy(out + at, text, len);
        at += len;
    }
    out[at++] = ']';
    out[at] = '\0';
    return out;
}

static void pump(struct ledger *ledger)
{
    if (!ledger->first || !ledger->chan || ledger->applying || ledger->burying ||
        !pg_conn_is_idle(ledger->pg))
        return;
    char *joined = join(ledger, ledger->one_by_one ? 1 : JOIN_MAX);
    const char *values[] = {joined};
    pg_conn_query(ledger->pg, "SELECT mtc.apply_outcomes($1)", 1, values, on_applied, ledger);
    free(joined);
}

static void on_delivery(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg)
{
    (void)chan;
    struct ledger *ledger = arg;
    struct batch *batch = xcalloc(1, sizeof *batch);
    batch->tag = incoming->delivery_tag;
    batch->body = incoming->body;
    batch->len = strlen(incoming->body) == incoming->len ? incoming->len
                                                         : 0; /* a NUL: no JSON; refused as such */
    incoming->body = NULL;
    *ledger->last = batch;
    ledger->last = &batch->next;
    pump(ledger);
}

static void on_confirm(struct amqp_chan *chan, uint64_t tag, bool multiple, bool ack, void *arg)
{
    (void)tag;
    (void)multiple;
    struct ledger *ledger = arg;
    if (!ack) {
        amqp_conn_fail(amqp_chan_conn(chan), "the broker refused a dead letter");
        return;
    }
    if (!ledger->burying)
        return;
    ledger->burying = false;
    amqp_chan_ack(chan, ledger->first->tag, false);
    drop_first(ledger);
    pump(ledger);
}

static void on_return(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg)
{
    (void)incoming;
    (void)arg;
    amqp_conn_fail(amqp_chan_conn(chan), "mtc.dead has no queue");
}

static void forget_channel(struct ledger *ledger)
{
    ledger->chan = NULL;
    ledger->applying = 0;
    ledger->burying = false;
    drop_all(ledger);
}

static void on_closed(struct amqp_chan *chan, int code, const char *text, void *arg)
{
    (void)code;
    forget_channel(arg);
    amqp_conn_fail(amqp_chan_conn(chan), text);
}

static void on_cancelled(struct amqp_chan *chan, void *arg)
{
    (void)arg;
    amqp_conn_fail(amqp_chan_conn(chan), "the broker cancelled the consumer of mtc.outcomes");
}

void ledger_start(struct ledger *ledger, struct amqp_conn *conn)
{
    static const struct amqp_chan_events events = {.on_closed = on_closed,
                                                   .on_delivery = on_delivery,
                                                   .on_confirm = on_confirm,
                                                   .on_return = on_return,
                                                   .on_cancelled = on_cancelled};
    ledger->chan = amqp_chan_open(conn, &events, ledger);
    if (!ledger->chan) {
        amqp_conn_fail(conn, "no channel left");
        return;
    }
    amqp_chan_confirm_select(ledger->chan);
    amqp_chan_consume(ledger->chan, TOPOLOGY_OUTCOMES, ledger->service->connection_name,
                      (uint16_t)ledger->service->config->producer_ledger_prefetch, 0, NULL, NULL);
}

void ledger_on_conn_down(struct ledger *ledger)
{
    forget_channel(ledger);
}

static void on_pg_up(void *arg)
{
    pump(arg);
}

static void on_pg_down(const char *reason, void *arg)
{
    (void)reason;
    struct ledger *ledger = arg;
    ledger->applying = 0; /* committed or not: they are told again */
}

bool ledger_is_idle(const struct ledger *ledger)
{
    return ledger->applying == 0;
}

bool ledger_is_connected(const struct ledger *ledger)
{
    return pg_conn_is_up(ledger->pg);
}

struct ledger *ledger_new(struct service *service, char *error, size_t error_size)
{
    static const struct pg_conn_events events = {.on_up = on_pg_up, .on_down = on_pg_down};
    struct ledger *ledger = xcalloc(1, sizeof *ledger);
    ledger->service = service;
    ledger->last = &ledger->first;
    ledger->applied = metrics_add(service->metrics, METRIC_COUNTER, "mtc_producer_outcomes_total",
                                  "Ledger rows changed by outcomes", NULL);
    ledger->refused = metrics_add(service->metrics, METRIC_COUNTER,
                                  "mtc_producer_outcomes_refused_total",
                                  "Outcome batches that could not be read", NULL);
    /* The broker forgets what is acked: this commit must be on disk. */
    struct pg_conn_settings settings = settings_pg(service->config, service->connection_name,
                                                   "SET synchronous_commit = on; SET jit = off");
    ledger->pg = pg_conn_new(service->loop, service->resolver, &settings, &events, ledger, error,
                             error_size);
    if (!ledger->pg) {
        ledger_free(ledger);
        return NULL;
    }
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return;
    drop_all(ledger);
    pg_conn_free(ledger->pg);
    free(ledger);
}
