/*
 * pull.c - one pull: asks MTConnect for the cycle time of every active machine; see pull.h
 *
 * Diagnostics: a machine that fails is a warning with its name when it is asked again, an error
 * when it is given up.
 */
#include "pull.h"
#include "answer.h"
#include "base/clock.h"
#include "base/log.h"
#include "version.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define GIVE_UP_AFTER 64 /* failures, and not one answer, that say MTConnect is not there */

struct machine {
    int id;
    char *name, *url;
    char *etag, *why;     /* why: it has failed */
    struct answer answer; /* the last good one, for a 304 */
    int64_t asked_us;
    int attempts;
    bool repeated, listed;
    struct run *run;
    struct timer *timer;
    struct machine *next; /* in the queue of those to be asked */
    UT_hash_handle hh;
};

struct run {
    struct service *service;
    struct scheduler_metrics *metrics;
    struct newest *newest;
    void (*changed)(void *arg);
    void *arg;
    struct http_client *http;
    struct timer *turn;
    const char *api_key_header;
    struct machine *table; /* all machines ever asked and still active */
    struct machine *first, **last;
    struct batch batch;
    bool under_way;
    int64_t started_ms;
    int asked, answered, failed, waiting, failures; /* waiting: for their next attempt */
    char *stopped;
};

/* Asks whoever is next, as soon as the callback of the request that made room is over. */
static void go_on(struct run *run)
{
    timer_soon(run->turn);
}

/* --- how a machine's turn ends --- */

static void give_up(struct run *run, struct machine *machine, enum failure failure, const char *why)
{
    metric_add(run->metrics->failures[failure], 1);
    log_error("machine not pulled", LF_S("machine", machine->name),
              LF_I("attempt", machine->attempts), LF_S("reason", why));
    machine->why = xstrdup(why);
    run->failed++;
    metric_add(run->metrics->failed, 1);
}

static void take_value(struct run *run, struct machine *machine)
{
    const struct answer *answer = &machine->answer;
    int64_t observed_us = answer->observed_us ? answer->observed_us : machine->asked_us;
    if (newest_is_stale(run->newest, machine->id, observed_us)) {
        metric_add(run->metrics->older, 1);
        return;
    }
    newest_note(run->newest, machine->id, observed_us);
    batch_add(&run->batch, machine->id, answer->seconds, observed_us);
}

static void take_answer(struct run *run, struct machine *machine, const struct http_result *result)
{
    struct answer answer;
    answer_read(result->body, result->body_len, machine->name, machine->id, utc_us(), &answer);
    free(machine->etag);
    machine->etag = NULL;
    if (answer.kind == ANSWER_BROKEN) {
        char why[256];
        snprintf(why, sizeof why, "breach of contract: %s", answer.error);
        give_up(run, machine, FAILURE_CONTRACT, why);
        return;
    }
    machine->answer = answer;
    if (*result->etag)
        machine->etag = xstrdup(result->etag);
    run->answered++;
    metric_add(answer.kind == ANSWER_VALUE ? run->metrics->values : run->metrics->nothing, 1);
    if (answer.kind == ANSWER_VALUE)
        take_value(run, machine);
}

static void take_unchanged(struct run *run, struct machine *machine)
{
    run->answered++;
    metric_add(run->metrics->unchanged, 1);
    if (machine->answer.kind == ANSWER_VALUE)
        take_value(run, machine);
}

/* Not this machine's fault: the others would hear the same. */
static void stop_asking(struct run *run, const char *why)
{
    if (run->stopped)
        return;
    run->stopped = xstrdup(why);
    log_error("pull given up", LF_S("reason", why), LF_I("answered", run->answered));
    for (struct machine *machine = run->table; machine; machine = machine->hh.next) {
        if (machine->timer && timer_is_started(machine->timer)) {
            timer_cancel(machine->timer);
            run->waiting--;
            machine->why = xstrdup(why);
            run->failed++;
        }
    }
    for (struct machine *machine = run->first; machine; machine = machine->next) {
        machine->why = xstrdup(why);
        run->failed++;
    }
    run->first = NULL;
    run->last = &run->first;
}

static void enqueue(struct run *run, struct machine *machine)
{
    machine->next = NULL;
    *run->last = machine;
    run->last = &machine->next;
}

static void on_retry(void *arg)
{
    struct machine *machine = arg;
    machine->run->waiting--;
    enqueue(machine->run, machine);
    go_on(machine->run);
}

