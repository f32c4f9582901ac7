/* schema.c - applies the migrations that are wanting; see schema.h */
#include "schema.h"
#include "version.h"
#include "base/xalloc.h"
#include "net/pg_plain.h"
#include "suite/election.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static PGresult *query(struct schema *schema, const char *sql, int count, const char *const *values)
{
    return pg_plain_query(schema->pg, sql, count, values, schema->error, sizeof schema->error);
}

static bool run(struct schema *schema, const char *sql, int count, const char *const *values)
{
    PGresult *result = query(schema, sql, count, values);
    PQclear(result);
    return result != NULL;
}

/* --- a transaction --- */

static bool begin(struct schema *schema)
{
    return run(schema, "BEGIN; SET LOCAL lock_timeout = '5s'", 0, NULL);
}

/* Nothing is left behind; the error says what failed. */
static bool give_up(struct schema *schema, const struct migration *failed)
{
    char why[sizeof schema->error], version[16] = "";
    memcpy(why, schema->error, sizeof why);
    /* the connection may be gone; the server then rolls back by itself */
    run(schema, "ROLLBACK", 0, NULL);
    if (failed->version)
        snprintf(version, sizeof version, " %d", failed->version);
    snprintf(schema->error, sizeof schema->error, "%s%s (%s): %.900s", failed->component, version,
             failed->title, why);
    return false;
}

/* --- core and adapters --- */

/* Version of a component in the database; 0: not there; -1: trouble. */
static int version_of(struct schema *schema, const char *component)
{
    const char *values[] = {component};
    PGresult *result = query(
        schema, "SELECT coalesce(max(version), 0) FROM mtc.schema_version WHERE component = $1", 1,
        values);
    if (!result)
        return -1;
    int version = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return version;
}

static bool refuse_newer(struct schema *schema)
{
    PGresult *result = query(
        schema, "SELECT component, max(version) FROM mtc.schema_version GROUP BY 1", 0, NULL);
    if (!result)
        return false;
    bool ok = true;
    for (int row = 0; ok && row < PQntuples(result); row++) {
        const char *component = PQgetvalue(result, row, 0);
        int have = (int)strtol(PQgetvalue(result, row, 1), NULL, 10),
            known = migrations_newest(component);
        if (have > known) {
            snprintf(schema->error, sizeof schema->error,
                     "the database has %s at version %d, this program knows %d: use a newer mtcctl",
                     component, have, known);
            ok = false;
        }
    }
    PQclear(result);
    return ok;
}

/* All adapters replace the same functions and views: a second one would take the first one's place
 * and leave its triggers. */
static bool refuse_second_adapter(struct schema *schema)
{
    if (!schema->adapter)
        return true;
    const char *values[] = {MIGRATIONS_CORE, schema->adapter};
    PGresult *result = query(
        schema, "SELECT component FROM mtc.schema_version WHERE component NOT IN ($1, $2) LIMIT 1",
        2, values);
    bool ok = result && PQntuples(result) == 0;
    if (result && !ok)
        snprintf(
            schema->error, sizeof schema->error,
            "the database has the adapter %s, and takes one only: see \"Changing the adapter\" "
            "in docs/adapters.md",
            PQgetvalue(result, 0, 0));
    PQclear(result);
    return ok;
}

/* An adapter makes functions, so it ends with the grants. */
static bool apply(struct schema *schema, const struct migration *migration)
{
    char version[16];
    snprintf(version, sizeof version, "%d", migration->version);
    const char *values[] = {migration->component, version, migration->title};
    const char *grants = migrations_is_adapter(migration->component)
                             ? migrations_function(MIGRATIONS_GRANTS)->sql
                             : NULL;
    if (begin(schema) && run(schema, migration->sql, 0, NULL) &&
        (!grants || run(schema, grants, 0, NULL)) &&
        run(schema,
            "INSERT INTO mtc.schema_version (component, version, title) VALUES ($1, $2, $3)", 3,
            values) &&
        run(schema, "COMMIT", 0, NULL)) {
        schema->on_applied(migration, schema->arg);
        return true;
    }
    return give_up(schema, migration);
}

static bool apply_component(struct schema *schema, const char *component)
{
    int have = version_of(schema, component);
    if (have < 0)
        return false;
    for (size_t i = 0; i < migration_count; i++) {
        const struct migration *migration = &migrations[i];
        if (strcmp(migration->component, component) == 0 && migration->version > have &&
            !apply(schema, migration))
            return false;
    }
    return true;
}

