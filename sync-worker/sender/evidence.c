/* evidence.c - senders tell each other how first attempts ended; see evidence.h */
#include "evidence.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 1000
#define PREFIX  "mtc:evidence:"

struct evidence {
    struct evidence_settings settings;
    void (*on_news)(void *arg);
    void *arg;
    struct timer *tick;
    bool complained;
};

/* One look at what others wrote of a route; the route may be forgotten meanwhile. */
struct reading {
    struct evidence *evidence;
    char *path;
    int64_t asked_ms; /* our clock, ... */
    int64_t redis_ms; /* ... which was this on Redis' */
};

static char *key_of(const char *path)
{
    return xasprintf(PREFIX "%s", path);
}

static void complain(struct evidence *evidence, const struct redis_error *error)
{
    if (error->refused && !evidence->complained) {
        log_warn("Redis refuses the evidence senders share; each has its own",
                 LF_S("reason", error->text));
        evidence->complained = true;
    }
}

/* --- writing --- */

static void on_written(const redisReply *reply, const struct redis_error *error, void *arg)
{
    (void)reply;
    if (error)
        complain(arg, error);
}

static char *list_unsaid(const struct route *route, int64_t now_ms)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        out_of_memory(0);
    for (int i = 0; i < route->unsaid_count; i++) {
        const struct witness *witness = &route->unsaid[i];
        fprintf(out, "%s%" PRIx64 ":%" PRId64 ":%" PRId64 ":%d", i ? "," : "", witness->machine,
                now_ms - witness->began_ms, now_ms - witness->ended_ms, witness->taken);
    }
    if (fclose(out) != 0)
        out_of_memory(0);
    return text;
}

static void write_unsaid(struct evidence *evidence, struct route *route)
{
    char most[16], ttl[16];
    char *key = key_of(route->path), *seen = list_unsaid(route, mono_ms());
    snprintf(most, sizeof most, "%d", EVIDENCE_ENTRIES);
    snprintf(ttl, sizeof ttl, "%d", EVIDENCE_TTL_MS);
    const char *add[] = {"XADD", key, "MAXLEN", "~", most, "*", "worker", evidence->settings.worker,
                         "seen", seen};
    const char *expire[] = {"PEXPIRE", key, ttl};
    if (redis_conn_command(evidence->settings.redis, 10, add, on_written, evidence))
        redis_conn_command(evidence->settings.redis, 3, expire, on_written, evidence);
    route->unsaid_count = 0;
    free(key);
    free(seen);
}

/* The last are kept where there are more than are told: how they ended has no part in that. */
static void note(struct route *route, const struct witness *witness)
{
    if (route->unsaid_count == ROUTE_UNSAID) {
        memmove(route->unsaid, route->unsaid + 1, (ROUTE_UNSAID - 1) * sizeof *route->unsaid);
        route->unsaid_count--;
    }
    route->unsaid[route->unsaid_count++] = *witness;
}

void evidence_hear(struct evidence *evidence, struct route *route, const struct witness *witness)
{
    blame_hear(&route->blame, witness);
    if (evidence->settings.redis)
        note(route, witness);
}

/* --- reading --- */

static void reading_free(struct reading *reading)
{
    struct route *route = routes_peek(reading->evidence->settings.routes, reading->path);
    if (route)
        route->is_read = false;
    free(reading->path);
    free(reading);
}

static const char *text_of(const redisReply *reply, size_t at)
{
    if (!reply || reply->type != REDIS_REPLY_ARRAY || at >= reply->elements)
        return NULL;
    const redisReply *part = reply->element[at];
    return part->type == REDIS_REPLY_STRING ? part->str : NULL;
}

static const redisReply *part_of(const redisReply *reply, size_t at)
{
    bool has = reply && reply->type == REDIS_REPLY_ARRAY && at < reply->elements;
    return has ? reply->element[at] : NULL;
}

/* The number at *at, and past it the character that ends it. */
static bool take_number(const char **at, int base, char end, uint64_t *out)
{
    char *after;
    if (!isxdigit((unsigned char)**at))
        return false;
    errno = 0;
    *out = strtoull(*at, &after, base);
    if (errno || (*after != end && *after))
        return false;
    *at = *after ? after + 1 : after;
    return true;
}