static void ask_again_later(struct run *run, struct machine *machine,
                            const struct http_result *result, const char *why)
{
    const struct config *config = run->service->config;
    int64_t pause = config->scheduler_retry_delays_s.ms[machine->attempts - 1];
    int64_t asked = result->retry_after_s * 1000, most = config->sender_retry_after_max_s * 1000;
    if (asked > most)
        asked = most;
    if (asked > pause)
        pause = asked;
    log_warn("machine will be asked again", LF_S("machine", machine->name),
             LF_I("attempt", machine->attempts), LF_S("reason", why), LF_I("retry_ms", pause));
    if (!machine->timer && !(machine->timer = timer_new(run->service->loop, on_retry, machine)))
        out_of_memory(0);
    timer_in(machine->timer, pause);
    run->waiting++;
}

static bool may_succeed_later(long status)
{
    return status == 0 || status == 408 || status == 425 || status == 429 || status >= 500;
}

static void take_failure(struct run *run, struct machine *machine, const struct http_result *result)
{
    char why[256];
    if (result->status == 0)
        snprintf(why, sizeof why, "no answer: %s", result->error);
    else
        snprintf(why, sizeof why, "HTTP %ld%s", result->status,
                 result->status == 404 ? ": MTConnect does not know it" : "");
    long status = result->status;
    enum failure failure = status == 0     ? FAILURE_NO_ANSWER
                           : status == 404 ? FAILURE_UNKNOWN
                                           : FAILURE_STATUS;
    if (status == 401 || status == 403 || status == 407 || (status >= 300 && status < 400)) {
        give_up(run, machine, failure, why);
        stop_asking(run, why);
        return;
    }
    if (!may_succeed_later(status)) {
        give_up(run, machine, failure, why);
        return;
    }
    run->failures++;
    if (run->stopped || machine->attempts > run->service->config->scheduler_retry_delays_s.count)
        give_up(run, machine, failure, why);
    else
        ask_again_later(run, machine, result, why);
    if (run->failures >= GIVE_UP_AFTER && run->answered == 0)
        stop_asking(run, why);
}

static void on_answer(const struct http_result *result, void *arg)
{
    struct machine *machine = arg;
    struct run *run = machine->run;
    if (result->reused && result->nothing_read && result->status == 0 &&
        result->end != HTTP_TIMED_OUT && !machine->repeated) {
        machine->repeated = true; /* the server had just closed it; that is no attempt */
        machine->attempts--;
        enqueue(run, machine);
    } else if (result->status == 200 && result->end == HTTP_COMPLETE) {
        take_answer(run, machine, result);
    } else if (result->status == 304 && machine->etag) {
        take_unchanged(run, machine);
    } else if (result->status / 100 == 2) {
        give_up(run, machine, FAILURE_CONTRACT,
                result->end == HTTP_COMPLETE ? "breach of contract: not status 200"
                                             : result->error);
    } else {
        take_failure(run, machine, result);
    }
    go_on(run);
}

/* --- asking --- */

static void ask(struct run *run, struct machine *machine)
{
    char match[512];
    struct http_request request = {.method = "GET",
                                   .url = machine->url,
                                   .fresh = machine->repeated,
                                   .keep_body = ANSWER_BODY_MAX};
    int count = 0;
    request.headers[count++] = "Accept: application/json";
    if (run->api_key_header)
        request.headers[count++] = run->api_key_header;
    if (machine->etag && strlen(machine->etag) < sizeof match - 20) {
        snprintf(match, sizeof match, "If-None-Match: %s", machine->etag);
        request.headers[count++] = match;
    }
    machine->asked_us = utc_us();
    machine->attempts++;
    http_client_start(run->http, &request, on_answer, machine); /* there is room: see on_turn() */
}

static void on_turn(void *arg)
{
    struct run *run = arg;
    while (run->first && http_client_has_room(run->http)) {
        struct machine *machine = run->first;
        run->first = machine->next;
        if (!run->first)
            run->last = &run->first;
        ask(run, machine);
    }
    if (run->under_way && http_client_under_way(run->http) == 0)
        run->changed(run->arg);
}

/* --- the list of machines --- */

static void machine_free(struct machine *machine)
{
    if (machine->timer)
        timer_free(machine->timer);
    free(machine->name);
    free(machine->url);
    free(machine->etag);
    free(machine->why);
    free(machine);
}

static char *url_of(const struct run *run, const char *name)
{
    const char *base = run->service->config->mtconnect_base_url;
    size_t len = strlen(base);
    while (len && base[len - 1] == '/')
        len--;
    char *escaped = http_escape(name);
    char *url = xasprintf("%.*s/api/ext/machines/%s/cycle-time", (int)len, base, escaped);
    free(escaped);
    return url;
}

