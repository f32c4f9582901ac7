/*
 * control.c - the port tests steer the simulator by; see sim.h
 *
 *   GET  /stats            counts as JSON
 *   GET  /record?since=N   arrivals as lines: number, time (us), status, applied, machine, type,
 *                          key, note;
 * tab-separated POST /faults           replaces the rules of faults.c POST /cycle            sets
 * {"machine", "cycle_time" (s), "observed_at", "part_count"} POST /webhook          sends
 * {"machine_id", "cycle_time", ..., "key"} to whoever has registered POST /down, /up        closes
 * and opens the service's port POST /reset            forgets the record
 */
#include "sim.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>

static void reply(struct http_exchange *exchange, unsigned status, const char *text)
{
    http_reply(exchange, status, "text/plain", text, strlen(text), NULL);
}

static void reply_printed(struct sim *sim, struct http_exchange *exchange,
                          void (*print)(struct sim *, const char *, FILE *))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        out_of_memory(0);
    print(sim, http_query(exchange, "since"), out);
    fclose(out);
    http_reply(exchange, 200, "text/plain", text, len, NULL);
    free(text);
}

static void print_stats(struct sim *sim, const char *since, FILE *out)
{
    (void)since;
    fputs("{\"record\":", out);
    record_stats(sim->record, out);
    fputs(",\"webhooks\":", out);
    webhooks_stats(sim->webhooks, out);
    fputs(",\"faults\":", out);
    faults_count(sim->faults, out);
    fputs("}\n", out);
}

static void print_record(struct sim *sim, const char *since, FILE *out)
{
    record_print(sim->record, since ? strtoul(since, NULL, 10) : 0, out);
}

static bool post(struct sim *sim, const char *path, json_t *body, char *error, size_t error_size)
{
    if (strcmp(path, "/faults") == 0)
        return faults_set(sim->faults, body, error, error_size);
    if (strcmp(path, "/cycle") == 0) {
        snprintf(error, error_size, "machine, or observed_at, is wrong");
        return service_set_cycle(sim, body);
    }
    if (strcmp(path, "/webhook") == 0)
        return webhooks_send(sim->webhooks, body, error, error_size);
    if (strcmp(path, "/up") == 0)
        return service_up(sim, error, error_size);
    if (strcmp(path, "/down") == 0)
        service_down(sim);
    else if (strcmp(path, "/reset") == 0)
        record_clear(sim->record);
    else {
        snprintf(error, error_size, "no such verb");
        return false;
    }
    return true;
}

void control_on_request(struct http_exchange *exchange, void *arg)
{
    struct sim *sim = arg;
    const char *path = http_path(exchange);
    bool get = strcmp(http_method(exchange), "GET") == 0;
    if (get && strcmp(path, "/stats") == 0) {
        reply_printed(sim, exchange, print_stats);
    } else if (get && strcmp(path, "/record") == 0) {
        reply_printed(sim, exchange, print_record);
    } else if (get) {
        reply(exchange, 404, "no such thing\n");
    } else {
        size_t len;
        const char *text = http_body(exchange, &len);
        json_t *body = len ? json_loadb(text, len, 0, NULL) : NULL;
        char error[160] = "";
        bool ok = post(sim, path, body, error, sizeof error);
        reply(exchange, ok ? 200 : 400, ok ? "ok\n" : error);
        json_decref(body);
    }
}
