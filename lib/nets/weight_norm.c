/* Weight normalisation around a convolution (math/conv.h). Gradients, with D that of w and n = |v|:
 *   d gain = (v . D) / n,  d v = gain / n (D - v (v . D) / n^2),  d bias = sum dy
 * SPDX-License-Identifier: MIT */
#include "nets/weight_norm.h"

#include <math.h>

#include "math/conv.h"

/* Added to |v|^2, so that v = 0 is not singular. */
#define TINY 1e-12

/* ---- parameters ------------------------------------------------------------------------------ */

glow_status glow__wn_declare(glow__wn_conv *c, glow_setup *setup, const char *name, bool gain,
                             bool bias, int64_t *derived) {
  const glow_math *math = glow_context_math(glow_setup_context(setup));
  int64_t dims[] = {c->conv.out, c->conv.in, c->conv.size, c->conv.size};
  int64_t vector[] = {c->conv.out};
  c->gain = c->bias = -1;
  GLOW_TRY(glow_conv_check(&c->conv));
  GLOW_TRY(glow_setup_push(setup, name));
  GLOW_TRY(glow_setup_weights(setup, "weight", 4, dims, &c->v));
  if (gain)
    GLOW_TRY(glow_setup_tensor(setup, "gain", GLOW_TYPE_F32, 1, 1, vector, &c->gain));
  if (bias)
    GLOW_TRY(glow_setup_tensor(setup, "bias", GLOW_TYPE_F32, 1, 1, vector, &c->bias));
  glow_setup_pop(setup);
  c->packed = *derived;
  c->back = c->packed + glow_aligned_floats(glow_conv_packed_floats(math, &c->conv, 0));
  c->inverse = c->back + glow_aligned_floats(glow_conv_packed_floats(math, &c->conv, 1));
  *derived = c->inverse + glow_aligned_floats(c->conv.out);
  return GLOW_OK;
}

void glow__wn_reset(const glow__wn_conv *c, const glow_call *call, uint64_t seed,
                    uint64_t *position) {
  int64_t count = glow_conv_weight_floats(&c->conv);
  float *v = glow_call_tensor_mutable(call, c->v);
  float *gain = c->gain < 0 ? NULL : glow_call_tensor_mutable(call, c->gain);
  float deviation = (float)sqrt(2.0 / (double)(c->conv.in * glow__conv_taps(&c->conv)));
  glow_random_normal(seed, GLOW_STREAM_RESET, *position, v, count);
  *position += (uint64_t)count;
  for (int64_t i = 0; i < count; i++)
    v[i] *= deviation;
  for (int64_t o = 0; gain && o < c->conv.out; o++)
    gain[o] = 1.0f;
}

/* 1 / |v_o|, or 1 without normalisation. */
static float inverse_norm(const glow__wn_conv *c, const float *v) {
  double sum = TINY;
  if (!c->normalised)
    return 1.0f;
  for (int64_t j = 0; j < c->conv.in * glow__conv_taps(&c->conv); j++)
    sum += (double)v[j] * (double)v[j];
  return (float)(1.0 / sqrt(sum));
}

/* w is where it will be packed last. */
void glow__wn_prepare(const glow__wn_conv *c, const glow_call *call, float *derived, float *room) {
  const glow_math *math = glow_context_math(glow_call_context(call));
  const float *v = glow_call_tensor(call, c->v);
  const float *gain = c->gain < 0 ? NULL : glow_call_tensor(call, c->gain);
  int64_t row = c->conv.in * glow__conv_taps(&c->conv);
  float *inverse = derived + c->inverse, *w = derived + c->back;
  for (int64_t o = 0; o < c->conv.out; o++) {
    inverse[o] = inverse_norm(c, v + o * row);
    for (int64_t j = 0; j < row; j++)
      w[o * row + j] = v[o * row + j] * inverse[o] * (gain ? gain[o] : 1.0f);
  }
  glow_conv_pack(math, &c->conv, 0, w, room, derived + c->packed);
  glow_conv_pack(math, &c->conv, 1, w, room, w);
}

