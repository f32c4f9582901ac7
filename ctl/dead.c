/*
 * dead.c - mtcctl dead: the dead letters
 *
 * The queue is read to its end with everything held unacked; what is chosen is acked (after its
 * copy is confirmed, for requeue), the rest goes back when the connection closes. Dying anywhere in
 * between leaves a letter in the queue, at worst beside a copy with the same key.
 */
#include "ctl.h"
#include "output.h"
#include "suite/topology.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum action { LIST, SHOW, REQUEUE, DROP };

struct choice {
    enum action action;
    const char *id, *machine, *reason;
    bool all;
};

struct letter {
    struct amqp_plain_message message;
    char *id, *machine, *kind, *type, *path, *reason, *response;
    int64_t seq, attempts, status, dead_us;
};

static int usage(FILE *out)
{
    fputs(
        "usage: mtcctl dead list    [CHOICE] [--json]\n"
        "       mtcctl dead show    CHOICE [--json]\n"
        "       mtcctl dead requeue CHOICE [--json]\n"
        "       mtcctl dead drop    CHOICE [--json]\n"
        "  CHOICE: --id EVENT, --machine NAME, --reason TEXT (part of it), or --all; several must all fit.\n"
        "  requeue sends events again with their own keys; events of the same machine that have been "
        "delivered meanwhile are\n"
        "  not called back: the old ones come after them.\n",
        out);
    return out == stdout ? 0 : 2;
}

/* --- reading a letter --- */

static char *text_of(amqp_bytes_t bytes)
{
    return output_clean(bytes.bytes, bytes.len);
}

static char *header_text(const amqp_basic_properties_t *properties, const char *name)
{
    const amqp_field_value_t *value = amqp_header_get(properties, name);
    bool is_text = value &&
                   (value->kind == AMQP_FIELD_KIND_UTF8 || value->kind == AMQP_FIELD_KIND_BYTES);
    return is_text ? text_of(value->value.bytes) : xstrdup("");
}

static int64_t header_number(const amqp_basic_properties_t *properties, const char *name)
{
    int64_t number = 0;
    const amqp_field_value_t *value = amqp_header_get(properties, name);
    return value && amqp_field_int(value, &number) ? number : 0;
}

/* What RabbitMQ itself dead-lettered has no reason of ours. */
static char *reason_of(const amqp_basic_properties_t *properties)
{
    char *reason = header_text(properties, "reason");
    if (*reason)
        return reason;
    free(reason);
    char *first = header_text(properties, "x-first-death-reason");
    char *text = *first ? xasprintf("given up by RabbitMQ: %s", first) : xstrdup("not given");
    free(first);
    return text;
}

static void read_letter(struct letter *letter)
{
    const amqp_basic_properties_t *properties = &letter->message.content.properties;
    letter->id = properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG ? text_of(properties->message_id)
                                                                 : xstrdup("");
    letter->type = properties->_flags & AMQP_BASIC_TYPE_FLAG ? text_of(properties->type)
                                                             : xstrdup("");
    letter->machine = header_text(properties, "machine");
    letter->kind = header_text(properties, "kind");
    letter->path = header_text(properties, "path");
    letter->reason = reason_of(properties);
    letter->response = header_text(properties, "response");
    letter->seq = header_number(properties, "seq");
    letter->attempts = header_number(properties, "attempts");
    letter->status = header_number(properties, "last_status");
    letter->dead_us = header_number(properties, "dead_us");
}

static void free_letter(struct letter *letter)
{
    free(letter->id);
    free(letter->machine);
    free(letter->kind);
    free(letter->type);
    free(letter->path);
    free(letter->reason);
    free(letter->response);
    amqp_plain_message_free(&letter->message);
}

static bool fits(const struct letter *letter, const struct choice *choice)
{
    return (!choice->id || strcmp(choice->id, letter->id) == 0) &&
           (!choice->machine || strcmp(choice->machine, letter->machine) == 0) &&
           (!choice->reason || strstr(letter->reason, choice->reason));
}

/* --- showing --- */

static json_t *text_json(const char *text)
{
    json_t *value = json_string(text);
    return value ? value : json_string("(no UTF-8)");
}

static json_t *letter_json(const struct letter *letter, bool with_body)
{
    json_t *told = json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "id",
                             text_json(letter->id), "machine", text_json(letter->machine), "kind",
                             text_json(letter->kind), "type", text_json(letter->type), "reason",
                             text_json(letter->reason), "attempts", (json_int_t)letter->attempts,
                             "status", (json_int_t)letter->status, "seq", (json_int_t)letter->seq);
    if (with_body) {
        amqp_bytes_t body = letter->message.content.body;
        json_t *text = json_stringn(body.bytes, body.len);
        json_object_set_new(told, "path", text_json(letter->path));
        json_object_set_new(told, "response", text_json(letter->response));
        json_object_set_new(told, "body", text ? text : json_string("(no UTF-8)"));
    }
    return told;
}

