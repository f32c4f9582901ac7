/* import.c - newline-delimited JSON events through mtc.emit; see import.h */
#include "import.h"
#include "net/pg_plain.h"
#include "suite/settings.h"
#include "base/xalloc.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMIT_EVERY 500
#define SHOWN_MAX    20 /* bad lines printed one by one; the rest is counted */

struct import {
    struct pg_plain *pg;
    const char *path;
    bool strict;
    long line, good, bad, pending;
    char error[512];
};

static const char EMIT[] =
    "SELECT mtc.emit(l->>'kind', l->>'machine', l->>'type', l->'payload', (l->>'event_id')::uuid,"
    " (l->>'occurred_at')::timestamptz, l->>'traceparent') FROM (SELECT $1::json AS l) AS lines";

static bool is_uuid(const char *text)
{
    if (strlen(text) != 36)
        return false;
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    }
    return true;
}

struct field {
    const char *name;
    bool wanted, object;
};

static const struct field fields[] = {
    {"kind", true, false},         {"machine", true, false},   {"type", true, false},
    {"payload", true, true},       {"event_id", false, false}, {"occurred_at", false, false},
    {"traceparent", false, false},
};
#define FIELDS (sizeof fields / sizeof fields[0])

/* Says in import->error what is wrong with the line, or returns true. */
static bool check_fields(struct import *import, json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach (object, key, value) {
        size_t i = 0;
        while (i < FIELDS && strcmp(fields[i].name, key) != 0)
            i++;
        if (i == FIELDS) {
            snprintf(import->error, sizeof import->error, "unknown field \"%s\"", key);
            return false;
        }
        if (fields[i].object ? !json_is_object(value) : !json_is_string(value)) {
            snprintf(import->error, sizeof import->error, "%s is no %s", key,
                     fields[i].object ? "object" : "text");
            return false;
        }
    }
    for (size_t i = 0; i < FIELDS; i++) {
        if (fields[i].wanted && !json_object_get(object, fields[i].name)) {
            snprintf(import->error, sizeof import->error, "%s is missing", fields[i].name);
            return false;
        }
    }
    const char *id = json_string_value(json_object_get(object, "event_id"));
    if (id && !is_uuid(id)) {
        snprintf(import->error, sizeof import->error, "event_id is no UUID");
        return false;
    }
    return true;
}

static bool check_line(struct import *import, const char *text, size_t len)
{
    json_error_t json_error;
    /* Infinite precision is PostgreSQL's business: the line goes there as it is, this only looks at
     * its shape. */
    json_t *object = json_loadb(
        text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &json_error);
    if (!object) {
        snprintf(import->error, sizeof import->error, "no JSON: %s (column %d)", json_error.text,
                 json_error.column);
        return false;
    }
    bool ok = json_is_object(object)
                  ? check_fields(import, object)
                  : (snprintf(import->error, sizeof import->error, "no JSON object"), false);
    json_decref(object);
    return ok;
}

static bool run(struct import *import, const char *sql, int count, const char *const *values)
{
    PGresult *result = pg_plain_query(import->pg, sql, count, values, import->error,
                                      sizeof import->error);
    PQclear(result);
    return result != NULL;
}

static void report(struct import *import)
{
    if (++import->bad <= SHOWN_MAX)
        fprintf(stderr, "%s:%ld: %s\n", import->path, import->line, import->error);
    else if (import->bad == SHOWN_MAX + 1)
        fprintf(stderr, "%s: more bad lines follow and are only counted\n", import->path);
}

/* A line PostgreSQL refuses must not take its neighbours along, nor leave a doubt about them. */
static bool emit_line(struct import *import, const char *text)
{
    const char *values[] = {text};
    if (!run(import, "SAVEPOINT line", 0, NULL))
        return false;
    if (run(import, EMIT, 1, values)) {
        import->good++;
    } else {
        report(import);
        if (!run(import, "ROLLBACK TO SAVEPOINT line", 0, NULL))
            return false;
    }
    return run(import, "RELEASE SAVEPOINT line", 0, NULL);
}

/* False only when the database can't go on. */
static bool take_line(struct import *import, const char *text, size_t len)
{
    if (len == 0 || strspn(text, " \t\r") == len)
        return true;
    if (!check_line(import, text, len)) {
        report(import);
        return true;
    }
    if (import->pending == 0 && !run(import, "BEGIN", 0, NULL))
        return false;
    if (!emit_line(import, text))
        return false;
    if (++import->pending >= COMMIT_EVERY && !import->strict) {
        import->pending = 0;
        return run(import, "COMMIT", 0, NULL);
    }
    return true;
}

static bool read_lines(struct import *import, FILE *in)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t len;
    bool going = true;
    while (going && (len = getline(&text, &room, in)) >= 0) {
        import->line++;
        if (len > 0 && text[len - 1] == '\n')
            text[--len] = '\0';
        going = take_line(import, text, (size_t)len) && !(import->strict && import->bad);
    }
    free(text);
    if (ferror(in)) {
        snprintf(import->error, sizeof import->error, "cannot be read: %s", strerror(errno));
        return false;
    }
    return going || (import->strict && import->bad);
}

static int finish(struct import *import, bool going)
{
    bool keep = going && !(import->strict && import->bad);
    if (import->pending && !run(import, keep ? "COMMIT" : "ROLLBACK", 0, NULL))
        going = keep = false;
    if (!going) {
        fprintf(stderr, "%s:%ld: stopped: %s\n", import->path, import->line, import->error);
        fprintf(
            stderr,
            "what was committed before stays; lines with an event_id can be imported again safely\n");
        return 1;
    }
    if (!keep) {
        fprintf(stderr, "%s: nothing imported (--strict)\n", import->path);
        return 1;
    }
    printf("%ld imported, %ld bad\n", import->good, import->bad);
    return import->bad ? 1 : 0;
}

int import_run(const struct config *config, const char *path, bool strict)
{
    struct import import = {.path = strcmp(path, "-") == 0 ? "stdin" : path, .strict = strict};
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!in) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    int status = 1;
    struct pg_conn_settings settings = settings_pg(config, "mtc-producer --import", "");
    import.pg = pg_plain_connect(&settings, import.error, sizeof import.error);
    if (import.pg) {
        status = finish(&import, read_lines(&import, in));
        pg_plain_close(import.pg);
    } else {
        fprintf(stderr, "cannot reach PostgreSQL: %s\n", import.error);
    }
    if (in != stdin)
        fclose(in);
    return status;
}
