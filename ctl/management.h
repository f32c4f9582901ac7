/*
 * management.h - what only RabbitMQ's management API knows: who is the active consumer of a queue,
 * and how much it holds unacked
 *
 * Asked at ctl.management_url with the user of amqp.url. Without it the verbs do without.
 * Source: https://www.rabbitmq.com/docs/management#http-api
 */
#ifndef MTC_MANAGEMENT_H
#define MTC_MANAGEMENT_H

#include "suite/config.h"

#include <jansson.h>

/*
 * The queues of our vhost by name, as the API tells of them, or NULL: not configured, or no
 * answer. Caller frees.
 */
json_t *management_queues(const struct config *config);

/* Adds unacked and active to what is known of a queue. */
void management_add(const json_t *queues, const char *name, json_t *queue);

#endif
