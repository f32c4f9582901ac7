/* mtconnect.c - the MTConnect service, as its clients call it; see mtconnect.h */
#include "suite/mtconnect.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_BYTES 2048

struct mtconnect {
    struct loop *loop;
    struct mtconnect_settings settings;
    struct http_client *http;
    char *api_key_header; /* "X-API-Key: ...", or NULL */
    size_t base_len;      /* of base_url, without trailing slashes */
};

/* --- the API key --- */

char *mtconnect_api_key_header(const char *path, char *error, size_t error_size)
{
    *error = '\0';
    char *key = *path ? secret_read(path, error, error_size) : NULL;
    char *header = key ? xasprintf("X-API-Key: %s", key) : NULL;
    free(key);
    return header;
}

/* On failure the key that was read before stays. */
static bool read_api_key(struct mtconnect *mtconnect, char *error, size_t error_size)
{
    char *header = mtconnect_api_key_header(mtconnect->settings.api_key_file, error, error_size);
    if (!header)
        return !*error;
    free(mtconnect->api_key_header);
    mtconnect->api_key_header = header;
    return true;
}

void mtconnect_read_api_key(struct mtconnect *mtconnect)
{
    char error[256];
    if (!read_api_key(mtconnect, error, sizeof error))
        log_error("API key not read; going on with the one before", LF_S("reason", error));
}

/* --- making and freeing --- */

static size_t trimmed_len(const char *base_url)
{
    size_t len = strlen(base_url);
    while (len && base_url[len - 1] == '/')
        len--;
    return len;
}

static void make_client(struct mtconnect *mtconnect)
{
    const struct mtconnect_settings *settings = &mtconnect->settings;
    struct http_client_settings http = {.timeout_ms = settings->timeout_ms,
                                        .connect_timeout_ms = settings->connect_timeout_ms,
                                        .connections = settings->connections,
                                        .idle_s = settings->idle_s,
                                        .user_agent = settings->user_agent};
    mtconnect->http = http_client_new(mtconnect->loop, &http);
}

struct mtconnect *mtconnect_new(struct loop *loop, const struct mtconnect_settings *settings,
                                char *error, size_t error_size)
{
    struct mtconnect *mtconnect = xcalloc(1, sizeof *mtconnect);
    mtconnect->loop = loop;
    mtconnect->settings = *settings;
    mtconnect->base_len = trimmed_len(settings->base_url);
    make_client(mtconnect);
    if (!read_api_key(mtconnect, error, error_size)) {
        mtconnect_free(mtconnect);
        return NULL;
    }
    return mtconnect;
}

void mtconnect_free(struct mtconnect *mtconnect)
{
    if (!mtconnect)
        return;
    http_client_free(mtconnect->http);
    free(mtconnect->api_key_header);
    free(mtconnect);
}

void mtconnect_abort(struct mtconnect *mtconnect)
{
    http_client_free(mtconnect->http);
    make_client(mtconnect);
}

bool mtconnect_has_room(const struct mtconnect *mtconnect)
{
    return http_client_has_room(mtconnect->http);
}

int mtconnect_under_way(const struct mtconnect *mtconnect)
{
    return http_client_under_way(mtconnect->http);
}

size_t mtconnect_held(const struct mtconnect *mtconnect)
{
    return http_client_held(mtconnect->http);
}

/* --- the calls --- */

static void add_header(struct http_request *request, int *count, const char *header)
{
    if (header && *count < HTTP_HEADERS_MAX)
        request->headers[(*count)++] = header;
}

static void put_url(const struct mtconnect *mtconnect, const char *path, char out[URL_BYTES])
{
    snprintf(out, URL_BYTES, "%.*s%s", (int)mtconnect->base_len, mtconnect->settings.base_url,
             path);
}

