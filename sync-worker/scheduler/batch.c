/* batch.c - observations on their way into mtc.apply_cycle_times(), as its JSON; see batch.h */
#include "batch.h"
#include "base/clock.h"
#include "base/xalloc.h"

#include <stdbool.h>
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

void batch_add(struct batch *batch, const struct finding *finding)
{
    char text[256], observed[UTC_TEXT], asked[UTC_TEXT];
    bool dated = finding->observed_us != 0;
    int len = snprintf(text, sizeof text,
                       "{\"machine\":%d,\"cycle_time\":%.3f,\"observed_at\":\"%s\",\"dated\":%s,"
                       "\"arrived_at\":\"%s\",\"source\":\"pull\"}",
                       finding->machine_id, finding->seconds,
                       utc_format_us(dated ? finding->observed_us : finding->asked_us, observed),
                       dated ? "true" : "false", utc_format_us(finding->asked_us, asked));
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
