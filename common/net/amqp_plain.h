/*
 * broker.h - a blocking connection to RabbitMQ, for people's commands
 *
 * librabbitmq's own I/O, every wait bounded by amqp.rpc_timeout_ms: a command may wait, a program
 * may not. All functions say what went wrong in broker_error().
 */
#ifndef MTC_BROKER_H
#define MTC_BROKER_H

#include "net/amqp_codec.h"
#include "suite/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;

/* NULL with a message. */
struct broker *broker_connect(const struct config *config, const char *name, char *error,
                              size_t error_size);
void broker_close(struct broker *broker); /* what was got and not acked goes back */
const char *broker_error(const struct broker *broker);
const char *broker_version(const struct broker *broker); /* e.g. "3.10.8" */

struct broker_count {
    bool exists;
    unsigned ready, consumers; /* ready: not counting what is delivered and unacked */
};
bool broker_count(struct broker *broker, const char *queue, struct broker_count *out);
bool broker_exchange_exists(struct broker *broker, const char *exchange, bool *exists);

struct broker_message {
    uint64_t tag;
    amqp_message_t content; /* properties and body */
};
/* 1: got one (to be freed), 0: the queue is empty, -1: failed. */
int broker_get(struct broker *broker, const char *queue, struct broker_message *message);
void broker_message_free(struct broker_message *message);
bool broker_ack(struct broker *broker, uint64_t tag);

/* Returns when the broker has confirmed; false as well if no queue took it. */
bool broker_publish(struct broker *broker, const char *exchange, const char *key,
                    const amqp_basic_properties_t *properties, amqp_bytes_t body);
bool broker_purge(struct broker *broker, const char *queue);

#endif
