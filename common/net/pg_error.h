/*
 * pg_error.h - what PostgreSQL says when it refuses a statement
 *
 * Source: PostgreSQL manual, appendix A, "PostgreSQL Error Codes".
 */
#ifndef MTC_PG_ERROR_H
#define MTC_PG_ERROR_H

#include <stdbool.h>

struct pg_error {
    char sqlstate[6]; /* "" if the server did not say */
    char text[512];
};

/*
 * The statement can't work with this data (SQLSTATE classes 22, 23 and 54): trying again is no use.
 */
bool pg_error_is_data(const struct pg_error *error);

#endif
