/* pg_conn.c - a PostgreSQL session that never stops the loop and always comes back; see
 * pg_conn.h */
#include "net/pg_conn.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATEMENT_LIMIT_MS 30000
#define PARAMETERS_MAX     64

enum pg_state { PG_WAITING, PG_RESOLVING, PG_CONNECTING, PG_PREPARING, PG_UP };

struct pg_conn {
    struct loop *loop;
    struct resolver *resolver;
    struct pg_conn_settings settings;
    struct pg_conn_events events;
    void *arg;
    enum pg_state state;
    PQconninfoOption *options;
    char *hosts, *next_host; /* copy of the host list being resolved; what is left of it */
    char *addresses;         /* hostaddr list so far */
    struct resolve_query *lookup;
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
static void resolve_next(struct pg_conn *conn);
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
    if (conn->lookup)
        resolve_cancel(conn->lookup);
    conn->lookup = NULL;
    if (conn->socket)
        event_free(conn->socket);
    conn->socket = NULL;
    if (conn->pg)
        PQfinish(conn->pg);
    conn->pg = NULL;
    free(conn->hosts);
    free(conn->addresses);
    conn->hosts = conn->addresses = NULL;
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

struct parameters {
    const char *keys[PARAMETERS_MAX], *values[PARAMETERS_MAX];
    int count;
};

static void add_parameter(struct parameters *parameters, const char *key, const char *value)
{
    if (parameters->count < PARAMETERS_MAX - 1) {
        parameters->keys[parameters->count] = key;
        parameters->values[parameters->count++] = value;
    }
}

static bool is_set(const struct pg_conn *conn, const char *key)
{
    for (const PQconninfoOption *option = conn->options; option->keyword; option++) {
        if (strcmp(option->keyword, key) == 0)
            return option->val != NULL;
    }
    return false;
}

static const char *option_value(const struct pg_conn *conn, const char *key)
{
    for (const PQconninfoOption *option = conn->options; option->keyword; option++) {
        if (strcmp(option->keyword, key) == 0)
            return option->val;
    }
    return NULL;
}

static void connect_now(struct pg_conn *conn)
{
    /* A peer that vanished without a word is noticed in about 10 s; conninfo may say otherwise. */
    static const char *const defaults[][2] = {{"keepalives_idle", "4"},
                                              {"keepalives_interval", "2"},
                                              {"keepalives_count", "3"},
                                              {"tcp_user_timeout", "10000"}};
    struct parameters parameters = {.count = 0};
    char error[256], *password = NULL;
    if (*conn->settings.password_file) {
        password = secret_read(conn->settings.password_file, error, sizeof error);
        if (!password) {
            pg_conn_fail(conn, error);
            return;
        }
    }
    for (const PQconninfoOption *option = conn->options; option->keyword; option++) {
        if (option->val && !(password && strcmp(option->keyword, "password") == 0))
            add_parameter(&parameters, option->keyword, option->val);
    }
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        if (!is_set(conn, defaults[i][0]))
            add_parameter(&parameters, defaults[i][0], defaults[i][1]);
    }
    if (!is_set(conn, "application_name"))
        add_parameter(&parameters, "application_name", conn->settings.application_name);
    if (conn->addresses)
        add_parameter(&parameters, "hostaddr", conn->addresses);
    if (password)
        add_parameter(&parameters, "password", password);
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

static void on_address(const char *address, const char *error, void *arg)
{
    struct pg_conn *conn = arg;
    conn->lookup = NULL;
    if (!address) {
        pg_conn_fail(conn, error);
        return;
    }
    char *joined = conn->addresses ? xasprintf("%s,%s", conn->addresses, address)
                                   : xstrdup(address);
    free(conn->addresses);
    conn->addresses = joined;
    resolve_next(conn);
}

static void resolve_next(struct pg_conn *conn)
{
    char *host = strsep(&conn->next_host, ",");
    if (!host)
        connect_now(conn);
    else
        conn->lookup = resolve_start(conn->resolver, host, on_address, conn);
}

static void start_attempt(struct pg_conn *conn)
{
    const char *host = option_value(conn, "host");
    conn->state = PG_RESOLVING;
    arm(conn, conn->settings.connect_timeout_ms);
    /* A directory is a Unix socket; an address that was given needs no lookup. */
    if (host && *host && *host != '/' && !is_set(conn, "hostaddr")) {
        conn->hosts = conn->next_host = xstrdup(host);
        resolve_next(conn);
    } else {
        connect_now(conn);
    }
}

static bool read_options(struct pg_conn *conn, char *error, size_t error_size)
{
    char *message = NULL;
    PQconninfoOption *given = PQconninfoParse(conn->settings.conninfo, &message);
    if (!given) {
        snprintf(error, error_size, "postgres.conninfo: %s", message ? message : "out of memory");
        error[strcspn(error, "\n")] = '\0';
        PQfreemem(message);
        return false;
    }
    conn->options = given;
    return true;
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
    if (!read_options(conn, error, error_size)) {
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
    drop_session(conn);
    timer_free(conn->timer);
    timer_free(conn->failed);
    PQconninfoFree(conn->options);
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
