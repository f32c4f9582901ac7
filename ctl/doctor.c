/*
 * doctor.c - mtcctl doctor: looks at everything the suite depends on, and says what to do about
 * what is not well
 */
#include "doctor.h"
#include "output.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void doctor_find(struct doctor *doctor, enum finding_level level, const char *what,
                 const char *advice, const char *format, ...)
{
    static const char *const names[] = {"ok", "warning", "ill"};
    char detail[512];
    va_list words;
    va_start(words, format);
    vsnprintf(detail, sizeof detail, format, words);
    va_end(words);
    json_t *finding = json_pack("{s:s, s:s, s:s}", "verdict", names[level], "what", what, "detail",
                                detail);
    if (!finding)
        finding = json_pack("{s:s, s:s, s:s}", "verdict", names[level], "what", what, "detail",
                            "(no UTF-8)");
    if (advice)
        json_object_set_new(finding, "advice", json_string(advice));
    json_array_append_new(doctor->findings, finding);
    doctor->ill += level == FINDING_ILL;
}

static void print_all(const struct doctor *doctor)
{
    size_t i;
    int warnings = 0;
    json_t *finding;
    json_array_foreach (doctor->findings, i, finding) {
        warnings += strcmp(json_string_value(json_object_get(finding, "verdict")), "warning") == 0;
        const char *advice = json_string_value(json_object_get(finding, "advice"));
        printf("%-8s %-20s %s\n", json_string_value(json_object_get(finding, "verdict")),
               json_string_value(json_object_get(finding, "what")),
               json_string_value(json_object_get(finding, "detail")));
        if (advice)
            printf("%29s -> %s\n", "", advice);
    }
    if (doctor->ill)
        puts("something is ill");
    else if (warnings)
        printf("nothing is ill; see the warning%s\n", warnings > 1 ? "s" : "");
    else
        puts("all is well");
}

int doctor_main(const struct config *config, int argc, char **argv)
{
    static const char help[] =
        "usage: mtcctl doctor [--json]\n"
        "  Looks at every dependency, permission and queue, and says what to do. "
        "Exit status 1 if anything is ill.\n";
    struct doctor doctor = {.ctl = {.config = config}};
    int done = ctl_options(argc, argv, help, &doctor.ctl.json);
    if (done >= 0)
        return done;
    if (optind < argc)
        return ctl_usage(help, stderr);
    doctor.findings = json_array();
    doctor_postgres(&doctor);
    doctor_rabbitmq(&doctor);
    doctor_queues(&doctor);
    doctor_partitions(&doctor);
    doctor_pause(&doctor);
    doctor_redis(&doctor);
    doctor_mtconnect(&doctor);
    doctor_programs(&doctor);
    ctl_close(&doctor.ctl);
    if (doctor.ctl.json)
        output_json(json_incref(doctor.findings));
    else
        print_all(&doctor);
    json_decref(doctor.findings);
    return doctor.ill ? 1 : 0;
}
