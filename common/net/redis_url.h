/*
 * redis_url.h - the parts of redis://[user:password@]host[:port][/database]
 *
 * Source: https://www.iana.org/assignments/uri-schemes/prov/redis
 */
#ifndef MTC_REDIS_URL_H
#define MTC_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>

struct redis_url { /* strings are owned; NULL where absent, but host is there */
    char *host, *user, *password, *database;
    int port; /* 6379 unless given */
};

/* False with a message for what is no such URL; there is then nothing to free. */
bool redis_url_parse(const char *text, struct redis_url *out, char *error, size_t error_size);
void redis_url_free(struct redis_url *url);

#endif