static void print_letter(const struct letter *letter, bool with_body)
{
    printf("%-36s  %-12s  %-20s  %s%s\n", *letter->id ? letter->id : "-",
           *letter->machine ? letter->machine : "-", *letter->type ? letter->type : letter->kind,
           letter->reason,
           letter->attempts > 1 && !strstr(letter->reason, "attempts") ? " (after several attempts)"
                                                                       : "");
    if (!with_body)
        return;
    char *body = output_clean(letter->message.content.body.bytes, letter->message.content.body.len);
    printf("  path      %s\n  row       %" PRId64 "\n  attempts  %" PRId64 "\n  status    %" PRId64
           "\n  response  %s\n  body      %s\n",
           letter->path, letter->seq, letter->attempts, letter->status, letter->response, body);
    free(body);
}

/* --- putting back, dropping --- */

static bool is_ours_to_strip(amqp_bytes_t key)
{
    static const char *const names[] = {"reason", "attempts", "last_status", "response",
                                        "queue",  "dead_us",  "repeat"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (amqp_bytes_equal_text(key, names[i]))
            return true;
    }
    return key.len > 2 &&
           memcmp(key.bytes, "x-", 2) == 0; /* what the broker wrote when it dead-lettered */
}

/* As it was before it died, with a note that it was. */
static bool publish_again(struct ctl *ctl, const struct letter *letter, const char *exchange,
                          const char *key)
{
    amqp_basic_properties_t properties = letter->message.content.properties;
    int had = properties._flags & AMQP_BASIC_HEADERS_FLAG ? properties.headers.num_entries : 0,
        count = 0;
    amqp_table_entry_t *entries = xcalloc((size_t)had + 1, sizeof *entries);
    for (int i = 0; i < had; i++) {
        if (!is_ours_to_strip(properties.headers.entries[i].key))
            entries[count++] = properties.headers.entries[i];
    }
    entries[count++] = (amqp_table_entry_t){
        .key = amqp_text("requeued"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8,
                  .value.bytes = amqp_text("out of order: was dead")}};
    properties.headers = (amqp_table_t){.num_entries = count, .entries = entries};
    properties._flags |= AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG;
    properties._flags &= ~(amqp_flags_t)(AMQP_BASIC_USER_ID_FLAG | AMQP_BASIC_EXPIRATION_FLAG);
    properties.delivery_mode = 2;
    bool ok = amqp_plain_publish(ctl->broker, exchange, key, &properties,
                                 letter->message.content.body);
    free(entries);
    if (!ok)
        snprintf(ctl->error, sizeof ctl->error, "%s", amqp_plain_error(ctl->broker));
    return ok;
}

static bool tell_ledger(struct ctl *ctl, const struct letter *letter, const char *sql)
{
    if (!letter->seq || strlen(letter->id) != 36)
        return true; /* it has no row */
    char row[24];
    snprintf(row, sizeof row, "%" PRId64, letter->seq);
    const char *values[] = {row, letter->id};
    PGresult *result = ctl_query(ctl, sql, 2, values);
    PQclear(result);
    return result != NULL;
}

static bool run(struct ctl *ctl, const char *sql)
{
    PGresult *result = ctl_query(ctl, sql, 0, NULL);
    PQclear(result);
    return result != NULL;
}

static bool acked(struct ctl *ctl, const struct letter *letter)
{
    bool ok = amqp_plain_ack(ctl->broker, letter->message.tag);
    if (!ok)
        snprintf(ctl->error, sizeof ctl->error, "%s", amqp_plain_error(ctl->broker));
    return ok;
}

/*
 * The ledger's row is locked until the copy is confirmed, so the copy's own outcome can't be told
 * before "was dead" is taken back. Killed before COMMIT: the letter is still here and the row dead,
 * the copy is on its way; its outcome puts the row right, and a second copy has the same key.
 * Killed before the ack: the letter stays, as well.
 */
static bool requeue_event(struct ctl *ctl, const struct letter *letter)
{
    if (run(ctl,
            "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL lock_timeout = '5s'") &&
        tell_ledger(ctl, letter, "SELECT mtc.requeued($1, $2)") &&
        publish_again(ctl, letter, TOPOLOGY_EVENTS, letter->machine) && run(ctl, "COMMIT"))
        return acked(ctl, letter);
    char why[sizeof ctl->error];
    memcpy(why, ctl->error, sizeof why);
    run(ctl, "ROLLBACK"); /* the connection may be gone; the server then rolls back by itself */
    memcpy(ctl->error, why, sizeof why);
    return false;
}

