/*
 * flights.h - rows published and not yet marked, in publishing order
 *
 * A ring whose index follows from the publisher tag: the broker counts from 1 on each channel, so
 * the entry of a tag is found without a search. Entries leave from the front once marked.
 *
 *   PUBLISHED --confirm--> CONFIRMED --statement sent--> MARKING --statement done--> MARKED
 */
#ifndef MTC_FLIGHTS_H
#define MTC_FLIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum flight_state { FLIGHT_PUBLISHED, FLIGHT_CONFIRMED, FLIGHT_MARKING, FLIGHT_MARKED };

struct flight {
    int64_t row;
    int64_t created_us; /* when the row was made */
    enum flight_state state;
};

struct flights {
    struct flight *ring;
    size_t room, first, count;
    uint64_t first_tag; /* tag of the entry at `first` */
    size_t in_state[4];
};

void flights_init(struct flights *flights, size_t room);
void flights_free(struct flights *flights);

/* Tags must follow one another, but for a new channel, which flights_clear() prepares. */
void flights_add(struct flights *flights, uint64_t tag, int64_t row, int64_t created_us);
struct flight *flights_at(const struct flights *flights, size_t index); /* 0: the oldest */
void flights_set(struct flights *flights, struct flight *flight, enum flight_state state);

/* All that are in one state are in another from now on. */
void flights_turn_all(struct flights *flights, enum flight_state from, enum flight_state to);

/*
 * Marks tag, or all up to tag, confirmed, and tells each that was not so before; a tag that is not
 * here is none of ours any more.
 */
void flights_confirm(struct flights *flights, uint64_t tag, bool multiple,
                     void (*on_confirmed)(const struct flight *flight, void *arg), void *arg);

/* Drops marked entries from the front. */
void flights_trim(struct flights *flights);
void flights_clear(struct flights *flights);

size_t flights_room_left(const struct flights *flights);

/* The rows in this state as a PostgreSQL array, "{1,2}"; the caller frees it. */
char *flights_array_of(const struct flights *flights, enum flight_state state);

/* Likewise all rows that are not marked. */
char *flights_array_unmarked(const struct flights *flights);

#endif
