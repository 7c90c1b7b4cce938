/* standardise: y_c = (x_c - mean_c) / deviation_c, log-det = -H W sum_c log deviation_c. Mean and
 * deviation are fixed: data-dependent initialisation sets them, and training leaves them alone.
 * For data whose channels have units of their own, such as columns of a table, in front of all
 * other layers. An actnorm cannot take its place, for x + bias has to be found by training, whose
 * steps are small beside a mean of 1e6. SPDX-License-Identifier: MIT */
#include <math.h>

#include "layers/layers.h"
#include "math/standard.h"

typedef struct standardise {
  glow_standardise_options o;
  int64_t pixels, channels; /* pixels: of a sample */
  int32_t mean, deviation;
} standardise;

/* There is no `linear`: folded into W x + b, the shift would cancel against a W x as large as the
 * mean, and what is left would have the roundings of the large ones. */

static glow_status standardise_configure(void *self, glow_setup *setup, const glow_shape *input,
                                         glow_shape *output) {
  standardise *s = self;
  int64_t dims[] = {input->channels};
  *output = *input;
  s->pixels = input->height * input->width;
  s->channels = input->channels;
  GLOW_TRY(glow_setup_tensor(setup, "mean", GLOW_TYPE_F32, 0, 1, dims, &s->mean));
  GLOW_TRY(glow_setup_tensor(setup, "deviation", GLOW_TYPE_F32, 0, 1, dims, &s->deviation));
  GLOW_TRY(glow_setup_derived(setup, sizeof(double)));
  return glow_setup_initialise(setup, GLOW_STANDARD_ROUNDS, glow__standard_bytes(s->channels));
}

static glow_status standardise_reset(const void *self, const glow_call *call) {
  const standardise *s = self;
  float *deviation = glow_call_tensor_mutable(call, s->deviation);
  for (int64_t c = 0; c < s->channels; c++)
    deviation[c] = 1.0f;
  return GLOW_OK;
}

static void standardise_set_deviations(const standardise *s, const glow_call *call) {
  const float *mean = glow_call_tensor(call, s->mean);
  float *deviation = glow_call_tensor_mutable(call, s->deviation);
  for (int64_t c = 0; c < s->channels; c++) {
    deviation[c] = glow__standard_deviation(glow_call_initialise_state(call), s->channels, c);
    if (deviation[c] > 0)
      continue;
    deviation[c] = 1.0f;
    glow_context_log(glow_call_context(call), GLOW_LOG_WARNING,
                     "layer '%s': channel %lld is constant (%g) on the data to initialise from; "
                     "its deviation is taken as 1",
                     glow_call_layer_name(call), (long long)c, (double)mean[c]);
  }
}

static glow_status standardise_initialise(const void *self, const glow_call *call, int32_t round,
                                          int32_t phase, const float *x) {
  const standardise *s = self;
  void *state = glow_call_initialise_state(call);
  if (phase == GLOW_INITIALISE_BATCH)
    glow__standard_add(state, round, glow_call_sample_count(call) * s->pixels, s->channels, x,
                       glow_call_tensor(call, s->mean));
  if (phase != GLOW_INITIALISE_END)
    return GLOW_OK;
  if (round == GLOW_STANDARD_MEANS)
    glow__standard_means(state, s->channels, glow_call_tensor_mutable(call, s->mean));
  else
    standardise_set_deviations(s, call);
  return GLOW_OK;
}

/* The log-det of a sample. */
static glow_status standardise_prepare(const void *self, const glow_call *call) {
  const standardise *s = self;
  const float *deviation = glow_call_tensor(call, s->deviation);
  double *logdet = glow_call_derived_mutable(call), sum = 0;
  for (int64_t c = 0; c < s->channels; c++) {
    if (!(deviation[c] > 0) || !isfinite(deviation[c]))
      return glow_error(GLOW_E_NUMERIC, "the deviation of channel %lld is %g; it must be above 0",
                        (long long)c, (double)deviation[c]);
    sum += log((double)deviation[c]);
  }
  *logdet = -sum * (double)s->pixels;
  return GLOW_OK;
}

