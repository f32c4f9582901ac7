/* settings.c - what the configuration says of the servers; see settings.h */
#include "suite/settings.h"
#include "version.h"
#include "base/secret.h"
#include "base/xalloc.h"

#include <stdlib.h>

struct amqp_conn_settings settings_amqp(const struct config *config, const char *name)
{
    return (struct amqp_conn_settings){
        .url = config->amqp_url,
        .password_file = config->amqp_password_file,
        .name = name,
        .product = "mtc-sync",
        .version = MTC_VERSION,
        .heartbeat_s = config->amqp_heartbeat_s,
        .rpc_timeout_ms = config->amqp_rpc_timeout_ms,
    };
}

struct pg_session_settings settings_pg(const struct config *config, const char *name,
                                       const char *session_sql)
{
    return (struct pg_session_settings){
        .conninfo = config->postgres_conninfo,
        .password_file = config->postgres_password_file,
        .application_name = name,
        .session_sql = session_sql,
        .connect_timeout_ms = config->postgres_connect_timeout_ms,
    };
}

struct redis_conn_settings settings_redis(const struct config *config)
{
    return (struct redis_conn_settings){
        .url = config->redis_url,
        .password_file = config->redis_password_file,
        .timeout_ms = config->redis_timeout_ms,
    };
}

struct mtconnect_settings settings_mtconnect(const struct config *config, const char *user_agent)
{
    return (struct mtconnect_settings){
        .base_url = config->mtconnect_base_url,
        .api_key_file = config->mtconnect_api_key_file,
        .timeout_ms = config->mtconnect_timeout_ms,
        .connect_timeout_ms = config->mtconnect_connect_timeout_ms,
        .connections = config->mtconnect_connections,
        .idle_s = config->mtconnect_idle_s,
        /* One bound for all who obey Retry-After; the option is called after the first of them. */
        .retry_after_max_ms = config->sender_retry_after_max_s * 1000,
        .user_agent = user_agent,
    };
}
