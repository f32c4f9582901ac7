/* service.c - the endpoints of MTConnect; see sim.h */
#include "sim.h"
#include "base/clock.h"
#include "base/xalloc.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#define SETUP_PATH   "/api/ext/setup"
#define EVENT_PATH   "/api/ext/event"
#define MACHINE_PATH "/api/ext/machines/"
#define HEALTH_PATH  "/api/ext/health"
#define WEBHOOK_PATH "/api/v1/webhooks"

struct cycle {
    char *machine;
    double seconds; /* not positive: nothing known yet */
    char observed_at[40];
    json_int_t part_count;
    UT_hash_handle hh;
};

struct cycles {
    struct cycle *table;
};

struct cycles *cycles_new(void)
{
    return xcalloc(1, sizeof(struct cycles));
}

void cycles_free(struct cycles *cycles)
{
    struct cycle *cycle = cycles->table, *next;
    HASH_CLEAR(hh, cycles->table); /* lets go of them all; their list is still whole */
    for (; cycle; cycle = next) {
        next = cycle->hh.next;
        free(cycle->machine);
        free(cycle);
    }
    free(cycles);
}

bool service_set_cycle(struct sim *sim, json_t *told)
{
    const char *machine = json_string_value(json_object_get(told, "machine"));
    const char *observed_at = json_string_value(json_object_get(told, "observed_at"));
    json_t *seconds = json_object_get(told, "cycle_time");
    if (!machine || (observed_at && !contract_is_time(observed_at)))
        return false;
    struct cycle *cycle;
    HASH_FIND_STR(sim->cycles->table, machine, cycle);
    if (!cycle) {
        cycle = xcalloc(1, sizeof *cycle);
        cycle->machine = xstrdup(machine);
        HASH_ADD_KEYPTR(hh, sim->cycles->table, cycle->machine, strlen(cycle->machine), cycle);
    }
    char now[UTC_TEXT];
    cycle->seconds = json_number_value(seconds);
    cycle->part_count = json_integer_value(json_object_get(told, "part_count"));
    snprintf(cycle->observed_at, sizeof cycle->observed_at, "%s",
             observed_at ? observed_at : utc_format(utc_us(), now));
    return true;
}

bool service_load_cycles(struct sim *sim, const char *path, char *error, size_t error_size)
{
    json_error_t wrong;
    json_t *all = json_load_file(path, JSON_REJECT_DUPLICATES, &wrong);
    bool ok = json_is_array(all);
    if (!all && wrong.line < 0) /* it could not be read; the text says the path */
        snprintf(error, error_size, "%s", wrong.text);
    else if (!all)
        snprintf(error, error_size, "%s, line %d: %s", path, wrong.line, wrong.text);
    else if (!ok)
        snprintf(error, error_size, "%s: not an array", path);
    size_t i;
    json_t *told;
    json_array_foreach (all, i, told) {
        if (!ok)
            break;
        ok = json_is_number(json_object_get(told, "cycle_time")) && service_set_cycle(sim, told);
        if (!ok)
            snprintf(error, error_size,
                     "%s: entry %zu: machine, cycle_time or observed_at is missing or wrong", path,
                     i + 1);
    }
    json_decref(all);
    return ok;
}

static void reply_json(struct http_exchange *exchange, unsigned status, json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(10));
    if (!text)
        out_of_memory(0);
    http_reply(exchange, status, "application/json; charset=utf-8", text, strlen(text), NULL);
    free(text);
    json_decref(body);
}

static void reply_refusal(struct sim *sim, struct http_exchange *exchange,
                          const struct contract_answer *answer)
{
    record_violation(sim->record, http_path(exchange), answer->message);
    reply_json(
        exchange, answer->status,
        json_pack("{s:i, s:s}", "statusCode", (int)answer->status, "message", answer->message));
}

/* Announces more than it sends, then ends: the client has the status line and not the body. */
static ssize_t break_off(void *arg, uint64_t at, char *out, size_t most)
{
    (void)arg;
    if (at > 0 || most < 9)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    memcpy(out, "{\"status\"", 9); // NOLINT(bugprone-not-null-terminated-result): a piece of a body
    return 9;
}

