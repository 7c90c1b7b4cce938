/* Images to latents and back: the space in which directions and paths are taken. Whitened latents
 * are standard normal under the model, so that all of them have one scale, but for models with
 * classes they are relative to the image's class; raw latents know no class.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_LATENTS_H
#define GLOWTOOL_LATENTS_H

#include "common.h"
#include "rows.h"
#include "sample_source.h"

/* Latents [count, dims] of the first `count` images; the noise inside the bins of the pixels
 * depends on the seed and the number of the image. form: GLOW_LATENTS_RAW or GLOW_LATENTS_WHITENED.
 * Latents that are not finite become NaN, and are counted in *tally. Returns an exit code. */
int encode_images(const opened_model *m, const sample_set *set, int64_t count, uint64_t seed,
                  int32_t form, float *latents, row_tally *tally);
/* labels: NULL for models without classes. pixels: [count, dims]; 0 where latents, which become 0
 * then, or the result are not finite. Images are numbered from `number`, and counted in *tally.
 * Returns an exit code. */
int decode_latents(const opened_model *m, float *latents, int32_t form, const int32_t *labels,
                   int64_t count, int64_t number, uint8_t *pixels, row_tally *tally);

#endif
