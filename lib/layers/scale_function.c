/* The scale functions over arrays. SPDX-License-Identifier: MIT */
#include "layers/scale_function.h"

#include <string.h>

static void scale_exp(const glow_math *m, int64_t count, const float *raw, glow__scales *o) {
  glow_math_exp(m, count, raw, o->s);
  memcpy(o->log_s, raw, (size_t)count * sizeof *raw);
  for (int64_t i = 0; i < count; i++)
    o->slope[i] = 1.0f;
}

static void scale_tanh(const glow_math *m, int64_t count, const float *raw, glow__scales *o) {
  for (int64_t i = 0; i < count; i++)
    o->log_s[i] = 0.5f * raw[i];
  glow_math_tanh(m, count, o->log_s, o->log_s);
  for (int64_t i = 0; i < count; i++) {
    float t = o->log_s[i];
    o->log_s[i] = 2.0f * t;
    o->slope[i] = 1.0f - t * t;
  }
  glow_math_exp(m, count, o->log_s, o->s);
}

static void scale_tanh_learned(const glow_math *m, int64_t count, const float *raw, const float *k,
                               glow__scales *o) {
  float *t = o->unit;
  glow_math_tanh(m, count, raw, t);
  for (int64_t i = 0; i < count; i++) {
    o->log_s[i] = k[i] * t[i];
    o->slope[i] = k[i] * (1.0f - t[i] * t[i]);
  }
  glow_math_exp(m, count, o->log_s, o->s);
}

static void scale_shift(int64_t count, const float *raw, float *v) {
  for (int64_t i = 0; i < count; i++)
    v[i] = raw[i] + 2.0f;
}

static void scale_sigmoid(const glow_math *m, int64_t count, const float *raw, bool slopes,
                          glow__scales *o) {
  float v[GLOW_SCALES];
  scale_shift(count, raw, v);
  glow_math_sigmoid(m, count, v, o->s, slopes ? o->slope : NULL, o->log_s);
}

static void scale_sigmoid_floor(const glow_math *m, float floor, int64_t count, const float *raw,
                                glow__scales *o) {
  scale_shift(count, raw, o->log_s);
  glow_math_sigmoid(m, count, o->log_s, o->s, o->slope, NULL);
  for (int64_t i = 0; i < count; i++) {
    float sigmoid = o->s[i];
    o->s[i] = floor + (1.0f - floor) * sigmoid;
    o->slope[i] = (1.0f - floor) * sigmoid * o->slope[i] / o->s[i];
  }
  glow_math_log(m, count, o->s, o->log_s);
}

void glow__scale_function(const glow_math *math, int32_t function, float floor, int64_t count,
                          const float *raw, const float *k, bool slopes, glow__scales *out) {
  switch (function) {
  case GLOW_SCALE_EXP: scale_exp(math, count, raw, out); break;
  case GLOW_SCALE_TANH: scale_tanh(math, count, raw, out); break;
  case GLOW_SCALE_TANH_LEARNED: scale_tanh_learned(math, count, raw, k, out); break;
  case GLOW_SCALE_SIGMOID_FLOOR: scale_sigmoid_floor(math, floor, count, raw, out); break;
  default: scale_sigmoid(math, count, raw, slopes, out); break;
  }
}
