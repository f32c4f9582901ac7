/* settle.c - an event's fate is known: tell it, then let go of the event; see settle.h */
#include "settle.h"
#include "base/clock.h"
#include "held.h"
#include "base/log.h"
#include "outcome.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Something published, and the events that wait for its confirm. */
struct publication {
    uint64_t tag;
    struct publication *next;
    int count;
    struct held *events[];
};

struct settle {
    struct sender *sender;
    struct publication *first, **last; /* in tag order */
    struct held **waiting;             /* events whose outcomes wait for company */
    int waiting_count;
    struct timer *flush_timer;
};

/* One thing less to wait for; after the last the delivery is acked. */
static void done_with(struct held *held)
{
    if (--held->unsettled > 0)
        return;
    partition_ack(held);
    held_free(held);
}

/* --- publishing and confirms --- */

static void remember(struct settle *settle, uint64_t tag, struct held *const *events, int count)
{
    struct publication *publication = xmalloc(sizeof *publication +
                                              (size_t)count * sizeof(struct held *));
    publication->tag = tag;
    publication->next = NULL;
    publication->count = count;
    memcpy(publication->events, events, (size_t)count * sizeof(struct held *));
    *settle->last = publication;
    settle->last = &publication->next;
}

/* Takes the publication at *at out of the list and lets its events go on. */
static void conclude(struct settle *settle, struct publication **at)
{
    struct publication *publication = *at;
    *at = publication->next;
    if (!*at)
        settle->last = at;
    for (int i = 0; i < publication->count; i++)
        done_with(publication->events[i]);
    free(publication);
}

void settle_on_confirm(struct settle *settle, uint64_t tag, bool multiple)
{
    struct publication **at = &settle->first;
    while (*at && (*at)->tag <= tag) {
        if (multiple || (*at)->tag == tag)
            conclude(settle, at);
        else
            at = &(*at)->next;
    }
}

void settle_on_channel_down(struct settle *settle)
{
    /* The partitions' channels went with the connection: nothing here is acked, everything is
     * delivered again. */
    while (settle->first)
        conclude(settle, &settle->first);
    for (int i = 0; i < settle->waiting_count; i++)
        done_with(settle->waiting[i]);
    settle->waiting_count = 0;
    timer_cancel(settle->flush_timer);
}

/* --- outcomes --- */

void settle_flush(struct settle *settle)
{
    timer_cancel(settle->flush_timer);
    if (settle->waiting_count == 0)
        return;
    size_t len;
    char *body = outcome_batch(settle->waiting, settle->waiting_count, &len);
    struct envelope envelope = {.kind = "outcomes"};
    struct envelope_properties message;
    envelope_write(&envelope, &message);
    uint64_t tag = amqp_chan_publish(settle->sender->publishing, "", amqp_text(TOPOLOGY_OUTCOMES),
                                     &message.properties, body, len);
    free(body);
    remember(settle, tag, settle->waiting, settle->waiting_count);
    settle->waiting_count = 0;
}

static void on_flush(void *arg)
{
    settle_flush(arg);
}

static void tell_outcome(struct settle *settle, struct held *held)
{
    const struct config *config = settle->sender->service->config;
    if (!held->envelope.seq || !settle->sender->publishing)
        return; /* no ledger knows it; or the connection is gone, and the event comes again */
    held->unsettled++;
    settle->waiting[settle->waiting_count++] = held;
    if (settle->waiting_count == config->sender_outcome_batch ||
        config->sender_outcome_delay_ms == 0) {
        settle_flush(settle);
    } else if (settle->waiting_count == 1) {
        timer_in(settle->flush_timer, config->sender_outcome_delay_ms);
    }
}

/* --- sent keys --- */

static void on_sent_key(const redisReply *reply, const struct redis_error *error, void *arg)
{
    (void)reply;
    if (error && error->refused)
        log_warn("Redis refuses a sent key", LF_S("reason", error->text));
    done_with(arg);
}

static void write_sent_key(struct settle *settle, struct held *held)
{
    struct sender *sender = settle->sender;
    char key[HELD_NAME + sizeof SENT_KEY_PREFIX], ttl[24], name[HELD_NAME];
    snprintf(key, sizeof key, SENT_KEY_PREFIX "%s", held_name(held, name));
    snprintf(ttl, sizeof ttl, "%" PRId64, sender->service->config->sender_sent_key_ttl_s);
    const char *words[] = {"SET", key, "1", "EX", ttl};
    recent_add(sender->recent, name);
    held->unsettled++;
    if (!sender->redis || !redis_conn_command(sender->redis, 5, words, on_sent_key, held))
        held->unsettled--;
}

/* --- fates --- */

