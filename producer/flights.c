/* flights.c - rows published and not yet marked, in publishing order; see flights.h */
#include "flights.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void flights_free(struct flights *flights)
{
    free(flights->list);
}

struct flight *flights_at(const struct flights *flights, size_t index)
{
    return &flights->list[index];
}

void flights_set(struct flights *flights, struct flight *flight, enum flight_state state)
{
    flights->in_state[flight->state]--;
    flights->in_state[state]++;
    flight->state = state;
}

void flights_turn_all(struct flights *flights, enum flight_state from, enum flight_state to)
{
    for (size_t i = 0; i < flights->count && flights->in_state[from]; i++) {
        struct flight *flight = flights_at(flights, i);
        if (flight->state == from)
            flights_set(flights, flight, to);
    }
}

void flights_drop_all(struct flights *flights, enum flight_state state)
{
    size_t kept = 0;
    if (!flights->in_state[state])
        return;
    for (size_t i = 0; i < flights->count; i++) {
        if (flights->list[i].state != state)
            flights->list[kept++] = flights->list[i];
    }
    flights->count = kept;
    flights->in_state[state] = 0;
}

void flights_forget_tags(struct flights *flights)
{
    for (size_t i = 0; i < flights->count; i++)
        flights->list[i].tag = 0;
}

void flights_add(struct flights *flights, const struct flight *flight)
{
    if (flights->count && flight->tag <= flights->list[flights->count - 1].tag)
        abort(); /* our bug: the channel counts tags */
    if (flights->count == flights->room) {
        flights->room = flights->room ? flights->room * 2 : 64;
        flights->list = xrealloc(flights->list, flights->room * sizeof *flights->list);
    }
    flights->list[flights->count] = *flight;
    flights->list[flights->count++].state = FLIGHT_PUBLISHED;
    flights->in_state[FLIGHT_PUBLISHED]++;
}

/* How many have this tag or a lower one. */
static size_t count_up_to(const struct flights *flights, uint64_t tag)
{
    size_t low = 0, high = flights->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (flights->list[middle].tag <= tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void flights_confirm(struct flights *flights, uint64_t tag, bool multiple,
                     void (*on_confirmed)(const struct flight *flight, void *arg), void *arg)
{
    size_t end = count_up_to(flights, tag);
    size_t begin = multiple || !end ? 0 : end - 1;
    if (!multiple && end && flights->list[begin].tag != tag)
        return;
    for (size_t i = begin; i < end; i++) {
        struct flight *flight = flights_at(flights, i);
        if (flight->state == FLIGHT_PUBLISHED) {
            flights_set(flights, flight, FLIGHT_CONFIRMED);
            on_confirmed(flight, arg);
        }
    }
}

void flights_clear(struct flights *flights)
{
    flights->count = 0;
    memset(flights->in_state, 0, sizeof flights->in_state);
}

/* states: a bit each */
static char *array_of(const struct flights *flights, unsigned states)
{
    size_t len = 0, room = 3;
    for (int state = 0; state < FLIGHT_STATES; state++)
        room += states & 1u << state ? flights->in_state[state] * 21 : 0;
    char *out = xmalloc(room);
    out[len++] = '{';
    for (size_t i = 0; i < flights->count; i++) {
        const struct flight *flight = flights_at(flights, i);
        if (states & 1u << flight->state)
            len += (size_t)sprintf(out + len, "%s%" PRId64, len > 1 ? "," : "", flight->row);
    }
    out[len++] = '}';
    out[len] = '\0';
    return out;
}

char *flights_array_of(const struct flights *flights, enum flight_state state)
{
    return array_of(flights, 1u << state);
}

char *flights_array_of_all(const struct flights *flights)
{
    return array_of(flights, ~0u);
}
