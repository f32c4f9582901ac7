/* breaker.c - shall a route be asked at all? see breaker.h */
#include "breaker.h"

#include <string.h>

#define RAMP_START 2

void breaker_init(struct breaker *breaker, int failures_to_open, int64_t pause_min_ms,
                  int64_t pause_max_ms, int connections)
{
    memset(breaker, 0, sizeof *breaker);
    breaker->failures_to_open = failures_to_open;
    breaker->pauses = (struct backoff){.min_ms = pause_min_ms,
                                       .max_ms = pause_max_ms > pause_min_ms ? pause_max_ms
                                                                             : pause_min_ms};
    breaker->ramp_full = connections;
}

static void begin_streak(struct breaker *breaker)
{
    breaker->failures = breaker->absences = breaker->machine_count = 0;
}

static void on_life(struct breaker *breaker)
{
    if (breaker->failures)
        begin_streak(breaker);
    if (breaker->state != BREAKER_CLOSED) {
        breaker->state = BREAKER_CLOSED;
        breaker->ramp = RAMP_START;
        backoff_reset(&breaker->pauses);
    } else if (breaker->ramp && ++breaker->ramp >= breaker->ramp_full) {
        breaker->ramp = 0;
    }
}

static void open_until(struct breaker *breaker, int64_t now_ms)
{
    breaker->state = BREAKER_OPEN;
    breaker->probe_at_ms = now_ms + backoff_next_ms(&breaker->pauses);
}

static void remember_machine(struct breaker *breaker, uint64_t machine)
{
    for (int i = 0; i < breaker->machine_count; i++) {
        if (breaker->machines[i] == machine)
            return;
    }
    if (breaker->machine_count < BREAKER_MACHINES)
        breaker->machines[breaker->machine_count++] = machine;
}

static bool is_destination(const struct breaker *breaker, int machines_waiting)
{
    int several = machines_waiting < BREAKER_MACHINES ? 2 : BREAKER_MACHINES;
    return breaker->absences >= breaker->failures_to_open ||
           (breaker->failures >= breaker->failures_to_open && breaker->machine_count >= several);
}

bool breaker_tell(struct breaker *breaker, enum breaker_sign sign, uint64_t machine,
                  int machines_waiting, int64_t now_ms)
{
    if (sign == SIGN_OF_LIFE) {
        on_life(breaker);
        return false;
    }
    breaker->failures++;
    breaker->absences += sign == SIGN_OF_ABSENCE;
    remember_machine(breaker, machine);
    if (breaker->state == BREAKER_HALF_OPEN) {
        /* With one machine left there is nobody else to ask, and it has pauses of its own. */
        if (sign == SIGN_OF_TROUBLE && machines_waiting <= 1)
            on_life(breaker);
        else
            open_until(breaker, now_ms);
        return false;
    }
    if (breaker->state == BREAKER_CLOSED && is_destination(breaker, machines_waiting)) {
        open_until(breaker, now_ms);
        return true;
    }
    return false;
}

bool breaker_allows(const struct breaker *breaker, int under_way, int64_t now_ms)
{
    switch (breaker->state) {
    case BREAKER_CLOSED:
        return breaker->ramp == 0 || under_way < breaker->ramp;
    case BREAKER_OPEN:
        return now_ms >= breaker->probe_at_ms;
    case BREAKER_HALF_OPEN:
        return false;
    }
    return false;
}

void breaker_on_start(struct breaker *breaker)
{
    if (breaker->state == BREAKER_OPEN)
        breaker->state = BREAKER_HALF_OPEN;
}
