/* import.c - newline-delimited JSON events through mtc.emit; see import.h */
#include "import.h"
#include "import_line.h"
#include "net/pg_plain.h"
#include "suite/settings.h"

#include <errno.h>
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
    " (l->>'occurred_at')::timestamptz, l->>'traceparent')"
    " FROM (SELECT $1::json AS l) AS lines";

static const char STOPPED[] =
    "what was committed before stays; lines with an event_id can be imported again safely\n";

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
    if (!import_line_check(text, len, import->error, sizeof import->error)) {
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
        fputs(STOPPED, stderr);
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
    struct pg_session_settings settings = settings_pg(config, "mtc-producer --import", "");
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
