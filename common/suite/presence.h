/*
 * presence.h - a program that answers, through the broker, when mtcctl asks who is there
 *
 * Scatter and gather: a question is published to the fanout exchange mtc.programs, every program
 * has a queue of its own bound to it, and answers to the question's reply_to. So nobody lists
 * addresses, and whoever can reach the broker sees all programs, however many there are and
 * wherever they run.
 *
 *   question  reply_to, correlation_id; the body is empty
 *   answer    correlation_id; app_id: the program; headers worker, version, listen (the address of
 *             its /metrics, or ""), missing (absent: it is ready) and remarks (absent: none; JSON:
 *             what a person should know besides); body: what /metrics says
 *   order     a question with a body, JSON: what is to be done. Who has done it, or can say why
 *             not, answers, with the header did, and an empty body; nobody else does
 *
 * The queue is exclusive, so it is gone with its connection; it holds at most
 * PRESENCE_QUESTIONS_MAX questions for PRESENCE_TTL_MS, and one is answered at a time. Answers go
 * to direct reply-to addresses alone: whoever may ask must not be able to make a program write into
 * a queue of their choice. All of this is a courtesy: what goes wrong with it (a user without the
 * rights, say) is logged once a connection, and costs the program nothing else. The exchange is
 * declared here: the first program that connects makes it.
 *
 * Source: direct reply-to, https://www.rabbitmq.com/docs/direct-reply-to
 */
#ifndef MTC_PRESENCE_H
#define MTC_PRESENCE_H

#include "base/metrics.h"
#include "net/amqp_chan.h"

#include <stdbool.h>

#define PRESENCE_EXCHANGE      "mtc.programs"
#define PRESENCE_QUESTIONS_MAX 16
#define PRESENCE_TTL_MS        5000
#define PRESENCE_ORDER_MAX     4096 /* bytes; a longer one is nobody's */

struct presence;

struct presence_settings {                 /* strings are borrowed and must outlive it */
    const char *program, *worker, *listen; /* "mtc-sender", "sender-1", "127.0.0.1:9465" */
    struct metrics *metrics;
    bool (*ready)(const void *arg, const char **why); /* why: what is missing */
    /* Each may be NULL. The texts are freed by presence. */
    char *(*remarks)(void *arg);                     /* NULL: none */
    char *(*on_order)(const char *order, void *arg); /* what was done; NULL: not ours */
    void *arg;
};

struct presence *presence_new(const struct presence_settings *settings);
void presence_free(struct presence *presence); /* after its connection; NULL is fine */

/* The connection is up: answers from now on, until the connection is lost. NULL is fine. */
void presence_on_conn_up(struct presence *presence, struct amqp_conn *conn);

/* --- the reader's side --- */

struct presence_told { /* strings are owned; "" where absent */
    char *program, *worker, *version, *listen, *missing, *remarks, *did;
    char *metrics;
    bool ready;
};

void presence_read(const amqp_basic_properties_t *properties, const void *body, size_t len,
                   struct presence_told *out);
void presence_told_free(struct presence_told *told);

#endif
