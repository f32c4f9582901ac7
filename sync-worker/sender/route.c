/* route.c - the routes: paths of MTConnect, each with what is known of it alone; see route.h */
#include "route.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>

void routes_init(struct routes *routes, const struct routes_settings *settings)
{
    memset(routes, 0, sizeof *routes);
    routes->settings = *settings;
}

static struct route *route_new(const struct routes_settings *settings, const char *path)
{
    struct route *route = xcalloc(1, sizeof *route);
    route->path = xstrdup(path);
    route->run_last = &route->run_first;
    breaker_init(&route->breaker, settings->failures_to_open, settings->pause_min_ms,
                 settings->pause_max_ms, settings->connections);
    return route;
}

static void route_free(struct route *route)
{
    blame_free(&route->blame);
    free((char *)(uintptr_t)route->path);
    free(route);
}

/* Forgets the oldest that nobody holds events for. False: there is none. */
static bool forget_one(struct routes *routes)
{
    struct route **at = NULL;
    for (struct route **each = &routes->list; *each; each = &(*each)->next) {
        if (!(*each)->held)
            at = each;
    }
    if (!at)
        return false;
    struct route *route = *at;
    *at = route->next;
    routes->count--;
    route_free(route);
    return true;
}

static struct route *add(struct routes *routes, const char *path)
{
    if (routes->count == ROUTES_MAX && !forget_one(routes)) {
        if (!routes->others)
            routes->others = route_new(&routes->settings, path);
        return routes->others;
    }
    struct route *route = route_new(&routes->settings, path);
    route->next = routes->list;
    routes->list = route;
    routes->count++;
    return route;
}

struct route *routes_peek(const struct routes *routes, const char *path)
{
    struct route *route = routes_first(routes);
    while (route && strcmp(route->path, path) != 0)
        route = routes_next(routes, route);
    return route;
}

struct route *routes_find(struct routes *routes, const char *path)
{
    struct route *route = routes_peek(routes, path);
    if (!route)
        route = add(routes, path);
    route->held++;
    return route;
}

void route_let_go(struct route *route)
{
    route->held--;
}

int routes_count_open(const struct routes *routes)
{
    int open = 0;
    for (const struct route *route = routes_first(routes); route;
         route = routes_next(routes, route))
        open += route->breaker.state != BREAKER_CLOSED;
    return open;
}

int routes_count_doubted(const struct routes *routes)
{
    int doubted = 0;
    for (const struct route *route = routes_first(routes); route;
         route = routes_next(routes, route))
        doubted += route->doubted;
    return doubted;
}

struct route *routes_first(const struct routes *routes)
{
    return routes->list ? routes->list : routes->others;
}

struct route *routes_next(const struct routes *routes, const struct route *route)
{
    if (route == routes->others)
        return NULL;
    return route->next ? route->next : routes->others;
}

void routes_free(struct routes *routes)
{
    struct route *next;
    for (struct route *route = routes_first(routes); route; route = next) {
        next = routes_next(routes, route);
        route_free(route);
    }
}
