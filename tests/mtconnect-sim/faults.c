/*
 * faults.c - rules that break answers; see sim.h
 *
 * A rule is an object: `action`, what it matches (`machine`, `type`, `path`; each may be absent),
 * how often (`rate` 0..1, `count` times at most), and what the action needs. The first rule that
 * matches and whose dice fall takes the request:
 *
 *   status     answer `status` (`retry_after` s, `body`)          nothing is applied
 *   limit      the same, past `per_second` requests in a second   nothing is applied
 *   delay      go on normally after `ms`
 *   hang       no answer ever
 *   close      close the connection                               nothing is applied
 *   lose       apply, then close the connection without an answer
 *   truncate   apply, and break off in the middle of the answer
 *   drip       send the answer's head a byte every `ms`           nothing is applied
 *   garbage    answer with bytes that are no HTTP                 nothing is applied
 */
#include "sim.h"
#include "base/clock.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum action {
    FAULT_STATUS,
    FAULT_LIMIT,
    FAULT_DELAY,
    FAULT_HANG,
    FAULT_CLOSE,
    FAULT_LOSE,
    FAULT_TRUNCATE,
    FAULT_DRIP,
    FAULT_GARBAGE
};
static const char *const action_names[] = {"status", "limit",    "delay", "hang",   "close",
                                           "lose",   "truncate", "drip",  "garbage"};
#define ACTIONS 9
#define HANG_MS 60000

struct rule {
    enum action action;
    char *machine, *type, *path, *body;
    double rate;
    long count; /* left; negative: no limit */
    unsigned status;
    int64_t retry_after, ms;
    long per_second, this_second; /* this many came in the second that began then: */
    int64_t second_began_ms;
    long hits;
};

struct faults {
    struct sim *sim;
    struct rule *rules;
    size_t count;
    unsigned seed;
    struct later *laters; /* running, to be dropped at the end */
};

struct later { /* an exchange that is waiting for its time */
    struct faults *faults;
    struct http_exchange *exchange;
    struct timer *timer;
    enum action action;
    int64_t ms;
    size_t sent;
    struct later *next, *previous;
};

struct faults *faults_new(struct sim *sim, unsigned seed)
{
    struct faults *faults = xcalloc(1, sizeof *faults);
    faults->sim = sim;
    faults->seed = seed;
    return faults;
}

static void free_rules(struct faults *faults)
{
    for (size_t i = 0; i < faults->count; i++) {
        free(faults->rules[i].machine);
        free(faults->rules[i].type);
        free(faults->rules[i].path);
        free(faults->rules[i].body);
    }
    free(faults->rules);
    faults->rules = NULL;
    faults->count = 0;
}

static void later_free(struct later *later)
{
    if (later->previous)
        later->previous->next = later->next;
    else
        later->faults->laters = later->next;
    if (later->next)
        later->next->previous = later->previous;
    timer_free(later->timer);
    free(later);
}

void faults_drop_waiting(struct faults *faults)
{
    struct later *next;
    for (struct later *later = faults->laters; later; later = next) {
        next = later->next;
        later_free(later);
    }
}

void faults_free(struct faults *faults)
{
    faults_drop_waiting(faults);
    free_rules(faults);
    free(faults);
}

static char *copy_text(const json_t *rule, const char *name)
{
    const char *text = json_string_value(json_object_get(rule, name));
    return text ? xstrdup(text) : NULL;
}

static json_int_t number_or(const json_t *rule, const char *name, json_int_t otherwise)
{
    const json_t *value = json_object_get(rule, name);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static bool read_rule(const json_t *from, struct rule *rule, char *error, size_t error_size)
{
    static const char *const known[] = {"action", "machine", "type",       "path",
                                        "rate",   "count",   "status",     "retry_after",
                                        "ms",     "body",    "per_second", NULL};
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)from, key, value) {
        int i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i]) {
            snprintf(error, error_size, "a rule has no \"%s\"", key);
            return false;
        }
    }
    const char *action = json_string_value(json_object_get(from, "action"));
    int a = 0;
    while (a < ACTIONS && (!action || strcmp(action, action_names[a]) != 0))
        a++;
    if (a == ACTIONS) {
        snprintf(error, error_size, "action \"%s\" is unknown", action ? action : "");
        return false;
    }
    const json_t *rate = json_object_get(from, "rate");
    *rule = (struct rule){
        .action = (enum action)a,
        .machine = copy_text(from, "machine"),
        .type = copy_text(from, "type"),
        .path = copy_text(from, "path"),
        .body = copy_text(from, "body"),
        .rate = json_is_number(rate) ? json_number_value(rate) : 1,
        .count = (long)number_or(from, "count", -1),
        .status = (unsigned)number_or(from, "status", 500),
        .retry_after = number_or(from, "retry_after", 0),
        .ms = number_or(from, "ms", 500),
        .per_second = (long)number_or(from, "per_second", 1),
    };
    return true;
}

bool faults_set(struct faults *faults, json_t *rules, char *error, size_t error_size)
{
    if (!json_is_array(rules)) {
        snprintf(error, error_size, "an array of rules is wanted");
        return false;
    }
    free_rules(faults);
    faults->rules = xcalloc(json_array_size(rules), sizeof *faults->rules);
    size_t i;
    json_t *rule;
    json_array_foreach (rules, i, rule) {
        if (!read_rule(rule, &faults->rules[i], error, error_size))
            return false;
        faults->count++;
    }
    return true;
}

