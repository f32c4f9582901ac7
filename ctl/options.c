/* options.c - mtcctl options: every configuration option, as Markdown or as JSON */
#include "ctl.h"
#include "output.h"

static json_t *describe(const struct option_spec *spec)
{
    char env[96];
    config_env_name(spec, env, sizeof env);
    json_t *told = json_pack("{s:s, s:s, s:s, s:s, s:s}", "section", spec->section, "name",
                             spec->name, "default", spec->default_text, "environment", env,
                             "meaning", spec->help);
    if (spec->choices)
        json_object_set_new(told, "choices", json_string(spec->choices));
    if (spec->alias)
        json_object_set_new(told, "alias", json_string(spec->alias));
    if (spec->type == OPTION_INT) {
        json_object_set_new(told, "least", json_integer(spec->min));
        json_object_set_new(told, "most", json_integer(spec->max));
        json_object_set_new(told, "unit", json_string(spec->unit));
    }
    return told;
}

int options_main(const struct config *config, int argc, char **argv)
{
    static const char help[] = "usage: mtcctl options [--json]\n"
                               "  All configuration options, as Markdown or as JSON.\n";
    bool json = false;
    (void)config;
    int done = ctl_options(argc, argv, help, &json);
    if (done >= 0)
        return done;
    if (optind < argc)
        return ctl_usage(help, stderr);
    if (!json) {
        config_print_reference(stdout);
        return 0;
    }
    json_t *all = json_array();
    for (size_t i = 0; i < option_spec_count; i++)
        json_array_append_new(all, describe(&option_specs[i]));
    output_json(all);
    return 0;
}
