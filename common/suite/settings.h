/*
 * settings.h - what the configuration says of the servers, as the connections want it
 */
#ifndef MTC_SETTINGS_H
#define MTC_SETTINGS_H

#include "net/amqp_conn.h"
#include "net/pg_session.h"
#include "net/redis_conn.h"
#include "suite/config.h"
#include "suite/mtconnect.h"

/* All borrow from the configuration; name is what a connection calls itself, for management UIs. */
struct amqp_conn_settings settings_amqp(const struct config *config, const char *name);
struct pg_session_settings settings_pg(const struct config *config, const char *name,
                                       const char *session_sql);
struct redis_conn_settings settings_redis(const struct config *config);
struct mtconnect_settings settings_mtconnect(const struct config *config, const char *user_agent);

#endif