bool mtconnect_post(struct mtconnect *mtconnect, const struct mtconnect_event *event,
                    http_done done, void *arg)
{
    char url[URL_BYTES], key[192], trace[192];
    struct http_request request = {.method = "POST",
                                   .url = url,
                                   .body = event->body,
                                   .len = event->len,
                                   .fresh = event->fresh};
    int count = 0;
    put_url(mtconnect, event->path, url);
    snprintf(key, sizeof key, "X-Idempotency-Key: %s", event->key);
    add_header(&request, &count, "Content-Type: application/json");
    add_header(&request, &count, "Expect:"); /* no 100-continue: it costs a round trip */
    add_header(&request, &count, key);
    add_header(&request, &count, mtconnect->api_key_header);
    if (event->traceparent) {
        snprintf(trace, sizeof trace, "traceparent: %s", event->traceparent);
        add_header(&request, &count, trace);
    }
    return http_client_start(mtconnect->http, &request, done, arg);
}

bool mtconnect_get_cycle_time(struct mtconnect *mtconnect, const char *machine, const char *etag,
                              bool fresh, size_t keep_body, http_done done, void *arg)
{
    char match[512];
    char *url = mtconnect_cycle_time_url(mtconnect->settings.base_url, machine);
    struct http_request request = {
        .method = "GET", .url = url, .fresh = fresh, .keep_body = keep_body};
    int count = 0;
    add_header(&request, &count, "Accept: application/json");
    add_header(&request, &count, mtconnect->api_key_header);
    if (etag && strlen(etag) < sizeof match - 20) {
        snprintf(match, sizeof match, "If-None-Match: %s", etag);
        add_header(&request, &count, match);
    }
    bool started = http_client_start(mtconnect->http, &request, done, arg);
    free(url);
    return started;
}

bool mtconnect_register(struct mtconnect *mtconnect, const char *body, http_done done, void *arg)
{
    char url[URL_BYTES];
    struct http_request request = {.method = "POST",
                                   .url = url,
                                   .body = body,
                                   .len = strlen(body),
                                   .fresh = true}; /* it is rare: an old connection is a dead one */
    int count = 0;
    put_url(mtconnect, "/api/v1/webhooks", url);
    add_header(&request, &count, "Content-Type: application/json");
    add_header(&request, &count, mtconnect->api_key_header);
    return http_client_start(mtconnect->http, &request, done, arg);
}

bool mtconnect_get_health(struct mtconnect *mtconnect, const char *path, http_done done, void *arg)
{
    char url[URL_BYTES];
    struct http_request request = {
        .method = "GET", .url = url, .keep_body = MTCONNECT_HEALTH_BYTES};
    int count = 0;
    put_url(mtconnect, path, url);
    add_header(&request, &count, "Accept: application/json");
    add_header(&request, &count, mtconnect->api_key_header);
    return http_client_start(mtconnect->http, &request, done, arg);
}

/* --- what an answer means --- */

enum mtconnect_class mtconnect_class_of(const struct http_result *result)
{
    long status = result->status;
    if (status < 200)
        return MTCONNECT_LATER;
    if (status <= 299 || status == 409)
        return MTCONNECT_TAKEN;
    if (status <= 399 || status == 401 || status == 403 || status == 407)
        return MTCONNECT_REFUSED;
    if (status == 408 || status == 425 || status == 429 || status >= 500)
        return MTCONNECT_LATER;
    return MTCONNECT_NEVER;
}

bool mtconnect_died_idle(const struct http_result *result)
{
    return result->status == 0 && result->reused && result->nothing_read &&
           result->end != HTTP_TIMED_OUT;
}

int64_t mtconnect_pause_ms(const struct mtconnect *mtconnect, const struct http_result *result,
                           int64_t ours_ms)
{
    int64_t asked = result->retry_after_s * 1000, most = mtconnect->settings.retry_after_max_ms;
    if (asked > most)
        asked = most;
    return asked > ours_ms ? asked : ours_ms;
}

void mtconnect_describe(const struct http_result *result, char *out, size_t size)
{
    if (result->status)
        snprintf(out, size, "HTTP %ld", result->status);
    else
        snprintf(out, size, "no answer: %s", result->error);
}

char *mtconnect_cycle_time_url(const char *base_url, const char *machine)
{
    char *escaped = http_escape(machine);
    char *url = xasprintf("%.*s/api/ext/machines/%s/cycle-time", (int)trimmed_len(base_url),
                          base_url, escaped);
    free(escaped);
    return url;
}
