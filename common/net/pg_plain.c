/* pg_plain.c - a blocking PostgreSQL session, for command-line jobs; see pg_plain.h */
#include "net/pg_plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

PGconn *pg_plain_connect(const struct config *config, const char *application_name, char *error,
                         size_t error_size)
{
    char *password = NULL;
    if (*config->postgres_password_file) {
        password = secret_read(config->postgres_password_file, error, error_size);
        if (!password)
            return NULL;
    }
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%d", (int)(config->postgres_connect_timeout_ms / 1000 + 2));
    const char *keys[] = {"fallback_application_name", "connect_timeout", "dbname",
                          password ? "password" : NULL, NULL};
    const char *values[] = {application_name, seconds, config->postgres_conninfo, password, NULL};
    PGconn *pg = PQconnectdbParams(keys, values, 1);
    free(password);
    if (PQstatus(pg) != CONNECTION_OK) {
        keep_message(PQerrorMessage(pg), error, error_size);
        PQfinish(pg);
        return NULL;
    }
    PQsetNoticeReceiver(pg, swallow_notice, NULL);
    return pg;
}

PGresult *pg_plain_query(PGconn *pg, const char *sql, int count, const char *const *values,
                         char *error, size_t error_size)
{
    PGresult *result = count ? PQexecParams(pg, sql, count, NULL, values, NULL, NULL, 0)
                             : PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return result;
    keep_message(result ? PQresultErrorMessage(result) : PQerrorMessage(pg), error, error_size);
    PQclear(result);
    return NULL;
}
