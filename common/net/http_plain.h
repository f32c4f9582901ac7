/*
 * http_plain.h - one blocking GET, for people's commands
 */
#ifndef MTC_HTTP_PLAIN_H
#define MTC_HTTP_PLAIN_H

#include <stdbool.h>
#include <stddef.h>

struct http_plain {
    long status; /* 0: no answer; error says why */
    char *body;  /* NUL-terminated; owned: http_plain_free() */
    size_t len;
    char error[160];
    double
        clock_ahead_s; /* by its Date header, how far the server's clock is ahead of ours; 0 if it sends
                             none */
};

/* user: "name:password" or NULL; header: one more, "Name: value", or NULL. */
struct http_plain http_plain_get(const char *url, const char *user, const char *header,
                                 long timeout_ms);
void http_plain_free(struct http_plain *answer);

/* Value of a metric in Prometheus' text format; name with its labels, if it has any. False: not
 * there. */
bool http_plain_metric(const char *text, const char *name, double *value);

#endif
