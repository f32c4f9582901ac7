/* resolve.c - host names to addresses without stopping the loop; see resolve.h */
#include "net/resolve.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/util.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

struct resolver {
    struct loop *loop;
    struct evdns_base *dns;
    struct resolve_query *queries; /* all that are not finished, cancelled ones too */
};

struct resolve_query {
    struct resolve_query *prev, *next;
    struct resolver *resolver;
    struct timer *later; /* calls done for what needed no server */
    struct evdns_getaddrinfo_request *request;
    resolve_done done;
    void *arg;
    char address[INET6_ADDRSTRLEN];
    char error[160];
};

struct resolver *resolver_new(struct loop *loop)
{
    struct resolver *resolver = xcalloc(1, sizeof *resolver);
    resolver->loop = loop;
    /* Inactive while nobody asks, so that it never keeps the loop alive. */
    resolver->dns = evdns_base_new(loop_events(loop), EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (!resolver->dns)
        out_of_memory(0);
    if (evdns_base_resolv_conf_parse(resolver->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf") != 0)
        log_debug(
            "no name server in /etc/resolv.conf; only /etc/hosts and numeric addresses resolve");
    return resolver;
}

static void discard(struct resolve_query *query)
{
    DL_DELETE(query->resolver->queries, query);
    timer_free(query->later);
    free(query);
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    evdns_base_free(resolver->dns, 1);
    for (struct resolve_query *query = resolver->queries, *next; query; query = next) {
        next = query->next;
        if (!query->request) /* else libevent has it still */
            discard(query);
    }
    free(resolver);
}

struct evdns_base *resolver_dns(struct resolver *resolver)
{
    return resolver->dns;
}

static void finish(struct resolve_query *query)
{
    resolve_done done = query->done;
    void *arg = query->arg;
    struct resolve_query last = *query;
    discard(query);
    if (done)
        done(last.address[0] ? last.address : NULL, last.error, arg);
}

static void on_later(void *arg)
{
    finish(arg);
}

static void take_first(struct resolve_query *query, const struct evutil_addrinfo *list)
{
    const void *raw = NULL;
    if (list->ai_family == AF_INET)
        raw = &((const struct sockaddr_in *)(const void *)list->ai_addr)->sin_addr;
    else if (list->ai_family == AF_INET6)
        raw = &((const struct sockaddr_in6 *)(const void *)list->ai_addr)->sin6_addr;
    if (raw)
        inet_ntop(list->ai_family, raw, query->address, sizeof query->address);
}

static void on_answer(int result, struct evutil_addrinfo *list, void *arg)
{
    struct resolve_query *query = arg;
    query->request = NULL;
    if (result == 0 && list)
        take_first(query, list);
    else
        snprintf(query->error, sizeof query->error, "name lookup failed: %s",
                 evutil_gai_strerror(result));
    if (list)
        evutil_freeaddrinfo(list);
    /* libevent may answer from inside the question; and a cancelled query is answered
     * EVUTIL_EAI_CANCEL. */
    timer_in(query->later, 0);
}

struct resolve_query *resolve_start(struct resolver *resolver, const char *host, resolve_done done,
                                    void *arg)
{
    struct resolve_query *query = xcalloc(1, sizeof *query);
    query->resolver = resolver;
    DL_APPEND(resolver->queries, query);
    query->done = done;
    query->arg = arg;
    query->later = timer_new(resolver->loop, on_later, query);
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct evdns_getaddrinfo_request *request = evdns_getaddrinfo(resolver->dns, host, NULL, &hints,
                                                                  on_answer, query);
    if (!timer_is_started(query->later))
        query->request = request;
    return query;
}

void resolve_cancel(struct resolve_query *query)
{
    query->done = NULL;
    if (query->request)
        evdns_getaddrinfo_cancel(query->request);
}
