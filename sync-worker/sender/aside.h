/*
 * aside.h - bodies that are let go of, so that a machine that waits does not hold up the others
 *
 * AMQP has no way to give one message back without losing its place. So when the allowance
 * (allowance.h) has been spent for a while, the machines with the most bytes keep the bodies of
 * their first events only. Of the others the sender keeps what it knows of them, and their place in
 * the line; their deliveries stay unacked. That makes room, and what is behind them in the queues
 * comes in.
 *
 * An event without its body can't be sent. When its turn comes, everything is handed back
 * (hand_back.h), and comes again in order, with bodies. So a machine that waits costs its
 * neighbours nothing but one short pause, and one that recovers costs a hand-back.
 */
#ifndef MTC_ASIDE_H
#define MTC_ASIDE_H

#include "lane.h"

/*
 * Lets go of bodies until events have less than half of `bound` bytes, if that can be: first of
 * machines that have more than a quarter of it, then of those that have more than an eighth, and so
 * on. A machine's first event keeps its body.
 */
void aside_make_room(struct lanes *lanes, const struct allowance *allowance, size_t bound);

/* Events without their bodies. */
int aside_count(const struct lanes *lanes);

#endif
