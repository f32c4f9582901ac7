/*
 * schema.h - brings schema mtc of a database to what this program knows (migrations.h)
 *
 *   core       migrations of the tables: each once, in order
 *   functions  the families whose text is not the one applied last, all in one transaction, since
 *              they call each other; after core, whose tables they are about
 *   adapter    one repeatable file, whenever its version has risen; only the one that is named
 *
 * Each transaction has a short lock_timeout: the application is never made to wait behind a
 * migration that waits. One that fails leaves nothing behind, and what was applied before it stays.
 * A database that has another adapter than the one named is refused before anything is applied.
 * An advisory lock, held until the session ends, keeps two of them apart. A database newer than
 * this program is refused: by the versions of core and adapters, and by the version of the program
 * that applied a family of functions that is not ours.
 */
#ifndef MTC_SCHEMA_H
#define MTC_SCHEMA_H

#include "migrations.h"
#include "net/pg_plain.h"

#include <stdbool.h>
#include <stddef.h>

struct schema {
    struct pg_plain *pg; /* the caller's */
    const char *adapter; /* NULL: leave adapters alone */
    void (*on_applied)(const struct migration *migration, void *arg); /* it is committed */
    void *arg;
    char error[1024];
};

/* False: error says what failed. */
bool schema_migrate(struct schema *schema);

/* One row a family of functions that is not this program's in the database; NULL with a message. */
PGresult *schema_stale_functions(struct pg_plain *pg, char *error, size_t error_size);

#endif
