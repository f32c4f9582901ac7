/*
 * topology.h - the exchanges and queues of the suite, declared in one place
 *
 *   mtc.partitions  direct exchange; the routing key is the name of a partition
 *   mtc.relay.<n>   fanout exchange in front of it, of the active relay alone (producer/fence.h)
 *   mtc.events.<p>  partition: quorum queue, single active consumer. All events of a machine go to
 *                   one: who publishes computes it, by topology_partition_of()
 *   mtc.dead        fanout exchange and quorum queue: what could not be delivered, with its reason
 *   mtc.deaths      quorum queue bound to the exchange mtc.dead as well: a copy of each dead
 *                   letter, on its way into the ledger, whoever it was that gave the event up
 *   mtc.outcomes    quorum queue: what became of each event, on its way into the ledger
 *   mtc.control     fanout exchange, and quorum queue of at most one message; while they are bound,
 *                   senders pause (mtcctl pause). See sync-worker/sender/pause_watch.h
 *   mtc.unpaused    direct exchange, the alternate of mtc.control: takes a sender's question back
 *                   to the sender's own queue while there is no pause
 *   mtc.cycle-times quorum queue: what web-hooks brought, on its way into PostgreSQL
 *
 * Partitions, mtc.outcomes and mtc.cycle-times have a net underneath: what the broker itself gives
 * up (a delivery limit, an expiry) it dead-letters to the exchange mtc.dead, at least once.
 *
 * One more is declared by presence.h, since it serves who is there before all of this is:
 * mtc.programs, with a queue a program.
 *
 * Declaring is idempotent. A queue that exists is used as it stands (its arguments can't be changed
 * by declaring, and an upgrade in place must go on working); only a missing one is made.
 */
#ifndef MTC_TOPOLOGY_H
#define MTC_TOPOLOGY_H

#include "net/amqp_chan.h"

#define TOPOLOGY_PARTITIONS  "mtc.partitions"
#define TOPOLOGY_RELAY       "mtc.relay." /* and a number */
#define TOPOLOGY_DEAD        "mtc.dead"
#define TOPOLOGY_DEATHS      "mtc.deaths"
#define TOPOLOGY_OUTCOMES    "mtc.outcomes"
#define TOPOLOGY_CONTROL     "mtc.control"
#define TOPOLOGY_UNPAUSED    "mtc.unpaused"
#define TOPOLOGY_PAUSE       "mtc.pause"
#define TOPOLOGY_CYCLE_TIMES "mtc.cycle-times"

#define TOPOLOGY_NAME_BYTES 32

/*
 * The partition of a machine, 0 .. partitions - 1: the same in every process and after every
 * restart, of the broker's too. Whoever changes what this computes changes TOPOLOGY_SCHEME: events
 * published by the old rule must be settled before the first by the new one.
 */
int topology_partition_of(const char *machine, int partitions);
#define TOPOLOGY_SCHEME "fnv1a-murmur3"

/* "mtc.events.<partition>" */
const char *topology_partition_name(int partition, char out[TOPOLOGY_NAME_BYTES]);

/*
 * How often a message may be delivered again: as good as without end, on every version. RabbitMQ 4
 * takes 20 if nothing is said. -1 would mean no limit on 4.x, "give it up after the first" on 3.x,
 * and puts what is nacked behind all others; docs/decisions/0030-a-delivery-limit-out-of-reach.md.
 */
#define TOPOLOGY_DELIVERY_LIMIT 1000000000

struct topology;

/* error is NULL when all is there. */
typedef void (*topology_done)(const char *error, void *arg);

/*
 * Declares everything on a channel of its own. done is called once, unless the connection is lost
 * first: then the owner calls topology_forget() from its on_down.
 */
struct topology *topology_declare(struct amqp_conn *conn, int partitions, topology_done done,
                                  void *arg);
void topology_forget(struct topology *topology);

#endif
