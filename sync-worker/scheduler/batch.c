/* batch.c - observations on their way into mtc.apply_cycle_times(), as its JSON; see batch.h */
#include "batch.h"
#include "base/clock.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void batch_add_text(struct batch *batch, const char *text, size_t len)
{
    size_t needed = batch->len + len + 3; /* what comes before it, the end, and the NUL */
    if (needed > batch->room) {
        batch->room = needed * 2;
        batch->text = xrealloc(batch->text, batch->room);
    }
    batch->text[batch->len++] = batch->count ? ',' : '[';
    memcpy(batch->text + batch->len, text, len);
    batch->len += len;
    batch->count++;
}

void batch_add(struct batch *batch, int machine_id, double seconds, int64_t observed_us)
{
    char text[160], when[UTC_TEXT];
    int len = snprintf(
        text, sizeof text,
        "{\"machine\":%d,\"cycle_time\":%.3f,\"observed_at\":\"%s\",\"source\":\"pull\"}",
        machine_id, seconds, utc_format_us(observed_us, when));
    batch_add_text(batch, text, (size_t)len);
}

const char *batch_close(struct batch *batch)
{
    if (!batch->count)
        return "[]";
    batch->text[batch->len] = ']';
    batch->text[batch->len + 1] = '\0';
    return batch->text;
}

void batch_clear(struct batch *batch)
{
    free(batch->text);
    *batch = (struct batch){0};
}
