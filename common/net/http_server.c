/* http_server.c - libmicrohttpd inside the program's own event loop; see http_server.h */
#include "net/http_server.h"
#include "base/timer.h"
#include "base/xalloc.h"
#include "net/http_links.h"
#include "net/http_peer.h"
#include "net/listen.h"

#include <event2/event.h>
#include <microhttpd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS_DEFAULT 1024
#define MEMORY_DEFAULT      ((size_t)32 * 1024)

enum progress {
    READING,   /* the body is coming in */
    HANDLED,   /* the handler has it */
    SUSPENDED, /* the handler kept it; libmicrohttpd is told to wait */
    ANSWERED,  /* response is set, or NULL for an abort */
};

struct http_exchange {
    struct http_server *server;
    struct MHD_Connection *connection;
    const char *method;
    char *path, *body;
    size_t body_len, body_room, body_most;
    char peer[HTTP_PEER_BYTES];
    size_t taken; /* of the server's budget */
    bool too_large;
    enum progress progress;
    unsigned status;
    struct MHD_Response *response;
    struct http_exchange *next, *previous; /* in server->open */
};

struct http_server {
    struct event *readable;
    struct timer *timeout;
    struct http_links *links;
    struct MHD_Daemon *daemon;
    struct http_limits limits;
    http_handler handler;
    void *arg;
    unsigned port;
    struct http_exchange *open;
    bool closing; /* no handler is called any more */
};

/* --- connections --- */

/* For MHD_OPTION_NOTIFY_CONNECTION; arg is the struct http_links. */
static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(
            connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = http_links_add(arg, info ? info->connect_fd : -1);
    } else if (*context) {
        http_links_remove(arg, *context);
        *context = NULL;
    }
}

static void set_busy(struct http_server *server, struct MHD_Connection *connection, bool busy)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (info && info->socket_context)
        http_links_set_busy(server->links, info->socket_context, busy);
}

/* --- exchanges --- */

static struct http_exchange *exchange_new(struct http_server *server,
                                          struct MHD_Connection *connection, const char *method,
                                          const char *path)
{
    struct http_exchange *exchange = xcalloc(1, sizeof *exchange);
    exchange->server = server;
    exchange->connection = connection;
    exchange->method = method;
    exchange->path = xstrdup(path);
    http_peer_name(connection, exchange->peer);
    exchange->next = server->open;
    if (server->open)
        server->open->previous = exchange;
    server->open = exchange;
    return exchange;
}

static void on_exchange_completed(void *arg, struct MHD_Connection *connection, void **state,
                                  enum MHD_RequestTerminationCode code)
{
    (void)code;
    struct http_server *server = arg;
    struct http_exchange *exchange = *state;
    if (!exchange)
        return;
    set_busy(server, connection, false);
    if (exchange->previous)
        exchange->previous->next = exchange->next;
    else
        server->open = exchange->next;
    if (exchange->next)
        exchange->next->previous = exchange->previous;
    if (exchange->response)
        MHD_destroy_response(exchange->response);
    if (exchange->taken)
        budget_give_back(server->limits.budget, exchange->peer, exchange->taken);
    free(exchange->path);
    free(exchange->body);
    free(exchange);
    *state = NULL;
}

/* libmicrohttpd brings no more than was announced; what announces nothing grows to body_max. */
static void keep_body(struct http_exchange *exchange, const char *data, size_t len)
{
    if (exchange->too_large || exchange->body_len + len > exchange->body_most) {
        exchange->too_large = true;
        return;
    }
    if (exchange->body_len + len + 1 > exchange->body_room) {
        size_t room = (exchange->body_len + len + 1) * 2, most = exchange->body_most + 1;
        exchange->body_room = room < most ? room : most;
        exchange->body = xrealloc(exchange->body, exchange->body_room);
    }
    memcpy(exchange->body + exchange->body_len, data, len);
    exchange->body_len += len;
    exchange->body[exchange->body_len] = '\0';
}

static enum MHD_Result give_answer(struct http_exchange *exchange)
{
    if (!exchange->response)
        return MHD_NO; /* libmicrohttpd then closes the connection */
    return MHD_queue_response(exchange->connection, exchange->status, exchange->response);
}

static void refuse_large(struct http_exchange *exchange)
{
    char body[160];
    int len = snprintf(body, sizeof body,
                       "{\"type\":\"about:blank\",\"title\":\"Content Too Large\",\"status\":413,"
                       "\"detail\":\"the body is larger than %zu bytes\"}",
                       exchange->server->limits.body_max);
    http_reply(exchange, 413, "application/problem+json", body, (size_t)len, NULL);
}

