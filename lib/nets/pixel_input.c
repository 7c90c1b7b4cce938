/* The input of a net over pixels, joined with the condition. SPDX-License-Identifier: MIT */
#include "nets/pixel_input.h"

#include <string.h>

static glow_status add_condition(glow__pixel_input *in, glow_setup *setup,
                                 const glow__pixel_condition *condition) {
  const glow_shape *shape = &condition->shape;
  int64_t more = 0;
  GLOW_TRY(glow_condition_channels(shape, in->height, in->width, &more));
  GLOW_TRY(glow_setup_condition(setup, shape));
  in->conditioned = true;
  in->standardised = condition->standardise;
  in->repeat = more / shape->channels;
  if (in->standardised)
    GLOW_TRY(glow_setup_condition_standard(setup, shape, shape->channels, &in->standard));
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
                                      const glow__pixel_condition *condition,
                                      const glow_shape *input, const char *net) {
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
  if (condition->shape.channels)
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

glow_status glow__pixel_input_declare_rounds(const glow__pixel_input *in, glow_setup *setup,
                                             int32_t rounds, size_t bytes) {
  size_t own = in->standardised ? glow_condition_standard_bytes(&in->standard) : 0;
  rounds += glow__pixel_input_rounds(in);
  return rounds ? glow_setup_initialise(setup, rounds, own > bytes ? own : bytes) : GLOW_OK;
}

void glow__pixel_input_reset(const glow__pixel_input *in, const glow_call *call) {
  if (in->standardised)
    glow_call_condition_reset(call, &in->standard);
}

glow_status glow__pixel_input_prepare(const glow__pixel_input *in, const glow_call *call) {
  return in->standardised ? glow_call_condition_check(call, &in->standard) : GLOW_OK;
}

/* ---- passes ---------------------------------------------------------------------------------- */

/* The condition's part of a sample, joined or its gradient. */
typedef struct condition_part {
  const glow__pixel_input *in;
  const glow_call *call;
  float *joined;
} condition_part;

static float *condition_part_of(const condition_part *p, uint32_t sample) {
  return p->joined + sample * p->in->image * p->in->channels + p->in->x_channels;
}

static void standardise_sample(void *arg, uint32_t task, uint32_t worker) {
  const condition_part *p = arg;
  (void)worker;
  glow_call_condition_standardise(p->call, &p->in->standard, p->in->repeat, p->in->image,
                                  p->in->channels, condition_part_of(p, task));
}

static void unscale_sample(void *arg, uint32_t task, uint32_t worker) {
  const condition_part *p = arg;
  (void)worker;
  glow_call_condition_unscale(p->call, &p->in->standard, p->in->repeat, p->in->image,
                              p->in->channels, condition_part_of(p, task));
}

glow__pixels glow__pixel_input_join(const glow__pixel_input *in, const glow_call *call,
                                    const float *x, int64_t stride) {
  if (!in->conditioned)
    return (glow__pixels){(float *)(uintptr_t)x, stride};
  float *joined = glow_call_scratch(call, in->joined);
  glow_call_condition_join(call, in->height, in->width, in->x_channels, x, stride, joined);
  condition_part part = {in, call, joined};
  if (in->standardised)
    glow_call_run(call, (uint32_t)glow_call_sample_count(call), standardise_sample, &part);
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
  if (!in->conditioned)
    return;
  condition_part part = {in, call, glow_call_scratch(call, in->d_joined)};
  if (in->standardised && glow_call_condition_gradient(call, 0))
    glow_call_run(call, (uint32_t)glow_call_sample_count(call), unscale_sample, &part);
  glow_call_condition_split(call, in->height, in->width, in->x_channels, part.joined, dx,
                            dx_stride);
}
