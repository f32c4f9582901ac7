/*
 * relay.h - the outbox, read in order and published with confirms
 *
 * At most one relay is active per database: it holds an advisory lock for the life of its session.
 * Others stand by and ask for the lock again and again. The server ends the active one's session if
 * that goes silent (a stopped or vanished process), which frees the lock.
 *
 * Responsibility for an event passes from PostgreSQL to RabbitMQ at the publisher confirm: only
 * then is its row marked, and a row that is not marked is read and published again, by whoever is
 * active then. What may have been published before carries the header `repeat`, so that the sender
 * looks for its sent key first.
 */
#ifndef MTC_RELAY_H
#define MTC_RELAY_H

#include "net/amqp_chan.h"
#include "suite/service.h"

struct relay;

struct relay *relay_new(struct service *service, char *error, size_t error_size);
void relay_free(struct relay *relay);

/* A channel to publish on is there (in confirm mode), or is gone (NULL). */
void relay_set_channel(struct relay *relay, struct amqp_chan *chan);
void relay_on_confirm(struct relay *relay, uint64_t tag, bool multiple);
/* The broker may take publishing again. */
void relay_wake(struct relay *relay);

/* Reads nothing more; done is called when all that was published is confirmed and marked, or can't
 * be. */
void relay_drain(struct relay *relay, void (*done)(void *arg), void *arg);

bool relay_is_connected(const struct relay *relay);

#endif
