/* amqp_url.c - the parts of amqp://user:password@host:port/vhost; see amqp_url.h */
#include "net/amqp_url.h"
#include "base/xalloc.h"
#include "net/amqp_codec.h"

#include <stdio.h>
#include <stdlib.h>

bool amqp_url_parse(const char *text, struct amqp_url *out, char *error, size_t error_size)
{
    struct amqp_connection_info info;
    char *copy = xstrdup(text); /* the parser writes into it, and info points there */
    bool ok = false;
    *out = (struct amqp_url){0};
    if (amqp_parse_url(copy, &info) != AMQP_STATUS_OK)
        snprintf(error, error_size, "amqp.url is no amqp://user:password@host:port/vhost");
    else if (info.ssl)
        snprintf(error, error_size, "amqp.url: amqps is not supported; use a local TLS proxy");
    else
        ok = true;
    if (ok) {
        /* Many write the slash, and nobody names a vhost "". */
        *out = (struct amqp_url){.user = xstrdup(info.user),
                                 .password = xstrdup(info.password),
                                 .host = xstrdup(info.host),
                                 .vhost = xstrdup(*info.vhost ? info.vhost : "/"),
                                 .port = info.port};
    }
    free(copy);
    return ok;
}

void amqp_url_free(struct amqp_url *url)
{
    free(url->user);
    free(url->password);
    free(url->host);
    free(url->vhost);
    *url = (struct amqp_url){0};
}
