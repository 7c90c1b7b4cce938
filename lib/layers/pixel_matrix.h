/* A square matrix that is applied at every pixel: shared by the 1x1 convolution and the affine map.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_PIXEL_MATRIX_H
#define GLOW_LIB_PIXEL_MATRIX_H

#include <glow/sys/call.h>
#include <glow/sys/math.h>
#include <stdbool.h>

/* Floats of one packed matrix, rounded up to the alignment. */
int64_t glow__pixel_matrix_floats(const glow_math *math, int64_t channels);
/* Packs m [channels, channels], by rows, or its transpose. room: as many floats as m has elements.
 * */
void glow__pixel_matrix_pack(const glow_math *math, int64_t channels, const double *m,
                             bool transposed, float *room, float *packed);
/* Multiply-adds of factoring m and inverting it: C^3 / 3 and C^3. */
int64_t glow__pixel_matrix_prepare_work(int64_t channels);
/* Whether `count` elements are finite as floats. */
bool glow__pixel_matrix_finite(int64_t count, const double *m);

/* to = M from + b at pixels [first, last); b NULL: 0. */
void glow__pixel_matrix_apply(const glow_math *math, int64_t channels, const float *packed,
                              const float *b, const float *from, float *to, int64_t first,
                              int64_t last);
/* Does this at all pixels of the batch, in parallel; image: pixels of a sample. */
void glow__pixel_matrix_run(const glow_call *call, int64_t image, int64_t channels,
                            const float *packed, const float *b, const float *from, float *to);

#endif
