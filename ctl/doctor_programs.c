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

static void look_at_waiting(struct doctor *doctor, const json_t *told)
{
    size_t i;
    json_t *each;
    json_array_foreach (json_object_get(json_object_get(told, "remarks"), "waiting"), i, each) {
        const char *machine = program_text(each, "machine");
        const char *event = program_text(each, "event");
        const char *answer = program_text(each, "answer");
        if (json_is_true(json_object_get(each, "stopped")))
            doctor_find(doctor, FINDING_ILL, "machine",
                        "mtcctl resume --machine makes a dead letter of it and goes on",
                        "%s has stopped at event %s: %s", machine, event, answer);
        else
            doctor_find(doctor, FINDING_WARNING, "machine",
                        "see \"A machine waits\" in docs/operations.md; mtcctl skip lets go of it",
                        "%s waits for event %s, failing for %lld s: %s", machine, event,
                        (long long)json_integer_value(json_object_get(each, "for_s")), answer);
    }
}

#define UNREAD_LONG_S 5 /* shorter ones are how a backlog of large bodies is worked off */

static void look_at_memory(struct doctor *doctor, const json_t *told, const char *name)
{
    const json_t *memory = json_object_get(json_object_get(told, "remarks"), "memory");
    if (!memory)
        return;
    const char *machine = program_text(memory, "machine");
    long long unread_s = json_integer_value(json_object_get(memory, "unread_s"));
    long long held = json_integer_value(json_object_get(memory, "held_bytes")) >> 20;
    long long most = json_integer_value(json_object_get(memory, "machine_bytes")) >> 20;
    if (unread_s >= UNREAD_LONG_S)
        doctor_find(doctor, FINDING_WARNING, "memory",
                    "see \"A sender reads nothing\" in docs/operations.md",
                    "%s reads nothing for %lld s: the memory bound is reached, %lld MiB held, most "
                    "by machine %s (%lld MiB)",
                    name, unread_s, held, machine, most);
    else if (json_integer_value(json_object_get(memory, "aside")))
        doctor_find(doctor, FINDING_WARNING, "memory",
                    "see \"A sender reads nothing\" in docs/operations.md",
                    "%s has put %lld events aside, most of machine %s (%lld MiB)", name,
                    (long long)json_integer_value(json_object_get(memory, "aside")), machine, most);
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
        look_at_waiting(doctor, told);
        look_at_memory(doctor, told, name);
    }
    json_decref(programs);
}
