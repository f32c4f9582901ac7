/* entropy.c - the one door to randomness; see entropy.h */
#include "base/entropy.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>

static struct {
    uint64_t words[4];
    bool seeded;
} generator;

static uint64_t split(uint64_t *state)
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

void entropy_seed(uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        generator.words[i] = split(&seed);
    generator.seeded = true;
}

static void seed_from_kernel(void)
{
    uint64_t seed;
    /* 256 bytes and less come whole, and the pool is ready long before any program of ours runs. */
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        abort();
    entropy_seed(seed);
}

static uint64_t rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

uint64_t entropy_u64(void)
{
    if (!generator.seeded)
        seed_from_kernel();
    uint64_t *w = generator.words;
    uint64_t result = rotate(w[1] * 5, 7) * 9, shifted = w[1] << 17;
    w[2] ^= w[0];
    w[3] ^= w[1];
    w[1] ^= w[2];
    w[0] ^= w[3];
    w[2] ^= shifted;
    w[3] = rotate(w[3], 45);
    return result;
}

uint32_t entropy_up_to(uint32_t most)
{
    return (uint32_t)((entropy_u64() >> 32) * ((uint64_t)most + 1) >> 32);
}
