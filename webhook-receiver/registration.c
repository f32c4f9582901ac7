/*
 * registration.c - tells MTConnect where its web-hooks go; see registration.h
 *
 * Diagnostics: the first success is a line, and each failure a warning with the pause that follows.
 */
#include "registration.h"
#include "version.h"
#include "base/backoff.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"
#include "suite/mtconnect.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define PAUSE_MIN_MS 500
#define PAUSE_MAX_MS 30000

struct registration {
    struct service *service;
    const struct receiver_metrics *metrics;
    struct mtconnect *mtconnect;
    struct timer *timer;
    struct backoff backoff;
    char *body;
    bool done;
};

static void note_registered(struct registration *registration, const struct http_result *result)
{
    const struct config *config = registration->service->config;
    if (!registration->done)
        log_info("registered for web-hooks", LF_S("url", config->receiver_public_url),
                 LF_I("status", result->status));
    registration->done = true;
    metric_set(registration->metrics->registered, 1);
    backoff_reset(&registration->backoff);
    timer_in(registration->timer, config->receiver_register_every_s * 1000);
}

static void note_failure(struct registration *registration, const struct http_result *result)
{
    int64_t pause_ms = mtconnect_pause_ms(registration->mtconnect, result,
                                          backoff_next_ms(&registration->backoff));
    char status[32];
    mtconnect_describe(result, status, sizeof status);
    log_warn("not registered for web-hooks; trying again",
             LF_S("reason", result->status ? status : result->error), LF_S("answer", result->body),
             LF_I("retry_ms", pause_ms));
    metric_add(registration->metrics->registration_failures, 1);
    timer_in(registration->timer, pause_ms);
}

static void on_answer(const struct http_result *result, void *arg)
{
    if (mtconnect_class_of(result) == MTCONNECT_TAKEN)
        note_registered(arg, result);
    else
        note_failure(arg, result);
}

static void on_timer(void *arg)
{
    struct registration *registration = arg;
    mtconnect_read_api_key(registration->mtconnect); /* it may have been changed */
    mtconnect_register(registration->mtconnect, registration->body, on_answer,
                       registration); /* there is room: it is the only one under way */
}

void registration_reload(struct registration *registration)
{
    mtconnect_read_api_key(registration->mtconnect);
}

static char *body_of(const char *public_url)
{
    json_t *body = json_pack("{s:s}", "url", public_url);
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

struct registration *registration_new(struct service *service,
                                      const struct receiver_metrics *metrics, char *error,
                                      size_t error_size)
{
    const struct config *config = service->config;
    struct registration *registration = xcalloc(1, sizeof *registration);
    struct mtconnect_settings settings = {
        .base_url = config->mtconnect_base_url,
        .api_key_file = config->mtconnect_api_key_file,
        .timeout_ms = config->mtconnect_timeout_ms,
        .connections = 2, /* the next may start in the callback of the last */
        .idle_s = config->mtconnect_idle_s,
        .retry_after_max_ms = PAUSE_MAX_MS,
        .user_agent = "mtc-receiver/" MTC_VERSION};
    registration->service = service;
    registration->metrics = metrics;
    registration->backoff = (struct backoff){.min_ms = PAUSE_MIN_MS, .max_ms = PAUSE_MAX_MS};
    registration->timer = timer_new(service->loop, on_timer, registration);
    registration->body = body_of(config->receiver_public_url);
    if (!registration->body)
        snprintf(error, error_size, "receiver.public_url is no UTF-8");
    else
        registration->mtconnect = mtconnect_new(service->loop, &settings, error, error_size);
    if (!registration->mtconnect) {
        registration_free(registration);
        return NULL;
    }
    timer_in(registration->timer, 0);
    return registration;
}

void registration_free(struct registration *registration)
{
    if (!registration)
        return;
    mtconnect_free(registration->mtconnect);
    timer_free(registration->timer);
    free(registration->body);
    free(registration);
}
