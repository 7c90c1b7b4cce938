/* Scale laws of the affine coupling: s(raw), log s and its derivative.
 *   sigmoid        s = sigmoid(raw + 2)                     log s' = 1 - sigmoid(raw + 2)
 *   exp            s = exp(raw)                             log s' = 1
 *   tanh           s = exp(2 tanh(raw / 2))                 log s' = 1 - tanh(raw / 2)^2
 *   tanh_learned   s = exp(k tanh(raw)), k learned          log s' = k (1 - tanh(raw)^2)
 *   sigmoid_floor  s = f + (1 - f) sigmoid(raw + 2)         log s' = (1 - f) s0 (1 - s0) / s,
 *                                                           where s0 = sigmoid(raw + 2)
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_SCALE_LAW_H
#define GLOW_LIB_SCALE_LAW_H

#include <glow/layer.h>
#include <math.h>

typedef struct glow__scale {
  float s, log_s, slope; /* slope: d log s / d raw */
  float unit;            /* tanh_learned: d log s / d k */
} glow__scale;

/* sigmoid(v) and log sigmoid(v), exact for large |v| too. */
static inline void glow__sigmoid(float v, float *sigmoid, float *complement, float *log_sigmoid) {
  float e = expf(-fabsf(v)), q = 1.0f / (1.0f + e);
  *sigmoid = v >= 0 ? q : e * q;
  *complement = v >= 0 ? e * q : q;
  *log_sigmoid = (v >= 0 ? 0.0f : v) - log1pf(e);
}

static inline glow__scale glow__scale_sigmoid(float raw) {
  glow__scale r = {0};
  glow__sigmoid(raw + 2.0f, &r.s, &r.slope, &r.log_s);
  return r;
}

static inline glow__scale glow__scale_tanh(float raw) {
  float t = tanhf(0.5f * raw);
  return (glow__scale){expf(2.0f * t), 2.0f * t, 1.0f - t * t, 0.0f};
}

static inline glow__scale glow__scale_learned(float raw, float k) {
  float t = tanhf(raw);
  return (glow__scale){expf(k * t), k * t, k * (1.0f - t * t), t};
}

static inline glow__scale glow__scale_floor(float raw, float floor) {
  float sigmoid, complement, log_sigmoid;
  glow__sigmoid(raw + 2.0f, &sigmoid, &complement, &log_sigmoid);
  float s = floor + (1.0f - floor) * sigmoid;
  return (glow__scale){s, logf(s), (1.0f - floor) * sigmoid * complement / s, 0.0f};
}

static inline glow__scale glow__scale_of(int32_t law, float floor, float raw) {
  switch (law) {
  case GLOW_SCALE_EXP: return (glow__scale){expf(raw), raw, 1.0f, 0.0f};
  case GLOW_SCALE_TANH: return glow__scale_tanh(raw);
  case GLOW_SCALE_SIGMOID_FLOOR: return glow__scale_floor(raw, floor);
  default: return glow__scale_sigmoid(raw);
  }
}

#endif
