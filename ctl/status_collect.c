/* status_collect.c - how things stand, as it is found out; see status.h */
#include "management.h"
#include "output.h"
#include "pause.h"
#include "programs.h"
#include "status.h"
#include "version.h"
#include "base/clock.h"
#include "suite/topology.h"

/* An error's text may quote bytes that are no UTF-8. */
static json_t *error_object(const char *text)
{
    json_t *message = json_string(text);
    return json_pack("{s:o}", "error", message ? message : json_string("unknown"));
}

static void add_first_row(struct ctl *ctl, json_t *status, const char *name, const char *sql)
{
    PGresult *result = ctl_query(ctl, sql, 0, NULL);
    if (!result)
        json_object_set_new(status, name, error_object(ctl->error));
    else
        json_object_set_new(status, name, PQntuples(result) ? output_row(result, 0) : json_null());
    PQclear(result);
}

static const char postgres_sql[] = "SELECT current_setting('server_version') AS version,"
                                   "       current_database() AS database,"
                                   "       (SELECT json_object_agg(component, version)"
                                   "          FROM (SELECT component, max(version) AS version"
                                   "                  FROM mtc.schema_version"
                                   "                 GROUP BY 1"
                                   "                 ORDER BY 1) v) AS schema";

static const char events_sql[] =
    "SELECT count(*) FILTER (WHERE published_at IS NULL AND outcome IS NULL) AS waiting,"
    "       coalesce(round(extract(epoch FROM clock_timestamp() -"
    "         min(created_at) FILTER (WHERE published_at IS NULL AND outcome IS NULL)), 1), 0)"
    "         AS oldest_waiting_s,"
    "       count(*) FILTER (WHERE published_at IS NOT NULL AND outcome IS NULL) AS published,"
    "       coalesce(round(extract(epoch FROM clock_timestamp() -"
    "         min(created_at) FILTER (WHERE published_at IS NOT NULL AND outcome IS NULL)), 1), 0)"
    "         AS oldest_published_s,"
    "       count(*) FILTER (WHERE outcome = 'delivered') AS delivered,"
    "       count(*) FILTER (WHERE outcome = 'dead') AS dead,"
    "       count(*) FILTER (WHERE created_at > clock_timestamp() - interval '1 minute')"
    "         AS last_minute,"
    "       mtc.count_missing() AS missing,"
    "       count(*) FILTER (WHERE note = 'lost by the broker; published again') AS lost"
    "  FROM mtc.outbox";

static const char cycle_run_sql[] =
    "SELECT mtc.utc_text(started_at) AS started_at,"
    "       round(extract(epoch FROM finished_at - started_at), 3) AS seconds,"
    "       worker, asked, answered, changed, failed"
    "  FROM mtc.cycle_run";

static void add_postgres(struct ctl *ctl, json_t *status)
{
    if (!ctl_pg(ctl)) {
        json_object_set_new(status, "postgres", error_object(ctl->error));
        return;
    }
    add_first_row(ctl, status, "postgres", postgres_sql);
    add_first_row(ctl, status, "events", events_sql);
    add_first_row(ctl, status, "cycle_run", cycle_run_sql);
}

static bool add_queue(struct ctl *ctl, json_t *queues, const char *name, const json_t *known)
{
    struct amqp_plain_count count;
    if (!amqp_plain_count(ctl->broker, name, &count))
        return false;
    json_t *queue = json_pack("{s:s, s:b}", "name", name, "exists", count.exists);
    if (count.exists) {
        json_object_set_new(queue, "ready", json_integer(count.ready));
        json_object_set_new(queue, "consumers", json_integer(count.consumers));
        management_add(known, name, queue);
    }
    json_array_append_new(queues, queue);
    return true;
}

static void add_rabbitmq(struct ctl *ctl, json_t *status)
{
    static const char *const named[] = {TOPOLOGY_OUTCOMES, TOPOLOGY_CYCLE_TIMES, TOPOLOGY_DEAD,
                                        TOPOLOGY_DEATHS};
    bool paused;
    if (!ctl_broker(ctl)) {
        json_object_set_new(status, "rabbitmq", error_object(ctl->error));
        return;
    }
    json_t *known = management_queues(ctl->config), *queues = json_array();
    bool ok = true;
    for (int p = 0; ok && p < (int)ctl->config->topology_partitions; p++) {
        char name[TOPOLOGY_NAME_BYTES];
        ok = add_queue(ctl, queues, topology_partition_name(p, name), known);
    }
    for (size_t i = 0; ok && i < sizeof named / sizeof named[0]; i++)
        ok = add_queue(ctl, queues, named[i], known);
    json_decref(known);
    if (!ok) {
        json_object_set_new(status, "rabbitmq", error_object(amqp_plain_error(ctl->broker)));
        json_decref(queues);
        return;
    }
    /* The last question on this connection but those to the programs: in an alarm it gets none. */
    bool is_known = pause_is_set(ctl, &paused);
    json_object_set_new(status, "rabbitmq",
                        json_pack("{s:s, s:o, s:o}", "version", amqp_plain_version(ctl->broker),
                                  "paused", is_known ? json_boolean(paused) : json_null(), "queues",
                                  queues));
}

json_t *status_collect(struct ctl *ctl)
{
    char now[UTC_TEXT];
    json_t *status = json_pack("{s:s, s:s}", "version", MTC_VERSION, "at",
                               utc_format(utc_us(), now));
    add_postgres(ctl, status);
    add_rabbitmq(ctl, status);
    json_object_set_new(status, "programs", programs_ask(ctl));
    return status;
}
