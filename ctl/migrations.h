/*
 * migrations.h - what this program knows of schema mtc: the files under sql/, as a table
 *
 * The table is made at build time by tools/embed_sql.py, in the order in which the files are to be
 * applied: core, functions, grants, adapters.
 */
#ifndef MTC_MIGRATIONS_H
#define MTC_MIGRATIONS_H

#include <stdbool.h>
#include <stddef.h>

struct migration {
    const char *component; /* MIGRATIONS_CORE, MIGRATIONS_FUNCTIONS, or an adapter's name */
    int version;           /* 0: none; the digest tells whether a family of functions is current */
    const char *title;     /* core: what it is about; functions: the family, or MIGRATIONS_GRANTS */
    const char *digest;    /* SHA-256 of the text, in hex */
    const char *sql;
};
extern const struct migration migrations[];
extern const size_t migration_count;

#define MIGRATIONS_CORE      "core"
#define MIGRATIONS_FUNCTIONS "functions"
#define MIGRATIONS_GRANTS    "grants"

/* Highest version of a component; 0: this program does not know it. */
int migrations_newest(const char *component);

/* A family of functions, or the grants; NULL: this program does not know it. */
const struct migration *migrations_function(const char *family);

bool migrations_is_adapter(const char *component);

/* "one, other": every adapter, for people. To be freed. */
char *migrations_adapters(void);

/* {"emit DIGEST","relay DIGEST",...}: all families as PostgreSQL's text[]. To be freed. */
char *migrations_function_digests(void);

#endif
