/* marker.c - a message that goes through a partition, and its answer; see marker.h */
#include "suite/marker.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARKER "marker"
#define ANSWER "answer"

void marker_write(const struct marker *marker, struct envelope_properties *out)
{
    struct envelope envelope = {.kind = MARKER};
    envelope_write(&envelope, out);
    envelope_add_int(out, "number", marker->number);
    envelope_add_int(out, "at_us", marker->at_us);
    envelope_add_int(out, "partition", marker->partition);
    envelope_add_int(out, "partitions", marker->partitions);
}

static bool is_kind(const amqp_basic_properties_t *properties, const char *kind)
{
    const amqp_field_value_t *value = amqp_header_get(properties, "kind");
    size_t len = strlen(kind);
    return value && (value->kind == AMQP_FIELD_KIND_UTF8 || value->kind == AMQP_FIELD_KIND_BYTES) &&
           value->value.bytes.len == len && memcmp(value->value.bytes.bytes, kind, len) == 0;
}

static bool number_of(const amqp_basic_properties_t *properties, const char *name, int64_t *out)
{
    const amqp_field_value_t *value = amqp_header_get(properties, name);
    return value && amqp_field_int(value, out);
}

static bool makes_sense(const struct marker *marker)
{
    return marker->number > 0 && marker->at_us > 0 && marker->partition >= 0 &&
           marker->partitions > marker->partition && marker->partitions <= INT32_MAX;
}

/* An event has an id, whatever its kind is called. */
bool marker_read(const amqp_basic_properties_t *properties, struct marker *out)
{
    return is_kind(properties, MARKER) && !(properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) &&
           number_of(properties, "number", &out->number) &&
           number_of(properties, "at_us", &out->at_us) &&
           number_of(properties, "partition", &out->partition) &&
           number_of(properties, "partitions", &out->partitions) && makes_sense(out);
}

char *marker_answer(const struct marker *marker, const int64_t *held, size_t count, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    if (!out)
        out_of_memory(0);
    fprintf(out,
            "[{\"marker\":{\"number\":%" PRId64 ",\"at_us\":%" PRId64 ",\"partition\":%" PRId64
            ",\"partitions\":%" PRId64 ",\"held\":[",
            marker->number, marker->at_us, marker->partition, marker->partitions);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%" PRId64, i ? "," : "", held[i]);
    fputs("]}}]", out);
    if (fclose(out) != 0)
        out_of_memory(0);
    return text;
}

void marker_write_answer(struct envelope_properties *out)
{
    struct envelope envelope = {.kind = ANSWER};
    envelope_write(&envelope, out);
}

bool marker_is_answer(const amqp_basic_properties_t *properties)
{
    return is_kind(properties, ANSWER);
}

static int64_t integer(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* NULL: something in it is no number. */
static char *array_text(const json_t *held)
{
    char *text = NULL;
    size_t len, i;
    bool ok = json_is_array(held);
    json_t *row;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        out_of_memory(0);
    fputc('{', out);
    json_array_foreach (held, i, row) {
        ok = ok && json_is_integer(row);
        fprintf(out, "%s%" PRId64, i ? "," : "", (int64_t)json_integer_value(row));
    }
    fputc('}', out);
    if (fclose(out) != 0)
        out_of_memory(0);
    if (ok)
        return text;
    free(text);
    return NULL;
}

bool marker_read_answer(const char *body, size_t len, struct marker *out, char **held)
{
    json_t *array = json_loadb(body, len, 0, NULL);
    const json_t *told = json_object_get(json_array_get(array, 0), "marker");
    *out = (struct marker){.number = integer(told, "number"),
                           .at_us = integer(told, "at_us"),
                           .partition = integer(told, "partition"),
                           .partitions = integer(told, "partitions")};
    *held = makes_sense(out) ? array_text(json_object_get(told, "held")) : NULL;
    json_decref(array);
    return *held != NULL;
}
