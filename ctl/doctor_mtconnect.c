/* doctor_mtconnect.c - the MTConnect service, its API key and its clock; see doctor.h */
#include "doctor.h"
#include "base/xalloc.h"
#include "net/http_plain.h"
#include "suite/mtconnect.h"

#include <math.h>
#include <stdlib.h>

/* One whose cycle time to ask for, which changes nothing. */
static char *some_machine(struct doctor *doctor)
{
    PGresult *result = NULL;
    if (doctor->ctl.pg)
        result = ctl_query(&doctor->ctl, "SELECT machine FROM mtc.active_machine LIMIT 1", 0, NULL);
    char *name = xstrdup(result && PQntuples(result) ? PQgetvalue(result, 0, 0) : "doctor");
    PQclear(result);
    return name;
}

static void judge_answer(struct doctor *doctor, const struct http_plain *answer,
                         const char *machine)
{
    if (answer->status == 0)
        doctor_find(doctor, FINDING_ILL, "MTConnect",
                    "check mtconnect.base_url, and that it runs; events wait, nothing is lost",
                    "%s", answer->error);
    else if (answer->status == 401 || answer->status == 403)
        doctor_find(doctor, FINDING_ILL, "API key",
                    "put the right one into mtconnect.api_key_file; no restart is needed",
                    "MTConnect refuses it: HTTP %ld", answer->status);
    else if (answer->status == 404)
        doctor_find(doctor, FINDING_WARNING, "MTConnect",
                    "if its name there is another, teach it to the adapter: docs/adapters.md",
                    "answers, but does not know machine %s", machine);
    else if (answer->status / 100 != 2)
        doctor_find(doctor, FINDING_ILL, "MTConnect", "see its log; events wait, nothing is lost",
                    "HTTP %ld", answer->status);
    else
        doctor_find(doctor, FINDING_OK, "MTConnect", NULL, "answers, and takes the API key");
}

static void judge_clock(struct doctor *doctor, double ahead_s)
{
    if (fabs(ahead_s) > DOCTOR_SKEW_MAX_S)
        doctor_find(doctor, FINDING_WARNING, "clock of MTConnect",
                    "set both clocks, by NTP; web-hooks are refused when they differ by more than "
                    "receiver.tolerance_s",
                    "%.0f s from ours", ahead_s);
}

void doctor_mtconnect(struct doctor *doctor)
{
    const struct config *config = doctor->ctl.config;
    char error[256];
    char *header = mtconnect_api_key_header(config->mtconnect_api_key_file, error, sizeof error);
    if (*error) {
        doctor_find(doctor, FINDING_ILL, "API key",
                    "put it into mtconnect.api_key_file, readable for the programs", "%s", error);
        return;
    }
    char *machine = some_machine(doctor);
    char *url = mtconnect_cycle_time_url(config->mtconnect_base_url, machine);
    struct http_plain answer = http_plain_get(url, NULL, header,
                                              (long)config->mtconnect_timeout_ms);
    judge_answer(doctor, &answer, machine);
    judge_clock(doctor, answer.clock_ahead_s);
    http_plain_free(&answer);
    free(machine);
    free(url);
    free(header);
}
