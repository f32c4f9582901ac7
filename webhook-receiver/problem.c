/* problem.c - errors as application/problem+json; see problem.h */
#include "problem.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void problem_set(struct problem *problem, unsigned status, const char *field, const char *format,
                 ...)
{
    va_list words;
    va_start(words, format);
    problem->status = status;
    snprintf(problem->field, sizeof problem->field, "%s", field ? field : "");
    problem->closes = false;
    problem->retry_after_s = 0;
    vsnprintf(problem->detail, sizeof problem->detail, format, words);
    va_end(words);
}

const char *problem_title(unsigned status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 415:
        return "Unsupported Media Type";
    case 422:
        return "Unprocessable Content";
    case 503:
        return "Service Unavailable";
    default:
        return "Error";
    }
}

void problem_reply(struct http_exchange *exchange, const struct problem *problem)
{
    char seconds[24];
    struct http_extra extras[4] = {0};
    int count = 0;
    /* Pieces of what was sent may be quoted in the detail: what is no UTF-8 there is left out. */
    json_t *detail = json_string(problem->detail);
    json_t *body = json_pack(
        "{s:s, s:s, s:i, s:o}", "type", "about:blank", "title", problem_title(problem->status),
        "status", (int)problem->status, "detail",
        detail ? detail : json_string("the request holds bytes that are no UTF-8"));
    if (*problem->field)
        json_object_set_new(body, "field", json_string(problem->field));
    char *text = json_dumps(body, JSON_COMPACT);
    if (!text)
        out_of_memory(0);
    if (problem->retry_after_s > 0) {
        snprintf(seconds, sizeof seconds, "%" PRId64, problem->retry_after_s);
        extras[count++] = (struct http_extra){"Retry-After", seconds};
    }
    if (problem->closes)
        extras[count++] = (struct http_extra){"Connection", "close"};
    if (problem->status == 405)
        extras[count++] = (struct http_extra){"Allow", "POST"};
    if (problem->status == 401)
        extras[count++] = (struct http_extra){"WWW-Authenticate", "Signature"};
    http_reply(exchange, problem->status, "application/problem+json", text, strlen(text), extras);
    free(text);
    json_decref(body);
}
