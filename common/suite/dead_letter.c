/* dead_letter.c - what could not be delivered or applied, with its reason; see dead_letter.h */
#include "suite/dead_letter.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "suite/topology.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define REASON      "reason"
#define ATTEMPTS    "attempts"
#define LAST_STATUS "last_status"
#define RESPONSE    "response"
#define QUEUE       "queue"
#define DEAD_US     "dead_us"
#define REQUEUES    "requeues"

/* --- writing --- */

struct dead_letter dead_letter_of(const struct envelope *envelope, const char *reason)
{
    return (struct dead_letter){
        .envelope = envelope, .reason = reason, .attempts = -1, .last_status = -1};
}

static void write_headers(const struct dead_letter *letter, struct envelope_properties *out)
{
    envelope_write(letter->envelope, out);
    envelope_add_text(out, REASON, letter->reason);
    if (letter->attempts >= 0)
        envelope_add_int(out, ATTEMPTS, letter->attempts);
    if (letter->last_status >= 0)
        envelope_add_int(out, LAST_STATUS, letter->last_status);
    envelope_add_text(out, RESPONSE, letter->response);
    envelope_add_text(out, QUEUE, letter->queue);
    if (letter->dead_us)
        envelope_add_int(out, DEAD_US, letter->dead_us);
}

static const char *key_of(const struct dead_letter *letter)
{
    return letter->queue ? letter->queue : "";
}

/* For a row written past mtc.emit(), which bounds every part: what is certain to fit. */
uint64_t dead_letter_send_bare(struct publisher *publisher, const struct dead_letter *letter,
                               const void *body, size_t len, publisher_done done, void *arg)
{
    struct envelope bare = {.event_id = letter->envelope->event_id,
                            .seq = letter->envelope->seq,
                            .created_us = letter->envelope->created_us};
    struct envelope_properties message;
    log_error("event does not fit into a message; it goes to the dead letters without its headers",
              LF_S("event", bare.event_id));
    envelope_write(&bare, &message);
    envelope_add_text(&message, REASON,
                      "its headers do not fit into a message; see the outbox row");
    return publisher_send(publisher, TOPOLOGY_DEAD, key_of(letter), &message.properties, body, len,
                          done, arg);
}

uint64_t dead_letter_send(struct publisher *publisher, const struct dead_letter *letter,
                          const void *body, size_t len, publisher_done done, void *arg)
{
    struct envelope_properties message;
    write_headers(letter, &message);
    uint64_t tag = publisher_send(publisher, TOPOLOGY_DEAD, key_of(letter), &message.properties,
                                  body, len, done, arg);
    return tag ? tag : dead_letter_send_bare(publisher, letter, body, len, done, arg);
}

/* CC and BCC would route the copy; a reason of somebody else's would hide ours. */
static bool is_kept(amqp_bytes_t header)
{
    return !amqp_bytes_equal_text(header, "CC") && !amqp_bytes_equal_text(header, "BCC") &&
           !amqp_bytes_equal_text(header, REASON);
}

uint64_t dead_letter_send_copy(struct publisher *publisher, const amqp_basic_properties_t *original,
                               const char *reason, const char *queue, const void *body, size_t len,
                               publisher_done done, void *arg)
{
    amqp_basic_properties_t copy = *original;
    int had = original->_flags & AMQP_BASIC_HEADERS_FLAG ? original->headers.num_entries : 0;
    int count = 0;
    amqp_table_entry_t *entries = xcalloc((size_t)had + 1, sizeof *entries);
    for (int i = 0; i < had; i++) {
        if (is_kept(original->headers.entries[i].key))
            entries[count++] = original->headers.entries[i];
    }
    entries[count++] = (amqp_table_entry_t){
        .key = amqp_text(REASON),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_text(reason)}};
    copy.headers = (amqp_table_t){.num_entries = count, .entries = entries};
    /* A user id that is not ours is refused, and an expiration would lose the letter. */
    copy._flags &= ~(amqp_flags_t)(AMQP_BASIC_USER_ID_FLAG | AMQP_BASIC_EXPIRATION_FLAG);
    copy._flags |= AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG;
    copy.delivery_mode = 2;
    uint64_t tag = publisher_send(publisher, TOPOLOGY_DEAD, queue, &copy, body, len, done, arg);
    free(entries);
    if (tag)
        return tag;
    amqp_basic_properties_t bare = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
    return publisher_send(publisher, TOPOLOGY_DEAD, queue, &bare, body, len, done, arg);
}

/* --- reading --- */