/* ---- passes ---------------------------------------------------------------------------------- */

void glow__wn_forward(const glow__wn_run *run, const float *h, int64_t stride, int64_t first,
                      int64_t last, bool add, float *y, float *room) {
  const glow__wn_conv *c = run->c;
  const glow_epilogue end = {.bias = c->bias < 0 ? NULL : glow_call_tensor(run->call, c->bias),
                             .accumulate = add};
  glow_conv_forward(run->math, &c->conv, run->derived + c->packed, first, last, h, stride, y,
                    c->conv.out, &end, room);
}

void glow__wn_data_gradient(const glow__wn_run *run, const float *dy, int64_t first, int64_t last,
                            bool add, float *dh, int64_t dh_stride, float *room) {
  const glow__wn_conv *c = run->c;
  const glow_epilogue end = {.accumulate = add};
  glow_conv_data_gradient(run->math, &c->conv, run->derived + c->back, first, last, dy, c->conv.out,
                          dh, dh_stride, &end, room);
}

/* ---- gradients of the parameters ------------------------------------------------------------- */

typedef struct gradient_run {
  const glow__wn_run *run;
  glow__conv_sum sum;
  float *d; /* D, [(t, i), o] */
  int32_t room;
} gradient_run;

static void part_task(void *arg, uint32_t part, uint32_t worker) {
  const gradient_run *g = arg;
  const glow__wn_conv *c = g->run->c;
  float *room = glow_call_worker_scratch(g->run->call, g->room, worker);
  if (part > 0) {
    glow__conv_rows rows = glow__conv_part(&c->conv, part);
    glow__conv_rows_gradient(&g->sum, rows, g->d + rows.first * c->conv.out, room);
  } else if (c->bias >= 0) {
    glow__conv_bias_gradient(&g->sum, glow_call_gradient(g->run->call, c->bias), room);
  }
}

/* From D to v and gain, for one output. */
static void output_task(void *arg, uint32_t o, uint32_t worker) {
  const gradient_run *g = arg;
  const glow_call *call = g->run->call;
  const glow__wn_conv *c = g->run->c;
  int64_t in = c->conv.in, out = c->conv.out, taps = glow__conv_taps(&c->conv);
  const float *v = (const float *)glow_call_tensor(call, c->v) + o * in * taps;
  const float *gain = c->gain < 0 ? NULL : glow_call_tensor(call, c->gain);
  float *dv = glow_call_gradient(call, c->v) + o * in * taps;
  double inverse = (double)g->run->derived[c->inverse + o], along = 0;
  double factor = inverse * (gain ? (double)gain[o] : 1.0);
  (void)worker;
#define D(i, t) (double)g->d[((t)*in + (i)) * out + o]
  for (int64_t i = 0; c->normalised && i < in; i++)
    for (int64_t t = 0; t < taps; t++)
      along += (double)v[i * taps + t] * D(i, t);
  if (gain)
    glow_call_gradient(call, c->gain)[o] += (float)(along * inverse);
  along *= inverse * inverse;
  for (int64_t i = 0; i < in; i++)
    for (int64_t t = 0; t < taps; t++)
      dv[i * taps + t] += (float)(factor * (D(i, t) - (double)v[i * taps + t] * along));
#undef D
}

void glow__wn_gradients(const glow__wn_run *run, const float *h, int64_t stride, const float *dy,
                        float *d, int32_t room) {
  const glow_conv *conv = &run->c->conv;
  if (!glow_call_gradient(run->call, run->c->v))
    return;
  const glow__conv_sum sum = {run->math, conv, run->pixels, h, dy, stride, conv->out};
  gradient_run g = {run, sum, d, room};
  glow_call_run(run->call, (uint32_t)glow_conv_gradient_parts(conv), part_task, &g);
  glow_call_run(run->call, (uint32_t)conv->out, output_task, &g);
}