void faults_count(const struct faults *faults, FILE *out)
{
    fputc('[', out);
    for (size_t i = 0; i < faults->count; i++)
        fprintf(out, "%s{\"action\":\"%s\",\"hits\":%ld}", i ? "," : "",
                action_names[faults->rules[i].action], faults->rules[i].hits);
    fputc(']', out);
}

bool faults_any(const struct faults *faults)
{
    return faults->count > 0;
}

static bool same(const char *wanted, const char *got)
{
    return !wanted || (got && strcmp(wanted, got) == 0);
}

/* One more has come in this second. */
static bool is_within_limit(struct rule *rule)
{
    int64_t now = mono_ms();
    if (now - rule->second_began_ms >= 1000) {
        rule->second_began_ms = now;
        rule->this_second = 0;
    }
    return ++rule->this_second <= rule->per_second;
}

static struct rule *choose(struct faults *faults, const struct fault_request *request)
{
    for (size_t i = 0; i < faults->count; i++) {
        struct rule *rule = &faults->rules[i];
        if (rule->count == 0 || !same(rule->machine, request->machine) ||
            !same(rule->type, request->type) || !same(rule->path, request->path))
            continue;
        if (rule->rate < 1 && rand_r(&faults->seed) > rule->rate * RAND_MAX)
            continue;
        if (rule->action == FAULT_LIMIT && is_within_limit(rule))
            continue;
        if (rule->count > 0)
            rule->count--;
        rule->hits++;
        return rule;
    }
    return NULL;
}

static bool drip_one(struct later *later)
{
    static const char head[] =
        "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    if (later->sent >= strlen(head) ||
        send(http_fd(later->exchange), head + later->sent, 1, MSG_NOSIGNAL) != 1)
        return false;
    later->sent++;
    timer_in(later->timer, later->ms);
    return true;
}

static void on_later(void *arg)
{
    struct later *later = arg;
    struct sim *sim = later->faults->sim;
    if (later->action == FAULT_DRIP && drip_one(later))
        return;
    struct http_exchange *exchange = later->exchange;
    bool go_on = later->action == FAULT_DELAY;
    later_free(later);
    if (go_on)
        service_process(sim, exchange, ANSWER_WHOLE);
    else
        http_abort(exchange);
}

static void do_later(struct faults *faults, struct http_exchange *exchange, enum action action,
                     int64_t ms)
{
    struct later *later = xcalloc(1, sizeof *later);
    *later = (struct later){
        .faults = faults, .exchange = exchange, .action = action, .ms = ms, .next = faults->laters};
    if (faults->laters)
        faults->laters->previous = later;
    faults->laters = later;
    later->timer = timer_new(faults->sim->loop, on_later, later);
    timer_in(later->timer, ms);
}

static void answer_status(struct http_exchange *exchange, const struct rule *rule)
{
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%lld", (long long)rule->retry_after);
    struct http_extra extras[] = {{rule->retry_after ? "Retry-After" : NULL, seconds},
                                  {NULL, NULL}};
    const char *body = rule->body ? rule->body : "{\"message\":\"told to fail\"}";
    http_reply(exchange, rule->status, "application/json", body, strlen(body), extras);
}

static bool answers_status(const struct rule *rule)
{
    return rule->action == FAULT_STATUS || rule->action == FAULT_LIMIT;
}

bool faults_apply(struct faults *faults, struct http_exchange *exchange,
                  const struct fault_request *request)
{
    static const char garbage[] = "\x16\x03garbage, no HTTP\r\n\r\n";
    struct rule *rule = choose(faults, request);
    if (!rule)
        return false;
    const char *key = http_header(exchange, "X-Idempotency-Key");
    bool passes = rule->action == FAULT_DELAY || rule->action == FAULT_LOSE ||
                  rule->action == FAULT_TRUNCATE;
    if (!passes)
        record_add(faults->sim->record, request->machine, request->type, key,
                   answers_status(rule) ? rule->status : 0, false, action_names[rule->action]);
    switch (rule->action) {
    case FAULT_STATUS:
    case FAULT_LIMIT:
        answer_status(exchange, rule);
        break;
    case FAULT_DELAY:
        do_later(faults, exchange, FAULT_DELAY, rule->ms);
        break;
    case FAULT_HANG:
        do_later(faults, exchange, FAULT_HANG, HANG_MS);
        break;
    case FAULT_DRIP:
        do_later(faults, exchange, FAULT_DRIP, rule->ms);
        break;
    case FAULT_LOSE:
    case FAULT_TRUNCATE:
        service_process(faults->sim, exchange,
                        rule->action == FAULT_LOSE ? ANSWER_LOST : ANSWER_TRUNCATED);
        break;
    case FAULT_GARBAGE:
        if (send(http_fd(exchange), garbage, sizeof garbage - 1, MSG_NOSIGNAL) < 0)
            record_violation(faults->sim->record, "sim", "garbage could not be sent");
        http_abort(exchange);
        break;
    case FAULT_CLOSE:
        http_abort(exchange);
        break;
    }
    return true;
}
