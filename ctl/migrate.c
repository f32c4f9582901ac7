/* migrate.c - mtcctl migrate; see migrate.h */
#include "migrate.h"
#include "output.h"
#include "net/pg_plain.h"
#include "suite/settings.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct migrate {
    struct pg_plain *pg;
    const char *adapter; /* NULL: none */
    const char *setup_endpoint, *gateway_id, *mirror;
    json_t *applied; /* what was done, in order */
    bool json;
    char error[1024];
};

static bool run(struct migrate *migrate, const char *sql, int count, const char *const *values)
{
    PGresult *result = pg_plain_query(migrate->pg, sql, count, values, migrate->error,
                                      sizeof migrate->error);
    PQclear(result);
    return result != NULL;
}

/* Version of a component in the database; 0: not there; -1: trouble. */
static int version_of(struct migrate *migrate, const char *component)
{
    const char *values[] = {component};
    PGresult *result = pg_plain_query(
        migrate->pg,
        "SELECT coalesce(max(version), 0) FROM mtc.schema_version WHERE component = $1", 1, values,
        migrate->error, sizeof migrate->error);
    if (!result)
        return -1;
    int version = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return version;
}

static int newest(const char *component)
{
    int version = 0;
    for (size_t i = 0; i < migration_count; i++) {
        if (strcmp(migrations[i].component, component) == 0 && migrations[i].version > version)
            version = migrations[i].version;
    }
    return version;
}

static bool refuse_newer(struct migrate *migrate)
{
    PGresult *result = pg_plain_query(
        migrate->pg, "SELECT component, max(version) FROM mtc.schema_version GROUP BY 1", 0, NULL,
        migrate->error, sizeof migrate->error);
    if (!result)
        return false;
    bool ok = true;
    for (int row = 0; ok && row < PQntuples(result); row++) {
        const char *component = PQgetvalue(result, row, 0);
        int have = (int)strtol(PQgetvalue(result, row, 1), NULL, 10), known = newest(component);
        if (have > known) {
            snprintf(migrate->error, sizeof migrate->error,
                     "the database has %s at version %d, this program knows %d: use a newer mtcctl",
                     component, have, known);
            ok = false;
        }
    }
    PQclear(result);
    return ok;
}

static bool apply(struct migrate *migrate, const struct migration *migration)
{
    char version[16];
    snprintf(version, sizeof version, "%d", migration->version);
    const char *values[] = {migration->component, version, migration->title};
    if (run(migrate, "BEGIN; SET LOCAL lock_timeout = '5s'", 0, NULL) &&
        run(migrate, migration->sql, 0, NULL) &&
        run(migrate,
            "INSERT INTO mtc.schema_version (component, version, title) VALUES ($1, $2, $3)", 3,
            values) &&
        run(migrate, "COMMIT", 0, NULL)) {
        json_array_append_new(migrate->applied,
                              json_pack("{s:s, s:i, s:s}", "component", migration->component,
                                        "version", migration->version, "title", migration->title));
        if (!migrate->json)
            printf("applied %s %d (%s)\n", migration->component, migration->version,
                   migration->title);
        return true;
    }
    char why[sizeof migrate->error];
    memcpy(why, migrate->error, sizeof why);
    run(migrate, "ROLLBACK", 0,
        NULL); /* the connection may be gone; the server then rolls back by itself */
    snprintf(migrate->error, sizeof migrate->error, "%s %d (%s): %.900s", migration->component,
             migration->version, migration->title, why);
    return false;
}

static bool apply_component(struct migrate *migrate, const char *component)
{
    int have = version_of(migrate, component);
    if (have < 0)
        return false;
    for (size_t i = 0; i < migration_count; i++) {
        const struct migration *migration = &migrations[i];
        if (strcmp(migration->component, component) == 0 && migration->version > have &&
            !apply(migrate, migration))
            return false;
    }
    return true;
}

static bool change_setting(struct migrate *migrate, const char *name, const char *value)
{
    if (!value)
        return true;
    const char *values[] = {name, value};
    return run(migrate,
               "INSERT INTO mtc.setting (name, value) VALUES ($1, $2)"
               " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
               2, values);
}

