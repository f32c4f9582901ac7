/* management.c - what only RabbitMQ's management API knows; see management.h */
#include "management.h"
#include "base/secret.h"
#include "base/xalloc.h"
#include "net/amqp_url.h"
#include "net/http_client.h"
#include "net/http_plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 3000L

static json_t *ask(const struct config *config, const struct amqp_url *broker, const char *password)
{
    char *vhost = http_escape(broker->vhost);
    char *url = xasprintf("%s/api/queues/%s?sort=name", config->ctl_management_url, vhost);
    char *user = xasprintf("%s:%s", broker->user, password);
    struct http_plain answer = http_plain_get(url, user, NULL, TIMEOUT_MS);
    json_t *queues = answer.status == 200 ? json_loadb(answer.body, answer.len, 0, NULL) : NULL;
    http_plain_free(&answer);
    free(vhost);
    free(url);
    free(user);
    return queues;
}

json_t *management_queues(const struct config *config)
{
    struct amqp_url broker;
    char error[256], *password = NULL;
    if (!*config->ctl_management_url ||
        !amqp_url_parse(config->amqp_url, &broker, error, sizeof error))
        return NULL;
    if (*config->amqp_password_file)
        password = secret_read(config->amqp_password_file, error, sizeof error);
    json_t *queues = ask(config, &broker, password ? password : broker.password);
    amqp_url_free(&broker);
    free(password);
    return queues;
}

void management_add(const json_t *queues, const char *name, json_t *queue)
{
    size_t i;
    json_t *told;
    json_array_foreach (queues, i, told) {
        const char *its = json_string_value(json_object_get(told, "name"));
        if (!its || strcmp(its, name) != 0)
            continue;
        json_t *unacked = json_object_get(told, "messages_unacknowledged");
        json_t *active = json_object_get(told, "single_active_consumer_ctag");
        if (!active) /* quorum queues have the one above, classic ones this */
            active = json_object_get(told, "single_active_consumer_tag");
        if (json_is_integer(unacked))
            json_object_set(queue, "unacked", unacked);
        if (json_is_string(active))
            json_object_set(queue, "active", active);
    }
}
