/*
 * amqp_conn.h - a connection to RabbitMQ that never stops the loop and always comes back
 *
 * Name lookup, connecting, the handshake, heartbeats and writing all happen as events; a broker
 * that is down, deaf or half-open costs a timer. After a loss the connection is made again with
 * jittered backoff (see backoff.h), for ever. The password file is read at each attempt, so a
 * rotated password needs no restart.
 *
 * Who owns what: the connection is freed by its maker. Channels (amqp_chan.h) belong to the
 * connection and are gone when on_down is called: their own callbacks are not called for that, and
 * pointers to them are dead.
 *
 * Sources: AMQP 0-9-1; RabbitMQ's extensions publisher confirms, consumer cancel notify and
 * connection.blocked (https://www.rabbitmq.com/docs/extensions).
 */
#ifndef MTC_AMQP_CONN_H
#define MTC_AMQP_CONN_H

#include "base/timer.h"
#include "net/amqp_codec.h"
#include "net/resolve.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct amqp_conn;

struct amqp_conn_settings { /* strings are borrowed and must outlive the connection */
    const char *url;
    const char *password_file;            /* "" for none */
    const char *name, *product, *version; /* shown in the management UI */
    int64_t heartbeat_s;
    int64_t rpc_timeout_ms;
};

struct amqp_conn_events {
    void (*on_up)(void *arg); /* handshake done; channels can be opened */
    void (*on_down)(const char *reason,
                    void *arg);                  /* it was up and is lost; all channels are gone */
    void (*on_blocked)(bool blocked, void *arg); /* connection.blocked / unblocked; may be NULL */
};

/* Starts connecting. NULL with a message when the URL is no AMQP URL. */
struct amqp_conn *amqp_conn_new(struct loop *loop, struct resolver *resolver,
                                const struct amqp_conn_settings *settings,
                                const struct amqp_conn_events *events, void *arg, char *error,
                                size_t error_size);

/* Drops everything at once, without a word to the broker (which then redelivers what was not
 * acked). */
void amqp_conn_free(struct amqp_conn *conn);

/*
 * Polite end: sends connection.close behind all that is still to be written, and calls done when
 * the broker has answered, or after at most 3 s. No other callback is called from now on.
 */
void amqp_conn_close(struct amqp_conn *conn, void (*done)(void *arg), void *arg);

bool amqp_conn_is_up(const struct amqp_conn *conn);
bool amqp_conn_is_blocked(const struct amqp_conn *conn);

/* Bytes accepted and not yet written to the socket: what bounds a publisher's memory. */
size_t amqp_conn_unsent(const struct amqp_conn *conn);

/*
 * Nothing more is read from the socket, and TCP makes the broker wait: what bounds a consumer's
 * memory. On its way are then what the kernels hold, and 256 KiB at most of ours. Heartbeats are
 * still written; the broker's silence is no longer noticed, its end with the next heartbeats. May
 * be called from within a delivery, which is then the last. Each connection begins reading.
 */
void amqp_conn_stop_reading(struct amqp_conn *conn);
void amqp_conn_read_on(struct amqp_conn *conn);
bool amqp_conn_is_reading(const struct amqp_conn *conn);

/*
 * Since when, at the most, what comes next may have been on its way to us: when reading was
 * stopped, unless all there was has been read since (then 0).
 */
int64_t amqp_conn_behind_since_ms(const struct amqp_conn *conn);

/*
 * Closes the connection politely and makes it again at once: everything unacked is back in its
 * queues, in order, before the next connection can ask for it. on_down is called in between.
 */
void amqp_conn_restart(struct amqp_conn *conn);

/* Gives the connection up (it comes back after a pause): for a peer that broke the protocol. */
void amqp_conn_fail(struct amqp_conn *conn, const char *reason);

#endif
