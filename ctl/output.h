/*
 * output.h - what a command found, as a table for people or as JSON for programs
 */
#ifndef MTC_OUTPUT_H
#define MTC_OUTPUT_H

#include <jansson.h>
#include <libpq-fe.h>
#include <stdbool.h>

/* A row as an object; numbers, booleans and JSON as what they are. */
json_t *output_row(const PGresult *result, int row);
json_t *output_rows(const PGresult *result);

/* Prints and frees. */
void output_json(json_t *json);

/* Columns as wide as they must be; NULL is "-". */
void output_table(const PGresult *result);

/* Control characters and what is no text are not to reach a terminal: a copy without them. Caller
 * frees. */
char *output_clean(const char *text, size_t len);

#endif
