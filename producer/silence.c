/* silence.c - when a broker that confirms nothing is given up; see silence.h */
#include "silence.h"

void silence_on_channel(struct silence *silence, size_t unsent, int64_t now)
{
    silence->since_ms = now;
    silence->published = unsent;
    silence->left = 0;
}

void silence_on_published(struct silence *silence, size_t bytes)
{
    silence->published += bytes;
}

void silence_on_confirmed(struct silence *silence, int64_t now)
{
    silence->since_ms = now;
    silence->times = 0;
}

static int64_t limit(const struct silence *silence)
{
    int64_t limit_ms = silence->limit_ms << silence->times;
    int64_t most = silence->limit_ms > SILENCE_LIMIT_MAX_MS ? silence->limit_ms
                                                            : SILENCE_LIMIT_MAX_MS;
    return limit_ms < most ? limit_ms : most;
}

bool silence_is_over(struct silence *silence, bool waits, size_t unsent, int64_t now)
{
    uint64_t left = silence->published > unsent ? silence->published - unsent : 0;
    if (!waits || left > silence->left)
        silence->since_ms = now;
    if (left > silence->left)
        silence->left = left;
    if (now - silence->since_ms < limit(silence))
        return false;
    silence->since_ms = now;
    if (limit(silence) < SILENCE_LIMIT_MAX_MS)
        silence->times++;
    return true;
}
