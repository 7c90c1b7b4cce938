/* The scale laws over arrays. SPDX-License-Identifier: MIT */
#include "layers/scale_law.h"

#include <string.h>

static void law_exp(const glow__functions *f, int64_t count, const float *raw, glow__scales *o) {
  f->exp(count, raw, o->s);
  memcpy(o->log_s, raw, (size_t)count * sizeof *raw);
  for (int64_t i = 0; i < count; i++)
    o->slope[i] = 1.0f;
}

static void law_tanh(const glow__functions *f, int64_t count, const float *raw, glow__scales *o) {
  for (int64_t i = 0; i < count; i++)
    o->log_s[i] = 0.5f * raw[i];
  f->tanh(count, o->log_s, o->log_s);
  for (int64_t i = 0; i < count; i++) {
    float t = o->log_s[i];
    o->log_s[i] = 2.0f * t;
    o->slope[i] = 1.0f - t * t;
  }
  f->exp(count, o->log_s, o->s);
}

static void law_learned(const glow__functions *f, int64_t count, const float *raw, const float *k,
                        glow__scales *o) {
  float *t = o->unit;
  f->tanh(count, raw, t);
  for (int64_t i = 0; i < count; i++) {
    o->log_s[i] = k[i] * t[i];
    o->slope[i] = k[i] * (1.0f - t[i] * t[i]);
  }
  f->exp(count, o->log_s, o->s);
}

static void shifted(int64_t count, const float *raw, float *v) {
  for (int64_t i = 0; i < count; i++)
    v[i] = raw[i] + 2.0f;
}

static void law_sigmoid(const glow__functions *f, int64_t count, const float *raw, bool slopes,
                        glow__scales *o) {
  float v[GLOW_SCALES];
  shifted(count, raw, v);
  f->sigmoid(count, v, o->s, slopes ? o->slope : NULL, o->log_s);
}

static void law_floor(const glow__functions *f, float floor, int64_t count, const float *raw,
                      glow__scales *o) {
  shifted(count, raw, o->log_s);
  f->sigmoid(count, o->log_s, o->s, o->slope, NULL);
  for (int64_t i = 0; i < count; i++) {
    float sigmoid = o->s[i];
    o->s[i] = floor + (1.0f - floor) * sigmoid;
    o->slope[i] = (1.0f - floor) * sigmoid * o->slope[i] / o->s[i];
  }
  f->log(count, o->s, o->log_s);
}

void glow__scale_law(const glow__functions *functions, int32_t law, float floor, int64_t count,
                     const float *raw, const float *k, bool slopes, glow__scales *out) {
  switch (law) {
  case GLOW_SCALE_EXP: law_exp(functions, count, raw, out); break;
  case GLOW_SCALE_TANH: law_tanh(functions, count, raw, out); break;
  case GLOW_SCALE_TANH_LEARNED: law_learned(functions, count, raw, k, out); break;
  case GLOW_SCALE_SIGMOID_FLOOR: law_floor(functions, floor, count, raw, out); break;
  default: law_sigmoid(functions, count, raw, slopes, out); break;
  }
}