static void reply_applied(struct http_exchange *exchange, const char *status, enum answer_end end)
{
    if (end == ANSWER_LOST) {
        http_abort(exchange);
        return;
    }
    if (end == ANSWER_TRUNCATED) {
        struct MHD_Response *response = MHD_create_response_from_callback(64, 64, break_off, NULL,
                                                                          NULL);
        if (!response)
            out_of_memory(0);
        http_reply_response(exchange, 201, response);
        return;
    }
    char body[64];
    int len = snprintf(body, sizeof body, "{\"status\":\"%s\"}", status);
    http_reply(exchange, 201, "application/json; charset=utf-8", body, (size_t)len, NULL);
}

static void on_event(struct sim *sim, struct http_exchange *exchange,
                     const struct contract_event *event, enum answer_end end)
{
    if (sim->check_keys && record_is_applied(sim->record, event->key)) {
        record_add(sim->record, event->machine, event->type, event->key, 409, false, "seen");
        reply_json(exchange, 409,
                   json_pack("{s:i, s:s}", "statusCode", 409, "message", "key was applied before"));
        return;
    }
    record_add(sim->record, event->machine, event->type, event->key, 201, true,
               end == ANSWER_WHOLE ? "" : "lost");
    reply_applied(exchange, "created", end);
}

static bool is_new_gateway(struct sim *sim, const char *id)
{
    for (int i = 0; i < sim->gateway_count; i++) {
        if (strcmp(sim->gateways[i], id) == 0)
            return false;
    }
    sim->gateways = xrealloc(sim->gateways,
                             (size_t)(sim->gateway_count + 1) * sizeof *sim->gateways);
    sim->gateways[sim->gateway_count++] = xstrdup(id);
    return true;
}

static void on_gateway(struct sim *sim, struct http_exchange *exchange, const json_t *body,
                       const char *key, enum answer_end end)
{
    const char *id = json_string_value(json_object_get(body, "edgeGatewayId"));
    char *names = json_dumps(json_object_get(body, "machines"), JSON_COMPACT);
    record_add(sim->record, id, names, key, 201, true, end == ANSWER_WHOLE ? "" : "lost");
    free(names);
    reply_applied(exchange, is_new_gateway(sim, id) ? "created" : "exists", end);
}

static void on_post(struct sim *sim, struct http_exchange *exchange, enum answer_end end)
{
    struct contract_answer answer = {0};
    struct contract_event event;
    bool setup = strcmp(http_path(exchange), SETUP_PATH) == 0;
    json_t *body = contract_read(sim, exchange, &answer);
    if (body && contract_key(exchange, &event.key, &answer)) {
        const char *key = event.key;
        if (setup && sim->mode == SIM_DEPLOYED) {
            if (contract_gateway(body, &answer))
                on_gateway(sim, exchange, body, key, end);
        } else if (contract_event(body, setup, sim->mode, &event, &answer)) {
            event.key = key;
            on_event(sim, exchange, &event, end);
        }
    }
    if (answer.status)
        reply_refusal(sim, exchange, &answer);
    json_decref(body);
}

static json_t *cycle_body(const struct sim *sim, const struct cycle *cycle)
{
    bool known = cycle->seconds > 0;
    if (!sim->deployed_cycle)
        return json_pack("{s:s, s:f, s:s}", "machine_id", cycle->machine, "last_cycle_time",
                         cycle->seconds, "observed_at", cycle->observed_at);
    json_t *data = json_array();
    if (known)
        json_array_append_new(data, json_pack("{s:s, s:f, s:I}", "timestamp", cycle->observed_at,
                                              "cycleTime", cycle->seconds, "partCount",
                                              cycle->part_count));
    return json_pack("{s:s, s:i, s:f, s:o}", "machineId", cycle->machine, "totalRecords",
                     known ? 1 : 0, "averageCycleTime", known ? cycle->seconds : 0.0, "data", data);
}

