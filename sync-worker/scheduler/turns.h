/*
 * turns.h - the turns of a pull's machines: who is to be asked, who waits, who has failed and why
 *
 *   queued --turns_next()--> asked, and either answered, or
 *     ^                        |-- turns_at_once() --> queued
 *     '--on_queued-- waiting <-|-- turns_later()
 *                              '-- turns_fail() -----> failed
 *
 * Knows nothing of MTConnect, nor of why a machine is asked again.
 */
#ifndef MTC_TURNS_H
#define MTC_TURNS_H

#include "machine_list.h"
#include "newest.h"
#include "base/loop.h"

struct turns;

struct turn {
    struct machine *machine;
    void *owner; /* who made the turns */
    int attempts;
    bool repeated;    /* asked on a new connection, the old one having died idle */
    int64_t asked_us; /* the last attempt */
    struct question question;
    int64_t wanted_ms; /* the pause MTConnect wants, as of its last answer; 0: none */
    char *failure;     /* why it has failed; NULL: it has not */
    /* The rest is of turns.c. */
    struct turns *turns;
    struct timer *timer; /* to the next attempt; NULL: none was needed */
    struct turn *next;   /* in the queue */
};

/* on_queued: one that waited is to be asked now. */
struct turns *turns_new(struct loop *loop, void (*on_queued)(void *owner), void *owner);
void turns_free(struct turns *turns); /* NULL is fine */

/* Makes room for count machines, each of which is then added: it is queued. */
void turns_begin(struct turns *turns, int count);
void turns_add(struct turns *turns, struct machine *machine);
/* Forgets them all; nothing is called back. */
void turns_clear(struct turns *turns);

bool turns_are_queued(const struct turns *turns);  /* turns_next() has one */
bool turns_are_waiting(const struct turns *turns); /* on_queued is yet to come */
struct turn *turns_next(struct turns *turns);      /* NULL: none */

void turns_at_once(struct turn *turn);
void turns_later(struct turn *turn, int64_t pause_ms);
void turns_fail(struct turn *turn, const char *why);
/* All that are queued or waiting. */
void turns_fail_rest(struct turns *turns, const char *why);

int turns_count(const struct turns *turns);      /* machines added */
int turns_failed(const struct turns *turns);     /* of which have failed */
char *turns_failures(const struct turns *turns); /* JSON object, machine: why; caller frees */

#endif