static bool migrate_all(struct migrate *migrate)
{
    return run(migrate, "SELECT pg_advisory_lock(7173219, 2)", 0, NULL) &&
           run(migrate,
               "CREATE SCHEMA IF NOT EXISTS mtc;"
               "CREATE TABLE IF NOT EXISTS mtc.schema_version (component text NOT NULL, version integer NOT "
               "NULL,"
               " title text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (component, "
               "version))",
               0, NULL) &&
           refuse_newer(migrate) && apply_component(migrate, "core") &&
           (!migrate->adapter || apply_component(migrate, migrate->adapter)) &&
           change_setting(migrate, "setup_endpoint", migrate->setup_endpoint) &&
           change_setting(migrate, "gateway_id", migrate->gateway_id) &&
           change_setting(migrate, "mirror_cycle_time", migrate->mirror);
}

static int usage(FILE *out)
{
    fprintf(
        out,
        "usage: mtcctl migrate [--adapter NAME] [--setup-endpoint plan|deployed] [--gateway-id ID]\n"
        "                      [--mirror-cycle-time on|off] [--json]\n"
        "  --adapter NAME          fit it onto the application's tables: production_tracking\n"
        "  --setup-endpoint WHICH  what MTConnect's /api/ext/setup takes: setup events (plan, the "
        "default) or\n"
        "                          the registration of a gateway's machines (deployed)\n"
        "  --gateway-id ID         name the gateway registers under (default mtc-sync)\n"
        "  --mirror-cycle-time on|off  carry cycle times into the active setup of each machine too "
        "(default off)\n");
    return out == stdout ? 0 : 2;
}

static bool check_arguments(const struct migrate *migrate)
{
    if (migrate->adapter &&
        (strcmp(migrate->adapter, "core") == 0 || newest(migrate->adapter) == 0))
        fprintf(stderr, "mtcctl: there is no adapter \"%s\"; known: production_tracking\n",
                migrate->adapter);
    else if (migrate->setup_endpoint && strcmp(migrate->setup_endpoint, "plan") != 0 &&
             strcmp(migrate->setup_endpoint, "deployed") != 0)
        fprintf(stderr, "mtcctl: --setup-endpoint is \"%s\", not plan or deployed\n",
                migrate->setup_endpoint);
    else if (migrate->mirror && strcmp(migrate->mirror, "on") != 0 &&
             strcmp(migrate->mirror, "off") != 0)
        fprintf(stderr, "mtcctl: --mirror-cycle-time is \"%s\", not on or off\n", migrate->mirror);
    else if (migrate->gateway_id && !*migrate->gateway_id)
        fprintf(stderr, "mtcctl: --gateway-id must not be empty\n");
    else
        return true;
    return false;
}

int migrate_main(const struct config *config, int argc, char **argv)
{
    static const struct option options[] = {{"adapter", required_argument, NULL, 'a'},
                                            {"setup-endpoint", required_argument, NULL, 's'},
                                            {"gateway-id", required_argument, NULL, 'g'},
                                            {"mirror-cycle-time", required_argument, NULL, 'm'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct migrate migrate = {0};
    int option;
    optind = 0; /* glibc: begin anew, options after words too */
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'a')
            migrate.adapter = optarg;
        else if (option == 's')
            migrate.setup_endpoint = optarg;
        else if (option == 'g')
            migrate.gateway_id = optarg;
        else if (option == 'm')
            migrate.mirror = optarg;
        else if (option == 'j')
            migrate.json = true;
        else
            return usage(option == 'h' ? stdout : stderr);
    }
    if (optind < argc)
        return usage(stderr);
    if (!check_arguments(&migrate))
        return 2;
    migrate.applied = json_array();
    struct pg_conn_settings settings = settings_pg(config, "mtcctl migrate", "");
    migrate.pg = pg_plain_connect(&settings, migrate.error, sizeof migrate.error);
    bool ok = migrate.pg && migrate_all(&migrate);
    pg_plain_close(migrate.pg);
    if (!ok)
        fprintf(stderr, "mtcctl: %s\n", migrate.error);
    else if (migrate.json)
        output_json(json_pack("{s:O}", "applied", migrate.applied));
    else if (json_array_size(migrate.applied) == 0)
        printf("schema mtc is up to date\n");
    json_decref(migrate.applied);
    return ok ? 0 : 1;
}
