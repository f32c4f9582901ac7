/*
 * amqp_introduce.h - who a client says it is: what the management UI shows of its connection
 *
 * Called by whoever logs in, amqp_handshake.c and amqp_plain.c.
 * Source: https://www.rabbitmq.com/docs/connections#client-properties
 */
#ifndef MTC_AMQP_INTRODUCE_H
#define MTC_AMQP_INTRODUCE_H

#include "net/amqp_conn.h"

enum { AMQP_INTRODUCTION = 4 }; /* entries */

/* Name, product, version and platform, for the table client-properties. Their texts are borrowed
 * from the settings. */
void amqp_introduce(const struct amqp_conn_settings *settings,
                    amqp_table_entry_t out[AMQP_INTRODUCTION]);

#endif
