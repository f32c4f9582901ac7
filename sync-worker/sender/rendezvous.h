/*
 * rendezvous.h - which worker should have which partition, without anybody deciding
 *
 * Highest random weight: every worker computes the same weight for (worker, partition); the broker
 * makes the consumer with the highest priority the active one. When a worker joins or leaves, only
 * its own partitions move. Source: Thaler and Ravishankar, "Using name-based mappings to increase
 * hit rates", IEEE/ACM ToN 6(1), 1998.
 */
#ifndef MTC_RENDEZVOUS_H
#define MTC_RENDEZVOUS_H

#include <stdint.h>

/* 0 .. 1,048,575 */
int32_t rendezvous_weight(const char *worker, int partition);

#endif
