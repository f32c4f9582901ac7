/* pg_error.c - what PostgreSQL says when it refuses a statement; see pg_error.h */
#include "net/pg_error.h"

#include <stddef.h>
#include <string.h>

bool pg_error_is_data(const struct pg_error *error)
{
    static const char *const classes[] = {"22", "23", "54"};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (strncmp(error->sqlstate, classes[i], 2) == 0)
            return true;
    }
    return false;
}
