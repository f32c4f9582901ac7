/* config.c - loading, checking and printing the configuration; see config.h */
#include "suite/config.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/xalloc.h"

#include <errno.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where a value came from, for messages: "file:line" or "environment MTC_...". */
struct origin {
    char text[512];
};

struct failure {
    char *error;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static bool fail(const struct failure *failure,
                                                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(failure->error, failure->size, format, args);
    va_end(args);
    return false;
}

static void *member(const struct config *config, const struct option_spec *spec)
{
    return (char *)(uintptr_t)config + spec->offset;
}

static bool set_int(struct config *config, const struct option_spec *spec, long long value,
                    const struct origin *origin, const struct failure *failure)
{
    if (value < spec->min || value > spec->max)
        return fail(failure, "%s: %s.%s is %lld, outside %lld..%lld %s", origin->text,
                    spec->section, spec->name, value, (long long)spec->min, (long long)spec->max,
                    spec->unit);
    *(int64_t *)member(config, spec) = value;
    return true;
}

static bool set_list(struct config *config, const struct option_spec *spec, const char *text,
                     const struct origin *origin, const struct failure *failure)
{
    struct config_list list = {.count = 0};
    const char *at = text;
    for (;;) {
        char *end;
        errno = 0;
        double seconds = strtod(at, &end);
        if (end == at || errno || !(seconds >= 0 && seconds <= 86400) ||
            list.count == CONFIG_LIST_MAX)
            return fail(failure,
                        "%s: %s.%s is \"%s\", not 1 to %d numbers of seconds (0..86400) "
                        "separated by commas",
                        origin->text, spec->section, spec->name, text, CONFIG_LIST_MAX);
        list.ms[list.count++] = (int64_t)(seconds * 1000 + 0.5);
        if (*end == '\0')
            break;
        if (*end != ',')
            return fail(failure, "%s: %s.%s has \"%s\" where a comma is wanted", origin->text,
                        spec->section, spec->name, end);
        at = end + 1;
    }
    *(struct config_list *)member(config, spec) = list;
    return true;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *at = choices; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (len && strncmp(at, text, len) == 0 && (at[len] == '|' || at[len] == '\0'))
            return true;
    }
    return false;
}

static bool set_text(struct config *config, const struct option_spec *spec, const char *text,
                     const struct origin *origin, const struct failure *failure)
{
    if ((spec->flags & OPTION_REQUIRED) && *text == '\0')
        return fail(failure, "%s: %s.%s must not be empty", origin->text, spec->section,
                    spec->name);
    if ((spec->flags & OPTION_PATH) && *text && *text != '/')
        return fail(failure, "%s: %s.%s is \"%s\", which does not begin with \"/\"", origin->text,
                    spec->section, spec->name, text);
    if (spec->choices && !is_choice(spec->choices, text))
        return fail(failure, "%s: %s.%s is \"%s\", not one of %s", origin->text, spec->section,
                    spec->name, text, spec->choices);
    char **slot = member(config, spec);
    free(*slot);
    *slot = xstrdup(text);
    return true;
}

/* A value as the environment and the defaults give it: always text. */
static bool set_from_text(struct config *config, const struct option_spec *spec, const char *text,
                          const struct origin *origin, const struct failure *failure)
{
    switch (spec->type) {
    case OPTION_TEXT:
        return set_text(config, spec, text, origin, failure);
    case OPTION_LIST:
        return set_list(config, spec, text, origin, failure);
    case OPTION_INT: {
        char *end;
        errno = 0;
        long long value = strtoll(text, &end, 10);
        if (end == text || *end || errno)
            return fail(failure, "%s: %s.%s is \"%s\", not a whole number", origin->text,
                        spec->section, spec->name, text);
        return set_int(config, spec, value, origin, failure);
    }
    case OPTION_FLAG:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return fail(failure, "%s: %s.%s is \"%s\", not true or false", origin->text,
                        spec->section, spec->name, text);
        *(bool *)member(config, spec) = strcmp(text, "true") == 0;
        return true;
    }
    return false;
}

static bool set_from_file(struct config *config, const struct option_spec *spec,
                          const config_setting_t *setting, const struct origin *origin,
                          const struct failure *failure)
{
    int type = config_setting_type(setting);
    switch (spec->type) {
    case OPTION_TEXT:
    case OPTION_LIST:
        if (type != CONFIG_TYPE_STRING)
            return fail(failure, "%s: %s.%s wants text in quotes", origin->text, spec->section,
                        spec->name);
        return set_from_text(config, spec, config_setting_get_string(setting), origin, failure);
    case OPTION_INT:
        if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
            return fail(failure, "%s: %s.%s wants a whole number", origin->text, spec->section,
                        spec->name);
        return set_int(config, spec,
                       type == CONFIG_TYPE_INT ? config_setting_get_int(setting)
                                               : config_setting_get_int64(setting),
                       origin, failure);
    case OPTION_FLAG:
        if (type != CONFIG_TYPE_BOOL)
            return fail(failure, "%s: %s.%s wants true or false", origin->text, spec->section,
                        spec->name);
        *(bool *)member(config, spec) = config_setting_get_bool(setting);
        return true;
    }
    return false;
}

