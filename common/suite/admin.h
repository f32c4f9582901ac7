/*
 * admin.h - /metrics, /healthz and /readyz
 *
 *   /metrics  200, Prometheus text format
 *   /healthz  200 as long as the loop turns
 *   /readyz   200, or 503 with what is missing
 */
#ifndef MTC_ADMIN_H
#define MTC_ADMIN_H

#include "base/loop.h"
#include "base/metrics.h"

#include <stdbool.h>
#include <stddef.h>

struct admin;

/* NULL with a message if address can't be listened on. */
struct admin *admin_new(struct loop *loop, const char *address, struct metrics *metrics,
                        bool (*ready)(const void *arg, const char **why), void *arg, char *error,
                        size_t error_size);
void admin_free(struct admin *admin);
unsigned admin_port(const struct admin *admin);

#endif
