/* repeats.c - which rows may have been published before; see repeats.h */
#include "repeats.h"
#include "base/xalloc.h"

#include <stdlib.h>

void repeats_add(struct repeats *repeats, int64_t row)
{
    if (repeats->count == repeats->room) {
        repeats->room = repeats->room ? repeats->room * 2 : 256;
        repeats->rows = xrealloc(repeats->rows, repeats->room * sizeof *repeats->rows);
    }
    repeats->rows[repeats->count++] = row;
    repeats->sorted = false;
}

void repeats_after_takeover(struct repeats *repeats, int64_t newest)
{
    repeats->until = newest;
    repeats->left = REPEATS_AFTER_TAKEOVER;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

bool repeats_has(struct repeats *repeats, int64_t row)
{
    if (repeats->count && !repeats->sorted) {
        qsort(repeats->rows, repeats->count, sizeof *repeats->rows, compare);
        repeats->sorted = true;
    }
    if (repeats->count && bsearch(&row, repeats->rows, repeats->count, sizeof row, compare))
        return true;
    if (repeats->left > 0 && row <= repeats->until) {
        repeats->left--;
        return true;
    }
    return false;
}

void repeats_clear(struct repeats *repeats)
{
    repeats->count = 0;
    repeats->left = 0;
}

void repeats_free(struct repeats *repeats)
{
    free(repeats->rows);
}
