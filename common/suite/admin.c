/* admin.c - /metrics, /healthz and /readyz; see admin.h */
#include "suite/admin.h"
#include "base/xalloc.h"
#include "net/http_server.h"

#include <stdlib.h>
#include <string.h>

struct admin {
    struct http_server *server;
    struct metrics *metrics;
    bool (*ready)(const void *arg, const char **why);
    void *arg;
};

static void reply_text(struct http_exchange *exchange, unsigned status, const char *text)
{
    char line[256];
    int len = snprintf(line, sizeof line, "%s\n", text);
    http_reply(exchange, status, "text/plain; charset=utf-8", line, (size_t)len, NULL);
}

static void reply_metrics(struct admin *admin, struct http_exchange *exchange)
{
    size_t len;
    char *text = metrics_render(admin->metrics, &len);
    http_reply(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", text, len, NULL);
    free(text);
}

static void on_request(struct http_exchange *exchange, void *arg)
{
    struct admin *admin = arg;
    const char *path = http_path(exchange);
    const char *why = "not ready";
    if (strcmp(http_method(exchange), "GET") != 0)
        reply_text(exchange, 405, "only GET");
    else if (strcmp(path, "/metrics") == 0)
        reply_metrics(admin, exchange);
    else if (strcmp(path, "/healthz") == 0)
        reply_text(exchange, 200, "ok");
    else if (strcmp(path, "/readyz") == 0)
        admin->ready(admin->arg, &why) ? reply_text(exchange, 200, "ready")
                                       : reply_text(exchange, 503, why);
    else
        reply_text(exchange, 404, "/metrics, /healthz or /readyz");
}

struct admin *admin_new(struct loop *loop, const char *address, struct metrics *metrics,
                        bool (*ready)(const void *arg, const char **why), void *arg, char *error,
                        size_t error_size)
{
    struct admin *admin = xcalloc(1, sizeof *admin);
    admin->metrics = metrics;
    admin->ready = ready;
    admin->arg = arg;
    struct http_limits limits = {.body_max = 1024, .connections_max = 64, .idle_s = 30};
    admin->server = http_server_new(loop, address, &limits, on_request, admin, error, error_size);
    if (!admin->server) {
        free(admin);
        return NULL;
    }
    return admin;
}

void admin_free(struct admin *admin)
{
    if (!admin)
        return;
    http_server_free(admin->server);
    free(admin);
}

unsigned admin_port(const struct admin *admin)
{
    return http_server_port(admin->server);
}
