/* The input of a net over pixels, joined with the condition. SPDX-License-Identifier: MIT */
#include "nets/pixel_input.h"

#include <string.h>

static glow_status add_condition(glow__pixel_input *in, glow_setup *setup,
                                 const glow_shape *condition) {
  int64_t more = 0;
  GLOW_TRY(glow_condition_channels(condition, in->height, in->width, &more));
  GLOW_TRY(glow_setup_condition(setup, condition));
  in->conditioned = true;
  return glow_size_add(in->x_channels, more, &in->channels)
             ? GLOW_OK
             : glow_error(GLOW_E_LIMIT, "too many channels");
}

static glow_status declare_joined(glow__pixel_input *in, glow_setup *setup) {
  int64_t floats = 0;
  if (!in->conditioned)
    return GLOW_OK;
  if (!glow_size_multiply(in->image, in->channels, &floats))
    return glow_error(GLOW_E_LIMIT, "an input with its condition is too large");
  GLOW_TRY(glow_setup_scratch(setup, 0, floats, &in->joined));
  return glow_setup_backward_scratch(setup, 0, floats, &in->d_joined);
}

glow_status glow__pixel_input_declare(glow__pixel_input *in, glow_setup *setup,
                                      const glow_shape *condition, const glow_shape *input,
                                      const char *net) {
  const int64_t limit = (int64_t)1 << 24;
  *in = (glow__pixel_input){.height = input->height,
                            .width = input->width,
                            .x_channels = input->channels,
                            .channels = input->channels,
                            .joined = -1,
                            .d_joined = -1};
  if (!glow_size_multiply(input->height, input->width, &in->image))
    return glow_error(GLOW_E_LIMIT, "%lld x %lld pixels are too many", (long long)input->height,
                      (long long)input->width);
  if (condition->channels)
    GLOW_TRY(add_condition(in, setup, condition));
  if (in->channels < 1)
    return glow_error(GLOW_E_SHAPE,
                      "a %s net has nothing to read: its input has no channels, and there is no "
                      "condition",
                      net);
  if (in->channels > limit)
    return glow_error(GLOW_E_LIMIT, "a %s net reads %lld channels; at most %lld are possible", net,
                      (long long)in->channels, (long long)limit);
  return declare_joined(in, setup);
}

glow__pixels glow__pixel_input_join(const glow__pixel_input *in, const glow_call *call,
                                    const float *x, int64_t stride) {
  if (!in->conditioned)
    return (glow__pixels){(float *)(uintptr_t)x, stride};
  float *joined = glow_call_scratch(call, in->joined);
  glow_call_condition_join(call, in->height, in->width, in->x_channels, x, stride, joined);
  return (glow__pixels){joined, in->channels};
}

glow__pixels glow__pixel_input_gradient(const glow__pixel_input *in, const glow_call *call,
                                        float *dx, int64_t dx_stride) {
  if (!in->conditioned)
    return (glow__pixels){dx, dx_stride};
  float *d = glow_call_scratch(call, in->d_joined);
  int64_t pixels = glow_call_sample_count(call) * in->image;
  memset(d, 0, (size_t)(pixels * in->channels) * sizeof *d);
  return (glow__pixels){d, in->channels};
}

void glow__pixel_input_split(const glow__pixel_input *in, const glow_call *call, float *dx,
                             int64_t dx_stride) {
  if (in->conditioned)
    glow_call_condition_split(call, in->height, in->width, in->x_channels,
                              glow_call_scratch(call, in->d_joined), dx, dx_stride);
}
