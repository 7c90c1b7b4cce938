/* permute: a fixed permutation of the channels, y_c = x_{index[c]}. log-det = 0.
 * Dinh et al. 2014 (reversal); Kingma and Dhariwal 2018, section 5.1.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/layers.h"

typedef struct permute {
  glow_permute_options o;
  int64_t pixels, channels;
  int32_t index;
} permute;

static glow_status permute_configure(void *self, glow_setup *setup, const glow_shape *input,
                                     glow_shape *output) {
  permute *p = self;
  int64_t dims[] = {input->channels};
  *output = *input;
  p->pixels = input->height * input->width;
  p->channels = input->channels;
  if (p->channels > INT32_MAX)
    return glow_error(GLOW_E_LIMIT, "too many channels");
  GLOW_TRY(glow_setup_tensor(setup, "index", GLOW_TYPE_I32, 0, 1, dims, &p->index));
  return glow_setup_derived(setup, (size_t)p->channels);
}

static glow_status permute_reset(const void *self, const glow_call *call) {
  const permute *p = self;
  int32_t *index = glow_call_tensor_mutable(call, p->index);
  int64_t even = (p->channels + 1) / 2;
  if (p->o.kind == GLOW_PERMUTATION_SHUFFLE)
    glow_random_permutation(p->o.seed, GLOW_STREAM_RESET, 0, index, p->channels);
  else if (p->o.kind == GLOW_PERMUTATION_EVEN_ODD)
    for (int64_t c = 0; c < p->channels; c++)
      index[c] = (int32_t)(c < even ? 2 * c : 2 * (c - even) + 1);
  else
    for (int64_t c = 0; c < p->channels; c++)
      index[c] = (int32_t)(p->channels - 1 - c);
  return GLOW_OK;
}

/* The index may come from a file or a caller: it must be a permutation before passes rely on it. */
static glow_status permute_prepare(const void *self, const glow_call *call) {
  const permute *p = self;
  const int32_t *index = glow_call_tensor(call, p->index);
  unsigned char *seen = glow_call_derived_mutable(call);
  memset(seen, 0, (size_t)p->channels);
  for (int64_t c = 0; c < p->channels; c++) {
    if (index[c] < 0 || index[c] >= p->channels)
      return glow_error(GLOW_E_ARGUMENT, "index[%lld] is %d, outside 0 to %lld", (long long)c,
                        index[c], (long long)p->channels - 1);
    if (seen[index[c]]++)
      return glow_error(GLOW_E_ARGUMENT, "index is not a permutation: it has %d twice", index[c]);
  }
  return GLOW_OK;
}

static void permute_apply(const permute *p, const glow_call *call, const float *x, float *y) {
  const int32_t *index = glow_call_tensor(call, p->index);
  for (int64_t i = 0; i < glow_call_sample_count(call) * p->pixels; i++)
    for (int64_t c = 0; c < p->channels; c++)
      y[i * p->channels + c] = x[i * p->channels + index[c]];
}

static void permute_forward(const void *self, const glow_call *call, const float *x, float *y,
                            double *logdet, double *logprior) {
  (void)logdet;
  (void)logprior;
  permute_apply(self, call, x, y);
}

static void permute_undo(const permute *p, const glow_call *call, const float *y, float *x) {
  const int32_t *index = glow_call_tensor(call, p->index);
  for (int64_t i = 0; i < glow_call_sample_count(call) * p->pixels; i++)
    for (int64_t c = 0; c < p->channels; c++)
      x[i * p->channels + index[c]] = y[i * p->channels + c];
}

static glow_status permute_inverse(const void *self, const glow_call *call, const float *y,
                                   float *x, double *logdet, double *logprior) {
  (void)logdet;
  (void)logprior;
  permute_undo(self, call, y, x);
  return GLOW_OK;
}

static void permute_backward(const void *self, const glow_call *call,
                             const glow_layer_gradient *g) {
  permute_undo(self, call, g->dy, g->dx);
  if (!g->x)
    permute_undo(self, call, g->y, g->x_out);
}

static void permute_inverse_backward(const void *self, const glow_call *call,
                                     const glow_layer_inverse_gradient *g) {
  permute_apply(self, call, g->dx, g->dy);
}

/* ---- options --------------------------------------------------------------------------------- */

static const glow_choice permute_kinds[] = {{GLOW_PERMUTATION_REVERSE, 0, "reverse"},
                                            {GLOW_PERMUTATION_SHUFFLE, 0, "shuffle"},
                                            {GLOW_PERMUTATION_EVEN_ODD, 0, "even_odd"},
                                            {0, 0, NULL}};
/* The index itself is a tensor of the file, so the seed need not be saved. */
static const glow_option permute_rows[] = {
    GLOW_OPTION(glow_permute_options, kind, CHOICE, .fallback = GLOW_PERMUTATION_REVERSE,
                .choices = permute_kinds, .prefix = "GLOW_PERMUTATION_"),
    GLOW_OPTION(glow_permute_options, reserved, RESERVED, .fallback = 0),
    GLOW_OPTION(glow_permute_options, seed, UINT64, .fallback = 0),
};
static const glow_options_table permute_table = {
    GLOW_OPTIONS_TABLE(glow_permute_options, permute_rows)};

const glow_layer_ops glow__permute_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "permute",
    .flags = GLOW_LAYER_RECONSTRUCTS,
    .options = &permute_table,
    .self_size = sizeof(permute),
    .configure = permute_configure,
    .reset = permute_reset,
    .prepare = permute_prepare,
    .forward = permute_forward,
    .inverse = permute_inverse,
    .backward = permute_backward,
    .inverse_backward = permute_inverse_backward,
};

glow_status glow_permute_create(glow_context *context, const glow_permute_options *options,
                                glow_layer **out) {
  return glow_layer_create(context, &glow__permute_ops, options, NULL, out);
}
