/*
 * http_links.h - the connections of an HTTP server, the longest silent first
 *
 * libmicrohttpd closes a connection that is silent, but not one that brings a byte now and then,
 * and it stops accepting when all places are taken. Here a connection without a whole request for
 * too long is closed, and before the last places are taken the one that brought nothing for
 * longest. One a handler is busy with is left alone.
 */
#ifndef MTC_HTTP_LINKS_H
#define MTC_HTTP_LINKS_H

#include "base/loop.h"
#include <microhttpd.h>
#include <stdbool.h>

struct http_links;

/*
 * most: places there are; request_s: seconds a connection has to bring a whole request, 0 for ever.
 * again is called when a place has become free of nearly none: libmicrohttpd, which had stopped
 * accepting, begins again only when it is run.
 */
struct http_links *http_links_new(struct loop *loop, unsigned most, unsigned request_s,
                                  void (*again)(void *arg), void *arg);
void http_links_free(struct http_links *links); /* after the daemon has been stopped */

/* For MHD_OPTION_NOTIFY_CONNECTION; arg is the struct http_links. */
void http_links_on_connection(void *arg, struct MHD_Connection *connection, void **context,
                              enum MHD_ConnectionNotificationCode what);

/* A handler begins, or is done, with a request of this connection. */
void http_links_set_busy(struct http_links *links, struct MHD_Connection *connection, bool busy);

#endif
