/* answer.c - what MTConnect says of a machine's cycle time, in either shape; see answer.h */
#include "answer.h"
#include "base/rfc3339.h"
#include "suite/mtconnect.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void broken(struct answer *out, const char *format,
                                                         ...)
{
    va_list words;
    va_start(words, format);
    out->kind = ANSWER_BROKEN;
    vsnprintf(out->error, sizeof out->error, format, words);
    va_end(words);
}

static bool read_seconds(const json_t *value, const char *name, struct answer *out)
{
    if (!json_is_number(value)) {
        broken(out, "%s is %s", name, value ? "no number" : "missing");
        return false;
    }
    out->seconds = json_number_value(value);
    if (out->seconds >= ANSWER_SECONDS_MIN && out->seconds <= ANSWER_SECONDS_MAX)
        return true;
    broken(out, "%s is %g, not a time between %g and %g s", name, out->seconds, ANSWER_SECONDS_MIN,
           ANSWER_SECONDS_MAX);
    return false;
}

static bool read_time(const json_t *value, const char *name, int64_t now_us, struct answer *out)
{
    const char *text = json_string_value(value);
    if (!text || !rfc3339_parse(text, &out->observed_us)) {
        broken(out, "%s is no RFC 3339 time", name);
        return false;
    }
    if (out->observed_us < MTCONNECT_OBSERVED_FROM_US) {
        broken(out, "%s %.40s lies before the year 2000", name, text);
        return false;
    }
    if (out->observed_us <= now_us + ANSWER_FUTURE_MAX_S * INT64_C(1000000))
        return true;
    broken(out, "%s %.40s lies in the future", name, text);
    return false;
}

static bool is_machine(const json_t *value, const char *machine, int machine_id)
{
    if (json_is_integer(value))
        return json_integer_value(value) == machine_id;
    const char *text = json_string_value(value);
    return text && strcmp(text, machine) == 0;
}

static void read_plan(const json_t *body, const char *machine, int machine_id, int64_t now_us,
                      struct answer *out)
{
    const json_t *who = json_object_get(body, "machine_id"),
                 *when = json_object_get(body, "observed_at");
    if (who && !is_machine(who, machine, machine_id))
        broken(out, "machine_id is not the machine that was asked for");
    else if (read_seconds(json_object_get(body, "last_cycle_time"), "last_cycle_time", out) &&
             (!when || read_time(when, "observed_at", now_us, out)))
        out->kind = ANSWER_VALUE;
}

static void read_deployed(const json_t *body, const char *machine, int machine_id, int64_t now_us,
                          struct answer *out)
{
    const json_t *total = json_object_get(body, "totalRecords"),
                 *data = json_object_get(body, "data");
    const json_t *first = json_array_get(data, 0);
    if (!is_machine(json_object_get(body, "machineId"), machine, machine_id))
        broken(out, "machineId is not the machine that was asked for");
    else if (!json_is_integer(total) || json_integer_value(total) < 0)
        broken(out, "totalRecords is no count");
    else if (json_integer_value(total) == 0)
        out->kind = ANSWER_NOTHING_YET;
    else if (!json_is_object(first))
        broken(out, "data[0] is no object");
    else if (read_seconds(json_object_get(first, "cycleTime"), "data[0].cycleTime", out) &&
             read_time(json_object_get(first, "timestamp"), "data[0].timestamp", now_us, out))
        out->kind = ANSWER_VALUE;
}

void answer_read(const char *body, size_t len, const char *machine, int machine_id, int64_t now_us,
                 struct answer *out)
{
    json_error_t error;
    *out = (struct answer){.kind = ANSWER_BROKEN};
    if (len >= ANSWER_BODY_MAX) {
        broken(out, "the answer is larger than %d bytes", ANSWER_BODY_MAX);
        return;
    }
    json_t *json = json_loadb(body, len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(json))
        broken(out, "no JSON object%s%.120s", json ? "" : ": ", json ? "" : error.text);
    else if (json_object_get(json, "last_cycle_time"))
        read_plan(json, machine, machine_id, now_us, out);
    else if (json_object_get(json, "totalRecords"))
        read_deployed(json, machine, machine_id, now_us, out);
    else
        broken(out, "neither last_cycle_time nor totalRecords is there");
    json_decref(json);
}
