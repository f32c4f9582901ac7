/*
 * recent.c - the ids of the events delivered last; see recent.h
 *
 * Keeps 64-bit fingerprints: two different ids with the same one are as likely as 1 in 10^15
 * lookups, and ids are UUIDs nobody gets to choose against us. A ring says which is the oldest, an
 * open table finds.
 */
#include "recent.h"
#include "base/hash.h"
#include "base/xalloc.h"

#include <stdint.h>
#include <stdlib.h>

#define SLOTS (RECENT_IDS * 2)

struct recent {
    uint64_t ring[RECENT_IDS];
    unsigned next;
    uint64_t slots[SLOTS]; /* 0: free */
};

static uint64_t fingerprint(const char *id)
{
    uint64_t hash = hash_text(id, 0);
    return hash ? hash : 1; /* 0 marks a free slot */
}

struct recent *recent_new(void)
{
    return xcalloc(1, sizeof(struct recent));
}

void recent_free(struct recent *recent)
{
    free(recent);
}

/* The slot that holds print, or the free one where it belongs. */
static unsigned find(const struct recent *recent, uint64_t print)
{
    unsigned slot = (unsigned)(print % SLOTS);
    while (recent->slots[slot] && recent->slots[slot] != print)
        slot = (slot + 1) % SLOTS;
    return slot;
}

/* Takes print out and closes the gap (Knuth, TAOCP 3, 6.4, algorithm R). */
static void take_out(struct recent *recent, uint64_t print)
{
    unsigned hole = find(recent, print);
    if (!recent->slots[hole])
        return;
    for (unsigned slot = (hole + 1) % SLOTS; recent->slots[slot]; slot = (slot + 1) % SLOTS) {
        unsigned home = (unsigned)(recent->slots[slot] % SLOTS);
        bool stays = hole <= slot ? (hole < home && home <= slot) : (hole < home || home <= slot);
        if (stays)
            continue;
        recent->slots[hole] = recent->slots[slot];
        hole = slot;
    }
    recent->slots[hole] = 0;
}

void recent_add(struct recent *recent, const char *id)
{
    uint64_t print = fingerprint(id);
    unsigned slot = find(recent, print);
    if (recent->slots[slot])
        return;
    if (recent->ring[recent->next])
        take_out(recent, recent->ring[recent->next]);
    recent->ring[recent->next] = print;
    recent->next = (recent->next + 1) % RECENT_IDS;
    recent->slots[find(recent, print)] = print;
}

bool recent_has(const struct recent *recent, const char *id)
{
    uint64_t print = fingerprint(id);
    return recent->slots[find(recent, print)] == print;
}
