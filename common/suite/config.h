/*
 * config.h - one configuration for the suite: a libconfig file, then the environment
 *
 * Every option is declared in options.def and becomes a member `section_name` of struct config. The
 * file has a group a section; the environment overrides it. Anything unknown, mistyped or out of
 * range is refused with file and line (or the variable's name) in the message.
 *
 * Source of the file's syntax: libconfig manual, https://hyperrealm.github.io/libconfig/
 */
#ifndef MTC_CONFIG_H
#define MTC_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_LIST_MAX 16

struct config_list {
    int count;
    int64_t ms[CONFIG_LIST_MAX]; /* given in seconds, kept in milliseconds */
};

enum { OPTION_URL = 1, OPTION_REQUIRED = 2, OPTION_PATH = 4 };
enum option_type { OPTION_TEXT, OPTION_INT, OPTION_FLAG, OPTION_LIST };

struct config {
#define OPT_TEXT(section, name, ...)   char *section##_##name;
#define OPT_CHOICE(section, name, ...) char *section##_##name;
#define OPT_INT(section, name, ...)    int64_t section##_##name;
#define OPT_FLAG(section, name, ...)   bool section##_##name;
#define OPT_LIST(section, name, ...)   struct config_list section##_##name;
#include "suite/options.def"
#undef OPT_TEXT
#undef OPT_CHOICE
#undef OPT_INT
#undef OPT_FLAG
#undef OPT_LIST
};

struct option_spec {
    const char *section, *name;
    enum option_type type;
    size_t offset;            /* in struct config */
    const char *default_text; /* as it would stand in the environment */
    int64_t min, max;         /* OPTION_INT */
    const char *unit;         /* OPTION_INT */
    unsigned flags;
    const char *choices; /* OPTION_TEXT: words with '|' between, of which it must be one; or NULL */
    const char *alias;   /* second environment name, or NULL */
    const char *help;
};

extern const struct option_spec option_specs[];
extern const size_t option_spec_count;

/*
 * Defaults, then `path` (NULL: no file), then the environment. On failure false, and error says
 * what is wrong and where; *config is then to be freed all the same.
 */
#define CONFIG_DEFAULT_PATH "/etc/mtc-sync/mtc-sync.conf"
bool config_load(struct config *config, const char *path, char *error, size_t error_size);
void config_free(struct config *config);

/* $MTC_CONFIG, or CONFIG_DEFAULT_PATH if it can be read, or NULL. */
const char *config_default_path(void);

/* The environment's name of an option, e.g. MTC_SENDER_PREFETCH. */
void config_env_name(const struct option_spec *spec, char *out, size_t size);

/* The whole configuration in the file's own syntax, passwords replaced by "***". */
void config_print(const struct config *config, FILE *out);

/* All options as Markdown (docs/configuration.md is made from it). */
void config_print_reference(FILE *out);

#endif