/* 1: done, 0: it can't be sent as it is, -1: failed. */
static int requeue(struct ctl *ctl, const struct letter *letter)
{
    if (strcmp(letter->kind, "outcomes") == 0)
        return publish_again(ctl, letter, "", TOPOLOGY_OUTCOMES) && acked(ctl, letter) ? 1 : -1;
    if (strcmp(letter->kind, "cycle-time") == 0)
        return publish_again(ctl, letter, "", TOPOLOGY_CYCLE_TIMES) && acked(ctl, letter) ? 1 : -1;
    if (!*letter->id || !*letter->machine || !*letter->path) {
        fprintf(
            stderr,
            "mtcctl: %s can't be sent: it could not be formed (%s); emit it anew, then drop this one\n",
            *letter->id ? letter->id : "a letter without id", letter->reason);
        return 0;
    }
    return requeue_event(ctl, letter) ? 1 : -1;
}

static int drop(struct ctl *ctl, const struct letter *letter)
{
    if (!tell_ledger(ctl, letter, "SELECT mtc.dropped($1, $2)"))
        return -1;
    return acked(ctl, letter) ? 1 : -1;
}

/* --- all of it --- */

static int act(struct ctl *ctl, const struct choice *choice, const struct letter *letter,
               json_t *told)
{
    int done = 1;
    if (choice->action == REQUEUE)
        done = requeue(ctl, letter);
    else if (choice->action == DROP)
        done = drop(ctl, letter);
    if (done != 1)
        return done;
    if (ctl->json)
        json_array_append_new(told, letter_json(letter, choice->action == SHOW));
    else
        print_letter(letter, choice->action == SHOW);
    return 1;
}

static int walk(struct ctl *ctl, const struct choice *choice)
{
    json_t *told = json_array();
    int chosen = 0, left = 0, got, status = 0;
    struct letter letter;
    if (!ctl_broker(ctl) ||
        ((choice->action == REQUEUE || choice->action == DROP) && !ctl_pg(ctl))) {
        json_decref(told);
        return ctl_fail(ctl);
    }
    struct amqp_plain_count count;
    if (!amqp_plain_count(ctl->broker, TOPOLOGY_DEAD, &count)) {
        json_decref(told);
        return ctl_fail(ctl);
    }
    /* As many as there are now: what dies while we walk is for the next time. */
    memset(&letter, 0, sizeof letter);
    for (unsigned n = 0; n < count.ready &&
                         (got = amqp_plain_get(ctl->broker, TOPOLOGY_DEAD, &letter.message)) != 0;
         n++) {
        if (got < 0) {
            snprintf(ctl->error, sizeof ctl->error, "%s", amqp_plain_error(ctl->broker));
            status = ctl_fail(ctl);
            break;
        }
        read_letter(&letter);
        int done = fits(&letter, choice) ? act(ctl, choice, &letter, told) : 2;
        free_letter(&letter);
        memset(&letter, 0, sizeof letter);
        chosen += done == 1;
        left += done == 0;
        if (done < 0) {
            status = ctl_fail(ctl);
            break;
        }
    }
    if (ctl->json)
        output_json(told);
    else
        json_decref(told);
    static const char *const words[] = {"dead letters", "dead letters", "put back", "dropped"};
    if (!ctl->json)
        printf("%d %s\n", chosen, words[choice->action]);
    if (status == 0 && (left > 0 || (choice->id && chosen == 0)))
        status = 1;
    return status;
}

static bool parse_action(const char *word, enum action *action)
{
    static const char *const names[] = {"list", "show", "requeue", "drop"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(word, names[i]) == 0) {
            *action = (enum action)i;
            return true;
        }
    }
    return false;
}

int dead_main(const struct config *config, int argc, char **argv)
{
    static const struct option options[] = {{"id", required_argument, NULL, 'i'},
                                            {"machine", required_argument, NULL, 'm'},
                                            {"reason", required_argument, NULL, 'r'},
                                            {"all", no_argument, NULL, 'a'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct ctl ctl = {.config = config};
    struct choice choice = {.action = LIST};
    if (argc >= 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout);
    if (argc < 2 || !parse_action(argv[1], &choice.action))
        return usage(stderr);
    int option;
    optind = 2;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'i')
            choice.id = optarg;
        else if (option == 'm')
            choice.machine = optarg;
        else if (option == 'r')
            choice.reason = optarg;
        else if (option == 'a')
            choice.all = true;
        else if (option == 'j')
            ctl.json = true;
        else
            return usage(option == 'h' ? stdout : stderr);
    }
    bool narrowed = choice.id || choice.machine || choice.reason;
    if (optind < argc || (choice.all && narrowed) ||
        (choice.action != LIST && !choice.all && !narrowed))
        return usage(stderr);
    int status = walk(&ctl, &choice);
    ctl_close(&ctl);
    return status;
}
