/*
 * problem.h - errors as application/problem+json
 *
 * Source: RFC 9457, "Problem Details for HTTP APIs". Where a part of the request is at fault, the
 * member `field` names it: a header, or a member of the body.
 */
#ifndef MTC_PROBLEM_H
#define MTC_PROBLEM_H

#include "net/http_server.h"

#include <stdint.h>

struct problem {
    unsigned status;
    char field[64];        /* "": none */
    bool closes;           /* the connection is closed after it */
    int64_t retry_after_s; /* 0: no Retry-After */
    char detail[256];
};

void problem_set(struct problem *problem, unsigned status, const char *field, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));

/* The title of a status, as RFC 9110 calls it. */
const char *problem_title(unsigned status);

void problem_reply(struct http_exchange *exchange, const struct problem *problem);

#endif
