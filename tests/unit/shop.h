/*
 * shop.h - a small shop in which blame's stories are told: machines with an event now and then, a
 * world that answers, and heads that are tried again as the sender does it (judge.c)
 */
#ifndef SHOP_H
#define SHOP_H

#include "blame.h"

#include <stdbool.h>
#include <stdint.h>

#define MINUTE        60000
#define SHOP_MACHINES 200

enum { TAKEN = -1 }; /* besides ACCUSED_...: what an event gets */

struct head {
    bool there, doubted, poison;
    struct blame_case blame;
    int64_t due_ms, failed_ms, pause_ms;
    int requests;
};

struct shop {
    int machines;
    int64_t period_ms[SHOP_MACHINES]; /* between a machine's events; 0: it has one, at the start */
    int (*world)(const struct shop *shop, int machine, const struct head *head, int64_t now_ms);
    unsigned seed;
    bool (*is_ill)(int64_t now_ms); /* the referee; NULL: there is none */
    struct blame_rules rules;

    struct blame blame;
    struct head heads[SHOP_MACHINES];
    int64_t next_ms[SHOP_MACHINES];
    int taken, dead, dead_of[SHOP_MACHINES], requests_of_dead;
    int64_t died_ms[64]; /* the first deaths */
};

/* What a shop begins with: five attempts, one death in a row each quarter of an hour. */
extern const struct blame_rules shop_rules;

/* period_ms: between a machine's events; 0: each has one, at the start. */
struct shop *shop_open(int machines, int64_t period_ms,
                       int (*world)(const struct shop *shop, int machine, const struct head *head,
                                    int64_t now_ms));
void shop_close(struct shop *shop);

/* The same shop goes on from one time to another. */
void shop_run(struct shop *shop, int64_t from_ms, int64_t until_ms);

#endif
