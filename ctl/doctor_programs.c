/* doctor_programs.c - the programs, and the secrets they alone need; see doctor.h */
#include "doctor.h"
#include "programs.h"
#include "base/secret.h"

#include <stdlib.h>

static void look_at_secrets(struct doctor *doctor)
{
    const struct config *config = doctor->ctl.config;
    char error[256];
    if (!config->receiver_use_webhook || !config->receiver_require_signature)
        return;
    char *secret = secret_read(config->receiver_secret_file, error, sizeof error);
    if (secret)
        doctor_find(doctor, FINDING_OK, "web-hook secret", NULL, "readable");
    else
        doctor_find(doctor, FINDING_ILL, "web-hook secret", "put it into receiver.secret_file",
                    "%s", error);
    free(secret);
}

void doctor_programs(struct doctor *doctor)
{
    look_at_secrets(doctor);
    json_t *programs = programs_ask(&doctor->ctl);
    size_t i;
    json_t *told;
    json_array_foreach (programs, i, told) {
        const json_t *ready = json_object_get(told, "ready");
        const char *address = json_string_value(json_object_get(told, "address"));
        const char *program = json_string_value(json_object_get(told, "program"));
        const char *worker = json_string_value(json_object_get(told, "worker"));
        const char *name = worker ? worker : address;
        if (json_is_true(ready))
            doctor_find(doctor, FINDING_OK, "program", NULL, "%s %s is ready", program, name);
        else
            doctor_find(doctor, FINDING_WARNING, "program",
                        "see its log; if it is to be found elsewhere, set ctl.programs",
                        "%s %s: %s", program, name, json_string_value(ready));
        if (json_integer_value(json_object_get(told, "breaker_open")))
            doctor_find(doctor, FINDING_ILL, "breaker",
                        "MTConnect does not take events; see the sender's log for the reason",
                        "open at %s", name);
    }
    json_decref(programs);
}