static void list_machine(struct run *run, int id, const char *name)
{
    struct machine *machine;
    HASH_FIND_INT(run->table, &id, machine);
    if (machine && strcmp(machine->name, name) != 0) { /* renamed: what is known is of another */
        HASH_DEL(run->table, machine);
        machine_free(machine);
        machine = NULL;
    }
    if (!machine) {
        machine = xcalloc(1, sizeof *machine);
        machine->id = id;
        machine->name = xstrdup(name);
        machine->url = url_of(run, name);
        machine->run = run;
        HASH_ADD_INT(run->table, id, machine);
    }
    machine->listed = true;
    machine->attempts = 0;
    machine->repeated = false;
    free(machine->why);
    machine->why = NULL;
    enqueue(run, machine);
    run->asked++;
}

static void drop_unlisted(struct run *run)
{
    struct machine *machine = run->table, *next;
    HASH_CLEAR(hh, run->table); /* lets go of them all; their list is still whole */
    for (; machine; machine = next) {
        next = machine->hh.next;
        if (machine->listed)
            HASH_ADD_INT(run->table, id, machine);
        else
            machine_free(machine);
    }
}

static void reset(struct run *run)
{
    run->under_way = false;
    run->first = NULL;
    run->last = &run->first;
    run->asked = run->answered = run->failed = run->waiting = run->failures = 0;
    free(run->stopped);
    run->stopped = NULL;
    batch_clear(&run->batch);
}

void run_start(struct run *run, const PGresult *machines)
{
    reset(run);
    run->under_way = true;
    run->started_ms = mono_ms();
    for (struct machine *machine = run->table; machine; machine = machine->hh.next)
        machine->listed = false;
    for (int row = 0; row < PQntuples(machines); row++)
        list_machine(run, (int)strtol(PQgetvalue(machines, row, 0), NULL, 10),
                     PQgetvalue(machines, row, 1));
    drop_unlisted(run);
    go_on(run);
}

bool run_is_under_way(const struct run *run)
{
    return run->under_way;
}

bool run_is_over(const struct run *run)
{
    return run->under_way && !run->first && !run->waiting && http_client_under_way(run->http) == 0;
}

bool run_has_batch(const struct run *run)
{
    return run->batch.count > 0 && http_client_under_way(run->http) == 0;
}

struct batch run_take_batch(struct run *run)
{
    struct batch batch = run->batch;
    run->batch = (struct batch){0};
    return batch;
}

struct run_summary run_summary(const struct run *run)
{
    return (struct run_summary){.asked = run->asked,
                                .answered = run->answered,
                                .failed = run->failed,
                                .seconds = (double)(mono_ms() - run->started_ms) / 1000.0,
                                .stopped = run->stopped};
}

char *run_failures(const struct run *run)
{
    json_t *all = json_object();
    for (const struct machine *machine = run->table; machine; machine = machine->hh.next) {
        if (machine->why)
            json_object_set_new(all, machine->name, json_string(machine->why));
    }
    char *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    if (!text)
        out_of_memory(0);
    return text;
}

void run_end(struct run *run)
{
    reset(run);
}

static void new_client(struct run *run)
{
    const struct config *config = run->service->config;
    struct http_client_settings http = {.timeout_ms = config->mtconnect_timeout_ms,
                                        .connections = config->scheduler_connections,
                                        .idle_s = config->mtconnect_idle_s,
                                        .user_agent = "mtc-scheduler/" MTC_VERSION};
    run->http = http_client_new(run->service->loop, &http);
}

void run_abort(struct run *run)
{
    if (!run->under_way)
        return;
    for (struct machine *machine = run->table; machine; machine = machine->hh.next) {
        if (machine->timer)
            timer_cancel(machine->timer);
    }
    reset(run);
    /* Requests under way go with their client. */
    http_client_free(run->http);
    new_client(run);
}

void run_set_api_key(struct run *run, const char *header)
{
    run->api_key_header = header;
}

struct run *run_new(struct service *service, struct scheduler_metrics *metrics,
                    struct newest *newest, void (*changed)(void *arg), void *arg)
{
    struct run *run = xcalloc(1, sizeof *run);
    run->service = service;
    run->metrics = metrics;
    run->newest = newest;
    run->changed = changed;
    run->arg = arg;
    run->last = &run->first;
    run->turn = timer_new(service->loop, on_turn, run);
    new_client(run);
    return run;
}

void run_free(struct run *run)
{
    if (!run)
        return;
    http_client_free(run->http);
    timer_free(run->turn);
    struct machine *machine = run->table, *next;
    HASH_CLEAR(hh, run->table); /* lets go of them all; their list is still whole */
    for (; machine; machine = next) {
        next = machine->hh.next;
        machine_free(machine);
    }
    batch_clear(&run->batch);
    free(run->stopped);
    free(run);
}
