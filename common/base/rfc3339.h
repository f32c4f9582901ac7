/*
 * rfc3339.h - times as people and JSON write them
 *
 * Source: RFC 3339, section 5.6 ("Internet Date/Time Format"). Both "T" and "Z" may be small. A
 * leap second is taken as the last microsecond of its minute.
 */
#ifndef MTC_RFC3339_H
#define MTC_RFC3339_H

#include <stdbool.h>
#include <stdint.h>

/* Microseconds of UTC since 1970; digits beyond the sixth of a fraction are cut off. False: no such
 * time. */
bool rfc3339_parse(const char *text, int64_t *us);

#endif
