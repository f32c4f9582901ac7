/* config_table.c - options.def turned into a table, and the reference made from it; see config.h */
#include "suite/config.h"

#include <ctype.h>
#include <string.h>

#define PARAGRAPH_COLUMNS 98 /* of 100: an escaped character takes one more */

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
#define OPT_CHOICE(s, n, def, choices_, alias_, help_)                                             \
    {.section = #s,                                                                                \
     .name = #n,                                                                                   \
     .type = OPTION_TEXT,                                                                          \
     .offset = offsetof(struct config, s##_##n),                                                   \
     .default_text = (def),                                                                        \
     .choices = (choices_),                                                                        \
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
        return "list of seconds";
    }
    return "";
}

/* The words of a paragraph, as many a line as fit. A '<' is escaped: it would begin a tag. */
static void print_paragraph(FILE *out, const char *text)
{
    size_t column = 0;
    fputc('\n', out);
    for (const char *word = text; *word; word += strspn(word, " ")) {
        size_t len = strcspn(word, " ");
        if (column && column + 1 + len > PARAGRAPH_COLUMNS) {
            fputc('\n', out);
            column = 0;
        } else if (column) {
            fputc(' ', out);
            column++;
        }
        for (column += len; len > 0; len--, word++)
            fprintf(out, "%s%c", *word == '<' ? "\\" : "", *word);
    }
    fputc('\n', out);
}

/* Its type, range, default and environment names. */
static void print_facts(const struct option_spec *spec, FILE *out)
{
    char facts[512], env[96], range[80] = "", alias[80] = "";
    config_env_name(spec, env, sizeof env);
    if (spec->type == OPTION_INT)
        snprintf(range, sizeof range, ", %lld-%lld %s", (long long)spec->min, (long long)spec->max,
                 spec->unit);
    if (spec->alias)
        snprintf(alias, sizeof alias, " or `%s`", spec->alias);
    if (spec->choices)
        snprintf(range, sizeof range, " (%s)", spec->choices);
    snprintf(facts, sizeof facts, "%s%s; default `%s`; environment `%s`%s", type_name(spec->type),
             range, spec->default_text[0] ? spec->default_text : "\"\"", env, alias);
    print_paragraph(out, facts);
}

void config_print_reference(FILE *out)
{
    const char *section = "";
    for (size_t i = 0; i < option_spec_count; i++) {
        const struct option_spec *spec = &option_specs[i];
        if (strcmp(section, spec->section) != 0) {
            section = spec->section;
            fprintf(out, "\n## %s\n", section);
        }
        fprintf(out, "\n### %s.%s\n", section, spec->name);
        print_paragraph(out, spec->help);
        print_facts(spec, out);
    }
}
