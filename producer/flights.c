/* flights.c - rows published and not yet marked, in publishing order; see flights.h */
#include "flights.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void flights_init(struct flights *flights, size_t room)
{
    memset(flights, 0, sizeof *flights);
    flights->ring = xcalloc(room, sizeof *flights->ring);
    flights->room = room;
}

void flights_free(struct flights *flights)
{
    free(flights->ring);
}

struct flight *flights_at(const struct flights *flights, size_t index)
{
    return &flights->ring[(flights->first + index) % flights->room];
}

void flights_set(struct flights *flights, struct flight *flight, enum flight_state state)
{
    flights->in_state[flight->state]--;
    flights->in_state[state]++;
    flight->state = state;
}

void flights_turn_all(struct flights *flights, enum flight_state from, enum flight_state to)
{
    for (size_t i = 0; i < flights->count; i++) {
        struct flight *flight = flights_at(flights, i);
        if (flight->state == from)
            flights_set(flights, flight, to);
    }
}

void flights_add(struct flights *flights, uint64_t tag, int64_t row, int64_t created_us)
{
    if (flights->count == flights->room ||
        (flights->count && tag != flights->first_tag + flights->count))
        abort(); /* our bug: nobody reads more than there is room for; the channel counts tags */
    if (flights->count == 0)
        flights->first_tag = tag;
    struct flight *flight = flights_at(flights, flights->count++);
    *flight = (struct flight){.row = row, .created_us = created_us, .state = FLIGHT_PUBLISHED};
    flights->in_state[FLIGHT_PUBLISHED]++;
}

void flights_confirm(struct flights *flights, uint64_t tag, bool multiple,
                     void (*on_confirmed)(const struct flight *flight, void *arg), void *arg)
{
    if (flights->count == 0 || tag < flights->first_tag ||
        tag >= flights->first_tag + flights->count)
        return;
    size_t last = (size_t)(tag - flights->first_tag);
    for (size_t i = multiple ? 0 : last; i <= last; i++) {
        struct flight *flight = flights_at(flights, i);
        if (flight->state == FLIGHT_PUBLISHED) {
            flights_set(flights, flight, FLIGHT_CONFIRMED);
            on_confirmed(flight, arg);
        }
    }
}

void flights_trim(struct flights *flights)
{
    while (flights->count && flights_at(flights, 0)->state == FLIGHT_MARKED) {
        flights->in_state[FLIGHT_MARKED]--;
        flights->first = (flights->first + 1) % flights->room;
        flights->first_tag++;
        flights->count--;
    }
}

void flights_clear(struct flights *flights)
{
    flights->first = flights->count = 0;
    memset(flights->in_state, 0, sizeof flights->in_state);
}

size_t flights_room_left(const struct flights *flights)
{
    return flights->room - flights->count;
}

static char *array_of(const struct flights *flights, enum flight_state from, enum flight_state to)
{
    size_t len = 0, room = 3;
    for (int state = (int)from; state <= (int)to; state++)
        room += flights->in_state[state] * 21;
    char *out = xmalloc(room);
    out[len++] = '{';
    for (size_t i = 0; i < flights->count; i++) {
        const struct flight *flight = flights_at(flights, i);
        if (flight->state >= from && flight->state <= to)
            len += (size_t)sprintf(out + len, "%s%" PRId64, len > 1 ? "," : "", flight->row);
    }
    out[len++] = '}';
    out[len] = '\0';
    return out;
}

char *flights_array_of(const struct flights *flights, enum flight_state state)
{
    return array_of(flights, state, state);
}

char *flights_array_unmarked(const struct flights *flights)
{
    return array_of(flights, FLIGHT_PUBLISHED, FLIGHT_MARKING);
}
