/* doctor_postgres.c - the server, the schema and what the schema says of itself; see doctor.h */
#include "doctor.h"
#include "schema.h"
#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_MIN 140000 /* as server_version_num has it */

static long number(const PGresult *result, int column)
{
    return strtol(PQgetvalue(result, 0, column), NULL, 10);
}

/* Whether the families of functions are those of this program. */
static void look_at_functions(struct doctor *doctor, int version)
{
    PGresult *result = schema_stale_functions(doctor->ctl.pg, doctor->ctl.error,
                                              sizeof doctor->ctl.error);
    if (result && PQntuples(result))
        doctor_find(doctor, FINDING_ILL, "schema mtc", "run mtcctl migrate",
                    "version %d, but functions of another program: %s", version,
                    PQgetvalue(result, 0, 0));
    else
        doctor_find(doctor, FINDING_OK, "schema mtc", NULL, "version %d", version);
    PQclear(result);
}

/* False: nothing more can be asked of this database. */
static bool look_at_schema(struct doctor *doctor)
{
    PGresult *result = ctl_query(&doctor->ctl,
                                 "SELECT coalesce(max(version), 0)"
                                 "  FROM mtc.schema_version"
                                 " WHERE component = 'core'",
                                 0, NULL);
    if (!result) {
        doctor_find(doctor, FINDING_ILL, "schema mtc",
                    "run mtcctl migrate --adapter NAME (--help lists them), "
                    "as the owner of the database",
                    "%s", doctor->ctl.error);
        return false;
    }
    int have = (int)number(result, 0), known = migrations_newest(MIGRATIONS_CORE);
    PQclear(result);
    if (have != known) {
        doctor_find(doctor, FINDING_ILL, "schema mtc",
                    have < known ? "run mtcctl migrate"
                                 : "use the newer programs the schema was made by",
                    "version %d, this program is of version %d", have, known);
        return false;
    }
    look_at_functions(doctor, have);
    return true;
}

/* As mtc.health() writes it; sql/functions/health.sql. */
static enum finding_level level_of(const char *verdict)
{
    if (strcmp(verdict, "ok") == 0)
        return FINDING_OK;
    return strcmp(verdict, "warning") == 0 ? FINDING_WARNING : FINDING_ILL;
}

/* What the database says of itself: its adapter, permissions, and who is at work in it. */
static void look_at_health(struct doctor *doctor)
{
    PGresult *result = ctl_query(&doctor->ctl,
                                 "SELECT verdict, what, detail, advice FROM mtc.health()", 0, NULL);
    if (!result) {
        doctor_find(doctor, FINDING_ILL, "schema mtc", "run mtcctl migrate", "%s",
                    doctor->ctl.error);
        return;
    }
    for (int row = 0; row < PQntuples(result); row++) {
        const char *advice = PQgetvalue(result, row, 3);
        doctor_find(doctor, level_of(PQgetvalue(result, row, 0)), PQgetvalue(result, row, 1),
                    PQgetisnull(result, row, 3) ? NULL : advice, "%s", PQgetvalue(result, row, 2));
    }
    PQclear(result);
}

static void look_at_server(struct doctor *doctor, long number, const char *version)
{
    if (number < VERSION_MIN)
        doctor_find(doctor, FINDING_ILL, "PostgreSQL", "use version 14 or later", "version %s",
                    version);
    else
        doctor_find(doctor, FINDING_OK, "PostgreSQL", NULL, "version %s", version);
}

static void look_at_clock(struct doctor *doctor, double ahead_s)
{
    if (fabs(ahead_s) > DOCTOR_SKEW_MAX_S)
        doctor_find(doctor, FINDING_WARNING, "clock of PostgreSQL", "set both clocks, by NTP",
                    "%.0f s from ours", ahead_s);
}

void doctor_postgres(struct doctor *doctor)
{
    if (!ctl_pg(&doctor->ctl)) {
        doctor_find(doctor, FINDING_ILL, "PostgreSQL",
                    "check postgres.conninfo and postgres.password_file, and that the server runs",
                    "%s", doctor->ctl.error);
        return;
    }
    PGresult *result = ctl_query(&doctor->ctl,
                                 "SELECT current_setting('server_version_num')::int,"
                                 "       current_setting('server_version'),"
                                 "       extract(epoch FROM clock_timestamp())",
                                 0, NULL);
    if (!result)
        return;
    double ahead_s = strtod(PQgetvalue(result, 0, 2), NULL) - (double)utc_us() / 1e6;
    look_at_server(doctor, number(result, 0), PQgetvalue(result, 0, 1));
    look_at_clock(doctor, ahead_s);
    PQclear(result);
    if (look_at_schema(doctor))
        look_at_health(doctor);
}
