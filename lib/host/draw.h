/* Random latents of a model. SPDX-License-Identifier: MIT */
#ifndef GLOW_HOST_DRAW_H
#define GLOW_HOST_DRAW_H

#include "host/model.h"

/* Refuses temperatures that are negative or not finite. */
glow_status glow__draw_check(const glow_model *model, const glow_sample_options *options,
                             int64_t count);
/* Whitened latents [count, dims] of samples [first, first + count). log_ratio: NULL, or for each
 * log q - log p, where q is the density with these temperatures and p that of the model. */
void glow__draw(const glow_model *model, const glow_sample_options *options, int64_t first,
                int64_t count, float *latents, double *log_ratio);

#endif
