/* Conditions for nets over pixels: a vector is added to every pixel; an image is squeezed to the
 * height and width of x, so that nothing of it is lost.
 *   channel (c f + dy) f + dx of pixel (y, x)  =  channel c of pixel (f y + dy, f x + dx)
 * SPDX-License-Identifier: MIT */
#include "host/call.h"

/* How many pixels, each way, a condition of h x w x c has for one pixel of an image; 0 for a
 * vector. */
static int64_t factor_of(const glow_shape *condition, int64_t height, int64_t width) {
  if (condition->height == 1 && condition->width == 1)
    return 0;
  int64_t f = condition->height / height;
  return f >= 1 && condition->height == f * height && condition->width == f * width ? f : -1;
}

glow_status glow_condition_channels(const glow_shape *condition, int64_t height, int64_t width,
                                    int64_t *out) {
  if (!condition || !out || height < 1 || width < 1 || condition->height < 1 ||
      condition->width < 1 || condition->channels < 1)
    return glow_error(GLOW_E_ARGUMENT, "glow_condition_channels: NULL, or a side below 1");
  int64_t f = factor_of(condition, height, width);
  if (f < 0)
    return glow_error(GLOW_E_SHAPE,
                      "a condition of %lld x %lld pixels does not fit %lld x %lld: it must be a "
                      "vector (1 x 1), or both sides the same multiple of these",
                      (long long)condition->height, (long long)condition->width, (long long)height,
                      (long long)width);
  int64_t squares = f ? f * f : 1;
  if (f > 1 << 20 || !glow_size_multiply(condition->channels, squares, out))
    return glow_error(GLOW_E_LIMIT, "a condition of too many elements");
  return GLOW_OK;
}

typedef struct condition_run {
  const glow_call *call;
  int64_t height, width, channels; /* of x */
  int64_t factor, more;            /* of the condition; channels that it adds */
  const float *from;
  float *to;
  int64_t stride;
} condition_run;

static condition_run condition_run_of(const glow_call *call, int64_t height, int64_t width,
                                      int64_t channels) {
  const glow_shape *condition = &call->model->condition;
  condition_run r = {.call = call, .height = height, .width = width, .channels = channels};
  r.factor = factor_of(condition, height, width);
  r.more = condition->channels * (r.factor ? r.factor * r.factor : 1);
  return r;
}

/* Index, in the condition, of channel k of what the condition adds to pixel p of an image. */
static int64_t condition_place(const condition_run *r, int64_t p, int64_t k) {
  int64_t f = r->factor, c = r->call->model->condition.channels;
  if (!f)
    return k;
  int64_t y = p / r->width * f + k / f % f, x = p % r->width * f + k % f;
  return (y * r->width * f + x) * c + k / (f * f);
}

/* One sample. */
static void join_sample(void *arg, uint32_t task, uint32_t worker) {
  const condition_run *r = arg;
  const float *condition = glow_call_condition(r->call, task);
  int64_t image = r->height * r->width, row = r->channels + r->more;
  (void)worker;
  for (int64_t p = 0; p < image; p++) {
    float *to = r->to + ((int64_t)task * image + p) * row;
    memcpy(to, r->from + ((int64_t)task * image + p) * r->stride, (size_t)r->channels * sizeof *to);
    for (int64_t k = 0; k < r->more; k++)
      to[r->channels + k] = condition[condition_place(r, p, k)];
  }
}

void glow_call_condition_join(const glow_call *call, int64_t height, int64_t width,
                              int64_t channels, const float *x, int64_t stride, float *joined) {
  condition_run r = condition_run_of(call, height, width, channels);
  r.from = x;
  r.stride = stride;
  r.to = joined;
  glow_call_run(call, (uint32_t)glow_call_sample_count(call), join_sample, &r);
}

static void split_sample(void *arg, uint32_t task, uint32_t worker) {
  const condition_run *r = arg;
  float *gradient = glow_call_condition_gradient(r->call, task);
  int64_t image = r->height * r->width, row = r->channels + r->more;
  (void)worker;
  for (int64_t p = 0; p < image; p++) {
    const float *from = r->from + ((int64_t)task * image + p) * row;
    float *dx = r->to + ((int64_t)task * image + p) * r->stride;
    for (int64_t j = 0; j < r->channels; j++)
      dx[j] += from[j];
    for (int64_t k = 0; gradient && k < r->more; k++)
      gradient[condition_place(r, p, k)] += from[r->channels + k];
  }
}

void glow_call_condition_split(const glow_call *call, int64_t height, int64_t width,
                               int64_t channels, const float *d_joined, float *dx,
                               int64_t dx_stride) {
  condition_run r = condition_run_of(call, height, width, channels);
  r.from = d_joined;
  r.to = dx;
  r.stride = dx_stride;
  glow_call_run(call, (uint32_t)glow_call_sample_count(call), split_sample, &r);
}
