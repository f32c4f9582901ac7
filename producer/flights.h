/*
 * flights.h - rows published and not yet marked, in publishing order
 *
 * A list in the order of the publisher's tags, which the broker counts from 1 on each channel.
 * Entries leave once they are marked, wherever they stand: one that is never confirmed holds no
 * other up.
 *
 *   PUBLISHED --confirm--> CONFIRMED --statement sent--> MARKING --statement done--> gone
 */
#ifndef MTC_FLIGHTS_H
#define MTC_FLIGHTS_H

#include "quota.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum flight_state { FLIGHT_PUBLISHED, FLIGHT_CONFIRMED, FLIGHT_MARKING };
#define FLIGHT_STATES 3

struct flight {
    uint64_t tag;
    int64_t row;
    int64_t created_us; /* when the row was made */
    enum flight_state state;
    struct quota_share share; /* taken while it is PUBLISHED */
};

struct flights { /* zeroed: empty */
    struct flight *list;
    size_t room, count;
    size_t in_state[FLIGHT_STATES];
};

void flights_free(struct flights *flights);

/* PUBLISHED; its tag is higher than any before it. */
void flights_add(struct flights *flights, const struct flight *flight);
struct flight *flights_at(const struct flights *flights, size_t index); /* 0: the oldest */
void flights_set(struct flights *flights, struct flight *flight, enum flight_state state);

/* All that are in one state are in another from now on. */
void flights_turn_all(struct flights *flights, enum flight_state from, enum flight_state to);

/* All that are in this state are gone. */
void flights_drop_all(struct flights *flights, enum flight_state state);

/* The channel is lost: what is left keeps its place, and tags begin anew. */
void flights_forget_tags(struct flights *flights);

/*
 * Marks tag, or all up to tag, confirmed, and tells each that was not so before; a tag that is not
 * here is none of ours any more.
 */
void flights_confirm(struct flights *flights, uint64_t tag, bool multiple,
                     void (*on_confirmed)(const struct flight *flight, void *arg), void *arg);

void flights_clear(struct flights *flights);

/* The rows in this state as a PostgreSQL array, "{1,2}"; the caller frees it. */
char *flights_array_of(const struct flights *flights, enum flight_state state);

/* Likewise all rows, in whatever state. */
char *flights_array_of_all(const struct flights *flights);

#endif
