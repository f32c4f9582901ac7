/*
 * pg_address.h - where a PostgreSQL session connects to, and with what
 *
 * A connection string is parsed once. For each attempt its host names are looked up, one after the
 * other, and handed to libpq as hostaddr, since libpq's own look-up blocks; then the parameters of
 * the connection are put together. Called by pg_session.c only. Source: libpq manual, "Database
 * Connection Control Functions", https://www.postgresql.org/docs/15/libpq-connect.html
 */
#ifndef MTC_PG_ADDRESS_H
#define MTC_PG_ADDRESS_H

#include "net/resolve.h"

#include <stddef.h>

struct pg_address;

/* NULL with a message if conninfo can't be parsed. */
struct pg_address *pg_address_new(const char *conninfo, char *error, size_t error_size);
void pg_address_free(struct pg_address *address); /* NULL is fine */

/*
 * Looks the names up; done is called once, from inside this call if there is nothing to look up,
 * with NULL or what went wrong.
 */
void pg_address_resolve(struct pg_address *address, struct resolver *resolver,
                        void (*done)(const char *error, void *arg), void *arg);
void pg_address_cancel(struct pg_address *address); /* done will not be called */

#define PG_PARAMETERS_MAX 64

struct pg_parameters { /* for PQconnectStartParams(); borrowed from the address and the arguments */
    const char *keys[PG_PARAMETERS_MAX], *values[PG_PARAMETERS_MAX];
    int count;
};

/*
 * The parameters of an attempt, after the names have been looked up. password (NULL: the one in the
 * string, if any) wins over the string's; application_name does not. The session speaks UTF-8.
 */
void pg_address_parameters(const struct pg_address *address, const char *password,
                           const char *application_name, struct pg_parameters *out);

#endif