/* What announces itself as too large, or finds no room, is not even read. */
static bool may_be_read(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    const char *length = http_header(exchange, MHD_HTTP_HEADER_CONTENT_LENGTH);
    bool unknown = http_header(exchange, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
    unsigned long long announced = length ? strtoull(length, NULL, 10) : 0;
    if (!unknown && announced > server->limits.body_max) {
        refuse_large(exchange);
        return false;
    }
    exchange->body_most = unknown ? server->limits.body_max : (size_t)announced;
    if (!server->limits.budget)
        return true;
    size_t bytes = sizeof *exchange + exchange->body_most + 1;
    if (!budget_take(server->limits.budget, exchange->peer, bytes)) {
        server->limits.on_no_room(exchange, server->arg);
        return false;
    }
    exchange->taken = bytes;
    return true;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **state)
{
    (void)version;
    struct http_server *server = arg;
    struct http_exchange *exchange = *state;
    if (!exchange) {
        *state = exchange = exchange_new(server, connection, method, url);
        return may_be_read(exchange) ? MHD_YES : give_answer(exchange);
    }
    if (*data_len > 0) {
        keep_body(exchange, data, *data_len);
        *data_len = 0;
        return MHD_YES;
    }
    if (exchange->progress == READING) {
        if (server->closing)
            return MHD_NO;
        exchange->progress = HANDLED;
        set_busy(server, connection, true);
        if (exchange->too_large)
            refuse_large(exchange);
        else
            server->handler(exchange, server->arg);
    }
    if (exchange->progress == HANDLED) {
        exchange->progress = SUSPENDED;
        MHD_suspend_connection(connection);
        return MHD_YES;
    }
    return give_answer(exchange);
}

/* --- the daemon --- */

/* Lets the daemon work, then asks it when it wants to be called at the latest. */
static void run_daemon(struct http_server *server)
{
    MHD_run(server->daemon);
    MHD_UNSIGNED_LONG_LONG wait_ms;
    if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES)
        timer_in(server->timeout, (int64_t)wait_ms);
    else
        timer_cancel(server->timeout);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    run_daemon(arg);
}

static void on_due(void *arg)
{
    run_daemon(arg);
}

/* The descriptor that says when the daemon has something to do, or -1 if it can't be started. */
static int start_daemon(struct http_server *server, int listen_fd, unsigned connections)
{
    size_t memory = server->limits.memory ? server->limits.memory : MEMORY_DEFAULT;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, server,
        MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_NOTIFY_COMPLETED, on_exchange_completed,
        server, MHD_OPTION_CONNECTION_TIMEOUT, server->limits.idle_s, MHD_OPTION_CONNECTION_LIMIT,
        connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, server->links, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        server->daemon ? MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    return info ? info->epoll_fd : -1;
}

struct http_server *http_server_new(struct loop *loop, const char *address,
                                    const struct http_limits *limits, http_handler handler,
                                    void *arg, char *error, size_t error_size)
{
    unsigned port = 0;
    int fd = listen_on(address, limits->share_port, &port, error, error_size);
    if (fd < 0)
        return NULL;
    struct http_server *server = xcalloc(1, sizeof *server);
    server->limits = *limits;
    server->handler = handler;
    server->arg = arg;
    server->port = port;
    unsigned connections = limits->connections_max ? limits->connections_max : CONNECTIONS_DEFAULT;
    server->links = http_links_new(loop, connections, limits->request_s, on_due, server);
    int epoll_fd = start_daemon(server, fd, connections);
    if (epoll_fd < 0) {
        snprintf(error, error_size, "cannot start the HTTP server on %s", address);
        close(fd);
        http_links_free(server->links);
        free(server);
        return NULL;
    }
    server->readable = event_new(loop_events(loop), epoll_fd, EV_READ | EV_PERSIST, on_socket,
                                 server);
    server->timeout = timer_new(loop, on_due, server);
    if (!server->readable)
        out_of_memory(0);
    event_add(server->readable, NULL);
    run_daemon(server);
    return server;
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    /* libmicrohttpd aborts when it is stopped with suspended connections: there must be no new
     * ones. */
    server->closing = true;
    for (struct http_exchange *exchange = server->open; exchange; exchange = exchange->next) {
        if (exchange->progress == SUSPENDED) {
            exchange->progress = ANSWERED;
            MHD_resume_connection(exchange->connection);
        }
    }
    MHD_run(server->daemon);
    event_free(server->readable);
    timer_free(server->timeout);
    MHD_stop_daemon(server->daemon);
    http_links_free(server->links);
    free(server);
}

void http_server_stop_listening(struct http_server *server)
{
    MHD_socket fd = MHD_quiesce_daemon(server->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
}

unsigned http_server_port(const struct http_server *server)
{
    return server->port;
}

/* --- what a handler asks of an exchange, and its answer --- */

const char *http_method(const struct http_exchange *exchange)
{
    return exchange->method;
}

const char *http_path(const struct http_exchange *exchange)
{
    return exchange->path;
}

const char *http_body(const struct http_exchange *exchange, size_t *len)
{
    *len = exchange->body_len;
    return exchange->body ? exchange->body : "";
}

const char *http_header(const struct http_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

const char *http_query(const struct http_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_peer(const struct http_exchange *exchange)
{
    return exchange->peer;
}

int http_fd(const struct http_exchange *exchange)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

static void finish(struct http_exchange *exchange)
{
    bool resume = exchange->progress == SUSPENDED;
    exchange->progress = ANSWERED;
    if (resume) {
        MHD_resume_connection(exchange->connection);
        /* A daemon without threads does not wake by itself, and nothing may run in the caller. */
        timer_soon(exchange->server->timeout);
    }
}

void http_reply_response(struct http_exchange *exchange, unsigned status,
                         struct MHD_Response *response)
{
    exchange->status = status;
    exchange->response = response;
    finish(exchange);
}

void http_reply(struct http_exchange *exchange, unsigned status, const char *content_type,
                const void *body, size_t len, const struct http_extra *extras)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(len, (void *)(uintptr_t)body,
                                                                    MHD_RESPMEM_MUST_COPY);
    if (!response)
        out_of_memory(len);
    if (content_type)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    for (; extras && extras->name; extras++)
        MHD_add_response_header(response, extras->name, extras->value);
    http_reply_response(exchange, status, response);
}

void http_abort(struct http_exchange *exchange)
{
    exchange->response = NULL;
    finish(exchange);
}
