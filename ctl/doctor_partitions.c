/*
 * doctor_partitions.c - do the producers, the senders and this configuration agree on the number of
 * partitions?; see doctor.h
 *
 * The producers' number is what the database remembers (mtc.may_partition(), sql/functions/relay),
 * the senders' is seen from which partitions have a consumer. They come from the configurations of
 * other hosts, which mtcctl can't read.
 */
#include "doctor.h"
#include "suite/topology.h"

#include <stdlib.h>
#include <string.h>

static const char what[] = "partitions";
static const char advice[] = "set the same topology.partitions for all programs; "
                             "docs/operations.md#the-number-of-partitions-differs";

static void judge_producers(struct doctor *doctor, const char *partitioning)
{
    int wanted = (int)doctor->ctl.config->topology_partitions;
    size_t rule = strlen(TOPOLOGY_SCHEME);
    if (strncmp(partitioning, TOPOLOGY_SCHEME, rule) != 0 || partitioning[rule] != '/')
        doctor_find(doctor, FINDING_ILL, what, "use programs of one version",
                    "the producers publish by another rule than this program's: %s", partitioning);
    else if (strtol(partitioning + rule + 1, NULL, 10) != wanted)
        doctor_find(doctor, FINDING_ILL, what, advice,
                    "the producers publish to %s, topology.partitions is %d here",
                    partitioning + rule + 1, wanted);
}

static void look_at_producers(struct doctor *doctor)
{
    if (!doctor->ctl.pg)
        return;
    PGresult *result = ctl_query(
        &doctor->ctl, "SELECT value FROM mtc.setting WHERE name = 'partitioning'", 0, NULL);
    if (result && PQntuples(result)) /* else nobody has published yet, or we may not look */
        judge_producers(doctor, PQgetvalue(result, 0, 0));
    PQclear(result);
}

/* Partitions past ours: of somebody who has a larger number, or left over. */
static bool look_past_the_end(struct doctor *doctor)
{
    int wanted = (int)doctor->ctl.config->topology_partitions, waiting = 0, consumed = 0;
    struct amqp_plain_count count = {.exists = true};
    int p = wanted;
    for (;; p++) {
        char name[TOPOLOGY_NAME_BYTES];
        if (!amqp_plain_count(doctor->ctl.broker, topology_partition_name(p, name), &count))
            return false;
        if (!count.exists)
            break;
        consumed += count.consumers > 0;
        waiting += count.consumers == 0 && count.ready > 0;
    }
    if (waiting)
        doctor_find(doctor, FINDING_ILL, what, advice,
                    "%d past the %d configured here hold events and have no consumer", waiting,
                    wanted);
    else if (consumed)
        doctor_find(doctor, FINDING_ILL, what, advice,
                    "senders consume %d, topology.partitions is %d here", p, wanted);
    else if (p > wanted)
        doctor_find(doctor, FINDING_WARNING, what, "delete the queues left over",
                    "%d past the %d configured here, empty and without a consumer", p - wanted,
                    wanted);
    return true;
}

/* Senders with a smaller number consume the first ones only. */
static void look_at_senders(struct doctor *doctor)
{
    int wanted = (int)doctor->ctl.config->topology_partitions, consumed = 0;
    struct amqp_plain_count count;
    for (int p = 0; p < wanted; p++) {
        char name[TOPOLOGY_NAME_BYTES];
        if (!amqp_plain_count(doctor->ctl.broker, topology_partition_name(p, name), &count))
            return;
        if (count.exists && count.consumers > 0 && consumed++ != p)
            return; /* there are holes: it is not a matter of the number */
    }
    if (consumed > 0 && consumed < wanted)
        doctor_find(doctor, FINDING_ILL, what, advice,
                    "senders consume the first %d, topology.partitions is %d here", consumed,
                    wanted);
}

void doctor_partitions(struct doctor *doctor)
{
    look_at_producers(doctor);
    if (doctor->ctl.broker && look_past_the_end(doctor))
        look_at_senders(doctor);
}
