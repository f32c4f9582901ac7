/* settings.c - what the configuration says of the servers; see settings.h */
#include "suite/settings.h"
#include "base/xalloc.h"

#include <stdlib.h>

struct amqp_conn_settings settings_amqp(const struct service *service)
{
    return (struct amqp_conn_settings){
        .url = service->config->amqp_url,
        .password_file = service->config->amqp_password_file,
        .name = service->connection_name,
        .heartbeat_s = service->config->amqp_heartbeat_s,
        .rpc_timeout_ms = service->config->amqp_rpc_timeout_ms,
    };
}

struct pg_conn_settings settings_pg(const struct service *service, const char *session_sql)
{
    return (struct pg_conn_settings){
        .conninfo = service->config->postgres_conninfo,
        .password_file = service->config->postgres_password_file,
        .application_name = service->connection_name,
        .session_sql = session_sql,
        .connect_timeout_ms = service->config->postgres_connect_timeout_ms,
    };
}

struct redis_conn_settings settings_redis(const struct service *service)
{
    return (struct redis_conn_settings){
        .url = service->config->redis_url,
        .password_file = service->config->redis_password_file,
        .timeout_ms = service->config->redis_timeout_ms,
    };
}

bool settings_read_api_key(const struct service *service, char **header, char *error,
                           size_t error_size)
{
    const char *path = service->config->mtconnect_api_key_file;
    if (!*path)
        return true;
    char *key = secret_read(path, error, error_size);
    if (!key)
        return false;
    free(*header);
    *header = xasprintf("X-API-Key: %s", key);
    free(key);
    return true;
}
