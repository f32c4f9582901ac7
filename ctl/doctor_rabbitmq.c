/* doctor_rabbitmq.c - the broker, its exchange, its queues and who consumes them; see doctor.h */
#include "doctor.h"
#include "pause.h"
#include "suite/topology.h"

#include <stdlib.h>
#include <string.h>

static const char *const named[] = {TOPOLOGY_OUTCOMES, TOPOLOGY_CYCLE_TIMES, TOPOLOGY_DEAD,
                                    TOPOLOGY_DEATHS,   TOPOLOGY_CONTROL,     TOPOLOGY_PAUSE};
#define NAMED (sizeof named / sizeof named[0])

struct queues {
    int missing, alone; /* alone: partitions nobody consumes */
};

static bool look_at_partitions(struct doctor *doctor, struct queues *queues)
{
    struct amqp_plain_count count;
    for (int p = 0; p < (int)doctor->ctl.config->topology_partitions; p++) {
        char name[TOPOLOGY_NAME_BYTES];
        if (!amqp_plain_count(doctor->ctl.broker, topology_partition_name(p, name), &count))
            return false;
        queues->missing += !count.exists;
        queues->alone += count.exists && count.consumers == 0;
    }
    return true;
}

static bool look_at_named(struct doctor *doctor, struct queues *queues)
{
    struct amqp_plain_count count;
    for (size_t i = 0; i < NAMED; i++) {
        if (!amqp_plain_count(doctor->ctl.broker, named[i], &count))
            return false;
        queues->missing += !count.exists;
        if (strcmp(named[i], TOPOLOGY_DEAD) == 0 && count.ready > 0)
            doctor_find(doctor, FINDING_WARNING, "dead letters",
                        "see mtcctl dead list; mtcctl dead requeue when the cause is gone",
                        "%u of them", count.ready);
    }
    return true;
}

static void look_at_queues(struct doctor *doctor)
{
    struct queues queues = {0};
    if (!look_at_partitions(doctor, &queues) || !look_at_named(doctor, &queues))
        return;
    if (queues.missing)
        doctor_find(doctor, FINDING_ILL, "queues",
                    "start any of the programs: each declares them; see its log if it can't",
                    "%d of %d are missing", queues.missing,
                    (int)doctor->ctl.config->topology_partitions + (int)NAMED);
    else
        doctor_find(doctor, FINDING_OK, "queues", NULL, "all there");
    if (queues.alone)
        doctor_find(doctor, FINDING_ILL, "senders", "start mtc-sender, and see its log",
                    "%d partitions have no consumer", queues.alone);
    else if (!queues.missing)
        doctor_find(doctor, FINDING_OK, "senders", NULL, "every partition has a consumer");
}

static void look_at_version(struct doctor *doctor, const char *version)
{
    int major = (int)strtol(version, NULL, 10);
    const char *dot = strchr(version, '.');
    if (major < 3 || (major == 3 && dot && strtol(dot + 1, NULL, 10) < 10))
        doctor_find(doctor, FINDING_ILL, "RabbitMQ", "use version 3.10 or later", "version %s",
                    version);
    else
        doctor_find(doctor, FINDING_OK, "RabbitMQ", NULL, "version %s", version);
}

void doctor_pause(struct doctor *doctor)
{
    bool exists, paused;
    if (!doctor->ctl.broker ||
        (amqp_plain_exchange_exists(doctor->ctl.broker, TOPOLOGY_CONTROL, &exists) && !exists))
        return; /* what there is not cannot pause anybody; that no program has run has been said */
    if (!pause_is_set(&doctor->ctl, &paused))
        doctor_find(doctor, FINDING_WARNING, "pause", "see whether RabbitMQ raises an alarm",
                    "not known whether senders are paused: %s", doctor->ctl.error);
    else if (paused)
        doctor_find(doctor, FINDING_WARNING, "pause", "mtcctl resume",
                    "an operator has paused the senders");
}

void doctor_rabbitmq(struct doctor *doctor)
{
    bool exists;
    if (!ctl_broker(&doctor->ctl)) {
        doctor_find(doctor, FINDING_ILL, "RabbitMQ",
                    "check amqp.url, amqp.password_file, the vhost and the user's permissions",
                    "%s", doctor->ctl.error);
        return;
    }
    look_at_version(doctor, amqp_plain_version(doctor->ctl.broker));
    if (!amqp_plain_exchange_exists(doctor->ctl.broker, TOPOLOGY_PARTITIONS, &exists))
        return;
    if (!exists)
        doctor_find(doctor, FINDING_ILL, "exchange mtc.partitions", "start any of the programs",
                    "missing");
    look_at_queues(doctor);
}
