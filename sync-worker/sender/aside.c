/* aside.c - bodies that are let go of; see aside.h */
#include "aside.h"
#include "allowance.h"
#include "base/log.h"

#define SHARE_MIN 4096 /* less is not worth a hand-back */

/* What is behind the first without a body has none either: the order is the line's. */
static void trim(struct lane *lane, size_t share)
{
    size_t kept = lane->first->size;
    for (struct held *held = lane->first->next; held; held = held->next) {
        kept += held->size;
        if (kept <= share)
            continue;
        held_put_aside(held);
        lane->aside = true;
    }
}

static void trim_all(struct lanes *lanes, size_t share)
{
    for (struct lane *lane = lanes->table; lane; lane = lane->hh.next)
        trim(lane, share);
}

int aside_count(const struct lanes *lanes)
{
    int count = 0;
    for (const struct lane *lane = lanes->table; lane; lane = lane->hh.next) {
        for (const struct held *held = lane->aside ? lane->first : NULL; held; held = held->next)
            count += held->aside;
    }
    return count;
}

void aside_make_room(struct lanes *lanes, const struct allowance *allowance, size_t bound)
{
    int before = aside_count(lanes);
    for (size_t share = bound / 4; share >= SHARE_MIN; share /= 2) {
        trim_all(lanes, share);
        if (allowance_bytes(allowance) < bound / 2)
            break;
    }
    int put = aside_count(lanes) - before;
    if (put)
        log_info("bodies of machines that wait were put aside, to make room", LF_I("events", put),
                 LF_I("bytes_left", (int64_t)allowance_bytes(allowance)));
}
