/*
 * audit.c - mtcctl audit: is every event accounted for?
 *
 * committed = waiting + published + delivered + dead holds by the ledger's making. What can go
 * wrong is that the ledger says something of the broker that is not so: an event that is
 * "published" must be in a partition, in a sender's hands, or its outcome on its way; one that is
 * "dead" must lie in mtc.dead, unless an operator has dropped it. Every event that does not fit is
 * named.
 *
 * Which of the published ones are there, a round of markers tells (rounds.h). Where one does not
 * come out (no sender, no relay, a long backlog) they are held against the counts of the broker.
 */
#include "ctl.h"
#include "management.h"
#include "output.h"
#include "programs.h"
#include "rounds.h"
#include "base/clock.h"
#include "base/xalloc.h"
#include "suite/topology.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define LOOK_AGAIN_MS 2000 /* what moves between two looks is not lost */
#define LOOKS         5

struct known {
    char *id;
    UT_hash_handle hh;
};

struct audit {
    struct ctl ctl;
    long long committed, waiting, published, delivered, dead, dropped;
    long long in_partitions, in_hands, outcomes, deaths;
    struct rounds rounds;
    json_t *problems;
};

static void problem(struct audit *audit, const char *event, const char *what)
{
    json_array_append_new(audit->problems,
                          json_pack("{s:s, s:s}", "event", event, "problem", what));
}

static long long cell(const PGresult *result, int column)
{
    return strtoll(PQgetvalue(result, 0, column), NULL, 10);
}

static bool count_ledger(struct audit *audit)
{
    PGresult *result = ctl_query(
        &audit->ctl,
        "SELECT count(*),"
        "       count(*) FILTER (WHERE state = 'waiting'),"
        "       count(*) FILTER (WHERE state = 'published'),"
        "       count(*) FILTER (WHERE state = 'delivered'),"
        "       count(*) FILTER (WHERE state = 'dead'),"
        "       count(*) FILTER (WHERE state = 'dead' AND note = 'dropped')"
        "  FROM mtc.event",
        0, NULL);
    if (!result)
        return false;
    audit->committed = cell(result, 0);
    audit->waiting = cell(result, 1);
    audit->published = cell(result, 2);
    audit->delivered = cell(result, 3);
    audit->dead = cell(result, 4);
    audit->dropped = cell(result, 5);
    PQclear(result);
    return true;
}

static bool count_broker(struct audit *audit)
{
    struct amqp_plain_count count;
    audit->in_partitions = audit->in_hands = 0;
    json_t *known = management_queues(audit->ctl.config);
    for (int p = 0; p < (int)audit->ctl.config->topology_partitions; p++) {
        char name[TOPOLOGY_NAME_BYTES];
        if (!amqp_plain_count(audit->ctl.broker, topology_partition_name(p, name), &count)) {
            json_decref(known);
            return false;
        }
        json_t *queue = json_object();
        management_add(known, name, queue);
        audit->in_partitions += count.ready;
        audit->in_hands += json_integer_value(json_object_get(queue, "unacked"));
        json_decref(queue);
    }
    if (!known) { /* then the senders themselves know */
        json_t *programs = programs_ask(&audit->ctl);
        size_t i;
        json_t *told;
        json_array_foreach (programs, i, told) {
            audit->in_hands += json_integer_value(json_object_get(told, "held"));
        }
        json_decref(programs);
    }
    json_decref(known);
    if (!amqp_plain_count(audit->ctl.broker, TOPOLOGY_OUTCOMES, &count))
        return false;
    audit->outcomes = count.ready;
    if (!amqp_plain_count(audit->ctl.broker, TOPOLOGY_DEATHS, &count))
        return false;
    audit->deaths = count.ready;
    return true;
}

/* Published ones that the broker can't have. Markers count as events there; batches of outcomes may
 * be full. */