void settle_delivered(struct settle *settle, struct held *held, bool skipped)
{
    struct sender *sender = settle->sender;
    if (!skipped) {
        metric_add(sender->metrics.delivered, 1);
        if (held->envelope.created_us)
            metric_observe(sender->metrics.delivery_seconds,
                           (double)(utc_us() - held->envelope.created_us) / 1e6);
    }
    log_debug(skipped ? "event had been delivered before" : "delivered",
              LF_S("event", held->envelope.event_id), LF_S("machine", held->envelope.machine),
              LF_I("attempt", held->attempts), LF_I("status", held->last_status));
    held->unsettled = 1; /* until everything has been started */
    if (!skipped)
        write_sent_key(settle, held);
    tell_outcome(settle, held);
    done_with(held);
}

void settle_orphan(struct settle *settle, struct held *held)
{
    held->unsettled = 1;
    write_sent_key(settle, held);
    done_with(held);
}

static void publish_dead(struct settle *settle, struct held *held,
                         amqp_basic_properties_t *properties)
{
    struct amqp_chan *chan = settle->sender->publishing;
    if (!chan)
        return; /* the event comes again */
    uint64_t tag = amqp_chan_publish(chan, TOPOLOGY_DEAD, amqp_text(held->partition->name),
                                     properties, held->body, held->len);
    if (tag == 0) {
        amqp_basic_properties_t bare = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                        .delivery_mode = 2};
        tag = amqp_chan_publish(chan, TOPOLOGY_DEAD, amqp_text(held->partition->name), &bare,
                                held->body, held->len);
    }
    held->unsettled++;
    remember(settle, tag, &held, 1);
    metric_add(settle->sender->metrics.dead, 1);
}

void settle_dead(struct settle *settle, struct held *held)
{
    struct envelope_properties message;
    char *response = held->response ? outcome_clean_text(held->response) : NULL;
    envelope_write(&held->envelope, &message);
    envelope_add_text(&message, "reason", held->reason);
    envelope_add_int(&message, "attempts", held->attempts);
    envelope_add_int(&message, "last_status", held->last_status);
    envelope_add_text(&message, "response", response);
    envelope_add_text(&message, "queue", held->partition->name);
    envelope_add_int(&message, "dead_us", utc_us());
    held->unsettled = 1;
    publish_dead(settle, held, &message.properties);
    tell_outcome(settle, held);
    free(response);
    done_with(held);
}

/* The original headers but those that would route the copy elsewhere, and the reason. */
static void copy_properties(const amqp_basic_properties_t *original, const char *reason,
                            amqp_basic_properties_t *copy, amqp_table_entry_t *entries)
{
    int count = 0;
    *copy = *original;
    copy->_flags &= ~(amqp_flags_t)(AMQP_BASIC_USER_ID_FLAG | AMQP_BASIC_EXPIRATION_FLAG);
    copy->_flags |= AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG;
    copy->delivery_mode = 2;
    if (original->_flags & AMQP_BASIC_HEADERS_FLAG) {
        for (int i = 0; i < original->headers.num_entries; i++) {
            const amqp_table_entry_t *entry = &original->headers.entries[i];
            if (!amqp_bytes_equal_text(entry->key, "CC") &&
                !amqp_bytes_equal_text(entry->key, "BCC") &&
                !amqp_bytes_equal_text(entry->key, "reason"))
                entries[count++] = *entry;
        }
    }
    entries[count++] = (amqp_table_entry_t){
        .key = amqp_text("reason"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_text(reason)}};
    copy->headers = (amqp_table_t){.num_entries = count, .entries = entries};
}

void settle_unreadable(struct settle *settle, struct partition *partition,
                       const struct amqp_incoming *incoming, const char *reason)
{
    static const struct envelope nothing = {.event_id = "", .machine = ""};
    const amqp_basic_properties_t *original = incoming->properties;
    int headers = original->_flags & AMQP_BASIC_HEADERS_FLAG ? original->headers.num_entries : 0;
    char *body = xmalloc(incoming->len + 1);
    memcpy(body, incoming->body, incoming->len);
    struct held *held = held_new(&nothing, body, incoming->len);
    held->partition = partition;
    held->generation = partition->generation;
    held->tag = incoming->delivery_tag;
    partition_begin_work(held);
    log_error("message is no event; it goes to the dead letters", LF_S("queue", partition->name),
              LF_S("reason", reason));
    amqp_basic_properties_t properties;
    amqp_table_entry_t *entries = xcalloc((size_t)headers + 1, sizeof *entries);
    copy_properties(original, reason, &properties, entries);
    held->unsettled = 1;
    publish_dead(settle, held, &properties);
    free(entries);
    done_with(held);
}

struct settle *settle_new(struct sender *sender)
{
    struct settle *settle = xcalloc(1, sizeof *settle);
    settle->sender = sender;
    settle->last = &settle->first;
    settle->waiting = xcalloc((size_t)sender->service->config->sender_outcome_batch,
                              sizeof(struct held *));
    settle->flush_timer = timer_new(sender->service->loop, on_flush, settle);
    return settle;
}

void settle_free(struct settle *settle)
{
    if (!settle)
        return;
    settle_on_channel_down(settle);
    timer_free(settle->flush_timer);
    free(settle->waiting);
    free(settle);
}
