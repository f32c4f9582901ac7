/* pg_conn.c - a PostgreSQL session that never stops the loop and always comes back; see
 * pg_conn.h */
#include "net/pg_conn.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/timer.h"
#include "base/xalloc.h"
#include "net/pg_address.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATEMENT_LIMIT_MS 30000

enum pg_state { PG_WAITING, PG_RESOLVING, PG_CONNECTING, PG_PREPARING, PG_UP };

struct pg_conn {
    struct loop *loop;
    struct resolver *resolver;
    struct pg_conn_settings settings;
    struct pg_conn_events events;
    void *arg;
    enum pg_state state;
    struct pg_address *address;
    PGconn *pg;
    struct event *socket; /* for reading, and for writing while libpq wants it */
    struct timer *timer, *failed;
    struct backoff backoff;
    char reason[256];
    bool failing;
    bool under_way;
    PGresult *result; /* of the statement under way, so far */
    pg_done done;
    void *done_arg;
};

static void start_attempt(struct pg_conn *conn);
static void on_socket(evutil_socket_t fd, short what, void *arg);

static void arm(struct pg_conn *conn, int64_t ms)
{
    timer_in(conn->timer, ms);
}

void pg_conn_fail(struct pg_conn *conn, const char *reason)
{
    if (conn->failing || conn->state == PG_WAITING)
        return;
    conn->failing = true;
    snprintf(conn->reason, sizeof conn->reason, "%s", reason);
    conn->reason[strcspn(conn->reason, "\n")] = '\0';
    timer_soon(conn->failed);
}

static void drop_session(struct pg_conn *conn)
{
    pg_address_cancel(conn->address);
    if (conn->socket)
        event_free(conn->socket);
    conn->socket = NULL;
    if (conn->pg)
        PQfinish(conn->pg);
    conn->pg = NULL;
    PQclear(conn->result);
    conn->result = NULL;
    conn->under_way = false;
}

static void on_failed(void *arg)
{
    struct pg_conn *conn = arg;
    bool was_up = conn->state == PG_UP;
    conn->failing = false;
    drop_session(conn);
    conn->state = PG_WAITING;
    int64_t pause = backoff_next_ms(&conn->backoff);
    log_warn(was_up ? "lost PostgreSQL" : "cannot reach PostgreSQL", LF_S("reason", conn->reason),
             LF_I("retry_ms", pause));
    arm(conn, pause);
    if (was_up)
        conn->events.on_down(conn->reason, conn->arg);
}

/* Watches the socket libpq uses now (it may change between steps) for what it wants. */
static void watch(struct pg_conn *conn, short what)
{
    int fd = PQsocket(conn->pg);
    if (conn->socket && (event_get_fd(conn->socket) != fd ||
                         event_get_events(conn->socket) != (what | EV_PERSIST))) {
        event_free(conn->socket);
        conn->socket = NULL;
    }
    if (!conn->socket) {
        conn->socket = event_new(loop_events(conn->loop), fd, (short)(what | EV_PERSIST), on_socket,
                                 conn);
        if (!conn->socket)
            out_of_memory(0);
        event_add(conn->socket, NULL);
    }
}

static void flush_output(struct pg_conn *conn)
{
    int left = PQflush(conn->pg);
    if (left < 0)
        pg_conn_fail(conn, PQerrorMessage(conn->pg));
    else
        watch(conn, left ? EV_READ | EV_WRITE : EV_READ);
}

static void send_query(struct pg_conn *conn, const char *sql, int count, const char *const *values)
{
    conn->under_way = true;
    arm(conn, STATEMENT_LIMIT_MS);
    /* Several statements go only through the simple protocol; parameters only through the extended
     * one. */
    int ok = count ? PQsendQueryParams(conn->pg, sql, count, NULL, values, NULL, NULL, 0)
                   : PQsendQuery(conn->pg, sql);
    if (!ok)
        pg_conn_fail(conn, PQerrorMessage(conn->pg));
    else
        flush_output(conn);
}