static long long count_lost(const struct audit *audit)
{
    long long markers = audit->rounds.on_their_way < audit->in_partitions
                            ? audit->rounds.on_their_way
                            : audit->in_partitions;
    long long events = audit->in_partitions - markers + audit->in_hands;
    return audit->published - events - audit->deaths -
           audit->outcomes * audit->ctl.config->sender_outcome_batch;
}

/* Nobody knows which it lacks: the oldest are named. */
static bool name_lost(struct audit *audit)
{
    char limit[24];
    snprintf(limit, sizeof limit, "%lld", count_lost(audit));
    const char *values[] = {limit};
    PGresult *result = ctl_query(&audit->ctl,
                                 "SELECT event_id"
                                 "  FROM mtc.event"
                                 " WHERE state = 'published'"
                                 " ORDER BY id LIMIT $1::bigint",
                                 1, values);
    if (!result)
        return false;
    for (int row = 0; row < PQntuples(result); row++)
        problem(audit, PQgetvalue(result, row, 0),
                "published, but neither in the broker nor delivered nor dead");
    PQclear(result);
    return true;
}

/* --- dead letters --- */

static void free_known(struct known *table)
{
    struct known *known = table, *next;
    HASH_CLEAR(hh, table); /* lets go of them all; their list is still whole */
    for (; known; known = next) {
        next = known->hh.next;
        free(known->id);
        free(known);
    }
}

static bool read_dead_letters(struct audit *audit, struct known **table)
{
    struct amqp_plain_count count;
    struct amqp_plain_message message;
    int got;
    if (!amqp_plain_count(audit->ctl.broker, TOPOLOGY_DEAD, &count))
        return false;
    for (unsigned n = 0; n < count.ready; n++) {
        if ((got = amqp_plain_get(audit->ctl.broker, TOPOLOGY_DEAD, &message)) <= 0)
            return got == 0;
        const amqp_basic_properties_t *properties = &message.content.properties;
        if (properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) {
            char *id = output_clean(properties->message_id.bytes, properties->message_id.len);
            struct known *known;
            HASH_FIND_STR(*table, id, known);
            if (known) {
                free(id);
            } else {
                known = xcalloc(1, sizeof *known);
                known->id = id;
                HASH_ADD_KEYPTR(hh, *table, known->id, strlen(known->id), known);
            }
        }
        amqp_plain_message_free(&message);
    }
    return true;
}

static bool compare_dead(struct audit *audit)
{
    struct known *table = NULL;
    /* The ledger first: a letter is confirmed before its outcome is told. */
    PGresult *result = ctl_query(&audit->ctl,
                                 "SELECT event_id"
                                 "  FROM mtc.event"
                                 " WHERE state = 'dead' AND note IS DISTINCT FROM 'dropped'",
                                 0, NULL);
    bool ok = result && read_dead_letters(audit, &table);
    for (int row = 0; ok && row < PQntuples(result); row++) {
        struct known *known;
        const char *id = PQgetvalue(result, row, 0);
        HASH_FIND_STR(table, id, known);
        if (!known)
            problem(audit, id, "dead, but not among the dead letters");
    }
    PQclear(result);
    free_known(table);
    return ok;
}

/* Looks several times while things move: what is lost stays lost. */
static bool look(struct audit *audit)
{
    for (int n = 0; n < LOOKS; n++) {
        if (n > 0)
            clock_sleep_ms(LOOK_AGAIN_MS);
        if (!count_ledger(audit) || !count_broker(audit))
            return false;
        if (count_lost(audit) <= 0)
            return true;
    }
    return name_lost(audit);
}

/* Likewise: an outcome may be on its way. */
static bool look_for_missing(struct audit *audit)
{
    PGresult *missing = NULL;
    for (int n = 0; n < LOOKS; n++) {
        if (n > 0)
            clock_sleep_ms(LOOK_AGAIN_MS);
        PQclear(missing);
        missing = rounds_missing(&audit->ctl);
        if (!missing)
            return false;
        if (PQntuples(missing) == 0)
            break;
    }
    for (int row = 0; row < PQntuples(missing); row++)
        problem(audit, PQgetvalue(missing, row, 0),
                "published, but in no partition and in no sender's hands, and nothing came of it");
    PQclear(missing);
    return true;
}

