/*
 * fake_pg.h - a PostgreSQL session that does what a test tells it, behind the interface of
 * net/pg_session.h
 *
 * Linked in the place of common/net. Results are made with libpq's PQmakeEmptyPGresult().
 */
#ifndef FAKE_PG_H
#define FAKE_PG_H

#include "net/pg_session.h"

/* The session made last, of which there is one in these tests. */
struct pg_session *fake_pg(void);

void fake_pg_up(struct pg_session *conn);
void fake_pg_down(struct pg_session *conn, const char *reason);
void fake_pg_notify(struct pg_session *conn, const char *channel);

const char *fake_pg_asked(const struct pg_session *conn); /* the statement under way, or "" */
const char *fake_pg_value(const struct pg_session *conn, int n); /* its argument, or "" */
const char *fake_pg_failed(const struct pg_session *conn);       /* the reason given, or "" */
const char *fake_pg_session_sql(const struct pg_session *conn);

/* Ends the statement under way: with one cell, with rows of cells, or with an error. */
void fake_pg_answer(struct pg_session *conn, const char *cell);
void fake_pg_answer_rows(struct pg_session *conn, int rows, int columns, const char *const *cells);
void fake_pg_refuse(struct pg_session *conn, const char *sqlstate, const char *text);

#endif
