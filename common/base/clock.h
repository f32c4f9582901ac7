/*
 * clock.h - time as a value
 *
 * Durations come from the monotonic clock, facts from UTC; the unit is in every name. Nothing here
 * fails.
 */
#ifndef MTC_CLOCK_H
#define MTC_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

/* Milliseconds / microseconds of CLOCK_MONOTONIC: only differences mean anything. */
int64_t mono_ms(void);
int64_t mono_us(void);

/* Microseconds of UTC since 1970. */
int64_t utc_us(void);

/* Seconds since then, which is a utc_us(); 0 if it is 0 (there is no then) or yet to come. */
double age_s(int64_t then_us);

/* RFC 3339 with milliseconds and "Z", e.g. 2025-12-28T12:12:33.213Z, into out (at least UTC_TEXT
 * bytes). */
#define UTC_TEXT 32
const char *utc_format(int64_t us, char out[UTC_TEXT]);

/* The same with microseconds. */
const char *utc_format_us(int64_t us, char out[UTC_TEXT]);

/* Stops the whole process for so long: for command-line jobs alone, a program has timers
 * (timer.h). */
void clock_sleep_ms(int64_t ms);

/* What libevent's timers want. */
struct timeval ms_to_timeval(int64_t ms);

#endif
