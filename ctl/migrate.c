/* migrate.c - mtcctl migrate; see migrate.h */
#include "migrate.h"
#include "output.h"
#include "schema.h"
#include "net/pg_plain.h"
#include "suite/settings.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct migrate {
    struct schema schema;
    const char *setup_endpoint, *gateway_id, *mirror;
    json_t *applied; /* what was done, in order */
    bool json;
};

static void on_applied(const struct migration *migration, void *arg)
{
    struct migrate *migrate = arg;
    json_t *done = json_pack("{s:s}", "component", migration->component);
    char version[16] = "";
    if (migration->version) {
        json_object_set_new(done, "version", json_integer(migration->version));
        snprintf(version, sizeof version, " %d", migration->version);
    }
    json_object_set_new(done, "title", json_string(migration->title));
    json_array_append_new(migrate->applied, done);
    if (!migrate->json)
        printf("applied %s%s (%s)\n", migration->component, version, migration->title);
}

/* Which settings there are is the adapter's matter: it brings a row for each it heeds. */
static bool change_setting(struct migrate *migrate, const char *name, const char *value)
{
    if (!value)
        return true;
    struct schema *schema = &migrate->schema;
    const char *values[] = {name, value};
    PGresult *result = pg_plain_query(schema->pg,
                                      "UPDATE mtc.setting SET value = $2 WHERE name = $1", 2,
                                      values, schema->error, sizeof schema->error);
    bool ok = result && strcmp(PQcmdTuples(result), "1") == 0;
    if (result && !ok)
        snprintf(schema->error, sizeof schema->error, "no adapter in the database heeds %s", name);
    PQclear(result);
    return ok;
}

static bool migrate_all(struct migrate *migrate)
{
    return schema_migrate(&migrate->schema) &&
           change_setting(migrate, "setup_endpoint", migrate->setup_endpoint) &&
           change_setting(migrate, "gateway_id", migrate->gateway_id) &&
           change_setting(migrate, "mirror_cycle_time", migrate->mirror);
}

static int usage(FILE *out)
{
    char *adapters = migrations_adapters();
    fprintf(out,
            "usage: mtcctl migrate [--adapter NAME] [--setup-endpoint plan|deployed] "
            "[--gateway-id ID]\n"
            "                      [--mirror-cycle-time on|off] [--json]\n"
            "  --adapter NAME          fit it onto the application's tables: %s\n"
            "  --setup-endpoint WHICH  what MTConnect's /api/ext/setup takes: "
            "setup events (plan, the default) or\n"
            "                          the registration of a gateway's machines (deployed)\n"
            "  --gateway-id ID         name the gateway registers under (default mtc-sync)\n"
            "  --mirror-cycle-time on|off  "
            "carry cycle times into the active setup of each machine too (default off)\n",
            adapters);
    free(adapters);
    return out == stdout ? 0 : 2;
}

static bool is_known_adapter(const char *name)
{
    if (migrations_is_adapter(name))
        return true;
    char *adapters = migrations_adapters();
    fprintf(stderr, "mtcctl: there is no adapter \"%s\"; known: %s\n", name, adapters);
    free(adapters);
    return false;
}

static bool check_arguments(const struct migrate *migrate)
{
    const char *adapter = migrate->schema.adapter;
    if (adapter && !is_known_adapter(adapter))
        return false;
    if (migrate->setup_endpoint && strcmp(migrate->setup_endpoint, "plan") != 0 &&
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
    struct migrate migrate = {.schema = {.on_applied = on_applied, .arg = &migrate}};
    int option;
    optind = 0; /* glibc: begin anew, options after words too */
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'a')
            migrate.schema.adapter = optarg;
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
    struct schema *schema = &migrate.schema;
    struct pg_session_settings settings = settings_pg(config, "mtcctl migrate", "");
    schema->pg = pg_plain_connect(&settings, schema->error, sizeof schema->error);
    bool ok = schema->pg && migrate_all(&migrate);
    pg_plain_close(schema->pg);
    if (!ok)
        fprintf(stderr, "mtcctl: %s\n", schema->error);
    else if (migrate.json)
        output_json(json_pack("{s:O}", "applied", migrate.applied));
    else if (json_array_size(migrate.applied) == 0)
        printf("schema mtc is up to date\n");
    json_decref(migrate.applied);
    return ok ? 0 : 1;
}