static const struct option_spec *find_option(const char *section, const char *name)
{
    for (size_t i = 0; i < option_spec_count; i++) {
        if (strcmp(option_specs[i].section, section) == 0 &&
            (!name || strcmp(option_specs[i].name, name) == 0))
            return &option_specs[i];
    }
    return NULL;
}

static struct origin origin_of(const config_setting_t *setting, const char *path)
{
    struct origin origin;
    const char *file = config_setting_source_file(setting);
    snprintf(origin.text, sizeof origin.text, "%s:%u", file ? file : path,
             (unsigned)config_setting_source_line(setting));
    return origin;
}

static bool load_group(struct config *config, config_setting_t *group, const char *path,
                       const struct failure *failure)
{
    const char *section = config_setting_name(group);
    struct origin at = origin_of(group, path);
    if (!find_option(section, NULL))
        return fail(failure, "%s: unknown section \"%s\"", at.text, section);
    if (config_setting_type(group) != CONFIG_TYPE_GROUP)
        return fail(failure, "%s: \"%s\" is a section and wants { ... }", at.text, section);
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        at = origin_of(setting, path);
        const struct option_spec *spec = find_option(section, config_setting_name(setting));
        if (!spec)
            return fail(failure, "%s: unknown option %s.%s", at.text, section,
                        config_setting_name(setting));
        if (!set_from_file(config, spec, setting, &at, failure))
            return false;
    }
    return true;
}

static bool load_file(struct config *config, const char *path, const struct failure *failure)
{
    config_t file;
    config_init(&file);
    bool ok = true;
    errno = 0; /* libconfig refuses a directory by itself: no call has failed then */
    if (!config_read_file(&file, path)) {
        if (config_error_type(&file) == CONFIG_ERR_FILE_IO)
            ok = fail(failure, "%s: cannot be read: %s", path,
                      errno ? strerror(errno) : "it is not a file");
        else
            ok = fail(failure, "%s:%d: %s",
                      config_error_file(&file) ? config_error_file(&file) : path,
                      config_error_line(&file), config_error_text(&file));
    }
    config_setting_t *root = config_root_setting(&file);
    for (int i = 0; ok && i < config_setting_length(root); i++)
        ok = load_group(config, config_setting_get_elem(root, (unsigned)i), path, failure);
    config_destroy(&file);
    return ok;
}

static bool load_environment(struct config *config, const struct failure *failure)
{
    for (size_t i = 0; i < option_spec_count; i++) {
        const struct option_spec *spec = &option_specs[i];
        char name[96];
        config_env_name(spec, name, sizeof name);
        const char *used = name;
        const char *value = getenv(name);
        if (!value && spec->alias) {
            used = spec->alias;
            value = getenv(spec->alias);
        }
        if (!value)
            continue;
        struct origin origin;
        snprintf(origin.text, sizeof origin.text, "environment %s", used);
        if (!set_from_text(config, spec, value, &origin, failure))
            return false;
    }
    return true;
}

bool config_load(struct config *config, const char *path, char *error, size_t error_size)
{
    struct failure failure = {.error = error, .size = error_size};
    struct origin origin = {.text = "default"};
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < option_spec_count; i++) {
        if (!set_from_text(config, &option_specs[i], option_specs[i].default_text, &origin,
                           &failure))
            return false;
    }
    if (path && !load_file(config, path, &failure))
        return false;
    return load_environment(config, &failure);
}

void config_free(struct config *config)
{
    for (size_t i = 0; i < option_spec_count; i++) {
        if (option_specs[i].type == OPTION_TEXT)
            free(*(char **)member(config, &option_specs[i]));
    }
    memset(config, 0, sizeof *config);
}

const char *config_default_path(void)
{
    const char *path = getenv("MTC_CONFIG");
    if (path && *path)
        return path;
    return access(CONFIG_DEFAULT_PATH, R_OK) == 0 ? CONFIG_DEFAULT_PATH : NULL;
}

static void print_quoted(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void print_value(const struct config *config, const struct option_spec *spec, FILE *out)
{
    const void *value = member(config, spec);
    switch (spec->type) {
    case OPTION_TEXT:
        if (spec->flags & OPTION_URL) {
            char *safe = secret_redact(*(char *const *)value);
            print_quoted(safe, out);
            free(safe);
        } else {
            print_quoted(*(char *const *)value, out);
        }
        break;
    case OPTION_INT:
        fprintf(out, "%lld", (long long)*(const int64_t *)value);
        break;
    case OPTION_FLAG:
        fputs(*(const bool *)value ? "true" : "false", out);
        break;
    case OPTION_LIST: {
        const struct config_list *list = value;
        fputc('"', out);
        for (int i = 0; i < list->count; i++)
            fprintf(out, "%s%g", i ? "," : "", (double)list->ms[i] / 1000);
        fputc('"', out);
        break;
    }
    }
}

void config_print(const struct config *config, FILE *out)
{
    const char *section = "";
    for (size_t i = 0; i < option_spec_count; i++) {
        const struct option_spec *spec = &option_specs[i];
        if (strcmp(section, spec->section) != 0) {
            fprintf(out, "%s%s: {\n", *section ? "};\n" : "", spec->section);
            section = spec->section;
        }
        fprintf(out, "    %s = ", spec->name);
        print_value(config, spec, out);
        fputs(";\n", out);
    }
    fputs("};\n", out);
}
