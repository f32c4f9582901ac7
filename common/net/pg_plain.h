/*
 * pg_plain.h - a blocking PostgreSQL session, for command-line jobs
 */
#ifndef MTC_PG_PLAIN_H
#define MTC_PG_PLAIN_H

#include "suite/config.h"

#include <libpq-fe.h>

/* NULL with a message. Notices (NOTICE, WARNING) of the server are not printed. Close with
 * PQfinish(). */
PGconn *pg_plain_connect(const struct config *config, const char *application_name, char *error,
                         size_t error_size);

/*
 * Runs one statement (with parameters) or several (without). NULL with the server's message if it
 * fails; else the result, to be cleared by the caller.
 */
PGresult *pg_plain_query(PGconn *pg, const char *sql, int count, const char *const *values,
                         char *error, size_t error_size);

#endif
