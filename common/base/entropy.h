/*
 * entropy.h - the one door to randomness
 *
 * For jitter and for names that must differ, not for secrets: the generator is xoshiro256** seeded
 * once from the kernel. With entropy_seed() every number that follows is decided, so that a run can
 * be repeated. Like the logger it is one a process.
 *
 * Source: D. Blackman and S. Vigna, "Scrambled Linear Pseudorandom Number Generators", ACM TOMS
 * 47(4), 2021; seeding by splitmix64, as they advise.
 */
#ifndef MTC_ENTROPY_H
#define MTC_ENTROPY_H

#include <stdint.h>

uint64_t entropy_u64(void);

/* A number from 0 to most, both included, each as likely as any other (to within 1 in 2^32). */
uint32_t entropy_up_to(uint32_t most);

/* From now on the numbers follow from seed. */
void entropy_seed(uint64_t seed);

#endif
