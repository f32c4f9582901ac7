/* outcome.c - what became of events, as the ledger reads it; see outcome.h */
#include "outcome.h"
#include "base/clock.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *outcome_clean_text(const char *text)
{
    char *copy = xstrdup(text);
    json_t *valid = json_string(text); /* NULL unless it is UTF-8 */
    for (unsigned char *at = (unsigned char *)copy; *at; at++) {
        if (*at < ' ' || *at == 0x7f || (!valid && *at >= 0x80))
            *at = '?';
    }
    json_decref(valid);
    return copy;
}

/* text as a JSON string, quotes included. */
static char *quoted(const char *text)
{
    char *clean = outcome_clean_text(text);
    json_t *string = json_string(clean);
    char *json = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    json_decref(string);
    free(clean);
    if (!json)
        out_of_memory(0);
    return json;
}

static void put(FILE *out, const struct held *held, int64_t now_us)
{
    /* An event id need not be a UUID (it then matches no row); a quote in it must not break the
     * batch. */
    char *id = quoted(held->envelope.event_id);
    fprintf(out,
            "{\"seq\":%" PRId64 ",\"id\":%s,\"outcome\":\"%s\",\"at_us\":%" PRId64
            ",\"attempts\":%d",
            held->envelope.seq, id, held->reason ? "dead" : "delivered", now_us, held->attempts);
    free(id);
    if (held->envelope.requeues)
        fprintf(out, ",\"requeues\":%" PRId64, held->envelope.requeues);
    if (held->last_status)
        fprintf(out, ",\"status\":%ld", held->last_status);
    if (held->reason) {
        char *whole = held->response ? xasprintf("%s: %s", held->reason, held->response)
                                     : xstrdup(held->reason);
        char *reason = quoted(whole);
        fprintf(out, ",\"reason\":%s", reason);
        free(reason);
        free(whole);
    }
    fputc('}', out);
}

char *outcome_batch(const struct held *first, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    if (!out)
        out_of_memory(0);
    int64_t now_us = utc_us();
    fputc('[', out);
    for (const struct held *held = first; held; held = held->next) {
        if (held != first)
            fputc(',', out);
        put(out, held, now_us);
    }
    fputc(']', out);
    fclose(out);
    return text;
}
