/*
 * webhook.c - registrations, and sending signed web-hooks; see sim.h
 *
 * What is sent can be told to be wrong:
 *   "repeat": N          N times in all, at once
 *   "other_body": true   a second time, with the same key and another cycle_time
 *   "delay_ms": N        not before; with an older observed_at this is how they come out of order
 *   "retry_ms": N        again after each answer that is not 2xx, until one is
 *   "signature": "standard" (default), "plain", "bad", "old" or "none"
 *
 * Signed as the Standard Webhooks scheme says: HMAC-SHA-256 over "id.timestamp.body", base64, in
 * webhook-signature. Source:
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
#include "sim.h"
#include "base/clock.h"
#include "base/xalloc.h"

#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

struct webhooks {
    struct sim *sim;
    struct http_client *client;
    char **urls;
    int url_count;
    struct sending *all; /* waiting for their time, or under way */
    long sent, accepted, duplicate, conflict, unprocessable, unauthorized, refused, unavailable,
        lost, last_status;
    unsigned next_id;
};

struct sending {
    struct webhooks *webhooks;
    char *url, *key, *body;
    const char *signature; /* one of signatures[] */
    int retry_ms;          /* 0: once is all */
    struct timer *timer;
    struct sending *next, *previous;
};

static const char *const signatures[] = {"standard", "plain", "bad", "old", "none"};

static void sending_free(struct sending *sending)
{
    if (sending->previous)
        sending->previous->next = sending->next;
    else
        sending->webhooks->all = sending->next;
    if (sending->next)
        sending->next->previous = sending->previous;
    timer_free(sending->timer);
    free(sending->url);
    free(sending->key);
    free(sending->body);
    free(sending);
}

struct webhooks *webhooks_new(struct sim *sim)
{
    struct http_client_settings settings = {
        .timeout_ms = 3000, .connections = 512, .idle_s = 4, .user_agent = "mtconnect-sim"};
    struct webhooks *webhooks = xcalloc(1, sizeof *webhooks);
    webhooks->sim = sim;
    webhooks->client = http_client_new(sim->loop, &settings);
    return webhooks;
}

void webhooks_free(struct webhooks *webhooks)
{
    http_client_free(webhooks->client);
    struct sending *sending = webhooks->all, *next;
    for (; sending; sending = next) {
        next = sending->next;
        sending_free(sending);
    }
    for (int i = 0; i < webhooks->url_count; i++)
        free(webhooks->urls[i]);
    free(webhooks->urls);
    free(webhooks);
}

bool webhooks_register(struct webhooks *webhooks, const char *url)
{
    for (int i = 0; i < webhooks->url_count; i++) {
        if (strcmp(webhooks->urls[i], url) == 0)
            return false;
    }
    webhooks->urls = xrealloc(webhooks->urls,
                              (size_t)(webhooks->url_count + 1) * sizeof *webhooks->urls);
    webhooks->urls[webhooks->url_count++] = xstrdup(url);
    return true;
}

static size_t digest(const char *secret, const char *text, unsigned char out[EVP_MAX_MD_SIZE])
{
    unsigned len = 0;
    if (!HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text, strlen(text),
              out, &len))
        abort();
    return len;
}

#define HEADER 192

/* Adds the headers of a signature; returns how many there are then. */
static int sign(const struct sending *sending, char lines[][HEADER], int count)
{
    const char *secret = sending->webhooks->sim->webhook_secret;
    unsigned char bytes[EVP_MAX_MD_SIZE];
    bool old = strcmp(sending->signature, "old") == 0, bad = strcmp(sending->signature, "bad") == 0;
    long long now = (long long)(utc_us() / 1000000) - (old ? 86400 : 0);
    if (!secret || strcmp(sending->signature, "none") == 0)
        return count;
    if (strcmp(sending->signature, "plain") == 0) {
        char *text = xasprintf("%lld.%s", now, sending->body);
        size_t len = digest(secret, text, bytes);
        free(text);
        int at = snprintf(lines[count], HEADER, "X-Signature: sha256=");
        for (size_t i = 0; i < len; i++)
            at += snprintf(lines[count] + at, HEADER - (size_t)at, "%02x", bytes[i]);
        snprintf(lines[count + 1], HEADER, "X-Timestamp: %lld", now);
        return count + 2;
    }
    char *text = xasprintf("%s.%lld.%s", sending->key, now, sending->body), base64[64];
    size_t len = digest(secret, text, bytes);
    free(text);
    bytes[0] ^= bad;
    EVP_EncodeBlock((unsigned char *)base64, bytes, (int)len);
    snprintf(lines[count], HEADER, "webhook-id: %s", sending->key);
    snprintf(lines[count + 1], HEADER, "webhook-timestamp: %lld", now);
    snprintf(lines[count + 2], HEADER, "webhook-signature: v1,%s", base64);
    return count + 3;
}

static void arm(struct sending *sending, int64_t ms)
{
    timer_in(sending->timer, ms);
}

