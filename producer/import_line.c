/* import_line.c - is a line fit to be emitted? See import_line.h */
#include "import_line.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct field {
    const char *name;
    bool wanted, object;
};

static const struct field fields[] = {
    {"kind", true, false},         {"machine", true, false},   {"type", true, false},
    {"payload", true, true},       {"event_id", false, false}, {"occurred_at", false, false},
    {"traceparent", false, false},
};
#define FIELDS (sizeof fields / sizeof fields[0])

static bool is_uuid(const char *text)
{
    if (strlen(text) != 36)
        return false;
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    }
    return true;
}

/* What is there is known and of its type. */
static bool check_known(json_t *object, char *error, size_t error_size)
{
    const char *key;
    json_t *value;
    json_object_foreach (object, key, value) {
        size_t i = 0;
        while (i < FIELDS && strcmp(fields[i].name, key) != 0)
            i++;
        if (i == FIELDS) {
            snprintf(error, error_size, "unknown field \"%s\"", key);
            return false;
        }
        if (fields[i].object ? !json_is_object(value) : !json_is_string(value)) {
            snprintf(error, error_size, "%s is no %s", key, fields[i].object ? "object" : "text");
            return false;
        }
    }
    return true;
}

static bool check_wanted(const json_t *object, char *error, size_t error_size)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (fields[i].wanted && !json_object_get(object, fields[i].name)) {
            snprintf(error, error_size, "%s is missing", fields[i].name);
            return false;
        }
    }
    const char *id = json_string_value(json_object_get(object, "event_id"));
    if (id && !is_uuid(id)) {
        snprintf(error, error_size, "event_id is no UUID");
        return false;
    }
    return true;
}

bool import_line_check(const char *text, size_t len, char *error, size_t error_size)
{
    json_error_t json_error;
    /* Numbers of any size are PostgreSQL's business; here they only must look like numbers. */
    json_t *object = json_loadb(
        text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &json_error);
    if (!object) {
        snprintf(error, error_size, "no JSON: %s (column %d)", json_error.text, json_error.column);
        return false;
    }
    bool ok = json_is_object(object);
    if (!ok)
        snprintf(error, error_size, "no JSON object");
    ok = ok && check_known(object, error, error_size) && check_wanted(object, error, error_size);
    json_decref(object);
    return ok;
}