/* Ages are counted from `written_ms`, our clock. What makes no sense ends the list. */
static bool take_seen(struct route *route, const char *seen, int64_t written_ms)
{
    bool any = false;
    uint64_t machine, began, ended, taken;
    while (take_number(&seen, 16, ':', &machine) && take_number(&seen, 10, ':', &began) &&
           take_number(&seen, 10, ':', &ended) && take_number(&seen, 10, ',', &taken) &&
           began >= ended && taken <= 1) {
        if (began >= EVIDENCE_TTL_MS)
            continue; /* what Redis was not there to be told of in time */
        struct witness witness = {.machine = machine,
                                  .began_ms = written_ms - (int64_t)began,
                                  .ended_ms = written_ms - (int64_t)ended,
                                  .taken = taken == 1,
                                  .foreign = true};
        blame_hear(&route->blame, &witness);
        any = true;
    }
    return any;
}

static bool take_entry(const struct reading *reading, struct route *route, const redisReply *entry)
{
    const char *id = text_of(entry, 0);
    const redisReply *fields = part_of(entry, 1);
    const char *worker = text_of(fields, 1), *seen = text_of(fields, 3);
    if (!id || !worker || !seen || strlen(id) >= sizeof route->read_to)
        return false;
    snprintf(route->read_to, sizeof route->read_to, "%s", id);
    int64_t age = reading->redis_ms - strtoll(id, NULL, 10);
    if (strcmp(worker, reading->evidence->settings.worker) == 0 || age > BLAME_PROOF_MS)
        return false;
    return take_seen(route, seen, reading->asked_ms - (age > 0 ? age : 0));
}

static void on_read(const redisReply *reply, const struct redis_error *error, void *arg)
{
    struct reading *reading = arg;
    struct evidence *evidence = reading->evidence;
    struct route *route = routes_peek(evidence->settings.routes, reading->path);
    const redisReply *entries = part_of(part_of(reply, 0), 1);
    bool any = false;
    if (error)
        complain(evidence, error);
    for (size_t i = 0; route && entries && i < entries->elements; i++)
        any = take_entry(reading, route, entries->element[i]) || any;
    reading_free(reading);
    if (any)
        evidence->on_news(evidence->arg);
}

static void on_time(const redisReply *reply, const struct redis_error *error, void *arg)
{
    struct reading *reading = arg;
    struct evidence *evidence = reading->evidence;
    const char *seconds = text_of(reply, 0), *microseconds = text_of(reply, 1);
    const struct route *route = routes_peek(evidence->settings.routes, reading->path);
    if (error)
        complain(evidence, error);
    if (!seconds || !microseconds || !route) {
        reading_free(reading);
        return;
    }
    reading->redis_ms = strtoll(seconds, NULL, 10) * 1000 + strtoll(microseconds, NULL, 10) / 1000;
    char most[16], *key = key_of(reading->path);
    snprintf(most, sizeof most, "%d", EVIDENCE_ENTRIES);
    const char *words[] = {"XREAD",   "COUNT", most,
                           "STREAMS", key,     *route->read_to ? route->read_to : "0-0"};
    if (!redis_conn_command(evidence->settings.redis, 6, words, on_read, reading))
        reading_free(reading);
    free(key);
}

static void read_others(struct evidence *evidence, struct route *route)
{
    const char *words[] = {"TIME"};
    struct reading *reading = xcalloc(1, sizeof *reading);
    reading->evidence = evidence;
    reading->path = xstrdup(route->path);
    route->is_read = true;
    reading->asked_ms = mono_ms();
    if (!redis_conn_command(evidence->settings.redis, 1, words, on_time, reading))
        reading_free(reading);
}

/* --- both, once a second --- */

static void on_tick(void *arg)
{
    struct evidence *evidence = arg;
    struct route *route = routes_first(evidence->settings.routes);
    if (!redis_conn_is_up(evidence->settings.redis))
        return;
    for (; route; route = routes_next(evidence->settings.routes, route)) {
        if (route->unsaid_count)
            write_unsaid(evidence, route);
        if (route->doubted && !route->is_read)
            read_others(evidence, route);
    }
}

struct evidence *evidence_new(const struct evidence_settings *settings, void (*on_news)(void *arg),
                              void *arg)
{
    struct evidence *evidence = xcalloc(1, sizeof *evidence);
    evidence->settings = *settings;
    evidence->on_news = on_news;
    evidence->arg = arg;
    evidence->tick = timer_new(settings->loop, on_tick, evidence);
    if (settings->redis)
        timer_every(evidence->tick, TICK_MS);
    return evidence;
}

void evidence_free(struct evidence *evidence)
{
    if (!evidence)
        return;
    timer_free(evidence->tick);
    free(evidence);
}
