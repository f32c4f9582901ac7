/*
 * loop.h - the one event loop of a program
 *
 * Everything a program does happens in callbacks of this loop: timers (timer.h), and what the
 * network layer (common/net) watches. There is one a program; several may live in one process,
 * which is how a simulator runs many programs at once. Whoever makes it frees it, after everything
 * that uses it.
 *
 * Source: libevent, https://libevent.org/libevent-book/
 */
#ifndef MTC_LOOP_H
#define MTC_LOOP_H

struct loop;
struct event_base;

struct loop *loop_new(void);
void loop_free(struct loop *loop);

/* Runs until loop_stop(), or until nothing is left that could happen. */
void loop_run(struct loop *loop);

/* Ends loop_run() once the callbacks that are due by now have run. */
void loop_stop(struct loop *loop);

/* Ends loop_run() after the callback that is running now, whatever else is due. */
void loop_break(struct loop *loop);

/* For the network layer and the skeleton, which watch sockets and signals; nobody else needs it. */
struct event_base *loop_events(struct loop *loop);

#endif
