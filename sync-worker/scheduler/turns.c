/* turns.c - the turns of a pull's machines; see turns.h */
#include "turns.h"
#include "base/timer.h"
#include "base/xalloc.h"

#include <jansson.h>
#include <stdlib.h>

struct turns {
    struct loop *loop;
    void (*on_queued)(void *owner);
    void *owner;
    struct turn *all; /* `count` of them */
    int count, waiting, failed;
    struct turn *first, **last; /* the queue */
};

static void enqueue(struct turn *turn)
{
    struct turns *turns = turn->turns;
    turn->next = NULL;
    *turns->last = turn;
    turns->last = &turn->next;
}

struct turn *turns_next(struct turns *turns)
{
    struct turn *turn = turns->first;
    if (!turn)
        return NULL;
    turns->first = turn->next;
    if (!turns->first)
        turns->last = &turns->first;
    return turn;
}

/* --- from the beginning to the end --- */

void turns_begin(struct turns *turns, int count)
{
    turns_clear(turns);
    turns->all = xcalloc((size_t)count + 1, sizeof *turns->all); /* none is not NULL */
}

void turns_add(struct turns *turns, struct machine *machine)
{
    struct turn *turn = &turns->all[turns->count++];
    turn->machine = machine;
    turn->owner = turns->owner;
    turn->turns = turns;
    enqueue(turn);
}

void turns_clear(struct turns *turns)
{
    for (int i = 0; i < turns->count; i++) {
        timer_free(turns->all[i].timer);
        free(turns->all[i].failure);
    }
    free(turns->all);
    turns->all = NULL;
    turns->count = turns->waiting = turns->failed = 0;
    turns->first = NULL;
    turns->last = &turns->first;
}

struct turns *turns_new(struct loop *loop, void (*on_queued)(void *owner), void *owner)
{
    struct turns *turns = xcalloc(1, sizeof *turns);
    turns->loop = loop;
    turns->on_queued = on_queued;
    turns->owner = owner;
    turns->last = &turns->first;
    return turns;
}

void turns_free(struct turns *turns)
{
    if (!turns)
        return;
    turns_clear(turns);
    free(turns);
}

bool turns_are_queued(const struct turns *turns)
{
    return turns->first != NULL;
}

bool turns_are_waiting(const struct turns *turns)
{
    return turns->waiting > 0;
}

/* --- how a turn goes on --- */

void turns_at_once(struct turn *turn)
{
    enqueue(turn);
}

static void on_due(void *arg)
{
    struct turn *turn = arg;
    struct turns *turns = turn->turns;
    turns->waiting--;
    enqueue(turn);
    turns->on_queued(turns->owner);
}

void turns_later(struct turn *turn, int64_t pause_ms)
{
    struct turns *turns = turn->turns;
    if (!turn->timer)
        turn->timer = timer_new(turns->loop, on_due, turn);
    timer_in(turn->timer, pause_ms);
    turns->waiting++;
}

/* In ASCII: it may quote MTConnect, and a database may have another encoding. */
void turns_fail(struct turn *turn, const char *why)
{
    turn->failure = xstrdup(why);
    for (char *at = turn->failure; *at; at++) {
        if (*at < ' ' || *at > '~')
            *at = '?';
    }
    turn->turns->failed++;
}

void turns_fail_rest(struct turns *turns, const char *why)
{
    for (int i = 0; i < turns->count; i++) {
        struct turn *turn = &turns->all[i];
        if (turn->timer && timer_is_started(turn->timer)) {
            timer_cancel(turn->timer);
            turns->waiting--;
            turns_fail(turn, why);
        }
    }
    while (turns->first)
        turns_fail(turns_next(turns), why);
}

/* --- what came of them --- */

int turns_count(const struct turns *turns)
{
    return turns->count;
}

int turns_failed(const struct turns *turns)
{
    return turns->failed;
}

char *turns_failures(const struct turns *turns)
{
    json_t *all = json_object();
    for (int i = 0; i < turns->count; i++) {
        const struct turn *turn = &turns->all[i];
        if (turn->failure)
            json_object_set_new(all, turn->machine->name, json_string(turn->failure));
    }
    char *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    if (!text)
        out_of_memory(0);
    return text;
}
