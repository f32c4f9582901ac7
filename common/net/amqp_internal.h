/*
 * amqp_internal.h - what amqp_conn.c, amqp_handshake.c, amqp_input.c and amqp_chan.c know of each
 * other, and nobody else
 */
#ifndef MTC_AMQP_INTERNAL_H
#define MTC_AMQP_INTERNAL_H

#include "base/backoff.h"
#include "net/amqp_chan.h"
#include "net/amqp_url.h"

#include <event2/bufferevent.h>

#define AMQP_CHANNELS_MAX 300
#define AMQP_READ_MAX     262144 /* bytes read at once */

enum amqp_state {
    AMQP_WAITING,    /* for the next attempt */
    AMQP_CONNECTING, /* lookup and TCP */
    AMQP_STARTING,   /* wants connection.start */
    AMQP_TUNING,     /* wants connection.tune */
    AMQP_OPENING,    /* wants connection.open-ok */
    AMQP_UP,
    AMQP_CLOSING, /* wants connection.close-ok */
};

struct amqp_conn {
    struct loop *loop;
    struct resolver *resolver;
    struct amqp_conn_settings settings;
    struct amqp_conn_events events;
    void *arg;
    struct amqp_url url; /* its password is that of the file, if there is one */

    enum amqp_state state;
    bool blocked, failing, restarting;
    char reason[256];
    struct bufferevent *stream;
    amqp_connection_state_t codec;
    struct timer *timer;  /* WAITING: next attempt; handshake and CLOSING: too late; UP: the tick */
    struct timer *failed; /* runs the teardown outside of whoever noticed */
    struct timer *catch_up; /* runs what was read and not looked at, outside of who reads on */
    bool reading;
    int64_t reading_since_ms, behind_since_ms; /* see amqp_conn_behind_since_ms() */
    struct backoff backoff;
    int64_t heartbeat_ms, up_since_ms, last_received_ms, last_sent_ms;
    int server_major;
    uint32_t frame_max;
    uint16_t channel_max;
    struct amqp_chan *channels[AMQP_CHANNELS_MAX + 1];
    void (*on_close_done)(void *arg);
    void *close_arg;
};

struct evbuffer *amqp_conn_output(struct amqp_conn *conn);

/* Sends a method of the connection itself (channel 0). */
void amqp_conn_send(struct amqp_conn *conn, amqp_method_number_t id, void *decoded);

/* A method of the connection itself has come. */
void amqp_conn_on_method(struct amqp_conn *conn, const amqp_method_t *method);

/* What the connection's stream and its catch_up call. */
void amqp_input_on_readable(struct bufferevent *stream, void *arg);
void amqp_input_on_catch_up(void *arg);

/* Answers connection.start and connection.tune; the state moves on. */
void amqp_handshake_on_start(struct amqp_conn *conn, const amqp_connection_start_t *start);
void amqp_handshake_on_tune(struct amqp_conn *conn, const amqp_connection_tune_t *tune);

/* Handles a frame of this channel; amqp_conn.c owns the connection's channel 0. */
void amqp_chan_on_frame(struct amqp_conn *conn, const amqp_frame_t *frame);
/* Takes len bytes of a body off the input, where they all are. */
void amqp_chan_on_body(struct amqp_conn *conn, uint16_t id, struct evbuffer *input, size_t len);
void amqp_chan_drop_all(struct amqp_conn *conn);

/* When the oldest unanswered call of any channel was sent; 0 if there is none. */
int64_t amqp_chan_oldest_call_ms(const struct amqp_conn *conn);

#endif
