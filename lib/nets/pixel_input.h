/* The input of a net over pixels: x, and at each pixel its part of the condition, standardised on
 * request: each element of a vector, or each channel of an image over its pixels.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_PIXEL_INPUT_H
#define GLOW_LIB_PIXEL_INPUT_H

#include <glow/sys/condition.h>

#include "nets/nets.h"

typedef struct glow__pixel_input {
  int64_t height, width;
  int64_t image;      /* pixels of a sample */
  int64_t x_channels; /* of x */
  int64_t channels;   /* of x and the condition */
  bool conditioned;
  bool standardised;
  glow_condition_standard standard;
  int64_t repeat; /* floats of a pixel that one column of `standard` gives: f^2 of an image */
  /* Scratch [pixels, channels], with a condition: x and condition joined; and the gradient of
   * that, for backward. */
  int32_t joined, d_joined;
} glow__pixel_input;

/* What a net's options say of it. */
typedef struct glow__pixel_condition {
  glow_shape shape; /* with 0 channels, there is none */
  int32_t standardise;
} glow__pixel_condition;

/* For a net that is configured for `input`. net: its name, for messages. */
glow_status glow__pixel_input_declare(glow__pixel_input *in, glow_setup *setup,
                                      const glow__pixel_condition *condition,
                                      const glow_shape *input, const char *net);
/* Declares the net's initialisation: `rounds` rounds of its own with `bytes` bytes of state, which
 * come after those of the condition. */
glow_status glow__pixel_input_declare_rounds(const glow__pixel_input *in, glow_setup *setup,
                                             int32_t rounds, size_t bytes);
/* Rounds of the condition; in those, initialise calls glow_call_condition_initialise. */
static inline int32_t glow__pixel_input_rounds(const glow__pixel_input *in) {
  return in->standardised ? GLOW_CONDITION_ROUNDS : 0;
}
/* Starting values; and a check of what a file may hold. */
void glow__pixel_input_reset(const glow__pixel_input *in, const glow_call *call);
glow_status glow__pixel_input_prepare(const glow__pixel_input *in, const glow_call *call);

/* Pixels of `stride` floats, of which only the first ones are read. */
typedef struct glow__pixels {
  float *at;
  int64_t stride;
} glow__pixels;

/* What the net sees: x joined with the condition, or x itself if there is no condition. Read only.
 * */
glow__pixels glow__pixel_input_join(const glow__pixel_input *in, const glow_call *call,
                                    const float *x, int64_t stride);
/* Where the net's backward adds the gradient of what it sees, */
glow__pixels glow__pixel_input_gradient(const glow__pixel_input *in, const glow_call *call,
                                        float *dx, int64_t dx_stride);
/* and what carries that on to x and the condition, if there is one. */
void glow__pixel_input_split(const glow__pixel_input *in, const glow_call *call, float *dx,
                             int64_t dx_stride);

#endif
