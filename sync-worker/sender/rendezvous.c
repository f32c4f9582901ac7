/* rendezvous.c - which worker should have which partition; see rendezvous.h */
#include "rendezvous.h"
#include "base/hash.h"

int32_t rendezvous_weight(const char *worker, int partition)
{
    return (int32_t)(hash_text(worker, (uint32_t)partition) & 0xfffff);
}
