/*
 * fake_pg.h - a PostgreSQL session that does what a test tells it, behind the interface of
 * net/pg_conn.h
 *
 * Linked in the place of common/net. Results are made with libpq's PQmakeEmptyPGresult().
 */
#ifndef FAKE_PG_H
#define FAKE_PG_H

#include "net/pg_conn.h"

/* The session made last, of which there is one in these tests. */
struct pg_conn *fake_pg(void);

void fake_pg_up(struct pg_conn *conn);
void fake_pg_down(struct pg_conn *conn, const char *reason);
void fake_pg_notify(struct pg_conn *conn, const char *channel);

const char *fake_pg_asked(const struct pg_conn *conn);  /* the statement under way, or "" */
const char *fake_pg_failed(const struct pg_conn *conn); /* the reason given, or "" */
const char *fake_pg_session_sql(const struct pg_conn *conn);

/* Ends the statement under way: with one cell, or with an error. */
void fake_pg_answer(struct pg_conn *conn, const char *cell);
void fake_pg_refuse(struct pg_conn *conn, const char *sqlstate, const char *text);

#endif
