/*
 * registration.c - tells MTConnect where its web-hooks go; see registration.h
 *
 * Diagnostics: the first success is a line, and each failure a warning with the pause that follows.
 */
#include "registration.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "net/http_client.h"
#include "base/log.h"
#include "suite/settings.h"
#include "version.h"
#include "base/xalloc.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct registration {
    struct service *service;
    struct http_client *http;
    struct timer *timer;
    struct backoff backoff;
    char *url, *body, *api_key_header;
    bool done;
    struct metric *registered, *failures;
};

static void arm(struct registration *registration, int64_t ms)
{
    timer_in(registration->timer, ms);
}

static void on_answer(const struct http_result *result, void *arg)
{
    struct registration *registration = arg;
    if (result->status / 100 == 2 || result->status == 409) {
        if (!registration->done)
            log_info("registered for web-hooks",
                     LF_S("url", registration->service->config->receiver_public_url),
                     LF_I("status", result->status));
        registration->done = true;
        metric_set(registration->registered, 1);
        backoff_reset(&registration->backoff);
        arm(registration, registration->service->config->receiver_register_every_s * 1000);
        return;
    }
    int64_t pause = backoff_next_ms(&registration->backoff), asked = result->retry_after_s * 1000;
    if (asked > pause)
        pause = asked < registration->backoff.max_ms ? asked : registration->backoff.max_ms;
    char status[32];
    snprintf(status, sizeof status, "HTTP %ld", result->status);
    log_warn("not registered for web-hooks; trying again",
             LF_S("reason", result->status ? status : result->error), LF_S("answer", result->body),
             LF_I("retry_ms", pause));
    metric_add(registration->failures, 1);
    arm(registration, pause);
}

static void on_timer(void *arg)
{
    struct registration *registration = arg;
    struct http_request request = {.method = "POST",
                                   .url = registration->url,
                                   .body = registration->body,
                                   .len = strlen(registration->body),
                                   .fresh = true}; /* it is rare: an old connection is a dead one */
    int count = 0;
    registration_reload(registration); /* the key may have been changed */
    request.headers[count++] = "Content-Type: application/json";
    if (registration->api_key_header)
        request.headers[count++] = registration->api_key_header;
    http_client_start(registration->http, &request, on_answer,
                      registration); /* the only one under way */
}

bool registration_is_done(const struct registration *registration)
{
    return registration->done;
}

void registration_reload(struct registration *registration)
{
    char error[256];
    if (!settings_read_api_key(registration->service->config, &registration->api_key_header, error,
                               sizeof error))
        log_error("API key not read; going on with the one before", LF_S("reason", error));
}

static char *body_of(const char *public_url)
{
    json_t *body = json_pack("{s:s}", "url", public_url);
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

struct registration *registration_new(struct service *service, char *error, size_t error_size)
{
    const struct config *config = service->config;
    struct registration *registration = xcalloc(1, sizeof *registration);
    struct http_client_settings http = {
        .timeout_ms = config->mtconnect_timeout_ms,
        .connections = 2, /* the next may start in the callback of the last */
        .idle_s = config->mtconnect_idle_s,
        .user_agent = "mtc-receiver/" MTC_VERSION};
    size_t base = strlen(config->mtconnect_base_url);
    while (base && config->mtconnect_base_url[base - 1] == '/')
        base--;
    registration->service = service;
    registration->backoff = (struct backoff){.min_ms = 500, .max_ms = 30000};
    registration->url = xasprintf("%.*s/api/v1/webhooks", (int)base, config->mtconnect_base_url);
    registration->body = body_of(config->receiver_public_url);
    registration->timer = timer_new(service->loop, on_timer, registration);
    registration->http = http_client_new(service->loop, &http);
    registration->registered = metrics_add(service->metrics, METRIC_GAUGE,
                                           "mtc_receiver_registered",
                                           "1 once MTConnect has taken the registration", NULL);
    registration->failures = metrics_add(service->metrics, METRIC_COUNTER,
                                         "mtc_receiver_registration_failures_total",
                                         "Registrations MTConnect did not take", NULL);
    bool ok = registration->body &&
              settings_read_api_key(service->config, &registration->api_key_header, error,
                                    error_size);
    if (!registration->body)
        snprintf(error, error_size, "receiver.public_url is no UTF-8");
    if (!ok) {
        registration_free(registration);
        return NULL;
    }
    arm(registration, 0);
    return registration;
}

void registration_free(struct registration *registration)
{
    if (!registration)
        return;
    http_client_free(registration->http);
    timer_free(registration->timer);
    free(registration->url);
    free(registration->body);
    free(registration->api_key_header);
    free(registration);
}
