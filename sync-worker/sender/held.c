/* held.c - an event the sender holds for the broker; see held.h */
#include "held.h"
#include "allowance.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OVERHEAD 512 /* what the allocator adds, the lane it may have for itself, its last answer */

static const char *pack(char **at, const char *text)
{
    if (!text)
        return NULL;
    size_t size = strlen(text) + 1;
    char *copy = *at;
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

static size_t size_of(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

struct held *held_new(const struct envelope *envelope, char *body, size_t len,
                      struct allowance *allowance)
{
    size_t strings = size_of(envelope->event_id) + size_of(envelope->machine) +
                     size_of(envelope->kind) + size_of(envelope->type) + size_of(envelope->path) +
                     size_of(envelope->traceparent);
    struct held *held = xmalloc(sizeof *held + strings);
    memset(held, 0, sizeof *held);
    held->envelope = *envelope;
    char *at = (char *)(held + 1);
    held->envelope.event_id = pack(&at, envelope->event_id);
    held->envelope.machine = pack(&at, envelope->machine);
    held->envelope.kind = pack(&at, envelope->kind);
    held->envelope.type = pack(&at, envelope->type);
    held->envelope.path = pack(&at, envelope->path);
    held->envelope.traceparent = pack(&at, envelope->traceparent);
    held->body = body;
    held->len = len;
    held->size = sizeof *held + strings + len + OVERHEAD;
    held->allowance = allowance;
    if (allowance)
        allowance_take(allowance, held->size);
    return held;
}

void held_enrol(struct held *held, struct held **roll)
{
    held->roll_next = *roll;
    held->roll_at = roll;
    if (*roll)
        (*roll)->roll_at = &held->roll_next;
    *roll = held;
}

static void leave_roll(struct held *held)
{
    if (!held->roll_at)
        return;
    *held->roll_at = held->roll_next;
    if (held->roll_next)
        held->roll_next->roll_at = held->roll_at;
}

void held_free(struct held *held)
{
    leave_roll(held);
    if (held->route)
        route_let_go(held->route);
    free(held->body);
    free(held->reason);
    free(held->answer);
    free(held->response);
    if (held->allowance)
        allowance_give(held->allowance, held->size);
    free(held);
}

void held_put_aside(struct held *held)
{
    if (held->aside)
        return;
    held->aside = true;
    free(held->body);
    held->body = NULL;
    held->size -= held->len;
    if (held->allowance)
        allowance_shrink(held->allowance, held->len);
}

const char *held_name(const struct held *held, char out[HELD_NAME])
{
    const struct envelope *envelope = &held->envelope;
    if (envelope->again)
        snprintf(out, HELD_NAME, "%s:%" PRId64, envelope->event_id, envelope->seq);
    else
        snprintf(out, HELD_NAME, "%s", envelope->event_id);
    return out;
}
