/* rendezvous.c - which worker should have which partition; see rendezvous.h */
#include "rendezvous.h"

#include <stddef.h>

/* FNV-1a (IETF draft-eastlake-fnv), then the finalizer of MurmurHash3: FNV alone mixes its last bytes too
 * little. */
int32_t rendezvous_weight(const char *worker, int partition)
{
    uint64_t hash = 14695981039346656037u;
    for (; *worker; worker++)
        hash = (hash ^ (unsigned char)*worker) * 1099511628211u;
    for (int shift = 0; shift < 32; shift += 8)
        hash = (hash ^ ((unsigned)partition >> shift & 0xff)) * 1099511628211u;
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53u;
    hash ^= hash >> 33;
    return (int32_t)(hash & 0xfffff);
}
