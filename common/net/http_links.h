/*
 * http_links.h - the connections of an HTTP server, the longest silent first
 *
 * libmicrohttpd closes a connection that is silent, but not one that brings a byte now and then,
 * and it stops accepting when all places are taken. Here these are shut down besides:
 *
 *   too slow   a connection without a whole request for request_s
 *   the oldest before the last places are taken, the one that brought nothing for longest
 *
 * One a handler is busy with is left alone. libmicrohttpd, which reads the end of the stream then,
 * does the closing. For http_server.c, which tells of connections as they come and go.
 */
#ifndef MTC_HTTP_LINKS_H
#define MTC_HTTP_LINKS_H

#include "base/loop.h"

#include <stdbool.h>

struct http_links;
struct http_link; /* a connection */

/*
 * most: places there are; request_s: seconds a connection has to bring a whole request, 0 for ever.
 * on_place_free: a place has become free of nearly none; libmicrohttpd, which had stopped
 * accepting, begins again only when it is run.
 */
struct http_links *http_links_new(struct loop *loop, unsigned most, unsigned request_s,
                                  void (*on_place_free)(void *arg), void *arg);
void http_links_free(struct http_links *links); /* NULL is fine; after all links are removed */

/* fd stays the server's. */
struct http_link *http_links_add(struct http_links *links, int fd);
void http_links_remove(struct http_links *links, struct http_link *link);

/* A handler begins, or is done, with a request of this connection. */
void http_links_set_busy(struct http_links *links, struct http_link *link, bool busy);

#endif
