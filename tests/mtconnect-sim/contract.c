/* contract.c - is this request what MTConnect takes? see sim.h, and contract/mtconnect.yaml */
#include "sim.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

__attribute__((format(printf, 3, 4))) static bool refuse(struct contract_answer *answer,
                                                         unsigned status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    answer->status = status;
    vsnprintf(answer->message, sizeof answer->message, format, args);
    va_end(args);
    return false;
}

static bool digits(const char *text, int count)
{
    for (int i = 0; i < count; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
    }
    return true;
}

/* RFC 3339 date-time: 2025-12-28T12:12:33.213Z or with +hh:mm */
bool contract_is_time(const char *text)
{
    size_t len = strlen(text);
    if (len < 20 || !digits(text, 4) || text[4] != '-' || !digits(text + 5, 2) || text[7] != '-' ||
        !digits(text + 8, 2) || text[10] != 'T' || !digits(text + 11, 2) || text[13] != ':' ||
        !digits(text + 14, 2) || text[16] != ':' || !digits(text + 17, 2))
        return false;
    const char *at = text + 19;
    if (*at == '.') {
        at++;
        if (!isdigit((unsigned char)*at))
            return false;
        while (isdigit((unsigned char)*at))
            at++;
    }
    if (strcmp(at, "Z") == 0)
        return true;
    return (*at == '+' || *at == '-') && strlen(at) == 6 && digits(at + 1, 2) && at[3] == ':' &&
           digits(at + 4, 2);
}

bool contract_api_key(const struct sim *sim, struct http_exchange *exchange,
                      struct contract_answer *answer)
{
    const char *given = http_header(exchange, "X-API-Key");
    if (sim->api_key && (!given || strcmp(given, sim->api_key) != 0))
        return refuse(answer, 401, "X-API-Key is %s", given ? "wrong" : "missing");
    return true;
}

bool contract_key(struct http_exchange *exchange, const char **key, struct contract_answer *answer)
{
    *key = http_header(exchange, "X-Idempotency-Key");
    if (!*key || !**key || strlen(*key) > 128)
        return refuse(answer, 400, "X-Idempotency-Key is missing or longer than 128");
    for (const char *at = *key; *at; at++) {
        if (!isalnum((unsigned char)*at) && !strchr("-_.:", *at))
            return refuse(answer, 400, "X-Idempotency-Key holds \"%c\"", *at);
    }
    return true;
}

static bool check_trace(struct http_exchange *exchange, struct contract_answer *answer)
{
    const char *trace = http_header(exchange, "traceparent");
    if (!trace)
        return true;
    bool ok = strlen(trace) == 55 && strspn(trace, "0123456789abcdef-") == 55 && trace[2] == '-' &&
              trace[35] == '-' && trace[52] == '-';
    return ok || refuse(answer, 400, "traceparent is malformed");
}

json_t *contract_read(const struct sim *sim, struct http_exchange *exchange,
                      struct contract_answer *answer)
{
    const char *type = http_header(exchange, "Content-Type");
    if (!contract_api_key(sim, exchange, answer) || !check_trace(exchange, answer))
        return NULL;
    if (!type || strncasecmp(type, "application/json", 16) != 0) {
        refuse(answer, 415, "Content-Type is no application/json");
        return NULL;
    }
    size_t len;
    const char *text = http_body(exchange, &len);
    json_error_t error;
    json_t *body = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!body)
        refuse(answer, 400, "body is no JSON: %s", error.text);
    return body;
}

static bool is_type(const char *text)
{
    size_t dots = 0;
    for (const char *at = text; *at; at++) {
        if (*at == '.')
            dots++;
        else if (!islower((unsigned char)*at) && !isdigit((unsigned char)*at) && *at != '_' &&
                 *at != '-')
            return false;
    }
    return dots > 0 && *text != '.';
}

static bool known_fields_only(const json_t *body, const char *const *known,
                              struct contract_answer *answer)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)body, key, value) {
        int i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return refuse(answer, 400, "unknown field %s", key);
    }
    return true;
}

bool contract_event(const json_t *body, bool on_setup_path, enum sim_mode mode,
                    struct contract_event *out, struct contract_answer *answer)
{
    static const char *const known[] = {"machineId", "eventType", "timestamp", "data", NULL};
    if (!json_is_object(body) || !known_fields_only(body, known, answer))
        return answer->status ? false : refuse(answer, 400, "body is no object");
    out->machine = json_string_value(json_object_get(body, "machineId"));
    out->type = json_string_value(json_object_get(body, "eventType"));
    const char *time = json_string_value(json_object_get(body, "timestamp"));
    if (!out->machine || !*out->machine)
        return refuse(answer, 400, "machineId is no text or empty");
    if (!out->type || !is_type(out->type))
        return refuse(answer, 400, "eventType is no type");
    if (!time || !contract_is_time(time))
        return refuse(answer, 400, "timestamp is no RFC 3339 time");
    if (!json_is_object(json_object_get(body, "data")))
        return refuse(answer, 400, "data is no object");
    bool is_setup = strncmp(out->type, "setup.", 6) == 0;
    if (on_setup_path && !is_setup)
        return refuse(answer, 400, "%s does not belong on /setup", out->type);
    if (!on_setup_path && is_setup && mode == SIM_PLAN)
        return refuse(answer, 400, "%s belongs on /setup", out->type);
    return true;
}

bool contract_gateway(const json_t *body, struct contract_answer *answer)
{
    json_t *machines = json_object_get(body, "machines");
    const char *id = json_string_value(json_object_get(body, "edgeGatewayId"));
    if (!json_is_array(machines)) /* as the deployed service does */
        return refuse(answer, 500, "Internal server error");
    if (!id || !*id)
        return refuse(answer, 400, "edgeGatewayId is no text or empty");
    size_t i;
    json_t *name;
    json_array_foreach (machines, i, name) {
        if (!json_is_string(name) || !json_string_length(name))
            return refuse(answer, 400, "machines holds something that is no name");
    }
    return true;
}
