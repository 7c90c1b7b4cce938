/* Timing, as the program sees it. SPDX-License-Identifier: MIT */
#ifndef GLOW_TESTS_CHECKKERNELS_BENCH_H
#define GLOW_TESTS_CHECKKERNELS_BENCH_H

#include "checkkernels/checkkernels.h"

void bench_set_budget(double seconds); /* for each case */
/* Plain C comes first, for the others to be compared with. */
void bench_row(const provider *p, const row *r, bool print);

#endif
