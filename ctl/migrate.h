/*
 * migrate.h - mtcctl migrate: brings schema mtc to this program's version (schema.h), and writes
 * the adapter's settings
 */
#ifndef MTC_MIGRATE_H
#define MTC_MIGRATE_H

#include "suite/config.h"

/* Arguments after the verb. Returns the exit status. */
int migrate_main(const struct config *config, int argc, char **argv);

#endif
