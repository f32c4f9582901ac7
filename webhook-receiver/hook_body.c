/* hook_body.c - the body of a web-hook, as it comes and as it goes on; see hook_body.h */
#include "hook_body.h"
#include "base/clock.h"
#include "base/rfc3339.h"
#include "suite/mtconnect.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *type_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

static bool read_machine(const json_t *value, struct hook_body *out, struct problem *problem)
{
    static const char field[] = "machine_id";
    if (!value) {
        problem_set(problem, 422, field, "machine_id is missing");
    } else if (json_is_integer(value)) {
        json_int_t id = json_integer_value(value);
        out->machine_id = id > 0 && id <= INT32_MAX ? (int)id : 0;
        if (!out->machine_id)
            problem_set(problem, 422, field, "machine_id is %" PRId64 ", not a machine's number",
                        (int64_t)id);
    } else if (json_is_string(value)) {
        const char *name = json_string_value(value);
        size_t len = json_string_length(value);
        bool good = len > 0 && len <= MACHINE_NAME_MAX;
        for (size_t i = 0; good && i < len; i++)
            good = !iscntrl((unsigned char)name[i]);
        if (good)
            memcpy(out->machine, name, len + 1);
        else
            problem_set(problem, 422, field,
                        "machine_id is empty, longer than %d bytes or holds control characters",
                        MACHINE_NAME_MAX);
    } else {
        problem_set(problem, 422, field, "machine_id is %s, not a whole number or a string",
                    type_of(value));
    }
    return problem->status == 0;
}

static bool read_cycle_time(const json_t *value, const struct hook_rules *rules,
                            struct hook_body *out, struct problem *problem)
{
    static const char field[] = "cycle_time";
    if (!json_is_number(value)) {
        problem_set(problem, 422, field,
                    value ? "cycle_time is %s, not a number" : "cycle_time is missing",
                    value ? type_of(value) : "");
        return false;
    }
    out->cycle_time_s = json_number_value(value);
    if (isfinite(out->cycle_time_s) && out->cycle_time_s >= 0.001 &&
        out->cycle_time_s <= (double)rules->cycle_time_max_s)
        return true;
    problem_set(problem, 422, field,
                "cycle_time is %g; wanted are seconds between 0.001 and %" PRId64,
                out->cycle_time_s, rules->cycle_time_max_s);
    return false;
}

static bool read_observed_at(const json_t *value, const struct hook_rules *rules,
                             struct hook_body *out, struct problem *problem)
{
    static const char field[] = "observed_at";
    if (!value)
        return true;
    if (!json_is_string(value))
        problem_set(problem, 422, field, "observed_at is %s, not a string", type_of(value));
    else if (!rfc3339_parse(json_string_value(value), &out->observed_us))
        problem_set(problem, 422, field, "observed_at is no RFC 3339 time with zone");
    else if (out->observed_us < MTCONNECT_OBSERVED_FROM_US)
        problem_set(problem, 422, field, "observed_at lies before the year 2000");
    else if (out->observed_us > rules->now_us + rules->future_max_s * 1000000)
        problem_set(problem, 422, field, "observed_at lies more than %" PRId64 " s in the future",
                    rules->future_max_s);
    return problem->status == 0;
}

static bool only_known_members(json_t *json, struct problem *problem)
{
    static const char *const known[] = {"machine_id", "cycle_time", "observed_at"};
    const char *name;
    json_t *value;
    json_object_foreach (json, name, value) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            found |= strcmp(name, known[i]) == 0;
        if (!found) {
            problem_set(problem, 422, name, "member \"%.60s\" is not part of the contract", name);
            return false;
        }
    }
    return true;
}

bool hook_body_read(const char *body, size_t len, const struct hook_rules *rules,
                    struct hook_body *out, struct problem *problem)
{
    json_error_t error;
    *out = (struct hook_body){0};
    *problem = (struct problem){0};
    if (len == 0) {
        problem_set(problem, 400, "body", "the body is empty");
        return false;
    }
    json_t *json = json_loadb(body, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!json)
        problem_set(problem, 400, "body", "the body is no good JSON: %.150s (line %d, column %d)",
                    error.text, error.line, error.column);
    else if (!json_is_object(json))
        problem_set(problem, 422, "body", "the body is %s, not an object", type_of(json));
    bool good = problem->status == 0 && only_known_members(json, problem) &&
                read_machine(json_object_get(json, "machine_id"), out, problem) &&
                read_cycle_time(json_object_get(json, "cycle_time"), rules, out, problem) &&
                read_observed_at(json_object_get(json, "observed_at"), rules, out, problem);
    json_decref(json);
    return good;
}

/* In quotes. A name holds no control characters: read_machine() has seen to that. */
static void quote(const char *name, char out[2 * MACHINE_NAME_MAX + 3])
{
    *out++ = '"';
    for (; *name; name++) {
        if (*name == '"' || *name == '\\')
            *out++ = '\\';
        *out++ = *name;
    }
    *out++ = '"';
    *out = '\0';
}

size_t hook_body_write(const struct hook_body *body, int64_t arrived_us, char out[HOOK_BODY_TEXT])
{
    char machine[2 * MACHINE_NAME_MAX + 3], observed[UTC_TEXT], arrived[UTC_TEXT];
    bool dated = body->observed_us != 0;
    if (body->machine_id)
        snprintf(machine, sizeof machine, "%d", body->machine_id);
    else
        quote(body->machine, machine);
    return (size_t)snprintf(out, HOOK_BODY_TEXT,
                            "{\"machine\":%s,\"cycle_time\":%.3f,\"observed_at\":\"%s\","
                            "\"dated\":%s,\"arrived_at\":\"%s\",\"source\":\"webhook\"}",
                            machine, body->cycle_time_s,
                            utc_format_us(dated ? body->observed_us : arrived_us, observed),
                            dated ? "true" : "false", utc_format_us(arrived_us, arrived));
}
