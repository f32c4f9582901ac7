/*
 * amqp_url.h - the parts of amqp://user:password@host:port/vhost
 *
 * For whoever connects to RabbitMQ, and for mtcctl, which asks its management API as the same
 * user. What the URL leaves out is guest, guest, localhost, 5672 and "/".
 *
 * Source: https://www.rabbitmq.com/docs/uri-spec
 */
#ifndef MTC_AMQP_URL_H
#define MTC_AMQP_URL_H

#include <stdbool.h>
#include <stddef.h>

struct amqp_url { /* strings are owned, none is NULL */
    char *user, *password, *host, *vhost;
    int port;
};

/* False with a message for what is no such URL, and for amqps; there is then nothing to free. */
bool amqp_url_parse(const char *text, struct amqp_url *out, char *error, size_t error_size);
void amqp_url_free(struct amqp_url *url);

#endif
