/*
 * http_plain.h - one blocking GET, for people's commands
 *
 * The twin of http_client.h for what may wait. Redirects are not followed, no proxy is used, and a
 * body of more than 8 MiB is a failure.
 */
#ifndef MTC_HTTP_PLAIN_H
#define MTC_HTTP_PLAIN_H

#include <stddef.h>

struct http_plain {
    long status; /* 0: no answer; error says why */
    char *body;  /* NUL-terminated; owned: http_plain_free() */
    size_t len;
    char error[160];
    /* How far the server's clock is ahead of ours, by its Date header; 0 if it sends none. */
    double clock_ahead_s;
};

/* user: "name:password" or NULL; header: one more, "Name: value", or NULL. */
struct http_plain http_plain_get(const char *url, const char *user, const char *header,
                                 long timeout_ms);
void http_plain_free(struct http_plain *answer);

#endif