static void become_up(struct pg_conn *conn)
{
    conn->state = PG_UP;
    backoff_reset(&conn->backoff);
    log_info("connected to PostgreSQL", LF_S("database", PQdb(conn->pg)),
             LF_I("version", PQserverVersion(conn->pg)));
    conn->events.on_up(conn->arg);
}

/* What the server says on its own; a lost session is reported by whoever notices it. */
static void on_notice(void *arg, const PGresult *result)
{
    (void)arg;
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    log_debug("PostgreSQL says", LF_S("notice", text ? text : ""));
}

static void on_connected(struct pg_conn *conn)
{
    timer_cancel(conn->timer);
    PQsetNoticeReceiver(conn->pg, on_notice, NULL);
    if (PQsetnonblocking(conn->pg, 1) != 0) {
        pg_conn_fail(conn, PQerrorMessage(conn->pg));
        return;
    }
    watch(conn, EV_READ);
    if (!*conn->settings.session_sql) {
        become_up(conn);
        return;
    }
    conn->state = PG_PREPARING;
    send_query(conn, conn->settings.session_sql, 0, NULL);
}

static void poll_connect(struct pg_conn *conn)
{
    /* libpq may close the socket and open another under the same number: forget it while it is
     * still there. */
    if (conn->socket)
        event_free(conn->socket);
    conn->socket = NULL;
    switch (PQconnectPoll(conn->pg)) {
    case PGRES_POLLING_OK:
        on_connected(conn);
        break;
    case PGRES_POLLING_READING:
        watch(conn, EV_READ);
        break;
    case PGRES_POLLING_WRITING:
        watch(conn, EV_WRITE);
        break;
    default:
        pg_conn_fail(conn, PQerrorMessage(conn->pg));
    }
}

static void tell_owner(struct pg_conn *conn, const PGresult *result, ExecStatusType status)
{
    struct pg_error error;
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        conn->done(result, NULL, conn->done_arg);
        return;
    }
    snprintf(error.sqlstate, sizeof error.sqlstate, "%s", sqlstate ? sqlstate : "");
    snprintf(error.text, sizeof error.text, "%s", PQresultErrorMessage(result));
    conn->done(NULL, &error, conn->done_arg);
}

/* The last result of the statement is in: say so. */
static void on_result(struct pg_conn *conn, PGresult *result)
{
    timer_cancel(conn->timer);
    conn->under_way = false;
    ExecStatusType status = PQresultStatus(result);
    if (conn->state == PG_PREPARING) {
        if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
            become_up(conn);
        else
            pg_conn_fail(conn, PQresultErrorMessage(result));
    } else {
        tell_owner(conn, result, status);
    }
    PQclear(result);
}

/* Of several results of a statement the first failure, else the last, is the answer. */
static void keep_result(struct pg_conn *conn, PGresult *result)
{
    ExecStatusType status = conn->result ? PQresultStatus(conn->result) : PGRES_COMMAND_OK;
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        PQclear(result);
        return;
    }
    PQclear(conn->result);
    conn->result = result;
}

/* A result and the end of its statement may come in different reads, so what was got so far stays
 * in conn. */
static void take_results(struct pg_conn *conn)
{
    while (conn->under_way && !conn->failing && !PQisBusy(conn->pg)) {
        PGresult *result = PQgetResult(conn->pg);
        if (result) {
            keep_result(conn, result);
        } else if (PQstatus(conn->pg) == CONNECTION_BAD) {
            pg_conn_fail(conn, PQerrorMessage(conn->pg));
        } else if (!conn->result) {
            pg_conn_fail(conn, "a statement without a result");
        } else {
            PGresult *whole = conn->result;
            conn->result = NULL;
            on_result(conn, whole);
        }
    }
}

