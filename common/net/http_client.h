/*
 * http_client.h - many HTTP requests at once, in the program's own event loop
 *
 * libcurl's multi-socket interface on libevent. Handles are reused, connections kept alive; a
 * request lives from http_client_start() to its callback, which is called exactly once (never from
 * inside the start), unless the client is freed first. Source: libcurl manual,
 * https://curl.se/libcurl/c/libcurl-multi.html ("multi_socket")
 */
#ifndef MTC_HTTP_CLIENT_H
#define MTC_HTTP_CLIENT_H

#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_client;

struct http_client_settings {
    int64_t timeout_ms;         /* for the whole request, connecting included */
    int64_t connect_timeout_ms; /* for the connection alone, names and TLS included */
    int64_t connections;        /* most at once; further starts are refused */
    int64_t idle_s;             /* a connection idle for longer is not used again */
    const char *user_agent;
};

#define HTTP_HEADERS_MAX 10
#define HTTP_HEAD_BYTES  512

struct http_request {   /* all borrowed until the callback, but `headers`, which is copied */
    const char *method; /* "GET" or "POST" */
    const char *url;
    const char *headers[HTTP_HEADERS_MAX + 1]; /* "Name: value", ends with NULL */
    const void *body;
    size_t len;
    bool fresh;       /* on a new connection */
    size_t keep_body; /* bytes of the answer's body to keep; at least HTTP_HEAD_BYTES are */
};

/* How a request ended. All but the first are failures of the transport; `error` has the words. */
enum http_end {
    HTTP_COMPLETE,      /* a whole answer came */
    HTTP_NO_NAME,       /* the host, or a proxy, has no address */
    HTTP_NO_CONNECTION, /* nobody listens there, or a connection was not ready in time */
    HTTP_NO_TLS,        /* no TLS session, or with somebody else */
    HTTP_TIMED_OUT,     /* the request was under way */
    HTTP_BROKEN,        /* anything else: cut off, not HTTP, too large */
};

struct http_result { /* valid during the callback */
    long status;     /* 0: no answer; else the final status line was read, whatever followed */
    enum http_end end;
    const char *error;     /* in words; "" when all went well */
    bool reused;           /* it went over a connection that had been used before */
    bool nothing_read;     /* not a byte of an answer came */
    int64_t retry_after_s; /* 0: not given */
    const char *body;      /* NUL-terminated besides */
    size_t body_len;
    const char *etag; /* "" if there is none */
    double seconds;
};

typedef void (*http_done)(const struct http_result *result, void *arg);

struct http_client *http_client_new(struct loop *loop, const struct http_client_settings *settings);
void http_client_free(
    struct http_client *client); /* requests under way are dropped without their callback */

/* False if `connections` requests are under way already. */
bool http_client_start(struct http_client *client, const struct http_request *request,
                       http_done done, void *arg);
bool http_client_has_room(const struct http_client *client);
int http_client_under_way(const struct http_client *client);
/* Bytes kept of the answers under way. */
size_t http_client_held(const struct http_client *client);

/* text with everything but unreserved characters percent-encoded (RFC 3986). Caller frees. */
char *http_escape(const char *text);

/* Once a process, before the first client and after the last. */
void http_client_global_init(void);
void http_client_global_cleanup(void);

#endif
