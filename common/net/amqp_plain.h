/*
 * amqp_plain.h - a blocking connection to RabbitMQ, for people's commands
 *
 * The twin of amqp_conn.h for what may wait: librabbitmq's own I/O, every wait bounded by the
 * settings' rpc_timeout_ms. All functions say what went wrong in amqp_plain_error().
 */
#ifndef MTC_AMQP_PLAIN_H
#define MTC_AMQP_PLAIN_H

#include "net/amqp_conn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct amqp_plain;

/* NULL with a message. Heartbeats are not used. */
struct amqp_plain *amqp_plain_connect(const struct amqp_conn_settings *settings, char *error,
                                      size_t error_size);
/* What was got and not acked goes back. NULL is fine. */
void amqp_plain_close(struct amqp_plain *plain);
const char *amqp_plain_error(const struct amqp_plain *plain);
const char *amqp_plain_version(const struct amqp_plain *plain); /* e.g. "3.10.8" */

struct amqp_plain_count {
    bool exists;
    unsigned ready, consumers; /* ready: not counting what is delivered and unacked */
};
bool amqp_plain_count(struct amqp_plain *plain, const char *queue, struct amqp_plain_count *out);
bool amqp_plain_exchange_exists(struct amqp_plain *plain, const char *exchange, bool *exists);

struct amqp_plain_message {
    uint64_t tag;
    amqp_message_t content; /* properties and body */
};
/* 1: got one (to be freed), 0: the queue is empty, -1: failed. */
int amqp_plain_get(struct amqp_plain *plain, const char *queue, struct amqp_plain_message *message);
void amqp_plain_message_free(struct amqp_plain_message *message);
bool amqp_plain_ack(struct amqp_plain *plain, uint64_t tag);

/* Returns when the broker has confirmed; false as well if no queue took it. */
bool amqp_plain_publish(struct amqp_plain *plain, const char *exchange, const char *key,
                        const amqp_basic_properties_t *properties, amqp_bytes_t body);

/*
 * Whether any queue takes what is published to the exchange: an empty message with this key tells,
 * which a queue may then hold.
 */
bool amqp_plain_is_taken(struct amqp_plain *plain, const char *exchange, const char *key,
                         bool *taken);

/* Binds a queue to an exchange, with no key, or unbinds it; both may be so already. */
bool amqp_plain_bind(struct amqp_plain *plain, const char *queue, const char *exchange);
bool amqp_plain_unbind(struct amqp_plain *plain, const char *queue, const char *exchange);

struct amqp_plain_question {
    const char *exchange; /* a fanout exchange; that it is missing means that nobody is there */
    const char *body;     /* "" for none */
    int64_t quiet_ms;     /* the last answer has come when there was none for so long */
    int64_t limit_ms;     /* longest it may take in all */
};
/*
 * Scatter and gather: publishes a message to all who listen at the exchange, and calls
 * on_answer for each direct reply. Nobody knows how many there will be, hence quiet_ms; if nobody
 * listens, it returns at once. False if it could not ask; answers may have come all the same.
 */
typedef void (*amqp_plain_answer)(const amqp_message_t *answer, void *arg);
bool amqp_plain_ask(struct amqp_plain *plain, const struct amqp_plain_question *question,
                    amqp_plain_answer on_answer, void *arg);
bool amqp_plain_purge(struct amqp_plain *plain, const char *queue);

#endif
