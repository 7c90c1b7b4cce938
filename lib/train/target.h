/* A target: what the caller gives, and calling its density. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_TARGET_H
#define GLOW_LIB_TARGET_H

#include <glow/objective.h>

#include "host/host.h"

/* Copies and checks a target for `count` samples. */
glow_status glow__target_read(const glow_target *from, int64_t count, glow_target *to);
/* Calls the density of samples `first` to `first + count - 1`: log_p [count], and gradient
 * [count, dims] or NULL. What it does not write is NaN. */
glow_status glow__target_density(const glow_target *target, const float *x, int64_t first,
                                 int64_t count, int64_t dims, double *log_p, float *gradient);

#endif
