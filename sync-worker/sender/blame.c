/* blame.c - is it the event or the route? see blame.h */
#include "blame.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>

void blame_free(struct blame *blame)
{
    free(blame->witnesses);
    free(blame->machines);
    memset(blame, 0, sizeof *blame);
}

/* --- evidence --- */

struct question { /* put to the witnesses */
    int64_t since_ms, now_ms;
    bool but_one; /* all but this machine's */
    uint64_t machine;
    bool trusts_others; /* what other senders took is heard, too */
};

static bool is_heard(const struct witness *witness, const struct question *question)
{
    return question->now_ms - witness->ended_ms <= BLAME_PROOF_MS &&
           witness->began_ms >= question->since_ms &&
           !(question->but_one && witness->machine == question->machine) &&
           (question->trusts_others || !witness->foreign || !witness->taken);
}

/* Was one taken, and hardly any not? */
static bool testify(const struct blame *blame, const struct question *question)
{
    int taken = 0, failed = 0;
    for (size_t i = 0; i < blame->count; i++) {
        const struct witness *witness = &blame->witnesses[i];
        if (is_heard(witness, question)) {
            taken += witness->taken;
            failed += !witness->taken;
        }
    }
    return taken && failed * BLAME_FAILED_MOST <= taken + failed;
}

bool blame_has_proof(const struct blame *blame, const struct blame_case *event, uint64_t machine,
                     int64_t now_ms)
{
    struct question question = {.since_ms = event->first_failed_ms,
                                .now_ms = now_ms,
                                .but_one = true,
                                .machine = machine,
                                .trusts_others = blame->taken_here &&
                                                 event->last != ACCUSED_DESTINATION};
    return testify(blame, &question);
}

/* A death was no part of a row if the route has been well since. */
static void end_row(struct blame *blame, int64_t now_ms)
{
    struct question question = {
        .since_ms = blame->last_death_ms, .now_ms = now_ms, .trusts_others = true};
    if (testify(blame, &question))
        blame->row_count = 0;
}

void blame_hear(struct blame *blame, const struct witness *witness)
{
    if (!blame->witnesses)
        blame->witnesses = xcalloc(BLAME_WITNESSES, sizeof *blame->witnesses);
    blame->witnesses[blame->next] = *witness;
    blame->next = (blame->next + 1) % BLAME_WITNESSES;
    if (blame->count < BLAME_WITNESSES)
        blame->count++;
    if (blame->row_count && witness->taken)
        end_row(blame, witness->ended_ms);
}

/* --- deaths in rows --- */

static struct machine_deaths *find_deaths(const struct blame *blame, uint64_t machine)
{
    for (int i = 0; i < blame->machine_count; i++) {
        if (blame->machines[i].machine == machine)
            return &blame->machines[i];
    }
    return NULL;
}

/* Where there is no room, whoever died longest ago is forgotten. */
static struct machine_deaths *begin_deaths(struct blame *blame, uint64_t machine)
{
    struct machine_deaths *deaths;
    if (!blame->machines)
        blame->machines = xcalloc(BLAME_MACHINES, sizeof *blame->machines);
    if (blame->machine_count < BLAME_MACHINES) {
        deaths = &blame->machines[blame->machine_count++];
    } else {
        deaths = &blame->machines[0];
        for (int i = 1; i < BLAME_MACHINES; i++) {
            if (blame->machines[i].last_ms < deaths->last_ms)
                deaths = &blame->machines[i];
        }
    }
    *deaths = (struct machine_deaths){.machine = machine};
    return deaths;
}

void blame_on_taken(struct blame *blame, uint64_t machine)
{
    blame->taken_here = true;
    struct machine_deaths *deaths = blame->machine_count ? find_deaths(blame, machine) : NULL;
    if (deaths)
        *deaths = blame->machines[--blame->machine_count];
}

static bool may_die(const struct blame *blame, const struct blame_rules *rules, uint64_t machine,
                    int64_t now_ms)
{
    const struct machine_deaths *deaths = find_deaths(blame, machine);
    if (deaths && deaths->count >= BLAME_ROW && now_ms - deaths->last_ms < rules->sacrifice_ms)
        return false;
    return blame->row_count < BLAME_ROW || now_ms - blame->last_death_ms >= rules->sacrifice_ms;
}

static void remember_death(struct blame *blame, uint64_t machine, int64_t now_ms)
{
    struct machine_deaths *deaths = find_deaths(blame, machine);
    if (!deaths)
        deaths = begin_deaths(blame, machine);
    deaths->count++;
    deaths->last_ms = now_ms;
    blame->last_death_ms = now_ms;
    for (int i = 0; i < blame->row_count; i++) {
        if (blame->row[i] == machine)
            return;
    }
    if (blame->row_count < BLAME_ROW)
        blame->row[blame->row_count++] = machine;
}

/* --- sentences --- */

static void begin_case(struct blame_case *event, int64_t now_ms)
{
    if (!event->failed) {
        event->failed = true;
        event->first_failed_ms = event->since_ms = now_ms;
    }
}

static bool is_proven(const struct blame *blame, const struct blame_rules *rules,
                      const struct blame_case *event, uint64_t machine, int64_t now_ms)
{
    return (rules->unproven_ms && now_ms - event->since_ms >= rules->unproven_ms) ||
           blame_has_proof(blame, event, machine, now_ms);
}

static enum sentence probe(struct blame_case *event)
{
    event->probes++;
    return SENTENCE_PROBE;
}

enum sentence blame_on_failure(struct blame *blame, const struct blame_rules *rules,
                               struct blame_case *event, uint64_t machine, enum accused accused,
                               bool acquitted, int64_t now_ms)
{
    if (accused == ACCUSED_NOBODY)
        return probe(event);
    begin_case(event, now_ms);
    event->last = accused;
    bool proven = is_proven(blame, rules, event, machine, now_ms);
    if (acquitted || (accused != ACCUSED_EVENT && !proven))
        return probe(event);
    if (event->counted < rules->attempts)
        event->counted++;
    if (accused == ACCUSED_EVENT)
        event->accused++;
    if (event->counted < rules->attempts &&
        !(accused == ACCUSED_EVENT && proven && event->accused >= 2))
        return SENTENCE_RETRY;
    if (!may_die(blame, rules, machine, now_ms))
        return probe(event);
    remember_death(blame, machine, now_ms);
    return SENTENCE_DEAD;
}
