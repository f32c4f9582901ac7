/* http_links.c - the connections of an HTTP server, the longest silent first; see http_links.h */
#include "net/http_links.h"
#include "base/clock.h"
#include "base/timer.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <sys/socket.h>

#define SWEEP_MS 1000

struct http_link {
    int fd;
    int64_t since_ms; /* accepted, or done with its last request */
    bool busy, closing;
    struct http_link *next, *previous;
};

struct http_links {
    struct http_link *oldest, *youngest; /* by since_ms */
    unsigned count, most;
    int64_t request_ms;
    struct timer *sweep, *freed;
    void (*on_place_free)(void *arg);
    void *arg;
};

static void append(struct http_links *links, struct http_link *link)
{
    link->since_ms = mono_ms();
    link->next = NULL;
    link->previous = links->youngest;
    if (links->youngest)
        links->youngest->next = link;
    else
        links->oldest = link;
    links->youngest = link;
}

static void take_out(struct http_links *links, struct http_link *link)
{
    if (link->previous)
        link->previous->next = link->next;
    else
        links->oldest = link->next;
    if (link->next)
        link->next->previous = link->previous;
    else
        links->youngest = link->previous;
}

/* libmicrohttpd sees the end of the stream and cleans up. */
static void close_link(struct http_link *link)
{
    link->closing = true;
    shutdown(link->fd, SHUT_RDWR);
}

static bool is_silent(const struct http_link *link)
{
    return !link->busy && !link->closing;
}

static bool is_nearly_full(const struct http_links *links)
{
    return links->count >= links->most - links->most / 64 - 1;
}

/* Whoever comes next is more likely to want something than who has been silent for longest. */
static void make_room(struct http_links *links)
{
    if (!is_nearly_full(links))
        return;
    struct http_link *link = links->oldest;
    while (link && !is_silent(link))
        link = link->next;
    if (link)
        close_link(link);
}

struct http_link *http_links_add(struct http_links *links, int fd)
{
    struct http_link *link = xcalloc(1, sizeof *link);
    link->fd = fd;
    make_room(links);
    append(links, link);
    links->count++;
    return link;
}

void http_links_remove(struct http_links *links, struct http_link *link)
{
    if (is_nearly_full(links))
        timer_soon(links->freed);
    take_out(links, link);
    links->count--;
    free(link);
}

void http_links_set_busy(struct http_links *links, struct http_link *link, bool busy)
{
    link->busy = busy;
    take_out(links, link);
    append(links, link);
}

static void on_sweep(void *arg)
{
    struct http_links *links = arg;
    int64_t limit = mono_ms() - links->request_ms;
    for (struct http_link *link = links->oldest; link && link->since_ms < limit;
         link = link->next) {
        if (is_silent(link))
            close_link(link);
    }
}

static void on_freed(void *arg)
{
    struct http_links *links = arg;
    links->on_place_free(links->arg);
}

struct http_links *http_links_new(struct loop *loop, unsigned most, unsigned request_s,
                                  void (*on_place_free)(void *arg), void *arg)
{
    struct http_links *links = xcalloc(1, sizeof *links);
    links->most = most;
    links->on_place_free = on_place_free;
    links->arg = arg;
    links->freed = timer_new(loop, on_freed, links);
    links->request_ms = (int64_t)request_s * 1000;
    if (request_s) {
        links->sweep = timer_new(loop, on_sweep, links);
        timer_every(links->sweep, SWEEP_MS);
    }
    return links;
}

void http_links_free(struct http_links *links)
{
    if (!links)
        return;
    timer_free(links->sweep);
    timer_free(links->freed);
    free(links);
}