static void count_answer(struct webhooks *webhooks, long status)
{
    webhooks->last_status = status;
    if (status == 202)
        webhooks->accepted++;
    else if (status == 200)
        webhooks->duplicate++;
    else if (status == 409)
        webhooks->conflict++;
    else if (status == 422)
        webhooks->unprocessable++;
    else if (status == 401)
        webhooks->unauthorized++;
    else if (status == 503)
        webhooks->unavailable++;
    else if (status == 0)
        webhooks->lost++;
    else
        webhooks->refused++;
}

static void on_sent(const struct http_result *result, void *arg)
{
    struct sending *sending = arg;
    count_answer(sending->webhooks, result->status);
    if (result->status / 100 != 2 && sending->retry_ms)
        arm(sending, sending->retry_ms);
    else
        sending_free(sending);
}

static void on_time(void *arg)
{
    struct sending *sending = arg;
    struct http_request request = {
        .method = "POST", .url = sending->url, .body = sending->body, .len = strlen(sending->body)};
    char lines[6][HEADER];
    snprintf(lines[0], HEADER, "Content-Type: application/json");
    snprintf(lines[1], HEADER, "X-Idempotency-Key: %s", sending->key);
    int count = sign(sending, lines, 2);
    for (int i = 0; i < count; i++)
        request.headers[i] = lines[i];
    if (http_client_start(sending->webhooks->client, &request, on_sent, sending))
        sending->webhooks->sent++;
    else
        arm(sending, 10); /* all connections are busy */
}

static const char *signature_of(const json_t *told)
{
    const char *given = json_string_value(json_object_get(told, "signature"));
    for (size_t i = 0; given && i < sizeof signatures / sizeof signatures[0]; i++) {
        if (strcmp(given, signatures[i]) == 0)
            return signatures[i];
    }
    return given ? NULL : signatures[0];
}

static void send_later(struct webhooks *webhooks, const char *url, const json_t *told,
                       const char *key, const char *body)
{
    struct sending *sending = xcalloc(1, sizeof *sending);
    sending->webhooks = webhooks;
    sending->url = xstrdup(url);
    sending->key = xstrdup(key);
    sending->body = xstrdup(body);
    sending->signature = signature_of(told);
    sending->retry_ms = (int)json_integer_value(json_object_get(told, "retry_ms"));
    sending->timer = timer_new(webhooks->sim->loop, on_time, sending);
    sending->next = webhooks->all;
    if (webhooks->all)
        webhooks->all->previous = sending;
    webhooks->all = sending;
    arm(sending, json_integer_value(json_object_get(told, "delay_ms")));
}

/* The members of the contract, and whatever else is not for us. */
static json_t *body_of(const json_t *told)
{
    static const char *const ours[] = {"key",      "repeat",   "other_body",
                                       "delay_ms", "retry_ms", "signature"};
    json_t *body = json_copy((json_t *)(uintptr_t)told);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        json_object_del(body, ours[i]);
    return body;
}

static char *text_of(json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(10));
    if (!text)
        out_of_memory(0);
    return text;
}

/* told: {"machine_id", "cycle_time", optional "observed_at", "key" for the idempotency key, and the
 * above} */
bool webhooks_send(struct webhooks *webhooks, json_t *told, char *error, size_t error_size)
{
    if (!json_is_object(told) || !signature_of(told) || !webhooks->url_count) {
        snprintf(error, error_size,
                 !webhooks->url_count ? "nobody has registered" : "not understood");
        return false;
    }
    const char *given = json_string_value(json_object_get(told, "key"));
    json_int_t times = json_integer_value(json_object_get(told, "repeat"));
    char *key = given ? xstrdup(given) : xasprintf("sim-%u", webhooks->next_id++);
    json_t *body = body_of(told);
    char *text = text_of(body);
    json_object_set_new(body, "cycle_time",
                        json_real(json_number_value(json_object_get(body, "cycle_time")) + 1));
    char *other = text_of(body);
    for (int i = 0; i < webhooks->url_count; i++) {
        for (json_int_t n = 0; n < (times > 1 ? times : 1); n++)
            send_later(webhooks, webhooks->urls[i], told, key, text);
        if (json_is_true(json_object_get(told, "other_body")))
            send_later(webhooks, webhooks->urls[i], told, key, other);
    }
    json_decref(body);
    free(text);
    free(other);
    free(key);
    return true;
}

void webhooks_stats(const struct webhooks *webhooks, FILE *out)
{
    fprintf(out,
            "{\"registered\":%d,\"sent\":%ld,\"accepted\":%ld,\"duplicate\":%ld,\"conflict\":%ld,"
            "\"unprocessable\":%ld,\"unauthorized\":%ld,\"refused\":%ld,\"unavailable\":%ld,"
            "\"lost\":%ld,"
            "\"last_status\":%ld,\"under_way\":%s}",
            webhooks->url_count, webhooks->sent, webhooks->accepted, webhooks->duplicate,
            webhooks->conflict, webhooks->unprocessable, webhooks->unauthorized, webhooks->refused,
            webhooks->unavailable, webhooks->lost, webhooks->last_status,
            webhooks->all ? "true" : "false");
}
