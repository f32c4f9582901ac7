/*
 * webhook.c - registrations, and sending signed web-hooks; see sim.h
 *
 * Signed as the Standard Webhooks scheme says: HMAC-SHA-256 over "id.timestamp.body", base64, in
 * webhook-signature. Source:
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
#include "sim.h"
#include "clock.h"
#include "xalloc.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

struct webhooks {
    struct sim *sim;
    struct http_client *client;
    char **urls;
    int url_count;
    long sent, accepted, failed, last_status;
    unsigned next_id;
};

struct webhooks *webhooks_new(struct sim *sim)
{
    struct http_client_settings settings = {
        .timeout_ms = 3000, .connections = 64, .idle_s = 4, .user_agent = "mtconnect-sim"};
    struct webhooks *webhooks = xcalloc(1, sizeof *webhooks);
    webhooks->sim = sim;
    webhooks->client = http_client_new(sim->base, &settings);
    return webhooks;
}

void webhooks_free(struct webhooks *webhooks)
{
    http_client_free(webhooks->client);
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
    webhooks->urls = xrealloc(webhooks->urls, (size_t)(webhooks->url_count + 1) * sizeof *webhooks->urls);
    webhooks->urls[webhooks->url_count++] = xstrdup(url);
    return true;
}

static void sign(const char *secret, const char *id, const char *timestamp, const char *body, char out[64])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char *text = xasprintf("%s.%s.%s", id, timestamp, body);
    if (!HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text, strlen(text), digest,
              &len))
        abort();
    free(text);
    EVP_EncodeBlock((unsigned char *)out, digest, (int)len);
}

struct sending {
    struct webhooks *webhooks;
    char *body;
};

static void on_sent(const struct http_result *result, void *arg)
{
    struct sending *sending = arg;
    sending->webhooks->last_status = result->status;
    if (result->status / 100 == 2)
        sending->webhooks->accepted++;
    else
        sending->webhooks->failed++;
    free(sending->body);
    free(sending);
}

static bool send_to(struct webhooks *webhooks, const char *url, const char *body, const char *key)
{
    char id_header[160], key_header[160], time_text[24], time_header[64], signature[64],
        signature_header[128];
    struct http_request request = {.method = "POST", .url = url};
    int count = 0;
    snprintf(time_text, sizeof time_text, "%lld", (long long)(utc_us() / 1000000));
    snprintf(key_header, sizeof key_header, "X-Idempotency-Key: %s", key);
    snprintf(id_header, sizeof id_header, "webhook-id: %s", key);
    snprintf(time_header, sizeof time_header, "webhook-timestamp: %s", time_text);
    request.headers[count++] = "Content-Type: application/json";
    request.headers[count++] = key_header;
    request.headers[count++] = id_header;
    request.headers[count++] = time_header;
    if (webhooks->sim->webhook_secret) {
        sign(webhooks->sim->webhook_secret, key, time_text, body, signature);
        snprintf(signature_header, sizeof signature_header, "webhook-signature: v1,%s", signature);
        request.headers[count++] = signature_header;
    }
    struct sending *sending = xmalloc(sizeof *sending);
    *sending = (struct sending){.webhooks = webhooks, .body = xstrdup(body)};
    request.body = sending->body;
    request.len = strlen(body);
    if (http_client_start(webhooks->client, &request, on_sent, sending)) {
        webhooks->sent++;
        return true;
    }
    free(sending->body);
    free(sending);
    return false;
}

/* told: {"machine_id", "cycle_time", optional "observed_at", and "key" for the idempotency key} */
bool webhooks_send(struct webhooks *webhooks, json_t *told, char *error, size_t error_size)
{
    const char *given = json_string_value(json_object_get(told, "key"));
    char *key = given ? xstrdup(given) : xasprintf("sim-%u", webhooks->next_id++);
    json_object_del(told, "key");
    char *body = json_dumps(told, JSON_COMPACT | JSON_REAL_PRECISION(10));
    bool ok = body && webhooks->url_count > 0;
    if (!ok)
        snprintf(error, error_size, webhooks->url_count ? "no JSON object" : "nobody has registered");
    for (int i = 0; ok && i < webhooks->url_count; i++) {
        if (!send_to(webhooks, webhooks->urls[i], body, key)) {
            snprintf(error, error_size, "too many under way");
            ok = false;
        }
    }
    free(body);
    free(key);
    return ok;
}

void webhooks_stats(const struct webhooks *webhooks, FILE *out)
{
    fprintf(out, "{\"registered\":%d,\"sent\":%ld,\"accepted\":%ld,\"failed\":%ld,\"last_status\":%ld}",
            webhooks->url_count, webhooks->sent, webhooks->accepted, webhooks->failed, webhooks->last_status);
}
