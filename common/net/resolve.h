/*
 * resolve.h - host names to addresses without stopping the loop
 *
 * libpq and hiredis look names up with the blocking getaddrinfo(3); everything here that connects
 * resolves first and hands them a numeric address. libevent's resolver reads /etc/resolv.conf and
 * /etc/hosts.
 */
#ifndef MTC_RESOLVE_H
#define MTC_RESOLVE_H

#include "base/loop.h"

struct resolver;
struct evdns_base;

/* address is numeric and valid during the call, or NULL with the reason in error. */
typedef void (*resolve_done)(const char *address, const char *error, void *arg);

struct resolve_query;

struct resolver *resolver_new(struct loop *loop);
/* The loop runs no more: what is still under way is never told. */
void resolver_free(struct resolver *resolver); /* NULL is fine */
struct evdns_base *resolver_dns(struct resolver *resolver);

/* done is called exactly once, never from inside this call, unless the query is cancelled. */
struct resolve_query *resolve_start(struct resolver *resolver, const char *host, resolve_done done,
                                    void *arg);
void resolve_cancel(struct resolve_query *query);

#endif
