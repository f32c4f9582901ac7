/*
 * redis_plain.h - a blocking sign of life from Redis, for people's commands
 *
 * The twin of redis_conn.h for what may wait: mtcctl doctor asks no more than this.
 */
#ifndef MTC_REDIS_PLAIN_H
#define MTC_REDIS_PLAIN_H

#include "net/redis_conn.h"

#include <stdbool.h>
#include <stddef.h>

/* Connects, logs in if there is a password, and sends PING. False with why it got no good
 * answer. */
bool redis_plain_ping(const struct redis_conn_settings *settings, char *error, size_t error_size);

#endif
