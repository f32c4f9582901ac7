/*
 * pg_plain.h - a blocking PostgreSQL session, for command-line jobs
 *
 * The twin of pg_session.h for what may wait: mtcctl, and mtc-producer --import.
 */
#ifndef MTC_PG_PLAIN_H
#define MTC_PG_PLAIN_H

#include "net/pg_session.h"

struct pg_plain;

/*
 * NULL with a message. session_sql is not used. Notices (NOTICE, WARNING) of the server are not
 * printed.
 */
struct pg_plain *pg_plain_connect(const struct pg_session_settings *settings, char *error,
                                  size_t error_size);
void pg_plain_close(struct pg_plain *pg); /* NULL is fine */

/*
 * Runs one statement (with parameters) or several (without). NULL with the server's message on one
 * line if it fails; else the result, to be cleared by the caller.
 */
PGresult *pg_plain_query(struct pg_plain *pg, const char *sql, int count, const char *const *values,
                         char *error, size_t error_size);

#endif
