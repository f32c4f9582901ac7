/* record.c - what arrived, in what order; see sim.h */
#include "sim.h"
#include "base/clock.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct entry {
    int64_t at_us;
    const struct word *machine, *type;
    char *key;
    unsigned status;
    bool applied;
    char note[12];
};

struct word { /* an interned machine or type */
    char *text;
    UT_hash_handle hh;
};

struct applied_key {
    char *key;
    UT_hash_handle hh;
};

#define VIOLATIONS_KEPT 50

struct record {
    struct entry *entries;
    size_t count, room, most;
    struct word *words;
    struct applied_key *keys;
    size_t key_count, repeats;
    size_t by_status[600];
    size_t violations;
    char *violation_texts[VIOLATIONS_KEPT];
};

struct record *record_new(size_t most)
{
    struct record *record = xcalloc(1, sizeof *record);
    record->most = most;
    return record;
}

void record_clear(struct record *record)
{
    struct applied_key *key = record->keys, *next;
    for (size_t i = 0; i < record->count; i++)
        free(record->entries[i].key);
    HASH_CLEAR(hh, record->keys); /* lets go of them all; their list is still whole */
    for (; key; key = next) {
        next = key->hh.next;
        free(key->key);
        free(key);
    }
    for (size_t i = 0; i < record->violations && i < VIOLATIONS_KEPT; i++)
        free(record->violation_texts[i]);
    record->count = record->key_count = record->repeats = record->violations = 0;
    memset(record->by_status, 0, sizeof record->by_status);
}

void record_free(struct record *record)
{
    struct word *word = record->words, *next;
    record_clear(record);
    HASH_CLEAR(hh, record->words);
    for (; word; word = next) {
        next = word->hh.next;
        free(word->text);
        free(word);
    }
    free(record->entries);
    free(record);
}

static const struct word *intern(struct record *record, const char *text)
{
    struct word *word;
    HASH_FIND_STR(record->words, text, word);
    if (!word) {
        word = xcalloc(1, sizeof *word);
        word->text = xstrdup(text);
        HASH_ADD_KEYPTR(hh, record->words, word->text, strlen(word->text), word);
    }
    return word;
}

bool record_is_applied(const struct record *record, const char *key)
{
    struct applied_key *found;
    HASH_FIND_STR(record->keys, key, found);
    return found != NULL;
}

static void apply_key(struct record *record, const char *key)
{
    struct applied_key *applied = xcalloc(1, sizeof *applied);
    applied->key = xstrdup(key);
    HASH_ADD_KEYPTR(hh, record->keys, applied->key, strlen(applied->key), applied);
    record->key_count++;
}

void record_add(struct record *record, const char *machine, const char *type, const char *key,
                unsigned status, bool applied, const char *note)
{
    if (status < 600)
        record->by_status[status]++;
    if (applied && record_is_applied(record, key))
        record->repeats++;
    else if (applied)
        apply_key(record, key);
    if (record->count == record->most)
        return;
    if (record->count == record->room) {
        record->room = record->room ? record->room * 2 : 1024;
        record->entries = xrealloc(record->entries, record->room * sizeof *record->entries);
    }
    struct entry *entry = &record->entries[record->count++];
    *entry = (struct entry){.at_us = utc_us(),
                            .machine = intern(record, machine ? machine : "-"),
                            .type = intern(record, type ? type : "-"),
                            .key = xstrdup(key ? key : "-"),
                            .status = status,
                            .applied = applied};
    snprintf(entry->note, sizeof entry->note, "%s", note);
}

void record_violation(struct record *record, const char *path, const char *what)
{
    if (record->violations < VIOLATIONS_KEPT)
        record->violation_texts[record->violations] = xasprintf("%s: %s", path, what);
    record->violations++;
}

void record_print(const struct record *record, size_t since, FILE *out)
{
    for (size_t i = since; i < record->count; i++) {
        const struct entry *entry = &record->entries[i];
        fprintf(out, "%zu\t%lld\t%u\t%d\t%s\t%s\t%s\t%s\n", i, (long long)entry->at_us,
                entry->status, entry->applied, entry->machine->text, entry->type->text, entry->key,
                entry->note);
    }
}

void record_stats(const struct record *record, FILE *out)
{
    json_t *statuses = json_object(), *texts = json_array();
    for (int status = 0; status < 600; status++) {
        char name[8];
        snprintf(name, sizeof name, "%d", status);
        if (record->by_status[status])
            json_object_set_new(statuses, name,
                                json_integer((json_int_t)record->by_status[status]));
    }
    for (size_t i = 0; i < record->violations && i < VIOLATIONS_KEPT; i++)
        json_array_append_new(texts, json_string(record->violation_texts[i]));
    json_t *stats = json_pack(
        "{s:I, s:I, s:I, s:I, s:o, s:o}", "requests", (json_int_t)record->count, "applied",
        (json_int_t)record->key_count, "repeats", (json_int_t)record->repeats, "violations",
        (json_int_t)record->violations, "statuses", statuses, "violation_texts", texts);
    if (!stats)
        out_of_memory(0);
    json_dumpf(stats, out, JSON_COMPACT);
    json_decref(stats);
}
