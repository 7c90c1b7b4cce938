/* A square matrix that is applied at every pixel. SPDX-License-Identifier: MIT */
#include <math.h>

#include "layers/groups.h"
#include "layers/layers.h"
#include "layers/pixel_matrix.h"

int64_t glow__pixel_matrix_floats(const glow_math *math, int64_t channels) {
  return glow_aligned_floats(glow_math_packed_floats(math, channels, channels));
}

void glow__pixel_matrix_pack(const glow_math *math, int64_t channels, const double *m,
                             bool transposed, float *room, float *packed) {
  for (int64_t i = 0; i < channels * channels; i++)
    room[i] = (float)m[i];
  glow_math_pack(math, channels, channels, room, transposed ? channels : 1,
                 transposed ? 1 : channels, packed, 0, glow_math_panel_count(math, channels));
}

int64_t glow__pixel_matrix_prepare_work(int64_t channels) {
  int64_t square, cube, sum;
  bool fits = glow_size_multiply(channels, channels, &square) &&
              glow_size_multiply(square, channels, &cube) && glow_size_add(cube, cube / 3, &sum);
  return fits ? sum : INT64_MAX;
}

bool glow__pixel_matrix_finite(int64_t count, const double *m) {
  for (int64_t i = 0; i < count; i++)
    if (!isfinite((float)m[i]))
      return false;
  return true;
}

void glow__pixel_matrix_apply(const glow_math *math, int64_t channels, const float *packed,
                              const float *b, const float *from, float *to, int64_t first,
                              int64_t last) {
  const glow_epilogue end = {.bias = b};
  glow_layout layout = glow_math_rows(math, channels);
  glow_math_multiply(math, last - first, channels, channels, from + first * channels, layout,
                     packed, to + first * channels, layout, 0,
                     glow_math_panel_count(math, channels), &end);
}

typedef struct matrix_run {
  const glow_math *math;
  glow__groups groups;
  int64_t image, channels;
  const float *packed, *b, *from;
  float *to;
} matrix_run;

static void apply_group(void *arg, uint32_t task, uint32_t worker) {
  const matrix_run *r = arg;
  (void)worker;
  glow__pixel_matrix_apply(r->math, r->channels, r->packed, r->b, r->from, r->to,
                           glow__group_first(&r->groups, task) * r->image,
                           glow__group_last(&r->groups, task) * r->image);
}

void glow__pixel_matrix_run(const glow_call *call, int64_t image, int64_t channels,
                            const float *packed, const float *b, const float *from, float *to) {
  matrix_run r = {.math = glow__math_of(call),
                  .groups = glow__groups_of(glow_call_sample_count(call), image * channels),
                  .image = image,
                  .channels = channels,
                  .packed = packed,
                  .b = b,
                  .from = from,
                  .to = to};
  glow_call_run(call, glow__group_count(&r.groups), apply_group, &r);
}
