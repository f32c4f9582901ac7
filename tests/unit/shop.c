/* shop.c - a small shop in which blame's stories are told; see shop.h */
#include "shop.h"
#include "base/xalloc.h"

#include <stdlib.h>

#define TICK_MS 10
#define TOOK_MS 5

static const int64_t delays[] = {1000, 4000, 10000, 10000};
const struct blame_rules shop_rules = {.attempts = 5, .sacrifice_ms = 900000};

static void wake(struct shop *shop, int64_t now_ms)
{
    for (int m = 0; m < shop->machines; m++) {
        struct head *head = &shop->heads[m];
        if (head->there && head->doubted && head->blame.counted < shop->rules.attempts &&
            now_ms - head->failed_ms >= delays[0] &&
            blame_has_proof(&shop->blame, &head->blame, (uint64_t)m, now_ms))
            head->due_ms = now_ms;
    }
}

static void bury(struct shop *shop, int machine, int64_t now_ms)
{
    if (shop->dead < 64)
        shop->died_ms[shop->dead] = now_ms;
    shop->dead++;
    shop->dead_of[machine]++;
    shop->requests_of_dead += shop->heads[machine].requests;
    shop->heads[machine].there = false;
}

static void on_failed(struct shop *shop, int machine, enum accused accused, int64_t now_ms)
{
    struct head *head = &shop->heads[machine];
    int64_t cap;
    head->failed_ms = now_ms;
    head->doubted = false;
    switch (blame_on_failure(&shop->blame, &shop->rules, &head->blame, (uint64_t)machine, accused,
                             shop->is_ill && shop->is_ill(now_ms), now_ms)) {
    case SENTENCE_PROBE:
        cap = head->pause_ms ? head->pause_ms * 2 : delays[0];
        head->pause_ms = cap > MINUTE ? MINUTE : cap;
        head->due_ms = now_ms + head->pause_ms;
        head->doubted = true;
        break;
    case SENTENCE_RETRY:
        head->due_ms = now_ms + delays[head->blame.counted - 1];
        break;
    case SENTENCE_DEAD:
        bury(shop, machine, now_ms);
        break;
    }
}

static void try_head(struct shop *shop, int machine, int64_t now_ms)
{
    struct head *head = &shop->heads[machine];
    int answer = shop->world(shop, machine, head, now_ms);
    int64_t ended = now_ms + TOOK_MS;
    struct witness witness = {.machine = (uint64_t)machine,
                              .began_ms = now_ms,
                              .ended_ms = ended,
                              .taken = answer == TAKEN};
    head->requests++;
    if (!head->blame.failed && answer != ACCUSED_NOBODY)
        blame_hear(&shop->blame, &witness);
    if (answer == TAKEN) {
        blame_on_taken(&shop->blame, (uint64_t)machine);
        head->there = false;
        shop->taken++;
        wake(shop, ended);
    } else {
        on_failed(shop, machine, (enum accused)answer, ended);
    }
}

void shop_run(struct shop *shop, int64_t from_ms, int64_t until_ms)
{
    for (int64_t now = from_ms; now < until_ms; now += TICK_MS) {
        for (int m = 0; m < shop->machines; m++) {
            struct head *head = &shop->heads[m];
            if (!head->there && shop->next_ms[m] >= 0 && now >= shop->next_ms[m]) {
                *head = (struct head){.there = true, .due_ms = now};
                shop->next_ms[m] = shop->period_ms[m] ? now + shop->period_ms[m] : -1;
            }
            if (head->there && now >= head->due_ms)
                try_head(shop, m, now);
        }
    }
}

struct shop *shop_open(int machines, int64_t period_ms,
                       int (*world)(const struct shop *, int, const struct head *, int64_t))
{
    struct shop *shop = xcalloc(1, sizeof *shop);
    shop->machines = machines;
    shop->world = world;
    shop->rules = shop_rules;
    shop->seed = 42;
    for (int m = 0; m < machines; m++) {
        shop->period_ms[m] = period_ms;
        shop->next_ms[m] = period_ms * m / machines;
    }
    return shop;
}

void shop_close(struct shop *shop)
{
    blame_free(&shop->blame);
    free(shop);
}
