/* permute: a fixed permutation of the channels, y_c = x_{index[c]}. Volume is kept.
 * Dinh et al. 2014 (reversal); Kingma and Dhariwal 2018, section 5.1. SPDX-License-Identifier: MIT
 * */
#include <string.h>

#include "layers/layers.h"

typedef struct permute {
  int32_t kind;
  uint64_t seed;
  int64_t pixels, channels;
  int32_t index;
} permute;

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
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

static glow_status build(const void *self, const glow_call *call) {
  const permute *p = self;
  int32_t *index = glow_call_tensor_mutable(call, p->index);
  int64_t even = (p->channels + 1) / 2;
  if (p->kind == GLOW_PERMUTATION_SHUFFLE)
    glow_random_permutation(p->seed, GLOW_STREAM_RESET, 0, index, p->channels);
  else if (p->kind == GLOW_PERMUTATION_EVEN_ODD)
    for (int64_t c = 0; c < p->channels; c++)
      index[c] = (int32_t)(c < even ? 2 * c : 2 * (c - even) + 1);
  else
    for (int64_t c = 0; c < p->channels; c++)
      index[c] = (int32_t)(p->channels - 1 - c);
  return GLOW_OK;
}

/* The index may come from a file or a caller: it must be a permutation before passes trust it. */
static glow_status prepare(const void *self, const glow_call *call) {
  const permute *p = self;
  const int32_t *index = glow_call_tensor(call, p->index);
  unsigned char *seen = glow_call_derived_mutable(call);
  memset(seen, 0, (size_t)p->channels);
  for (int64_t c = 0; c < p->channels; c++) {
    if (index[c] < 0 || index[c] >= p->channels)
      return glow_error(GLOW_E_ARGUMENT, "index[%lld] is %d, outside 0 to %lld", (long long)c,
                        index[c], (long long)p->channels - 1);
    if (seen[index[c]]++)
      return glow_error(GLOW_E_ARGUMENT, "index is not a permutation: %d is there twice", index[c]);
  }
  return GLOW_OK;
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  const permute *p = self;
  const int32_t *index = glow_call_tensor(call, p->index);
  (void)logdet;
  (void)logprior;
  for (int64_t i = 0; i < glow_call_sample_count(call) * p->pixels; i++)
    for (int64_t c = 0; c < p->channels; c++)
      y[i * p->channels + c] = x[i * p->channels + index[c]];
}

static void undo(const permute *p, const glow_call *call, const float *y, float *x) {
  const int32_t *index = glow_call_tensor(call, p->index);
  for (int64_t i = 0; i < glow_call_sample_count(call) * p->pixels; i++)
    for (int64_t c = 0; c < p->channels; c++)
      x[i * p->channels + index[c]] = y[i * p->channels + c];
}

static void inverse(const void *self, const glow_call *call, const float *y, float *x,
                    double *logdet) {
  (void)logdet;
  undo(self, call, y, x);
}

static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  undo(self, call, g->dy, g->dx);
  if (!g->x)
    undo(self, call, g->y, g->x_out);
}

static const char *const kinds[] = {[GLOW_PERMUTATION_REVERSE] = "reverse",
                                    [GLOW_PERMUTATION_SHUFFLE] = "shuffle",
                                    [GLOW_PERMUTATION_EVEN_ODD] = "even_odd"};

static glow_status save(const void *self, glow_config *config) {
  const permute *p = self;
  return glow_config_set_text(config, "kind", kinds[p->kind]);
}

static void destroy(void *self, glow_context *context) {
  glow_release(context, self);
}

static const glow_layer_ops ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "permute",
    .flags = GLOW_LAYER_RECONSTRUCTS,
    .configure = configure,
    .reset = build,
    .prepare = prepare,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .save = save,
    .destroy = destroy,
};

glow_status glow_permute_create(glow_context *context, const glow_permute_options *options,
                                glow_layer **out) {
  glow_permute_options o = GLOW_PERMUTE_OPTIONS_INIT;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_permute_create: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_permute_options"));
  if (o.kind < GLOW_PERMUTATION_REVERSE || o.kind > GLOW_PERMUTATION_EVEN_ODD || o.reserved)
    return glow_error(GLOW_E_ARGUMENT, "kind is %d; it must be one of GLOW_PERMUTE_...", o.kind);
  permute *p = glow_allocate(context, sizeof *p);
  if (!p)
    return GLOW_E_MEMORY;
  p->kind = o.kind;
  p->seed = o.seed;
  return glow_layer_create(context, &ops, p, out);
}

/* The index itself is a tensor of the file, so the seed is not needed. */
glow_status glow__permute_make(glow_context *context, const glow_config *config, glow_layer **out) {
  glow_permute_options o = GLOW_PERMUTE_OPTIONS_INIT;
  const char *kind = "reverse";
  GLOW_TRY(glow_config_get_text(config, "kind", &kind));
  for (int32_t i = GLOW_PERMUTATION_REVERSE; i <= GLOW_PERMUTATION_EVEN_ODD; i++)
    if (strcmp(kinds[i], kind) == 0)
      o.kind = i;
  if (strcmp(kinds[o.kind], kind) != 0)
    return glow_error(GLOW_E_FORMAT, "a permutation cannot be '%s'", kind);
  return glow_permute_create(context, &o, out);
}
