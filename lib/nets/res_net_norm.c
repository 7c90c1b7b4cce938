/* Batch normalisation inside the residual network, with epsilon 1e-4 and no factor, since a
 * convolution with normalised weights follows; and its data-dependent initialisation, one round for
 * each norm, which sets the running averages to the moments of the data.
 * Ioffe and Szegedy 2015. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "math/moments.h"
#include "nets/res_net.h"

#define EPSILON 1e-4
enum { VECTORS = 5 };

const glow__net_norm *glow__res_norm(const glow__res_net *net, int32_t number) {
  if (number == 2 * net->blocks)
    return &net->norm;
  const glow__res_block *block = &net->block[number / 2];
  return number % 2 ? &block->norm2 : &block->norm1;
}

glow__norm_view glow__res_view(const glow__res_run *run, int32_t number) {
  int64_t hidden = run->net->hidden;
  float *at = glow_call_scratch(run->call, run->net->views) + number * VECTORS * hidden;
  return (glow__norm_view){at, at + hidden, at + 2 * hidden, at + 3 * hidden, at + 4 * hidden};
}

double *glow__res_partial(const glow__res_run *run, uint32_t strip) {
  double *partial = (double *)(void *)glow_call_scratch(run->call, run->net->partial);
  return partial + (int64_t)strip * 2 * run->net->hidden;
}

void glow__res_moments(const glow__res_run *run, uint32_t strip, const float *x, int64_t rows) {
  glow__moments_of(rows, run->net->hidden, x, glow__res_partial(run, strip));
}

/* The strips' moments, merged in order into those of the first. */
static const double *res_net_moments(const glow__res_run *run) {
  double *moments = glow__res_partial(run, 0);
  for (int64_t s = 1; s < glow__strip_count(run->pixels); s++) {
    int64_t first = s * GLOW_STRIP, rows = glow__strip_end(first, run->pixels) - first;
    glow__moments_merge(run->net->hidden, (double)first, moments, (double)rows,
                        glow__res_partial(run, (uint32_t)s));
  }
  return moments;
}

double *glow__res_total(const glow__res_run *run) {
  double *sums = glow__res_partial(run, 0);
  for (int64_t s = 1; s < glow__strip_count(run->pixels); s++)
    for (int64_t j = 0; j < 2 * run->net->hidden; j++)
      sums[j] += glow__res_partial(run, (uint32_t)s)[j];
  return sums;
}

void glow__res_choose(const glow__res_run *run, int32_t number) {
  const glow__net_norm *norm = glow__res_norm(run->net, number);
  glow__norm_view view = glow__res_view(run, number);
  int64_t hidden = run->net->hidden;
  if (norm->mean < 0) {
    for (int64_t j = 0; j < hidden; j++)
      view.mean[j] = view.bias[j] = 0.0f, view.inverse[j] = 1.0f;
    return;
  }
  const float *mean = glow_call_tensor(run->call, norm->mean);
  const float *var = glow_call_tensor(run->call, norm->var);
  float *batch_mean = glow_call_observed(run->call, norm->mean);
  float *batch_var = glow_call_observed(run->call, norm->var);
  if (glow_call_statistics(run->call) == GLOW_STATISTICS_BATCH)
    (void)glow__moments_finish((double)run->pixels, hidden, res_net_moments(run), batch_mean,
                               batch_var); /* not finite: then the loss will not be either */
  memcpy(view.mean, batch_mean ? batch_mean : mean, (size_t)hidden * sizeof(float));
  memcpy(view.bias, glow_call_tensor(run->call, norm->bias), (size_t)hidden * sizeof(float));
  for (int64_t j = 0; j < hidden; j++)
    view.inverse[j] = (float)(1.0 / sqrt((double)(batch_var ? batch_var : var)[j] + EPSILON));
}

void glow__res_activate(const glow__norm_view *view, int64_t hidden, int64_t rows, const float *x,
                        float *h) {
  const float *restrict mean = view->mean, *restrict inverse = view->inverse;
  const float *restrict bias = view->bias;
  for (int64_t p = 0; p < rows; p++)
    for (int64_t j = 0; j < hidden; j++) {
      float u = (x[p * hidden + j] - mean[j]) * inverse[j] + bias[j];
      h[p * hidden + j] = u < 0.0f ? 0.0f : u; /* NaN stays */
    }
}

/* ---- initialisation -------------------------------------------------------------------------- */

static void res_net_norm_add_batch(const glow__res_net *net, const glow_call *call, int32_t round,
                                   const float *x, int64_t stride, glow_moments *moments) {
  glow__res_run run = glow__res_run_of(net, call, x, stride);
  glow__res_forward(&run, round, NULL);
  glow__moments_merge(net->hidden, moments->rows, moments->values, (double)run.pixels,
                      res_net_moments(&run));
  moments->rows += (double)run.pixels;
}

static glow_status set_averages(const glow__res_net *net, const glow_call *call, int32_t round,
                                const glow_moments *moments) {
  const glow__net_norm *norm = glow__res_norm(net, round);
  float *means = glow_call_tensor_mutable(call, norm->mean);
  float *variances = glow_call_tensor_mutable(call, norm->var);
  for (int64_t j = 0; j < net->hidden; j++) {
    double mean, variance;
    glow_moments_channel(moments, net->hidden, j, &mean, &variance);
    means[j] = (float)mean;
    variances[j] = (float)variance;
    if (!isfinite(means[j]) || !isfinite(variances[j]))
      return glow_error(GLOW_E_NUMERIC, "net, norm %d: channel %lld is not finite", (int)round,
                        (long long)j);
  }
  return GLOW_OK;
}

glow_status glow__res_net_initialise(const void *self, const glow_call *call, int32_t round,
                                     int32_t phase, const float *x, int64_t stride) {
  const glow__res_net *net = self;
  glow_moments *moments = glow_call_initialise_state(call);
  int32_t norm = round - glow__pixel_input_rounds(&net->input);
  if (norm < 0)
    return glow_call_condition_initialise(call, &net->input.standard, round, phase);
  if (phase == GLOW_INITIALISE_BATCH)
    res_net_norm_add_batch(net, call, norm, x, stride, moments);
  else if (phase == GLOW_INITIALISE_END)
    return set_averages(net, call, norm, moments);
  return GLOW_OK;
}