static void on_cycle_time(struct sim *sim, struct http_exchange *exchange)
{
    const char *name = http_path(exchange) + strlen(MACHINE_PATH);
    size_t len = strlen(name), tail = strlen("/cycle-time");
    struct contract_answer answer = {.status = 404, .message = "no such machine"};
    struct cycle *cycle = NULL;
    if (len > tail && strcmp(name + len - tail, "/cycle-time") == 0)
        HASH_FIND(hh, sim->cycles->table, name, len - tail, cycle);
    if (!contract_api_key(sim, exchange, &answer) || !cycle) {
        reply_refusal(sim, exchange, &answer);
        return;
    }
    char etag[96];
    snprintf(etag, sizeof etag, "W/\"%.10g-%s\"", cycle->seconds, cycle->observed_at);
    const char *have = http_header(exchange, "If-None-Match");
    struct http_extra extras[] = {{"ETag", etag}, {NULL, NULL}};
    if (have && strcmp(have, etag) == 0) {
        http_reply(exchange, 304, NULL, "", 0, extras);
        return;
    }
    json_t *body = cycle_body(sim, cycle);
    char *text = json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(10));
    if (!text)
        out_of_memory(0);
    http_reply(exchange, 200, "application/json; charset=utf-8", text, strlen(text), extras);
    free(text);
    json_decref(body);
}

static void on_registration(struct sim *sim, struct http_exchange *exchange)
{
    struct contract_answer answer = {0};
    json_t *body = contract_read(sim, exchange, &answer);
    const char *url = json_string_value(json_object_get(body, "url"));
    if (!answer.status && (!url || strncmp(url, "http", 4) != 0))
        answer = (struct contract_answer){.status = 400, .message = "url is no URL"};
    if (answer.status) {
        reply_refusal(sim, exchange, &answer);
    } else {
        bool fresh = webhooks_register(sim->webhooks, url);
        reply_json(exchange, fresh ? 201 : 200,
                   json_pack("{s:s, s:s}", "status", fresh ? "created" : "exists", "url", url));
    }
    json_decref(body);
}

void service_process(struct sim *sim, struct http_exchange *exchange, enum answer_end end)
{
    const char *method = http_method(exchange), *path = http_path(exchange);
    bool post = strcmp(method, "POST") == 0;
    if (post && (strcmp(path, SETUP_PATH) == 0 || strcmp(path, EVENT_PATH) == 0)) {
        on_post(sim, exchange, end);
    } else if (strcmp(method, "GET") == 0 && strcmp(path, HEALTH_PATH) == 0) {
        reply_json(exchange, 200, json_pack("{s:s}", "status", "ok"));
    } else if (strcmp(method, "GET") == 0 &&
               strncmp(path, MACHINE_PATH, strlen(MACHINE_PATH)) == 0) {
        on_cycle_time(sim, exchange);
    } else if (post && strcmp(path, WEBHOOK_PATH) == 0) {
        on_registration(sim, exchange);
    } else {
        struct contract_answer answer = {.status = 404};
        snprintf(answer.message, sizeof answer.message, "Cannot %s %s", method, path);
        reply_refusal(sim, exchange, &answer);
    }
}

/* Machine and type for the fault rules, from a body that may be anything. */
static void peek(struct http_exchange *exchange, json_t **body, struct fault_request *request)
{
    size_t len;
    const char *text = http_body(exchange, &len);
    *body = len ? json_loadb(text, len, 0, NULL) : NULL;
    request->path = http_path(exchange);
    request->machine = json_string_value(json_object_get(*body, "machineId"));
    request->type = json_string_value(json_object_get(*body, "eventType"));
}

void service_on_request(struct http_exchange *exchange, void *arg)
{
    struct sim *sim = arg;
    if (faults_any(sim->faults)) {
        struct fault_request request;
        json_t *body;
        peek(exchange, &body, &request);
        bool taken = faults_apply(sim->faults, exchange, &request);
        json_decref(body);
        if (taken)
            return;
    }
    service_process(sim, exchange, ANSWER_WHOLE);
}

bool service_up(struct sim *sim, char *error, size_t error_size)
{
    if (sim->server)
        return true;
    sim->server = http_server_new(sim->loop, sim->address, &sim->limits, service_on_request, sim,
                                  error, error_size);
    return sim->server != NULL;
}

void service_down(struct sim *sim)
{
    faults_drop_waiting(sim->faults);
    http_server_free(sim->server);
    sim->server = NULL;
}
