/*
 * parts.h - a sender's rooms and connections, made from its configuration
 *
 * sender.c says what happens between them: every event of theirs is given to it, in one table.
 */
#ifndef MTC_PARTS_H
#define MTC_PARTS_H

#include "attempt.h"
#include "allowance.h"
#include "hand_back.h"
#include "judge.h"
#include "lane.h"
#include "partition.h"
#include "pause_watch.h"
#include "sent_key.h"
#include "settle.h"
#include "suite/service.h"

struct parts {
    struct service *service;
    struct sender_metrics metrics;

    char names[2][256];           /* of the two, for management UIs */
    struct amqp_conn *consuming;  /* partitions, and their acks; nothing is published here, ... */
    struct amqp_conn *publishing; /* ... but here, where an alarm of the broker blocks it */
    struct redis_conn *redis;     /* NULL: configured to do without */
    struct mtconnect *mtconnect;
    struct publisher *publisher;

    struct allowance *allowance;
    struct partitions *partitions;
    struct lanes lanes;
    struct routes routes;
    struct throttle throttle;
    struct evidence *evidence;
    struct referee *referee; /* NULL: there is none */
    struct sent_keys *sent_keys;
    struct attempts *attempts;
    struct judge *judge;
    struct settle *settle;
    struct hand_back *hand_back;
    struct pause_watch *pause_watch;
};

struct parts_events {
    struct amqp_conn_events consuming, publishing;
    struct publisher_events publisher;
    struct partitions_events partitions;
    struct judge_events judge;
    void (*on_allowance_spent)(void *arg); /* see allowance.h */
    void (*on_news)(void *arg);            /* see evidence.h */
    void (*on_settled)(struct held *held, void *arg);
    struct hand_back_events hand_back;
    void (*on_pause_known)(bool paused, void *arg);
};

/*
 * Fills in *parts, which is zeroed. False with a message if a connection can't even be tried; it is
 * then to be freed all the same.
 */
bool parts_make(struct parts *parts, struct service *service, const struct parts_events *events,
                void *arg, char *error, size_t error_size);

/* Nothing is acked any more. Events are called meanwhile, as each room lets go of what it holds. */
void parts_free(struct parts *parts);

#endif
