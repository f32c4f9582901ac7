/*
 * consumer.h - messages that are applied in PostgreSQL: take, apply, ack after the commit
 *
 *   arrived -> waiting -> applying -> acked
 *                 ^          |--uncertain--> waiting (told again)
 *                 '--refused-'  one by one, until the culprit is alone; that one is buried
 *
 * Responsibility passes with the commit: a message is acked when PostgreSQL has committed what it
 * says, or when the broker has confirmed its copy among the dead letters. Whoever dies in between
 * leaves it unacked, and it is delivered again; applying twice must change nothing. One bad message
 * stops no other.
 *
 * A consumer knows nothing of PostgreSQL: its owner takes a batch, applies it, and says how that
 * went.
 */
#ifndef MTC_CONSUMER_H
#define MTC_CONSUMER_H

#include "net/amqp_chan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct consumer;

struct delivery {
    char *body; /* NUL-terminated besides */
    size_t len;
    int64_t note[3]; /* the owner's; zero at arrival */
    struct delivery *next;
    uint64_t tag; /* the consumer's */
};

struct consumer_settings { /* strings are borrowed */
    const char *queue;     /* what is consumed */
    const char *tag;       /* consumer tag, for management UIs */
    const char *kind;      /* header `kind` of its dead letters */
    uint16_t prefetch;     /* most messages held */
    size_t body_max;       /* bytes; 0: any. A longer message is never whole in memory: the broker
                            * is told to bury it, by the net of its queue */
    int batch_max;         /* most messages in a batch */
};

struct consumer_events {
    /* consumer_take() may have something. */
    void (*on_arrived)(void *arg);
    /*
     * Looks at a message as it arrives; may put another body in the place of its own (malloc'ed).
     * What is wrong with it, or NULL; may be NULL.
     */
    const char *(*check)(struct delivery *delivery, const amqp_basic_properties_t *properties,
                         void *arg);
    /* True for what says nothing new by now: it is acked without being applied; may be NULL. */
    bool (*is_obsolete)(const struct delivery *delivery, void *arg);
    /* It goes to the dead letters; it is the owner who logs and counts that. */
    void (*on_buried)(const struct delivery *delivery, const char *reason, void *arg);
};

struct consumer *consumer_new(const struct consumer_settings *settings,
                              const struct consumer_events *events, void *arg);
void consumer_free(struct consumer *consumer); /* after its connection; NULL is fine */

/* Consumes from now on; conn is up, the topology is declared; it is the same connection every
 * time. */
void consumer_start(struct consumer *consumer, struct amqp_conn *conn);
/* Gives everything back to the broker, and consumes no more. */
void consumer_stop(struct consumer *consumer);
/* The connection is lost, or about to be closed: forgets everything. */
void consumer_on_conn_down(struct consumer *consumer);

/*
 * The batch to be applied next, oldest first, or NULL: there is nothing, or a batch is under way.
 * It belongs to the consumer, until one of the following says how it went.
 */
const struct delivery *consumer_take(struct consumer *consumer);
/* Bytes of the messages held. */
size_t consumer_held(const struct consumer *consumer);
bool consumer_is_applying(const struct consumer *consumer);

/* The commit is done; each of the `culprits` positions (from 0, ascending) is buried with
 * `reason`. */
void consumer_applied(struct consumer *consumer, const int *culprits, int culprit_count,
                      const char *reason);
/* The data is at fault: the batch is tried one by one, and a single message is buried. */
void consumer_refused(struct consumer *consumer, const char *reason);
/* Nobody knows: it is told again. */
void consumer_uncertain(struct consumer *consumer);

#endif
