/* fake_pg.c - a PostgreSQL session that does what a test tells it; see fake_pg.h */
#include "fake_pg.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pg_session {
    struct pg_session_events events;
    void *arg;
    bool up;
    char sql[200], values[5][200], failed[200], session_sql[200];
    pg_done done;
    void *done_arg;
};

static struct pg_session *last;

struct pg_session *fake_pg(void)
{
    return last;
}

void fake_pg_up(struct pg_session *conn)
{
    conn->up = true;
    conn->events.on_up(conn->arg);
}

void fake_pg_down(struct pg_session *conn, const char *reason)
{
    conn->up = false;
    conn->done = NULL;
    conn->sql[0] = '\0';
    conn->events.on_down(reason, conn->arg);
}

void fake_pg_notify(struct pg_session *conn, const char *channel)
{
    conn->events.on_notify(channel, "", conn->arg);
}

const char *fake_pg_asked(const struct pg_session *conn)
{
    return conn->sql;
}

const char *fake_pg_value(const struct pg_session *conn, int n)
{
    return conn->values[n];
}

const char *fake_pg_failed(const struct pg_session *conn)
{
    return conn->failed;
}

const char *fake_pg_session_sql(const struct pg_session *conn)
{
    return conn->session_sql;
}

static void finish(struct pg_session *conn, const PGresult *rows, const struct pg_error *error)
{
    pg_done done = conn->done;
    conn->done = NULL;
    conn->sql[0] = '\0';
    done(rows, error, conn->done_arg);
}

void fake_pg_answer_rows(struct pg_session *conn, int rows, int columns, const char *const *cells)
{
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc *names = xcalloc((size_t)columns, sizeof *names);
    char cell[256], name[] = "cell";
    for (int column = 0; column < columns; column++)
        names[column].name = name;
    if (!result || !PQsetResultAttrs(result, columns, names))
        out_of_memory(0);
    for (int i = 0; i < rows * columns; i++) {
        snprintf(cell, sizeof cell, "%s", cells[i] ? cells[i] : "");
        if (!PQsetvalue(result, i / columns, i % columns, cells[i] ? cell : NULL,
                        cells[i] ? (int)strlen(cell) : -1))
            out_of_memory(0);
    }
    free(names);
    finish(conn, result, NULL);
    PQclear(result);
}

void fake_pg_answer(struct pg_session *conn, const char *cell)
{
    fake_pg_answer_rows(conn, 1, 1, &cell);
}

void fake_pg_refuse(struct pg_session *conn, const char *sqlstate, const char *text)
{
    struct pg_error error;
    snprintf(error.sqlstate, sizeof error.sqlstate, "%s", sqlstate);
    snprintf(error.text, sizeof error.text, "%s", text);
    finish(conn, NULL, &error);
}

/* --- net/pg_session.h --- */

struct pg_session *pg_session_new(struct loop *loop, struct resolver *resolver,
                                  const struct pg_session_settings *settings,
                                  const struct pg_session_events *events, void *arg, char *error,
                                  size_t error_size)
{
    (void)loop;
    (void)resolver;
    if (!*settings->conninfo) {
        snprintf(error, error_size, "no connection string");
        return NULL;
    }
    last = xcalloc(1, sizeof *last);
    last->events = *events;
    last->arg = arg;
    snprintf(last->session_sql, sizeof last->session_sql, "%s", settings->session_sql);
    return last;
}

void pg_session_free(struct pg_session *conn)
{
    free(conn);
}

bool pg_session_is_up(const struct pg_session *conn)
{
    return conn->up;
}

bool pg_session_is_idle(const struct pg_session *conn)
{
    return conn->up && !conn->done;
}

void pg_session_query(struct pg_session *conn, const char *sql, int count,
                      const char *const *values, pg_done done, void *arg)
{
    if (!pg_session_is_idle(conn))
        abort();
    snprintf(conn->sql, sizeof conn->sql, "%s", sql);
    for (int i = 0; i < 5; i++)
        snprintf(conn->values[i], sizeof conn->values[i], "%s",
                 i < count && values[i] ? values[i] : "");
    conn->done = done;
    conn->done_arg = arg;
}

void pg_session_fail(struct pg_session *conn, const char *reason)
{
    snprintf(conn->failed, sizeof conn->failed, "%s", reason);
}
