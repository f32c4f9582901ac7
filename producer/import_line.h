/*
 * import_line.h - is a line fit to be emitted?
 *
 * Called by import.c for each line. It looks at the shape that import.h describes; what the values
 * mean is PostgreSQL's business, which gets the line as it is.
 */
#ifndef MTC_IMPORT_LINE_H
#define MTC_IMPORT_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* False with what is wrong. */
bool import_line_check(const char *text, size_t len, char *error, size_t error_size);

#endif
