/* pg_address.c - where a PostgreSQL session connects to, and with what; see pg_address.h */
#include "net/pg_address.h"
#include "base/xalloc.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pg_address {
    PQconninfoOption *options;
    char *hosts, *next_host; /* copy of the host list being looked up; what is left of it */
    char *found;             /* hostaddr list so far, or NULL */
    struct resolver *resolver;
    struct resolve_query *query;
    void (*done)(const char *error, void *arg);
    void *arg;
};

struct pg_address *pg_address_new(const char *conninfo, char *error, size_t error_size)
{
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &message);
    if (!options) {
        snprintf(error, error_size, "postgres.conninfo: %s", message ? message : "out of memory");
        error[strcspn(error, "\n")] = '\0';
        PQfreemem(message);
        return NULL;
    }
    struct pg_address *address = xcalloc(1, sizeof *address);
    address->options = options;
    return address;
}

static const char *value_of(const struct pg_address *address, const char *key)
{
    for (const PQconninfoOption *option = address->options; option->keyword; option++) {
        if (strcmp(option->keyword, key) == 0)
            return option->val;
    }
    return NULL;
}

/* --- looking up --- */

static void forget(struct pg_address *address)
{
    if (address->query)
        resolve_cancel(address->query);
    address->query = NULL;
    free(address->hosts);
    free(address->found);
    address->hosts = address->next_host = address->found = NULL;
}

static void look_up_next(struct pg_address *address);

static void on_address(const char *numeric, const char *error, void *arg)
{
    struct pg_address *address = arg;
    address->query = NULL;
    if (!numeric) {
        address->done(error, address->arg);
        return;
    }
    char *joined = address->found ? xasprintf("%s,%s", address->found, numeric) : xstrdup(numeric);
    free(address->found);
    address->found = joined;
    look_up_next(address);
}

static void look_up_next(struct pg_address *address)
{
    const char *host = strsep(&address->next_host, ",");
    if (!host)
        address->done(NULL, address->arg);
    else
        address->query = resolve_start(address->resolver, host, on_address, address);
}

void pg_address_resolve(struct pg_address *address, struct resolver *resolver,
                        void (*done)(const char *error, void *arg), void *arg)
{
    const char *host = value_of(address, "host");
    forget(address);
    address->resolver = resolver;
    address->done = done;
    address->arg = arg;
    /* A directory is a Unix socket; an address that was given needs no look-up. */
    if (host && *host && *host != '/' && !value_of(address, "hostaddr"))
        address->hosts = address->next_host = xstrdup(host);
    look_up_next(address);
}

void pg_address_cancel(struct pg_address *address)
{
    forget(address);
}

void pg_address_free(struct pg_address *address)
{
    if (!address)
        return;
    forget(address);
    PQconninfoFree(address->options);
    free(address);
}

/* --- parameters --- */

static void add(struct pg_parameters *parameters, const char *key, const char *value)
{
    if (!value || parameters->count == PG_PARAMETERS_MAX - 1) /* NULL ends libpq's lists */
        return;
    parameters->keys[parameters->count] = key;
    parameters->values[parameters->count++] = value;
}

void pg_address_parameters(const struct pg_address *address, const char *password,
                           const char *application_name, struct pg_parameters *out)
{
    /* A peer that vanished without a word is noticed in about 10 s; conninfo may say otherwise. */
    static const char *const defaults[][2] = {{"keepalives_idle", "4"},
                                              {"keepalives_interval", "2"},
                                              {"keepalives_count", "3"},
                                              {"tcp_user_timeout", "10000"}};
    memset(out, 0, sizeof *out);
    for (const PQconninfoOption *option = address->options; option->keyword; option++) {
        if (!password || strcmp(option->keyword, "password") != 0)
            add(out, option->keyword, option->val);
    }
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        if (!value_of(address, defaults[i][0]))
            add(out, defaults[i][0], defaults[i][1]);
    }
    if (!value_of(address, "application_name"))
        add(out, "application_name", application_name);
    add(out, "hostaddr", address->found);
    add(out, "password", password);
    /* JSON is UTF-8 (RFC 8259), whatever the database or the environment says. */
    add(out, "client_encoding", "UTF8");
}
