/*
 * migrate.h - mtcctl migrate: brings schema mtc to this program's version
 *
 * Core migrations run once, in order; an adapter is one repeatable file, run whenever its version
 * rises. Each runs in a transaction of its own, under an advisory lock, with a short lock_timeout:
 * the application is never made to wait behind a migration that waits. A database newer than this
 * program is refused.
 */
#ifndef MTC_MIGRATE_H
#define MTC_MIGRATE_H

#include "suite/config.h"

#include <stddef.h>

struct migration {         /* the table is made at build time from sql/ */
    const char *component; /* "core", or an adapter's name */
    int version;
    const char *title, *sql;
};
extern const struct migration migrations[];
extern const size_t migration_count;

/* Arguments after the verb. Returns the exit status. */
int migrate_main(const struct config *config, int argc, char **argv);

#endif
