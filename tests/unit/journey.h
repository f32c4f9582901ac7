/*
 * journey.h - for tests: a message is published into a buffer by our encoder and read back by
 * librabbitmq, as a peer would read it
 */
#ifndef JOURNEY_H
#define JOURNEY_H

#include "net/amqp_codec.h"

struct journey {
    amqp_connection_state_t peer;
    amqp_basic_properties_t *properties; /* the peer's; gone with it */
    char *body;
    size_t len;
    int frames;
};

/* Fails the test if the message is not taken or cannot be read. journey_end() frees all of it. */
struct journey journey_make(amqp_basic_properties_t *properties, const void *body, size_t len);

void journey_end(struct journey *journey);

#endif
