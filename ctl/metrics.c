/* metrics.c - mtcctl metrics: every metric of every program, as Markdown or as JSON */
#include "ctl.h"
#include "output.h"
#include "suite/program_metrics.h"

static json_t *describe(const struct metric_spec *spec)
{
    json_t *told = json_pack("{s:s, s:s, s:s, s:s}", "program", spec->program, "name", spec->name,
                             "type", metric_type_name(spec->type), "meaning", spec->help);
    if (spec->labels)
        json_object_set_new(told, "labels", json_string(spec->labels));
    return told;
}

int metrics_main(const struct config *config, int argc, char **argv)
{
    static const char help[] = "usage: mtcctl metrics [--json]\n"
                               "  All metrics of all programs, as Markdown or as JSON.\n";
    bool json = false;
    (void)config;
    int done = ctl_options(argc, argv, help, &json);
    if (done >= 0)
        return done;
    if (optind < argc)
        return ctl_usage(help, stderr);
    if (!json) {
        program_metrics_print_reference(stdout);
        return 0;
    }
    json_t *all = json_array();
    for (size_t i = 0; i < metric_spec_count; i++)
        json_array_append_new(all, describe(&metric_specs[i]));
    output_json(all);
    return 0;
}
