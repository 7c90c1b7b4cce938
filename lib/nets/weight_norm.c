/* Weight normalisation: the convolution's parameters and its products. Its gradients stand in
 * weight_norm_backward.c. SPDX-License-Identifier: MIT */
#include "nets/weight_norm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/strips.h"

/* Added to |v|^2, so that v = 0 is not singular. */
#define TINY 1e-12

glow_status glow__wn_conv_declare(glow__wn_conv *c, glow_setup *setup, const char *name, bool gain,
                                  bool bias, int64_t *derived) {
  const glow_math *math = glow_context_math(glow_setup_context(setup));
  int64_t side = c->taps == 9 ? 3 : 1, dims[] = {c->out, c->in, side, side}, vector[] = {c->out};
  c->gain = c->bias = -1;
  GLOW_TRY(glow_setup_push(setup, name));
  GLOW_TRY(glow_setup_tensor(setup, "weight", GLOW_TYPE_F32, 1, 4, dims, &c->v));
  if (gain)
    GLOW_TRY(glow_setup_tensor(setup, "gain", GLOW_TYPE_F32, 1, 1, vector, &c->gain));
  if (bias)
    GLOW_TRY(glow_setup_tensor(setup, "bias", GLOW_TYPE_F32, 1, 1, vector, &c->bias));
  glow_setup_pop(setup);
  c->packed = *derived;
  c->back = c->packed + glow_aligned_floats(glow_math_packed_floats(math, c->taps * c->in, c->out));
  c->inverse =
      c->back + glow_aligned_floats(glow_math_packed_floats(math, c->taps * c->out, c->in));
  *derived = c->inverse + glow_aligned_floats(c->out);
  return GLOW_OK;
}

void glow__wn_conv_build(const glow__wn_conv *c, const glow_call *call, uint64_t seed,
                         uint64_t *position) {
  int64_t count = c->out * c->in * c->taps;
  float *v = glow_call_tensor_mutable(call, c->v);
  float *gain = c->gain < 0 ? NULL : glow_call_tensor_mutable(call, c->gain);
  float deviation = (float)sqrt(2.0 / (double)(c->in * c->taps));
  glow_random_normal(seed, GLOW_STREAM_RESET, *position, v, count);
  *position += (uint64_t)count;
  for (int64_t i = 0; i < count; i++)
    v[i] *= deviation;
  for (int64_t o = 0; gain && o < c->out; o++)
    gain[o] = 1.0f;
}

/* 1 / |v_o|, or 1 without normalisation. */
static float inverse_norm(const glow__wn_conv *c, const float *v) {
  double sum = TINY;
  if (!c->normalised)
    return 1.0f;
  for (int64_t j = 0; j < c->in * c->taps; j++)
    sum += (double)v[j] * (double)v[j];
  return (float)(1.0 / sqrt(sum));
}

/* Weights go to the packers through room: as [(t, i), o] for forward, as [(t, o), i] for the data
 * gradient. */
void glow__wn_conv_prepare(const glow__wn_conv *c, const glow_call *call, float *derived,
                           float *room) {
  const glow_math *math = glow_context_math(glow_call_context(call));
  const float *v = glow_call_tensor(call, c->v);
  const float *gain = c->gain < 0 ? NULL : glow_call_tensor(call, c->gain);
  int64_t in = c->in, out = c->out, taps = c->taps;
  float *inverse = derived + c->inverse;
  for (int64_t o = 0; o < out; o++)
    inverse[o] = inverse_norm(c, v + o * in * taps);
#define WEIGHT(o, i, t) (v[((o)*in + (i)) * taps + (t)] * inverse[o] * (gain ? gain[o] : 1.0f))
  for (int64_t t = 0; t < taps; t++)
    for (int64_t i = 0; i < in; i++)
      for (int64_t o = 0; o < out; o++)
        room[(t * in + i) * out + o] = WEIGHT(o, i, t);
  glow_math_pack(math, taps * in, out, room, out, 1, derived + c->packed, 0,
                 glow_math_panel_count(math, out));
  for (int64_t t = 0; t < taps; t++)
    for (int64_t o = 0; o < out; o++)
      for (int64_t i = 0; i < in; i++)
        room[(t * out + o) * in + i] = WEIGHT(o, i, t);
#undef WEIGHT
  glow_math_pack(math, taps * out, in, room, in, 1, derived + c->back, 0,
                 glow_math_panel_count(math, in));
}

int64_t glow__wn_conv_strip_room(const glow__wn_conv *c) {
  return c->taps == 1 ? 0 : GLOW_STRIP * c->taps * (c->in > c->out ? c->in : c->out);
}

/* Rows of the product's left side for pixels [first, last): gathered taps, or the pixels. */
static const float *rows_of(const glow__wn_run *run, const float *x, int64_t channels,
                            int64_t stride, int32_t sign, int64_t first, int64_t last, float *room,
                            int64_t *row_stride) {
  const glow__wn_conv *c = run->conv;
  if (c->taps == 1) {
    *row_stride = stride;
    return x + first * stride;
  }
  *row_stride = c->taps * channels;
  glow__strip_gather(run->math, c->height, c->width, channels, x, stride, sign, first, last, room);
  return room;
}

void glow__wn_conv_forward(const glow__wn_run *run, const float *h, int64_t stride, int64_t first,
                           int64_t last, bool add, float *y, float *room) {
  const glow__wn_conv *c = run->conv;
  const glow_epilogue end = {.bias = c->bias < 0 ? NULL : glow_call_tensor(run->call, c->bias),
                             .accumulate = add};
  int64_t row_stride;
  const float *rows = rows_of(run, h, c->in, stride, 1, first, last, room, &row_stride);
  glow_math_multiply(run->math, last - first, c->out, c->taps * c->in, rows,
                     glow_math_rows(run->math, row_stride), run->derived + c->packed,
                     y + first * c->out, glow_math_rows(run->math, c->out), 0,
                     glow_math_panel_count(run->math, c->out), &end);
}

void glow__wn_conv_data_gradient(const glow__wn_run *run, const float *dy, int64_t first,
                                 int64_t last, bool add, float *dh, int64_t dh_stride,
                                 float *room) {
  const glow__wn_conv *c = run->conv;
  const glow_epilogue end = {.accumulate = add};
  int64_t row_stride;
  const float *rows = rows_of(run, dy, c->out, c->out, -1, first, last, room, &row_stride);
  glow_math_multiply(run->math, last - first, c->in, c->taps * c->out, rows,
                     glow_math_rows(run->math, row_stride), run->derived + c->back, dh,
                     glow_math_rows(run->math, dh_stride), 0,
                     glow_math_panel_count(run->math, c->in), &end);
}
