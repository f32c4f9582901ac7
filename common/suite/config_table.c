/* config_table.c - options.def turned into a table, and the reference made from it; see config.h */
#include "suite/config.h"

#include <ctype.h>
#include <string.h>

const struct option_spec option_specs[] = {
#define OPT_TEXT(s, n, def, flags_, alias_, help_)                                                 \
    {.section = #s,                                                                                \
     .name = #n,                                                                                   \
     .type = OPTION_TEXT,                                                                          \
     .offset = offsetof(struct config, s##_##n),                                                   \
     .default_text = (def),                                                                        \
     .flags = (flags_),                                                                            \
     .alias = (alias_),                                                                            \
     .help = (help_)},
#define OPT_INT(s, n, def, min_, max_, unit_, alias_, help_)                                       \
    {.section = #s,                                                                                \
     .name = #n,                                                                                   \
     .type = OPTION_INT,                                                                           \
     .offset = offsetof(struct config, s##_##n),                                                   \
     .default_text = #def,                                                                         \
     .min = (min_),                                                                                \
     .max = (max_),                                                                                \
     .unit = (unit_),                                                                              \
     .alias = (alias_),                                                                            \
     .help = (help_)},
#define OPT_FLAG(s, n, def, alias_, help_)                                                         \
    {.section = #s,                                                                                \
     .name = #n,                                                                                   \
     .type = OPTION_FLAG,                                                                          \
     .offset = offsetof(struct config, s##_##n),                                                   \
     .default_text = #def,                                                                         \
     .alias = (alias_),                                                                            \
     .help = (help_)},
#define OPT_LIST(s, n, def, alias_, help_)                                                         \
    {.section = #s,                                                                                \
     .name = #n,                                                                                   \
     .type = OPTION_LIST,                                                                          \
     .offset = offsetof(struct config, s##_##n),                                                   \
     .default_text = (def),                                                                        \
     .alias = (alias_),                                                                            \
     .help = (help_)},
#include "suite/options.def"
};
const size_t option_spec_count = sizeof option_specs / sizeof option_specs[0];

void config_env_name(const struct option_spec *spec, char *out, size_t size)
{
    int len = snprintf(out, size, "MTC_%s_%s", spec->section, spec->name);
    for (int i = 0; i < len && (size_t)i < size; i++)
        out[i] = (char)toupper((unsigned char)out[i]);
}

static const char *type_name(enum option_type type)
{
    switch (type) {
    case OPTION_TEXT:
        return "text";
    case OPTION_INT:
        return "integer";
    case OPTION_FLAG:
        return "true/false";
    case OPTION_LIST:
        return "list of s";
    }
    return "";
}

void config_print_reference(FILE *out)
{
    const char *section = "";
    for (size_t i = 0; i < option_spec_count; i++) {
        const struct option_spec *spec = &option_specs[i];
        if (strcmp(section, spec->section) != 0) {
            section = spec->section;
            fprintf(out, "\n## %s\n\n| option | type | default | range | environment | meaning |\n",
                    section);
            fprintf(out, "|---|---|---|---|---|---|\n");
        }
        char env[96];
        config_env_name(spec, env, sizeof env);
        fprintf(out, "| `%s` | %s | `%s` | ", spec->name, type_name(spec->type),
                spec->default_text[0] ? spec->default_text : "\"\"");
        if (spec->type == OPTION_INT)
            fprintf(out, "%lld-%lld %s", (long long)spec->min, (long long)spec->max, spec->unit);
        fprintf(out, " | `%s`", env);
        if (spec->alias)
            fprintf(out, ", `%s`", spec->alias);
        fprintf(out, " | %s |\n", spec->help);
    }
}
