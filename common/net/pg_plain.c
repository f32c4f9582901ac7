/* pg_plain.c - a blocking PostgreSQL session, for command-line jobs; see pg_plain.h */
#include "net/pg_plain.h"
#include "base/secret.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pg_plain {
    PGconn *pg;
};

static void keep_message(const char *message, char *error, size_t error_size)
{
    snprintf(error, error_size, "%s", message);
    size_t len = strlen(error);
    while (len && error[len - 1] == '\n')
        error[--len] = '\0';
    for (char *at = error; *at; at++) /* one line */
        *at = *at == '\n' ? ' ' : *at;
}

static void swallow_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

struct pg_plain *pg_plain_connect(const struct pg_session_settings *settings, char *error,
                                  size_t error_size)
{
    char *password = NULL;
    if (*settings->password_file) {
        password = secret_read(settings->password_file, error, error_size);
        if (!password)
            return NULL;
    }
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%d", (int)(settings->connect_timeout_ms / 1000 + 2));
    const char *keys[] = {"fallback_application_name",
                          "connect_timeout",
                          "dbname",
                          "client_encoding",
                          password ? "password" : NULL,
                          NULL};
    const char *values[] = {
        settings->application_name, seconds, settings->conninfo, "UTF8", password, NULL};
    PGconn *pg = PQconnectdbParams(keys, values, 1);
    free(password);
    if (PQstatus(pg) != CONNECTION_OK) {
        keep_message(PQerrorMessage(pg), error, error_size);
        PQfinish(pg);
        return NULL;
    }
    PQsetNoticeReceiver(pg, swallow_notice, NULL);
    struct pg_plain *plain = xmalloc(sizeof *plain);
    plain->pg = pg;
    return plain;
}

void pg_plain_close(struct pg_plain *pg)
{
    if (!pg)
        return;
    PQfinish(pg->pg);
    free(pg);
}

PGresult *pg_plain_query(struct pg_plain *pg, const char *sql, int count, const char *const *values,
                         char *error, size_t error_size)
{
    PGresult *result = count ? PQexecParams(pg->pg, sql, count, NULL, values, NULL, NULL, 0)
                             : PQexec(pg->pg, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return result;
    keep_message(result ? PQresultErrorMessage(result) : PQerrorMessage(pg->pg), error, error_size);
    PQclear(result);
    return NULL;
}
