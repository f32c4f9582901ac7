/* hash.c - hashes of short texts; see hash.h */
#include "base/hash.h"

uint64_t hash_text(const char *text, uint32_t salt)
{
    uint64_t hash = 14695981039346656037u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    for (int shift = 0; shift < 32; shift += 8)
        hash = (hash ^ (salt >> shift & 0xff)) * 1099511628211u;
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53u;
    return hash ^ hash >> 33;
}
