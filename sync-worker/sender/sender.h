/*
 * sender.h - the state the sender's parts share
 *
 *   partition.c  events come in          lane.c     and queue, one line a machine
 *   attempt.c    the head is sent        verdict.c  what the answer means; breaker.c whose fault it is
 *   settle.c     the outcome is told, then the delivery is acked
 *   sender.c     connections up and down, hand-backs, drain
 */
#ifndef MTC_SENDER_H
#define MTC_SENDER_H

#include "net/amqp_chan.h"
#include "breaker.h"
#include "net/http_client.h"
#include "lane.h"
#include "partition.h"
#include "recent.h"
#include "net/redis_conn.h"
#include "suite/service.h"
#include "suite/topology.h"

struct settle;

struct sender_metrics {
    struct metric *received, *redelivered, *delivered, *skipped, *retried, *dead, *repeats;
    struct metric *answers[6]; /* 0: none, 1: other, 2xx .. 5xx */
    struct metric *request_seconds, *delivery_seconds;
    struct metric *held, *held_bytes, *lanes, *in_flight, *breaker_open, *breaker_opened, *paused;
};

struct sender {
    struct service *service;
    struct amqp_conn *conn;
    struct topology *topology;
    struct amqp_chan *publishing;
    struct partition *partitions;
    int partition_count;
    struct lanes lanes;
    struct http_client *http;
    struct redis_conn *redis; /* NULL: configured to do without */
    struct recent *recent;
    struct settle *settle;
    struct breaker breaker;
    struct timer *run, *hold_timer, *drain_timer;
    char *api_key_header; /* "X-API-Key: ..." or NULL */
    bool handing_back; /* nothing new is started; the connection closes when nothing is under way */
    bool draining, closing;
    bool consuming; /* the partitions' consumers have been started on this connection */
    bool paused;    /* by an operator; see pause_watch.h */
    struct pause *pause;
    struct sender_metrics metrics;
};

/* The callbacks of service_description; see service.h. */
void *sender_start(struct service *service);
bool sender_ready(const void *state, const char **why);
void sender_drain(void *state);
void sender_reload(void *state);
void sender_stop(void *state);

/* Works on the ready lanes after the present callback. */
void sender_run_soon(struct sender *sender);

/* Finishes what is under way, then gives everything held back to the broker and begins anew (or
 * ends, when draining). */
void sender_hand_back(struct sender *sender);
void sender_on_work_done(struct sender *sender);

void sender_read_api_key(struct sender *sender);

/* For pause_watch.c: what the broker says of mtc.control, about every second. */
void sender_on_pause_known(struct sender *sender, bool paused);

#endif