static void standardise_add_logdet(const glow_call *call, double sign, double *logdet) {
  const double *each = glow_call_derived(call);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] += sign * *each;
}

static void standardise_forward(const void *self, const glow_call *call, const float *x, float *y,
                                double *logdet, double *logprior) {
  const standardise *s = self;
  const float *mean = glow_call_tensor(call, s->mean);
  const float *deviation = glow_call_tensor(call, s->deviation);
  int64_t count = glow_call_sample_count(call) * s->pixels * s->channels;
  (void)logprior;
  for (int64_t i = 0; i < count; i += s->channels)
    for (int64_t c = 0; c < s->channels; c++)
      y[i + c] = (x[i + c] - mean[c]) / deviation[c];
  standardise_add_logdet(call, 1, logdet);
}

static void standardise_undo(const standardise *s, const glow_call *call, const float *y,
                             float *x) {
  const float *mean = glow_call_tensor(call, s->mean);
  const float *deviation = glow_call_tensor(call, s->deviation);
  int64_t count = glow_call_sample_count(call) * s->pixels * s->channels;
  for (int64_t i = 0; i < count; i += s->channels)
    for (int64_t c = 0; c < s->channels; c++)
      x[i + c] = y[i + c] * deviation[c] + mean[c];
}

static glow_status standardise_inverse(const void *self, const glow_call *call, const float *y,
                                       float *x, double *logdet, double *logprior) {
  (void)logprior;
  standardise_undo(self, call, y, x);
  standardise_add_logdet(call, -1, logdet);
  return GLOW_OK;
}

/* dx = dy / deviation. */
static void standardise_backward(const void *self, const glow_call *call,
                                 const glow_layer_gradient *g) {
  const standardise *s = self;
  const float *deviation = glow_call_tensor(call, s->deviation);
  int64_t count = glow_call_sample_count(call) * s->pixels * s->channels;
  for (int64_t i = 0; i < count; i += s->channels)
    for (int64_t c = 0; c < s->channels; c++)
      g->dx[i + c] = g->dy[i + c] / deviation[c];
  if (!g->x)
    standardise_undo(s, call, g->y, g->x_out);
}

static void standardise_inverse_backward(const void *self, const glow_call *call,
                                         const glow_layer_inverse_gradient *g) {
  const standardise *s = self;
  const float *deviation = glow_call_tensor(call, s->deviation);
  int64_t count = glow_call_sample_count(call) * s->pixels * s->channels;
  for (int64_t i = 0; i < count; i += s->channels)
    for (int64_t c = 0; c < s->channels; c++)
      g->dy[i + c] = g->dx[i + c] * deviation[c];
}

/* ---- options --------------------------------------------------------------------------------- */

static const glow_options_table standardise_table = {.struct_size = sizeof(glow_options_table),
                                                     .name = "glow_standardise_options",
                                                     .size = sizeof(glow_standardise_options),
                                                     .smallest = sizeof(glow_standardise_options)};

const glow_layer_ops glow__standardise_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "standardise",
    .flags = GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS | GLOW_LAYER_ALWAYS_PREPARES,
    .options = &standardise_table,
    .self_size = sizeof(standardise),
    .configure = standardise_configure,
    .reset = standardise_reset,
    .initialise = standardise_initialise,
    .prepare = standardise_prepare,
    .forward = standardise_forward,
    .inverse = standardise_inverse,
    .backward = standardise_backward,
    .inverse_backward = standardise_inverse_backward,
};

glow_status glow_standardise_create(glow_context *context, const glow_standardise_options *options,
                                    glow_layer **out) {
  return glow_layer_create(context, &glow__standardise_ops, options, NULL, out);
}
