/*
 * hash.h - hashes of short texts: for tables and weights, not for secrets
 *
 * FNV-1a (IETF draft-eastlake-fnv), then the finalizer of MurmurHash3: FNV alone mixes its last
 * bytes too little.
 */
#ifndef MTC_HASH_H
#define MTC_HASH_H

#include <stdint.h>

/* The same text and salt always give the same hash, on every machine. */
uint64_t hash_text(const char *text, uint32_t salt);

#endif
