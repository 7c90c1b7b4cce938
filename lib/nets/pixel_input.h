/* The input of a net over pixels: x, and at each pixel its part of the condition.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_PIXEL_INPUT_H
#define GLOW_LIB_PIXEL_INPUT_H

#include "nets/nets.h"

typedef struct glow__pixel_input {
  int64_t height, width;
  int64_t image;      /* pixels of a sample */
  int64_t x_channels; /* of x */
  int64_t channels;   /* of x and the condition */
  bool conditioned;
  /* Scratch [pixels, channels], with a condition: x and condition joined; and the gradient of
   * that, for backward. */
  int32_t joined, d_joined;
} glow__pixel_input;

/* For a net that is configured for `input`. condition: with 0 channels, there is none. net: its
 * name, for messages. */
glow_status glow__pixel_input_declare(glow__pixel_input *in, glow_setup *setup,
                                      const glow_shape *condition, const glow_shape *input,
                                      const char *net);

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