/* --- functions --- */

PGresult *schema_stale_functions(struct pg_plain *pg, char *error, size_t error_size)
{
    char *digests = migrations_function_digests();
    const char *values[] = {digests};
    PGresult *result = pg_plain_query(
        pg,
        "SELECT split_part(ours.text, ' ', 1)"
        "  FROM unnest($1::text[]) WITH ORDINALITY AS ours (text, n)"
        " WHERE NOT EXISTS (SELECT FROM mtc.function_family f"
        "                    WHERE f.family || ' ' || f.digest = ours.text)"
        " ORDER BY ours.n",
        1, values, error, error_size);
    free(digests);
    return result;
}

static bool refuse_newer_functions(struct schema *schema)
{
    char *digests = migrations_function_digests();
    const char *values[] = {digests, MTC_VERSION};
    PGresult *result = query(
        schema,
        "SELECT family, program FROM mtc.function_family"
        " WHERE family || ' ' || digest <> ALL ($1::text[])"
        "   AND string_to_array(substring(program FROM '^[0-9]+(?:[.][0-9]+)*'), '.')::int[]"
        "     > string_to_array(substring($2 FROM '^[0-9]+(?:[.][0-9]+)*'), '.')::int[]"
        " LIMIT 1",
        2, values);
    free(digests);
    bool ok = result && PQntuples(result) == 0;
    if (result && !ok)
        snprintf(schema->error, sizeof schema->error,
                 "the database has functions %s of version %s, this program is %s: use a newer "
                 "mtcctl",
                 PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1), MTC_VERSION);
    PQclear(result);
    return ok;
}

/* Within the transaction. The grants come after all others, and whatever their own digest says. */
static bool apply_family(struct schema *schema, const struct migration *family)
{
    const char *values[] = {family->title, family->digest, MTC_VERSION};
    if (strcmp(family->title, MIGRATIONS_GRANTS) != 0 && !run(schema, family->sql, 0, NULL))
        return false;
    return run(schema,
               "INSERT INTO mtc.function_family (family, digest, program, applied_at)"
               " VALUES ($1, $2, $3, now()) ON CONFLICT (family) DO UPDATE"
               " SET digest = excluded.digest, program = excluded.program,"
               "     applied_at = excluded.applied_at",
               3, values);
}

/* A function may call one of a file further on, so bodies are not checked while they are made. */
static bool apply_families(struct schema *schema, const PGresult *stale)
{
    const struct migration *at = migrations_function(MIGRATIONS_GRANTS);
    const char *grants = at->sql;
    bool ok = begin(schema) && run(schema, "SET LOCAL check_function_bodies = off", 0, NULL);
    for (int i = 0; ok && i < PQntuples(stale); i++) {
        at = migrations_function(PQgetvalue(stale, i, 0));
        ok = apply_family(schema, at);
    }
    ok = ok && run(schema, grants, 0, NULL) && run(schema, "COMMIT", 0, NULL);
    if (!ok)
        return give_up(schema, at);
    for (int i = 0; i < PQntuples(stale); i++)
        schema->on_applied(migrations_function(PQgetvalue(stale, i, 0)), schema->arg);
    return true;
}

static bool apply_functions(struct schema *schema)
{
    if (!refuse_newer_functions(schema))
        return false;
    PGresult *stale = schema_stale_functions(schema->pg, schema->error, sizeof schema->error);
    bool ok = stale && (PQntuples(stale) == 0 || apply_families(schema, stale));
    PQclear(stale);
    return ok;
}

static bool take_lock(struct schema *schema)
{
    char key[16], migration[16];
    snprintf(key, sizeof key, "%d", ELECTION_LOCK_KEY);
    snprintf(migration, sizeof migration, "%d", ELECTION_MIGRATION);
    const char *values[] = {key, migration};
    return run(schema, "SELECT pg_advisory_lock($1, $2)", 2, values);
}

bool schema_migrate(struct schema *schema)
{
    return take_lock(schema) &&
           run(schema,
               "CREATE SCHEMA IF NOT EXISTS mtc;"
               "CREATE TABLE IF NOT EXISTS mtc.schema_version ("
               " component text NOT NULL, version integer NOT NULL, title text NOT NULL,"
               " applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (component, version))",
               0, NULL) &&
           refuse_newer(schema) && refuse_second_adapter(schema) &&
           apply_component(schema, MIGRATIONS_CORE) && apply_functions(schema) &&
           (!schema->adapter || apply_component(schema, schema->adapter));
}
