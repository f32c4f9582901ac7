/*
 * settings.h - what the configuration says of the servers, as the connections want it
 */
#ifndef MTC_SETTINGS_H
#define MTC_SETTINGS_H

#include "net/amqp_conn.h"
#include "net/pg_conn.h"
#include "net/redis_conn.h"
#include "suite/service.h"

/* All borrow from the service's configuration. */
struct amqp_conn_settings settings_amqp(const struct service *service);
struct pg_conn_settings settings_pg(const struct service *service, const char *session_sql);
struct redis_conn_settings settings_redis(const struct service *service);

/*
 * Reads the API key into a header line, "X-API-Key: ...", in place of the one in *header (owned by
 * the caller; NULL if no key is configured). False with a message if it can't be read: *header then
 * stays what it was.
 */
bool settings_read_api_key(const struct service *service, char **header, char *error,
                           size_t error_size);

#endif
