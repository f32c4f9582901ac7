/* redis_url.c - the parts of redis://[user:password@]host[:port][/database]; see redis_url.h */
#include "net/redis_url.h"
#include "base/xalloc.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PORT 6379

static char *take_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    if (curl_url_get(url, part, &text, CURLU_URLDECODE) != CURLUE_OK || !text || !*text) {
        curl_free(text);
        return NULL;
    }
    char *copy = xstrdup(text);
    curl_free(text);
    return copy;
}

/* The scheme, the port and the path are to be freed by the caller. */
static void take_parts(const char *text, struct redis_url *out, char **scheme, char **port,
                       char **path)
{
    CURLU *url = curl_url();
    if (!url)
        out_of_memory(0);
    if (curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK) {
        *scheme = take_part(url, CURLUPART_SCHEME);
        out->host = take_part(url, CURLUPART_HOST);
        out->user = take_part(url, CURLUPART_USER);
        out->password = take_part(url, CURLUPART_PASSWORD);
        *port = take_part(url, CURLUPART_PORT);
        *path = take_part(url, CURLUPART_PATH);
    }
    curl_url_cleanup(url);
}

bool redis_url_parse(const char *text, struct redis_url *out, char *error, size_t error_size)
{
    char *scheme = NULL, *port = NULL, *path = NULL;
    *out = (struct redis_url){0};
    take_parts(text, out, &scheme, &port, &path);
    /* libcurl has checked that it is a port. */
    out->port = port ? (int)strtol(port, NULL, 10) : DEFAULT_PORT;
    if (path && path[1])
        out->database = xstrdup(path + 1);
    bool ok = scheme && strcmp(scheme, "redis") == 0 && out->host &&
              (!out->database || strspn(out->database, "0123456789") == strlen(out->database));
    if (!ok) {
        snprintf(error, error_size,
                 "redis.url is no redis://[user:password@]host[:port][/database]");
        redis_url_free(out);
    }
    free(scheme);
    free(port);
    free(path);
    return ok;
}

void redis_url_free(struct redis_url *url)
{
    free(url->host);
    free(url->user);
    free(url->password);
    free(url->database);
    *url = (struct redis_url){0};
}