static bool look_at_published(struct audit *audit)
{
    if (!rounds_run(&audit->ctl, &audit->rounds) || !look_for_missing(audit))
        return false;
    if (audit->rounds.partitions && !audit->rounds.open)
        return count_ledger(audit) && count_broker(audit);
    return json_array_size(audit->problems) ? count_ledger(audit) && count_broker(audit)
                                            : look(audit);
}

static void print_all(const struct audit *audit)
{
    printf("committed %lld = waiting %lld + published %lld + delivered %lld + dead %lld "
           "(dropped %lld)\n",
           audit->committed, audit->waiting, audit->published, audit->delivered, audit->dead,
           audit->dropped);
    printf("broker: %lld in the partitions, %lld in senders' hands, %lld batches of outcomes\n",
           audit->in_partitions, audit->in_hands, audit->outcomes);
    if (audit->rounds.open || !audit->rounds.partitions)
        printf("no marker came out of %d partitions: published events are held against counts\n",
               audit->rounds.partitions ? audit->rounds.open
                                        : (int)audit->ctl.config->topology_partitions);
    size_t i;
    json_t *told;
    json_array_foreach (audit->problems, i, told) {
        printf("%s  %s\n", json_string_value(json_object_get(told, "event")),
               json_string_value(json_object_get(told, "problem")));
    }
    puts(json_array_size(audit->problems) ? "NOT all events are accounted for"
                                          : "every event is accounted for");
}

static json_t *as_json(const struct audit *audit)
{
    json_t *json = json_object();
    json_object_set_new(json, "committed", json_integer(audit->committed));
    json_object_set_new(json, "waiting", json_integer(audit->waiting));
    json_object_set_new(json, "published", json_integer(audit->published));
    json_object_set_new(json, "delivered", json_integer(audit->delivered));
    json_object_set_new(json, "dead", json_integer(audit->dead));
    json_object_set_new(json, "dropped", json_integer(audit->dropped));
    json_object_set_new(json, "in_partitions", json_integer(audit->in_partitions));
    json_object_set_new(json, "in_hands", json_integer(audit->in_hands));
    json_object_set_new(json, "outcome_batches", json_integer(audit->outcomes + audit->deaths));
    json_object_set_new(json, "partitions_unanswered", json_integer(audit->rounds.open));
    json_object_set(json, "problems", audit->problems);
    return json;
}

int audit_main(const struct config *config, int argc, char **argv)
{
    static const char help[] =
        "usage: mtcctl audit [--json]\n"
        "  Holds the ledger against the broker: "
        "committed = waiting + published + delivered + dead, and each where the ledger\n"
        "  says. Names every event that is not. "
        "Exit status 0: all accounted for; 1: not, or it could not be found out.\n";
    struct audit audit = {.ctl = {.config = config}};
    int done = ctl_options(argc, argv, help, &audit.ctl.json);
    if (done >= 0)
        return done;
    if (optind < argc)
        return ctl_usage(help, stderr);
    audit.problems = json_array();
    bool ok = ctl_pg(&audit.ctl) && ctl_broker(&audit.ctl) && look_at_published(&audit) &&
              compare_dead(&audit);
    if (!*audit.ctl.error && audit.ctl.broker)
        ctl_broker_did(&audit.ctl, ok);
    ctl_close(&audit.ctl);
    int status = json_array_size(audit.problems) ? 1 : 0;
    if (!ok)
        status = ctl_fail(&audit.ctl);
    else if (audit.ctl.json)
        output_json(as_json(&audit));
    else
        print_all(&audit);
    json_decref(audit.problems);
    return status;
}
