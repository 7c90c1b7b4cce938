/* What the program does with arrays and random numbers between rounds.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TESTS_CHECKKERNELS_ARRAYS_H
#define GLOW_TESTS_CHECKKERNELS_ARRAYS_H

#include "checkkernels/checkkernels.h"

/* Random numbers start again: a row sees the same ones whatever rows ran before it. */
void seed_random(uint64_t seed, const char *name);
/* Whether a read just past an array is a crash, which is the rule, or finds another page. */
void guard_reads(bool guarded);
void check_arrays(void); /* fail when something beside an array was written */
void free_arrays(void);

#endif