static void take_notifies(struct pg_conn *conn)
{
    PGnotify *notify;
    while (conn->state == PG_UP && !conn->failing && (notify = PQnotifies(conn->pg))) {
        if (conn->events.on_notify)
            conn->events.on_notify(notify->relname, notify->extra, conn->arg);
        PQfreemem(notify);
    }
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct pg_conn *conn = arg;
    if (conn->failing)
        return;
    if (conn->state == PG_CONNECTING) {
        poll_connect(conn);
        return;
    }
    if ((what & EV_WRITE) && conn->state >= PG_PREPARING)
        flush_output(conn);
    if (conn->failing || !(what & EV_READ))
        return;
    if (!PQconsumeInput(conn->pg)) {
        pg_conn_fail(conn, PQerrorMessage(conn->pg));
        return;
    }
    take_results(conn);
    if (!conn->failing)
        take_notifies(conn);
}

static void on_timer(void *arg)
{
    struct pg_conn *conn = arg;
    if (conn->state == PG_WAITING)
        start_attempt(conn);
    else
        pg_conn_fail(conn,
                     conn->state == PG_UP ? "no answer to a statement" : "no connection in time");
}

/* --- connecting --- */

static void on_resolved(const char *error, void *arg)
{
    struct pg_conn *conn = arg;
    struct pg_parameters parameters;
    char problem[256], *password = NULL;
    if (error) {
        pg_conn_fail(conn, error);
        return;
    }
    if (*conn->settings.password_file) {
        password = secret_read(conn->settings.password_file, problem, sizeof problem);
        if (!password) {
            pg_conn_fail(conn, problem);
            return;
        }
    }
    pg_address_parameters(conn->address, password, conn->settings.application_name, &parameters);
    conn->state = PG_CONNECTING;
    conn->pg = PQconnectStartParams(parameters.keys, parameters.values, 0);
    free(password);
    if (!conn->pg)
        out_of_memory(0);
    if (PQstatus(conn->pg) == CONNECTION_BAD)
        pg_conn_fail(conn, PQerrorMessage(conn->pg));
    else
        watch(conn, EV_WRITE);
}

static void start_attempt(struct pg_conn *conn)
{
    conn->state = PG_RESOLVING;
    arm(conn, conn->settings.connect_timeout_ms);
    pg_address_resolve(conn->address, conn->resolver, on_resolved, conn);
}

struct pg_conn *pg_conn_new(struct loop *loop, struct resolver *resolver,
                            const struct pg_conn_settings *settings,
                            const struct pg_conn_events *events, void *arg, char *error,
                            size_t error_size)
{
    struct pg_conn *conn = xcalloc(1, sizeof *conn);
    conn->loop = loop;
    conn->resolver = resolver;
    conn->settings = *settings;
    conn->events = *events;
    conn->arg = arg;
    conn->backoff = (struct backoff){.min_ms = 100, .max_ms = 3000};
    conn->timer = timer_new(loop, on_timer, conn);
    conn->failed = timer_new(loop, on_failed, conn);
    conn->address = pg_address_new(settings->conninfo, error, error_size);
    if (!conn->address) {
        pg_conn_free(conn);
        return NULL;
    }
    arm(conn, 0);
    return conn;
}

void pg_conn_free(struct pg_conn *conn)
{
    if (!conn)
        return;
    if (conn->address)
        drop_session(conn);
    timer_free(conn->timer);
    timer_free(conn->failed);
    pg_address_free(conn->address);
    free(conn);
}

bool pg_conn_is_up(const struct pg_conn *conn)
{
    return conn->state == PG_UP && !conn->failing;
}

bool pg_conn_is_idle(const struct pg_conn *conn)
{
    return pg_conn_is_up(conn) && !conn->under_way;
}

void pg_conn_query(struct pg_conn *conn, const char *sql, int count, const char *const *values,
                   pg_done done, void *arg)
{
    if (!pg_conn_is_idle(conn))
        abort(); /* our bug: see the header */
    conn->done = done;
    conn->done_arg = arg;
    send_query(conn, sql, count, values);
}

bool pg_error_is_data(const struct pg_error *error)
{
    return strncmp(error->sqlstate, "22", 2) == 0 || strncmp(error->sqlstate, "23", 2) == 0;
}
