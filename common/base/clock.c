/* clock.c - time as a value; see clock.h */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now); /* cannot fail for the two clocks used here */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t mono_ms(void)
{
    return mono_us() / 1000;
}

int64_t utc_us(void)
{
    return read_us(CLOCK_REALTIME);
}

double age_s(int64_t then_us)
{
    int64_t now = utc_us();
    return then_us && then_us < now ? (double)(now - then_us) / 1e6 : 0;
}

static size_t format_seconds(int64_t us, char out[UTC_TEXT])
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    return strftime(out, UTC_TEXT, "%Y-%m-%dT%H:%M:%S", &parts);
}

const char *utc_format(int64_t us, char out[UTC_TEXT])
{
    size_t len = format_seconds(us, out);
    snprintf(out + len, UTC_TEXT - len, ".%03dZ", (int)(us / 1000 % 1000));
    return out;
}

const char *utc_format_us(int64_t us, char out[UTC_TEXT])
{
    size_t len = format_seconds(us, out);
    snprintf(out + len, UTC_TEXT - len, ".%06dZ", (int)(us % 1000000));
    return out;
}

void clock_sleep_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * 1000000)};
    while (ms > 0 && nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

struct timeval ms_to_timeval(int64_t ms)
{
    if (ms < 0)
        ms = 0;
    return (struct timeval){.tv_sec = (time_t)(ms / 1000),
                            .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}
