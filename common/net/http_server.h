/*
 * http_server.h - libmicrohttpd inside the program's own event loop
 *
 * The daemon has no threads: its epoll descriptor and its timeout are watched by libevent. A
 * handler is called once the whole request is in; it answers at once or keeps the exchange and
 * answers later from another callback.
 *
 * An exchange belongs to the server. Its strings live until it is answered; after http_reply() it
 * is not to be touched. Exchanges still open when the server is freed are closed without an answer.
 *
 * Source: libmicrohttpd manual, https://www.gnu.org/software/libmicrohttpd/manual/
 */
#ifndef MTC_HTTP_SERVER_H
#define MTC_HTTP_SERVER_H

#include "base/budget.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>

struct http_server;
struct http_exchange;
struct MHD_Response;

typedef void (*http_handler)(struct http_exchange *exchange, void *arg);

struct http_limits {
    /* Bytes; a larger body is answered 413 and not kept. */
    size_t body_max;
    /* 0: 1024. When they are nearly used up, those silent for longest are closed. */
    unsigned connections_max;
    /* A connection without a byte for this many seconds is closed; 0: never. */
    unsigned idle_s;
    /* So is one that brings no whole request for this many, byte by byte or not; 0: never. */
    unsigned request_s;
    /* Bytes for the headers of a connection; 0: 32 KiB. */
    size_t memory;
    /*
     * What requests take is taken from it, under the address of who sent them, from their headers
     * until they are answered: the body they announce, or body_max if they don't say. NULL: there
     * is no bound. Whoever finds no room there goes to on_no_room (with the server's arg), which
     * answers; the body is not read, so the answer should close the connection.
     */
    struct budget *budget;
    http_handler on_no_room;
    /* Several processes may listen on the address; the kernel spreads connections among them. */
    bool share_port;
};

/*
 * Listens on "host:port" (numeric host, or [v6]:port; port 0 picks a free one). NULL with a message
 * in error.
 */
struct http_server *http_server_new(struct loop *loop, const char *address,
                                    const struct http_limits *limits, http_handler handler,
                                    void *arg, char *error, size_t error_size);
void http_server_free(struct http_server *server); /* NULL is fine */
unsigned http_server_port(const struct http_server *server);

/* No new connections from now on; those that are open go on. */
void http_server_stop_listening(struct http_server *server);

const char *http_method(const struct http_exchange *exchange);
const char *http_path(const struct http_exchange *exchange);
/* NUL-terminated besides. */
const char *http_body(const struct http_exchange *exchange, size_t *len);
const char *http_header(const struct http_exchange *exchange, const char *name); /* or NULL */
const char *http_query(const struct http_exchange *exchange, const char *name);  /* or NULL */
/* The address of who sent it, without the port; of IPv6 the first 64 bits, which is what one
 * customer of a provider has. "" if it has none. */
const char *http_peer(const struct http_exchange *exchange);
/* The connection's socket, or -1; for who wants to break the protocol on purpose. */
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
