/* Drawing samples from a model into a picture. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_DRAW_H
#define GLOWTOOL_DRAW_H

#include "rows.h"
#include "tool.h"

/* Advice for tally_tell: where a learned scale is near 0 the inverse divides by it, and rare
 * latents overflow. */
#define DRAW_ADVICE "a lower --temperature, or training with --scale tanh, avoids it"

/* Draws `count` samples, `batch` at a time. labels: NULL for models without classes. pixels:
 * [count, dims]; 0 in samples that are not finite, which are counted in *tally. Returns an exit
 * code. */
int draw_samples(glow_workspace *workspace, const glow_model *model, int64_t batch,
                 const glow_sample_options *options, const int32_t *labels, int64_t count,
                 uint8_t *pixels, row_tally *tally);
/* Columns of a grid of `count` images: about square; with a few classes one column for each. */
int64_t grid_columns(int64_t count, int32_t classes);
/* Writes the grid of samples. columns 0: chosen. label -1: all classes in turn. */
int draw_grid(glow_workspace *workspace, const glow_model *model, int64_t batch,
              const glow_sample_options *options, int64_t label, int64_t count, int64_t columns,
              const char *path, row_tally *tally);

#endif
