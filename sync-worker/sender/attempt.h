/*
 * attempt.h - sending the heads of the lanes
 */
#ifndef MTC_ATTEMPT_H
#define MTC_ATTEMPT_H

#include "sender.h"

/* Starts as many ready lanes as the connections and the breaker allow. */
void attempt_run(struct sender *sender);

#endif
