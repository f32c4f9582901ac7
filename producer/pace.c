/* pace.c - when the relay reads: asleep and awake; see pace.h */
#include "pace.h"

#define AWAKE_POLL_MS 4
#define COUNT_MS      1000 /* reads that found rows are counted over this */
#define WAKE_READS    150  /* ... this many: stop the NOTIFYs */
#define SLEEP_READS   75   /* ... fewer than this: have them again */
#define SOON_READS    4    /* after falling asleep, ... */
#define SOON_FIRST_MS 20   /* ... 20, 80, 320, 1280 ms after one another */

void pace_start(struct pace *pace, int64_t now)
{
    pace->awake = false;
    pace->read_wanted = true;
    pace->count_from_ms = now;
    pace->reads_with_rows = 0;
}

void pace_want_read(struct pace *pace)
{
    pace->read_wanted = true;
}

static int64_t poll_pause(const struct pace *pace, int64_t asleep_poll_ms)
{
    if (pace->awake)
        return AWAKE_POLL_MS;
    int64_t soon = SOON_FIRST_MS << (2 * (SOON_READS - pace->soon_reads));
    return pace->soon_reads > 0 && soon < asleep_poll_ms ? soon : asleep_poll_ms;
}

int64_t pace_poll_at(const struct pace *pace, int64_t asleep_poll_ms)
{
    return pace->last_read_ms + poll_pause(pace, asleep_poll_ms);
}

void pace_on_poll_due(struct pace *pace)
{
    pace->read_wanted = true;
    pace->soon_reads -= pace->soon_reads > 0;
}

void pace_on_read_sent(struct pace *pace, int64_t now)
{
    pace->read_wanted = false;
    pace->last_read_ms = now;
}

void pace_on_read_done(struct pace *pace, bool found, bool more)
{
    pace->reads_with_rows += found;
    pace->read_wanted |= more; /* what comes later announces itself */
}

bool pace_switch(struct pace *pace, int64_t now)
{
    if (now - pace->count_from_ms < COUNT_MS)
        return false;
    int reads = pace->reads_with_rows;
    pace->count_from_ms = now;
    pace->reads_with_rows = 0;
    if (pace->awake ? reads >= SLEEP_READS : reads < WAKE_READS)
        return false;
    pace->awake = !pace->awake;
    return true;
}

void pace_on_told(struct pace *pace)
{
    pace->read_wanted = true;
    pace->soon_reads = pace->awake ? 0 : SOON_READS;
}
