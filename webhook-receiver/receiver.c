/*
 * receiver.c - web-hooks from MTConnect onto the broker; see receiver.h
 *
 * Diagnostics: with web-hooks on, a missing secret or an address that can't be listened on refuses
 * to start; servers that are down are waited for.
 */
#include "receiver.h"
#include "base/secret.h"
#include "hook.h"
#include "suite/settings.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>

#define HEADERS_MAX 16384 /* bytes */

/* --- secrets --- */

static bool read_secret(struct signature_secret *secret, const char *path, char *error,
                        size_t error_size)
{
    if (!*path) {
        signature_secret_clear(secret);
        return true;
    }
    char *text = secret_read(path, error, error_size);
    if (!text)
        return false;
    bool ok = signature_secret_set(secret, text);
    if (!ok)
        snprintf(error, error_size, "%s: what follows whsec_ is no base64", path);
    free(text);
    return ok;
}

static bool read_secrets(struct receiver *receiver, char *error, size_t error_size)
{
    const struct config *config = receiver->service->config;
    if (!config->receiver_use_webhook || !config->receiver_require_signature)
        return true;
    if (!*config->receiver_secret_file && !*config->receiver_second_secret_file) {
        snprintf(error, error_size,
                 "receiver.secret_file is not set: with use_webhook on, a secret is needed, or "
                 "require_signature = "
                 "false");
        return false;
    }
    return read_secret(&receiver->secrets[0], config->receiver_secret_file, error, error_size) &&
           read_secret(&receiver->secrets[1], config->receiver_second_secret_file, error,
                       error_size);
}

void receiver_reload(void *state)
{
    struct receiver *receiver = state;
    char error[256];
    if (!read_secrets(receiver, error, sizeof error))
        log_error("secret not read; going on with the one before", LF_S("reason", error));
    if (receiver->registration)
        registration_reload(receiver->registration);
}

/* --- drain --- */

static void on_broker_closed(void *arg)
{
    struct receiver *receiver = arg;
    service_drained(receiver->service);
}

void receiver_on_idle(struct receiver *receiver)
{
    if (receiver->draining && receiver->under_way == 0)
        publisher_close(receiver->publisher, on_broker_closed, receiver);
}

void receiver_drain(void *state)
{
    struct receiver *receiver = state;
    http_server_stop_listening(receiver->server);
    receiver->draining = true;
    receiver_on_idle(receiver);
}

/* --- start, stop, and what people ask --- */

bool receiver_ready(const void *state, const char **why)
{
    const struct receiver *receiver = state;
    *why = "no RabbitMQ";
    return publisher_is_ready(receiver->publisher);
}

static void before_render(void *arg)
{
    struct receiver *receiver = arg;
    metric_set(receiver->metrics.under_way, receiver->under_way);
}

static struct metric *hooks_metric(struct metrics *all, const char *label)
{
    return metrics_add(all, METRIC_COUNTER, "mtc_receiver_hooks_total",
                       "Web-hooks, by what they were answered", label);
}

static void add_metrics(struct receiver *receiver)
{
    struct metrics *all = receiver->service->metrics;
    struct receiver_metrics *m = &receiver->metrics;
    m->accepted = hooks_metric(all, "answer=\"accepted\"");
    m->duplicate = hooks_metric(all, "answer=\"duplicate\"");
    m->held = hooks_metric(all, "answer=\"in progress\"");
    m->other = hooks_metric(all, "answer=\"other body\"");
    m->refused = hooks_metric(all, "answer=\"refused\"");
    m->unsigned_ = hooks_metric(all, "answer=\"bad signature\"");
    m->unavailable = hooks_metric(all, "answer=\"unavailable\"");
    static const char *const unchecked = "Web-hooks taken without a check";
    m->unchecked_key = metrics_add(all, METRIC_COUNTER, "mtc_receiver_unchecked_total", unchecked,
                                   "check=\"key\"");
    m->unchecked_machine = metrics_add(all, METRIC_COUNTER, "mtc_receiver_unchecked_total",
                                       unchecked, "check=\"machine\"");
    m->seconds = metrics_add(all, METRIC_HISTOGRAM, "mtc_receiver_seconds",
                             "From a whole request to its answer", NULL);
    m->under_way = metrics_add(all, METRIC_GAUGE, "mtc_receiver_under_way", "Web-hooks under way",
                               NULL);
    metrics_on_render(all, before_render, receiver);
}

static bool start_all(struct receiver *receiver, char *error, size_t error_size)
{
    struct service *service = receiver->service;
    const struct config *config = service->config;
    struct redis_conn_settings redis = settings_redis(service->config);
    struct http_limits limits = {.body_max = (size_t)config->receiver_body_max,
                                 .connections_max = (unsigned)config->receiver_connections,
                                 .idle_s = (unsigned)config->receiver_idle_s,
                                 .request_s = (unsigned)config->receiver_request_s,
                                 .memory = HEADERS_MAX,
                                 .share_port = true};
    redis.timeout_ms = config->receiver_redis_timeout_ms;
    if (!read_secrets(receiver, error, error_size))
        return false;
    if (*config->redis_url) {
        receiver->redis = redis_conn_new(service->loop, service->resolver, &redis, error,
                                         error_size);
        if (!receiver->redis)
            return false;
    }
    receiver->machines = machines_new(service, error, error_size);
    receiver->publisher = receiver->machines ? publisher_new(service, error, error_size) : NULL;
    if (!receiver->publisher)
        return false;
    if (config->receiver_use_webhook && *config->receiver_public_url) {
        receiver->registration = registration_new(service, error, error_size);
        if (!receiver->registration)
            return false;
    }
    receiver->server = http_server_new(service->loop, config->receiver_hook_listen, &limits,
                                       hook_on_request, receiver, error, error_size);
    return receiver->server != NULL;
}

void *receiver_start(struct service *service)
{
    struct receiver *receiver = xcalloc(1, sizeof *receiver);
    char error[256] = "";
    receiver->service = service;
    add_metrics(receiver);
    if (!start_all(receiver, error, sizeof error)) {
        log_error("cannot start", LF_S("reason", error));
        receiver_stop(receiver);
        return NULL;
    }
    if (!service->config->receiver_use_webhook)
        log_info("web-hooks are off: the route answers 404, and nothing is registered");
    else if (!receiver->registration)
        log_warn(
            "receiver.public_url is not set: web-hooks are taken, but MTConnect is not told where to "
            "send them");
    return receiver;
}

void receiver_stop(void *state)
{
    struct receiver *receiver = state;
    receiver->stopping =
        true; /* Redis answers what is under way with nothing; that is to have no effect */
    http_server_free(receiver->server);
    registration_free(receiver->registration);
    redis_conn_free(receiver->redis);
    publisher_free(receiver->publisher);
    machines_free(receiver->machines);
    hook_free_all(receiver);
    for (int i = 0; i < SIGNATURE_SECRETS; i++)
        signature_secret_clear(&receiver->secrets[i]);
    free(receiver);
}
