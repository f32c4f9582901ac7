/*
 * sender.h - mtc-sender: from RabbitMQ to MTConnect, in order per machine
 *
 * An event's path, a room a step; each knows those before it, none knows the sender, who connects
 * them (sender.c):
 *
 *   partition   events come in
 *   lane        and queue, one line a machine
 *   attempt     the head of a lane is sent, unless it was before (sent_key)
 *   judge       what the answer means (verdict), whose fault it is (blame, with evidence that
 *               senders share, and a referee), and when it is tried again (retry)
 *   settle      the event's fate is told (sent_key, dead letter, outcome)
 *   partition   and its delivery is acked
 *
 * A lane goes by its head's route, which has a breaker and the evidence; the throttle is for all.
 * Besides: allowance (how many bytes are held) and aside (bodies that are let go of), hand_back (to
 * begin anew, and SIGTERM), pause_watch (mtcctl pause), doubts (what operators are told, and may
 * order), suspect (what outlives this process).
 */
#ifndef MTC_SENDER_H
#define MTC_SENDER_H

#include "suite/service.h"

/* The callbacks of service_description; see service.h. */
void *sender_start(struct service *service);
bool sender_ready(const void *state, const char **why);
void sender_drain(void *state);
void sender_reload(void *state);
void sender_stop(void *state);
char *sender_remarks(const void *state);
char *sender_on_order(void *state, const char *order);

#endif
