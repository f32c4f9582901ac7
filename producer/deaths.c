/*
 * deaths.c - dead letters as the ledger reads them; see deaths.h
 *
 * Diagnostics: that RabbitMQ gave an event up is an error: nobody has judged that event, and no
 * setting of ours does that.
 */
#include "deaths.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "suite/dead_letter.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_NO_ROW 0 /* of delivery->note */

/* 8-4-4-4-12 hexadecimal digits: anything else is the id of no row, and PostgreSQL refuses it. */
static bool is_uuid(const char *text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    for (size_t i = 0; i < sizeof form - 1; i++) {
        if (form[i] == '-' ? text[i] != '-'
                           : !text[i] || !strchr("0123456789abcdefABCDEF", text[i]))
            return false;
    }
    return text[sizeof form - 1] == '\0';
}

static bool fits_integer(int64_t number)
{
    return number >= 0 && number <= INT32_MAX;
}

static bool has_row(const struct dead_letter_told *told)
{
    return told->seq > 0 && is_uuid(told->id) && fits_integer(told->requeues);
}

static void put_number(json_t *outcome, const char *key, int64_t number)
{
    if (number && fits_integer(number))
        json_object_set_new(outcome, key, json_integer(number));
}

/* As mtc-sender words it in its own outcome of the same death. */
static json_t *reason_json(const struct dead_letter_told *told)
{
    char *whole = *told->response ? xasprintf("%s: %s", told->reason, told->response)
                                  : xstrdup(told->reason);
    json_t *json = json_string(whole);
    free(whole);
    return json;
}

static char *outcome_of(const struct dead_letter_told *told)
{
    json_t *outcome = json_pack("{s:I, s:s, s:s, s:I}", "seq", (json_int_t)told->seq, "id",
                                told->id, "outcome", "dead", "at_us",
                                (json_int_t)(told->dead_us > 0 ? told->dead_us : utc_us()));
    put_number(outcome, "attempts", told->attempts);
    put_number(outcome, "status", told->status);
    put_number(outcome, "requeues", told->requeues);
    json_object_set_new(outcome, "reason", reason_json(told));
    char *text = json_dumps(outcome, JSON_COMPACT);
    json_decref(outcome);
    if (!text)
        out_of_memory(0);
    char *array = xasprintf("[%s]", text);
    free(text);
    return array;
}

static void note_by_broker(const struct dead_letter_told *told,
                           const struct producer_metrics *metrics)
{
    log_error("RabbitMQ gave a message up; see what mtcctl doctor says of its queues",
              LF_S("event", told->id), LF_S("machine", told->machine), LF_S("kind", told->kind),
              LF_S("reason", told->reason));
    metric_add(metrics->given_up, 1);
}

void deaths_read(struct delivery *delivery, const amqp_basic_properties_t *properties,
                 const struct producer_metrics *metrics)
{
    struct dead_letter_told told;
    dead_letter_read(properties, &told);
    if (told.by_broker)
        note_by_broker(&told, metrics);
    delivery->note[NOTE_NO_ROW] = !has_row(&told);
    free(delivery->body);
    delivery->body = has_row(&told) ? outcome_of(&told) : xstrdup("[]");
    delivery->len = strlen(delivery->body);
    dead_letter_told_free(&told);
}

bool deaths_is_of_no_row(const struct delivery *delivery)
{
    return delivery->note[NOTE_NO_ROW] != 0;
}
