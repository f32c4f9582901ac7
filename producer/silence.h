/*
 * silence.h - when a broker that confirms nothing is given up
 *
 * It is not as long as something is confirmed, or leaves our memory, or nothing waits for a
 * confirm. When it is, and the next connection confirms nothing either, that one is given twice the
 * time, up to SILENCE_LIMIT_MAX_MS: connecting anew publishes rows again.
 *
 * Owned by transit.c, and pure: `now` is milliseconds of the monotonic clock.
 */
#ifndef MTC_SILENCE_H
#define MTC_SILENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SILENCE_LIMIT_MAX_MS 320000

struct silence {
    int64_t limit_ms; /* set by its owner */
    int times;        /* the limit is to be doubled */
    int64_t since_ms;
    uint64_t published, left; /* bytes on this channel; the most that were seen to have left us */
};

/* A new one. unsent: bytes that have not left us, and are none of what is published from now on. */
void silence_on_channel(struct silence *silence, size_t unsent, int64_t now);
void silence_on_published(struct silence *silence, size_t bytes);
void silence_on_confirmed(struct silence *silence, int64_t now);

/* True once a silence: the connection is to be given up. waits: something waits for a confirm, and
 * the broker has not said that it takes nothing; unsent: bytes that have not left us. */
bool silence_is_over(struct silence *silence, bool waits, size_t unsent, int64_t now);

#endif