static char *text_of(amqp_bytes_t bytes)
{
    char *text = xstrndup(bytes.len ? bytes.bytes : "", bytes.len);
    for (size_t i = 0; i < bytes.len; i++) {
        if (iscntrl((unsigned char)text[i]))
            text[i] = ' ';
    }
    json_t *valid = json_string(text); /* NULL unless it is UTF-8 */
    for (size_t i = 0; !valid && i < bytes.len; i++) {
        if ((unsigned char)text[i] >= 0x80)
            text[i] = '?';
    }
    json_decref(valid);
    return text;
}

static char *header_text(const amqp_basic_properties_t *properties, const char *name)
{
    const amqp_field_value_t *value = amqp_header_get(properties, name);
    bool is_text = value &&
                   (value->kind == AMQP_FIELD_KIND_UTF8 || value->kind == AMQP_FIELD_KIND_BYTES);
    return is_text ? text_of(value->value.bytes) : xstrdup("");
}

static int64_t header_number(const amqp_basic_properties_t *properties, const char *name)
{
    int64_t number = 0;
    const amqp_field_value_t *value = amqp_header_get(properties, name);
    return value && amqp_field_int(value, &number) ? number : 0;
}

/* The newest entry of x-death: RabbitMQ puts the death that led here in front. NULL: none. */
static const amqp_table_t *broker_death(const amqp_basic_properties_t *properties)
{
    const amqp_field_value_t *value = amqp_header_get(properties, "x-death");
    if (!value || value->kind != AMQP_FIELD_KIND_ARRAY || value->value.array.num_entries < 1 ||
        value->value.array.entries[0].kind != AMQP_FIELD_KIND_TABLE)
        return NULL;
    return &value->value.array.entries[0].value.table;
}

static const amqp_field_value_t *entry(const amqp_table_t *table, const char *key)
{
    for (int i = 0; i < table->num_entries; i++) {
        if (amqp_bytes_equal_text(table->entries[i].key, key))
            return &table->entries[i].value;
    }
    return NULL;
}

static char *entry_text(const amqp_table_t *table, const char *key)
{
    const amqp_field_value_t *value = entry(table, key);
    bool is_text = value && value->kind == AMQP_FIELD_KIND_UTF8;
    return is_text ? text_of(value->value.bytes) : xstrdup("?");
}

/* Why RabbitMQ gave the message up, in which queue, and how often it has done so by now. */
static void read_broker_death(const amqp_table_t *death, struct dead_letter_told *out)
{
    int64_t count = 1;
    const amqp_field_value_t *times = entry(death, "count"), *when = entry(death, "time");
    char *why = entry_text(death, "reason"), *queue = entry_text(death, "queue");
    if (times)
        amqp_field_int(times, &count);
    if (when && when->kind == AMQP_FIELD_KIND_TIMESTAMP && when->value.u64 < INT64_MAX / 1000000)
        out->dead_us = (int64_t)when->value.u64 * 1000000;
    free(out->reason);
    out->reason = xasprintf("given up by RabbitMQ: %s in %s, %" PRId64 " time%s", why, queue, count,
                            count == 1 ? "" : "s");
    out->by_broker = true;
    free(why);
    free(queue);
}

void dead_letter_read(const amqp_basic_properties_t *properties, struct dead_letter_told *out)
{
    bool has_id = properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG;
    bool has_type = properties->_flags & AMQP_BASIC_TYPE_FLAG;
    *out = (struct dead_letter_told){
        .id = has_id ? text_of(properties->message_id) : xstrdup(""),
        .type = has_type ? text_of(properties->type) : xstrdup(""),
        .machine = header_text(properties, "machine"),
        .kind = header_text(properties, "kind"),
        .path = header_text(properties, "path"),
        .reason = header_text(properties, REASON),
        .response = header_text(properties, RESPONSE),
        .seq = header_number(properties, "seq"),
        .attempts = header_number(properties, ATTEMPTS),
        .status = header_number(properties, LAST_STATUS),
        .dead_us = header_number(properties, DEAD_US),
        .requeues = header_number(properties, REQUEUES),
    };
    const amqp_table_t *death = broker_death(properties);
    if (!*out->reason && death)
        read_broker_death(death, out);
    if (!*out->reason) {
        free(out->reason);
        out->reason = xstrdup("not given");
    }
}

void dead_letter_told_free(struct dead_letter_told *told)
{
    free(told->id);
    free(told->type);
    free(told->machine);
    free(told->kind);
    free(told->path);
    free(told->reason);
    free(told->response);
}

bool dead_letter_added(amqp_bytes_t header)
{
    static const char *const names[] = {REASON, ATTEMPTS, LAST_STATUS, RESPONSE,
                                        QUEUE,  DEAD_US,  REQUEUES,    "repeat"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (amqp_bytes_equal_text(header, names[i]))
            return true;
    }
    /* What the broker wrote when it dead-lettered. */
    return header.len > 2 && memcmp(header.bytes, "x-", 2) == 0;
}
