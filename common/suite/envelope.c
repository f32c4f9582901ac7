/* envelope.c - an event on the broker; see envelope.h */
#include "suite/envelope.h"

#include <ctype.h>
#include <string.h>

void envelope_add_text(struct envelope_properties *out, const char *key, const char *value)
{
    amqp_table_t *table = &out->properties.headers;
    if (!value || table->num_entries == ENVELOPE_HEADERS)
        return;
    out->headers[table->num_entries++] = (amqp_table_entry_t){
        .key = amqp_text(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_text(value)}};
}

void envelope_add_int(struct envelope_properties *out, const char *key, int64_t value)
{
    amqp_table_t *table = &out->properties.headers;
    if (table->num_entries == ENVELOPE_HEADERS)
        return;
    out->headers[table->num_entries++] = (amqp_table_entry_t){
        .key = amqp_text(key), .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = value}};
}

void envelope_write(const struct envelope *envelope, struct envelope_properties *out)
{
    amqp_basic_properties_t *properties = &out->properties;
    memset(properties, 0, sizeof *properties);
    properties->_flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG |
                         AMQP_BASIC_HEADERS_FLAG;
    properties->content_type = amqp_text("application/json");
    properties->delivery_mode = 2;
    if (envelope->event_id) {
        properties->_flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
        properties->message_id = amqp_text(envelope->event_id);
    }
    if (envelope->type && strlen(envelope->type) < 256) { /* a short string in AMQP */
        properties->_flags |= AMQP_BASIC_TYPE_FLAG;
        properties->type = amqp_text(envelope->type);
    }
    if (envelope->occurred_s > 0) {
        properties->_flags |= AMQP_BASIC_TIMESTAMP_FLAG;
        properties->timestamp = (uint64_t)envelope->occurred_s;
    }
    properties->headers.entries = out->headers;
    envelope_add_text(out, "machine", envelope->machine);
    envelope_add_text(out, "kind", envelope->kind);
    envelope_add_text(out, "path", envelope->path);
    envelope_add_text(out, "traceparent", envelope->traceparent);
    if (envelope->seq)
        envelope_add_int(out, "seq", envelope->seq);
    if (envelope->created_us)
        envelope_add_int(out, "created_us", envelope->created_us);
    if (envelope->repeat)
        envelope_add_int(out, "repeat", 1);
    if (envelope->again)
        envelope_add_int(out, "again", 1);
    if (envelope->requeues)
        envelope_add_int(out, "requeues", envelope->requeues);
}

struct copier {
    char *at;
    size_t left;
};

/* A copy of bytes as a string, or NULL if there is no room or a NUL inside. */
static const char *copy(struct copier *copier, amqp_bytes_t bytes)
{
    if (bytes.len + 1 > copier->left || memchr(bytes.bytes, '\0', bytes.len))
        return NULL;
    char *text = copier->at;
    memcpy(text, bytes.bytes, bytes.len);
    text[bytes.len] = '\0';
    copier->at += bytes.len + 1;
    copier->left -= bytes.len + 1;
    return text;
}

static const char *copy_header(struct copier *copier, const amqp_basic_properties_t *properties,
                               const char *name)
{
    const amqp_field_value_t *value = amqp_header_get(properties, name);
    if (!value || (value->kind != AMQP_FIELD_KIND_UTF8 && value->kind != AMQP_FIELD_KIND_BYTES))
        return NULL;
    return copy(copier, value->value.bytes);
}

static int64_t int_header(const amqp_basic_properties_t *properties, const char *name)
{
    int64_t number = 0;
    const amqp_field_value_t *value = amqp_header_get(properties, name);
    if (!value || !amqp_field_int(value, &number))
        return 0;
    return number;
}

/* What goes into an HTTP header must not be able to end it. */
static bool is_clean(const char *text, size_t most)
{
    size_t len = strlen(text);
    if (len == 0 || len > most)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (iscntrl((unsigned char)text[i]))
            return false;
    }
    return true;
}

static bool is_path(const char *text)
{
    if (!is_clean(text, 512) || text[0] != '/' || text[1] == '/')
        return false;
    for (; *text; text++) {
        if (!isalnum((unsigned char)*text) && !strchr("/-._~%:@!$&'()*+,;=?", *text))
            return false;
    }
    return true;
}

bool envelope_read(const amqp_basic_properties_t *properties, struct envelope *out,
                   char room[ENVELOPE_ROOM], const char **error)
{
    struct copier copier = {.at = room, .left = ENVELOPE_ROOM};
    memset(out, 0, sizeof *out);
    *error = NULL;
    if (properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG)
        out->event_id = copy(&copier, properties->message_id);
    out->machine = copy_header(&copier, properties, "machine");
    out->path = copy_header(&copier, properties, "path");
    out->kind = copy_header(&copier, properties, "kind");
    if (properties->_flags & AMQP_BASIC_TYPE_FLAG)
        out->type = copy(&copier, properties->type);
    out->traceparent = copy_header(&copier, properties, "traceparent");
    out->seq = int_header(properties, "seq");
    out->created_us = int_header(properties, "created_us");
    out->repeat = int_header(properties, "repeat") != 0;
    out->again = int_header(properties, "again") != 0;
    out->requeues = int_header(properties, "requeues");
    if (properties->_flags & AMQP_BASIC_TIMESTAMP_FLAG)
        out->occurred_s = (int64_t)properties->timestamp;

    if (!out->event_id || !is_clean(out->event_id, 128))
        *error = "message_id is missing or no idempotency key";
    else if (!out->machine || !is_clean(out->machine, 200))
        *error = "header machine is missing or malformed";
    else if (!out->path || !is_path(out->path))
        *error = "header path is missing or no absolute path";
    if (out->traceparent && !is_clean(out->traceparent, 128))
        out->traceparent = NULL; /* not worth an event */
    return *error == NULL;
}
