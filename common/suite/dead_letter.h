/*
 * dead_letter.h - what could not be delivered or applied, with its reason: one writer, one reader
 *
 * A dead letter is the message as it was, in mtc.dead, with these headers besides its own:
 *
 *   reason       why, in words
 *   attempts     how often it was tried; absent if that has no meaning
 *   last_status  HTTP status of the last answer, 0 if there was none; absent likewise
 *   response     first bytes of the last answer
 *   queue        the partition it came from
 *   dead_us      when, microseconds of UTC
 *
 * What RabbitMQ itself dead-letters (the net underneath) has x-death and the like instead, and the
 * reader makes a reason of it.
 */
#ifndef MTC_DEAD_LETTER_H
#define MTC_DEAD_LETTER_H

#include "suite/envelope.h"
#include "suite/publisher.h"

struct dead_letter { /* strings are borrowed; NULL where absent */
    const struct envelope *envelope;
    const char *reason, *response, *queue;
    int64_t attempts, last_status; /* -1: absent */
    int64_t dead_us;               /* 0: absent */
};

/* A letter that says no more than why. */
struct dead_letter dead_letter_of(const struct envelope *envelope, const char *reason);

/*
 * Publishes to mtc.dead; to be called only while the publisher is ready. A letter whose headers do
 * not fit into a message goes with its event id, row, that reason and the body. done is called as
 * in publisher.h; returns the tag.
 */
uint64_t dead_letter_send(struct publisher *publisher, const struct dead_letter *letter,
                          const void *body, size_t len, publisher_done done, void *arg);

/* For an event whose headers are known not to fit: what is certain to fit, as above. */
uint64_t dead_letter_send_bare(struct publisher *publisher, const struct dead_letter *letter,
                               const void *body, size_t len, publisher_done done, void *arg);

/*
 * The same for a message that is no event: it keeps its own properties and headers, but those that
 * would route the copy elsewhere.
 */
uint64_t dead_letter_send_copy(struct publisher *publisher, const amqp_basic_properties_t *original,
                               const char *reason, const char *queue, const void *body, size_t len,
                               publisher_done done, void *arg);

/* --- the reader's side --- */

struct dead_letter_told { /* strings are owned; "" where absent */
    char *id, *machine, *kind, *type, *path, *reason, *response;
    int64_t seq, attempts, status, dead_us, requeues; /* 0 where absent */
    bool by_broker;                                   /* it is RabbitMQ that gave it up */
};

/* Control characters become spaces; what is no UTF-8 loses all that is not ASCII. To be freed. */
void dead_letter_read(const amqp_basic_properties_t *properties, struct dead_letter_told *out);
void dead_letter_told_free(struct dead_letter_told *told);

/* The header was added when the message died; one that is put back is put back without it. */
bool dead_letter_added(amqp_bytes_t header);

#endif
