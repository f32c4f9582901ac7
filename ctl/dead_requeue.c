/* dead_requeue.c - putting a dead letter back, and dropping it; see dead.h */
#include "dead.h"
#include "base/xalloc.h"
#include "suite/topology.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/*
 * Its headers without what dying added, and how often it has been put back, which the ledger knows
 * its next death by. It is a repeat: another copy may have been put back before (we were killed
 * before the ack), and be delivered by now. Caller frees the entries.
 */
static amqp_table_t restored_headers(const amqp_basic_properties_t *properties, int64_t requeues)
{
    bool has_headers = properties->_flags & AMQP_BASIC_HEADERS_FLAG;
    int had = has_headers ? properties->headers.num_entries : 0, count = 0;
    amqp_table_entry_t *entries = xcalloc((size_t)had + 2, sizeof *entries);
    for (int i = 0; i < had; i++) {
        if (!dead_letter_added(properties->headers.entries[i].key))
            entries[count++] = properties->headers.entries[i];
    }
    entries[count++] = (amqp_table_entry_t){
        .key = amqp_text("requeues"),
        .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = requeues}};
    entries[count++] = (amqp_table_entry_t){.key = amqp_text("repeat"),
                                            .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = 1}};
    return (amqp_table_t){.num_entries = count, .entries = entries};
}

/* A user id that is not ours would be refused, and an expiration would lose the message. */
static bool publish_again(struct ctl *ctl, const struct letter *letter, int64_t requeues,
                          const char *exchange, const char *key)
{
    amqp_basic_properties_t properties = letter->message.content.properties;
    properties.headers = restored_headers(&properties, requeues);
    properties._flags |= AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG;
    properties._flags &= ~(amqp_flags_t)(AMQP_BASIC_USER_ID_FLAG | AMQP_BASIC_EXPIRATION_FLAG);
    properties.delivery_mode = 2;
    bool ok = amqp_plain_publish(ctl->broker, exchange, key, &properties,
                                 letter->message.content.body);
    free(properties.headers.entries);
    return ctl_broker_did(ctl, ok);
}

static bool has_row(const struct letter *letter)
{
    return letter->told.seq && strlen(letter->told.id) == CTL_EVENT_ID_LEN;
}

/* Takes "dead" back in the ledger, and says how often that has been done to this event. */
static bool take_back(struct ctl *ctl, const struct letter *letter, int64_t *requeues)
{
    *requeues = letter->told.requeues + 1;
    if (!has_row(letter))
        return true;
    char row[24];
    snprintf(row, sizeof row, "%" PRId64, letter->told.seq);
    const char *values[] = {row, letter->told.id};
    PGresult *result = ctl_query(ctl, "SELECT mtc.put_back($1, $2)", 2, values);
    if (!result)
        return false;
    if (!PQgetisnull(result, 0, 0)) /* else it is delivered, or its row has been swept */
        *requeues = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return true;
}

static bool note_dropped(struct ctl *ctl, const struct letter *letter)
{
    if (!has_row(letter))
        return true;
    char row[24], requeues[24];
    snprintf(row, sizeof row, "%" PRId64, letter->told.seq);
    snprintf(requeues, sizeof requeues, "%" PRId64, letter->told.requeues);
    const char *values[] = {row, letter->told.id, requeues, letter->told.reason};
    return ctl_run(ctl, "SELECT mtc.let_go($1, $2, $3, $4)", 4, values);
}

static bool let_go(struct ctl *ctl, const struct letter *letter)
{
    return ctl_broker_did(ctl, amqp_plain_ack(ctl->broker, letter->message.tag));
}

/*
 * The ledger's row is locked until the copy is confirmed, so the copy's own outcome can't be told
 * before "was dead" is taken back. If we are killed before COMMIT, the letter is still here and
 * the row is dead while the copy is on its way: its outcome puts the row right, and a second copy
 * has the same key. If we are killed before the ack, the letter stays as well.
 */
static bool requeue_event(struct ctl *ctl, const struct letter *letter)
{
    char partition[TOPOLOGY_NAME_BYTES];
    int64_t requeues;
    topology_partition_name(
        topology_partition_of(letter->told.machine, (int)ctl->config->topology_partitions),
        partition);
    if (ctl_run(ctl,
                "BEGIN;"
                " SET LOCAL idle_in_transaction_session_timeout = '5s';"
                " SET LOCAL lock_timeout = '5s'",
                0, NULL) &&
        take_back(ctl, letter, &requeues) &&
        publish_again(ctl, letter, requeues, TOPOLOGY_PARTITIONS, partition) &&
        ctl_run(ctl, "COMMIT", 0, NULL))
        return let_go(ctl, letter);
    char why[sizeof ctl->error];
    memcpy(why, ctl->error, sizeof why);
    /* The connection may be gone; the server then rolls back by itself. */
    ctl_run(ctl, "ROLLBACK", 0, NULL);
    memcpy(ctl->error, why, sizeof why);
    return false;
}

/* What is no event has no row, and goes back to the queue it was for. */
static bool requeue_to(struct ctl *ctl, const struct letter *letter, const char *queue)
{
    return publish_again(ctl, letter, letter->told.requeues + 1, "", queue) && let_go(ctl, letter);
}

enum letter_fate letter_requeue(struct ctl *ctl, const struct letter *letter)
{
    const struct dead_letter_told *told = &letter->told;
    bool ok;
    if (strcmp(told->kind, "outcomes") == 0) {
        ok = requeue_to(ctl, letter, TOPOLOGY_OUTCOMES);
    } else if (strcmp(told->kind, "cycle-time") == 0) {
        ok = requeue_to(ctl, letter, TOPOLOGY_CYCLE_TIMES);
    } else if (*told->id && *told->machine && *told->path) {
        ok = requeue_event(ctl, letter);
    } else {
        fprintf(stderr,
                "mtcctl: %s can't be sent: it could not be formed (%s); "
                "emit it anew, then drop this one\n",
                *told->id ? told->id : "a letter without id", told->reason);
        return LETTER_LEFT;
    }
    return ok ? LETTER_DONE : LETTER_FAILED;
}

enum letter_fate letter_drop(struct ctl *ctl, const struct letter *letter)
{
    bool ok = note_dropped(ctl, letter) && let_go(ctl, letter);
    return ok ? LETTER_DONE : LETTER_FAILED;
}
