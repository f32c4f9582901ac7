/*
 * http_server.h - libmicrohttpd inside the program's own event loop
 *
 * The daemon has no threads: its epoll descriptor and its timeout are watched by libevent. A
 * handler is called once the whole request is in; it answers at once or keeps the exchange and
 * answers later from another callback.
 *
 * An exchange belongs to the server. Its strings live until it is answered; after http_reply() it
 * is not to be touched. Exchanges still open when the server is freed are closed without an answer.
 */
#ifndef MTC_HTTP_SERVER_H
#define MTC_HTTP_SERVER_H

#include "base/loop.h"
#include <stdbool.h>
#include <stddef.h>

struct http_server;
struct http_exchange;
struct MHD_Response;

typedef void (*http_handler)(struct http_exchange *exchange, void *arg);

struct http_limits {
    size_t body_max; /* bytes; a larger body is answered 413 and not kept */
    unsigned
        connections_max; /* 0: 1024; when they are nearly used up, those silent longest are closed */
    unsigned idle_s;     /* a connection without a byte for this long is closed; 0: never */
    unsigned
        request_s; /* so is one that brings no whole request for this long, byte by byte or not; 0: never */
    size_t memory; /* bytes for the headers of a connection; 0: libmicrohttpd's default */
    bool
        share_port; /* several processes may listen on the address; the kernel spreads connections */
};

/*
 * Listens on "host:port" (numeric host, or [v6]:port; port 0 picks a free one). NULL with a message
 * in error.
 */
struct http_server *http_server_new(struct loop *loop, const char *address,
                                    const struct http_limits *limits, http_handler handler,
                                    void *arg, char *error, size_t error_size);
void http_server_free(struct http_server *server);
unsigned http_server_port(const struct http_server *server);

/* No new connections from now on; those that are open go on. */
void http_server_stop_listening(struct http_server *server);

const char *http_method(const struct http_exchange *exchange);
const char *http_path(const struct http_exchange *exchange);
const char *http_body(const struct http_exchange *exchange,
                      size_t *len); /* NUL-terminated besides */
const char *http_header(const struct http_exchange *exchange, const char *name); /* or NULL */
const char *http_query(const struct http_exchange *exchange, const char *name);  /* or NULL */
int http_fd(const struct http_exchange *exchange);

struct http_extra { /* a response header */
    const char *name, *value;
};

/* Copies everything it is given. extras ends with a NULL name, or is NULL. */
void http_reply(struct http_exchange *exchange, unsigned status, const char *content_type,
                const void *body, size_t len, const struct http_extra *extras);

/* Answers with a response made by the caller; takes it over. */
void http_reply_response(struct http_exchange *exchange, unsigned status,
                         struct MHD_Response *response);

/* Closes the connection without an answer. */
void http_abort(struct http_exchange *exchange);

#endif
