/*
 * recent.h - the ids of the events delivered last
 *
 * Catches repeats that come soon after the first, without asking Redis, and also when Redis is
 * down: a connection to the broker that was lost just before an ack, a publisher that was not sure.
 * Holds the last RECENT_IDS ids.
 */
#ifndef MTC_RECENT_H
#define MTC_RECENT_H

#include <stdbool.h>

#define RECENT_IDS 8192

struct recent;

struct recent *recent_new(void);
void recent_free(struct recent *recent);
void recent_add(struct recent *recent, const char *id);
bool recent_has(const struct recent *recent, const char *id);

#endif
