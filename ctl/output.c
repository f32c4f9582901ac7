/* output.c - what a command found, as a table for people or as JSON for programs; see output.h */
#include "output.h"
#include "base/xalloc.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_JSON = 114,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700,
    OID_JSONB = 3802
};

static json_t *value_of(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return json_null();
    const char *text = PQgetvalue(result, row, column);
    switch (PQftype(result, column)) {
    case OID_BOOL:
        return json_boolean(*text == 't');
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
        return json_integer(strtoll(text, NULL, 10));
    case OID_FLOAT8:
    case OID_NUMERIC:
        return json_real(strtod(text, NULL));
    case OID_JSON:
    case OID_JSONB: {
        json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
        return value ? value : json_string(text);
    }
    default: {
        json_t *value = json_string(text);
        return value ? value : json_string("(no UTF-8)");
    }
    }
}

json_t *output_row(const PGresult *result, int row)
{
    json_t *object = json_object();
    for (int column = 0; column < PQnfields(result); column++)
        json_object_set_new(object, PQfname(result, column), value_of(result, row, column));
    return object;
}

json_t *output_rows(const PGresult *result)
{
    json_t *rows = json_array();
    for (int row = 0; row < PQntuples(result); row++)
        json_array_append_new(rows, output_row(result, row));
    return rows;
}

void output_json(json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(json);
}

/* Characters, as a terminal shows them: bytes that don't continue one. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static char *cell(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return xstrdup("-");
    return output_clean(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

static void put(const char *text, size_t width, bool last)
{
    fputs(text, stdout);
    for (size_t at = width_of(text); !last && at < width + 2; at++)
        putchar(' ');
}

void output_table(const PGresult *result)
{
    int columns = PQnfields(result), rows = PQntuples(result);
    size_t *widths = xcalloc((size_t)columns + 1, sizeof *widths);
    for (int column = 0; column < columns; column++) {
        widths[column] = width_of(PQfname(result, column));
        for (int row = 0; row < rows; row++) {
            char *text = cell(result, row, column);
            if (width_of(text) > widths[column])
                widths[column] = width_of(text);
            free(text);
        }
    }
    for (int row = -1; row < rows; row++) {
        for (int column = 0; column < columns; column++) {
            char *text = row < 0 ? xstrdup(PQfname(result, column)) : cell(result, row, column);
            put(text, widths[column], column == columns - 1);
            free(text);
        }
        putchar('\n');
    }
    free(widths);
}

char *output_clean(const char *text, size_t len)
{
    char *out = xmalloc(len + 1);
    for (size_t i = 0; i < len; i++)
        out[i] = iscntrl((unsigned char)text[i]) ? ' ' : text[i];
    out[len] = '\0';
    return out;
}
