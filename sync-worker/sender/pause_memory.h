/*
 * pause_memory.h - a pause that the broker has forgotten is set again
 *
 * A pause is a binding (pause_watch.h), and bindings are metadata: a broker that was killed a
 * second after one was made came back without it now and then (seen on 3.10.8;
 * docs/decisions/0036-a-pause-is-written-twice.md). So mtcctl pause first puts messages into the
 * quorum queue mtc.pause, which are on disk once they are confirmed, and mtcctl resume takes them
 * out first. Where there are some, the binding belongs, and is made here.
 *
 * Looked at by taking one and giving it back, which needs the queue's leader: a count may be 0
 * because there is none. Meanwhile it is out of sight of others, so there are as many as senders
 * may look at the same time; one that sees none all the same is told within a second, by the
 * binding.
 */
#ifndef MTC_PAUSE_MEMORY_H
#define MTC_PAUSE_MEMORY_H

#include "net/amqp_conn.h"

#include <stdbool.h>

struct pause_memory;

/* on_told is called once a question. */
struct pause_memory *pause_memory_new(void (*on_told)(bool paused, void *arg), void *arg);
void pause_memory_free(struct pause_memory *memory); /* after its connection; NULL is fine */

/* Looks; the topology is declared on this connection. What goes wrong ends the connection. */
void pause_memory_ask(struct pause_memory *memory, struct amqp_conn *conn);
void pause_memory_on_conn_down(struct pause_memory *memory);

#endif
