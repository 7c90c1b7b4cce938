/* The kit finds faults that are sown into what only some layers have: logits, and a way back
 * through inverse. test_layer_check.c has those that any layer may have.
 *
 * The layer: y_c = x_c + bias_c; logit k = weight_k times the sum of the sample.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <glow/sys/check.h>

enum { LOGITS = 2, SAMPLES = 3 };
static const glow_shape shape = {2, 3, 2};

typedef enum fault {
  NONE,
  REFUSES_NAN, /* no fault: inverse says of a sample that is not finite that it has none */
  LOGITS_CHANGE_INPUT,
  LOGITS_NOT_WRITTEN,
  LOGITS_NOT_FINITE,
  LOGITS_BEYOND,
  LOGITS_BEFORE,
  LOGITS_MIX_SAMPLES,
  LOGITS_NAN_SPREADS,
  LOGITS_NAN_IS_LOST,
  LOGITS_ALLOCATE,
  LOGITS_DX_WRONG,
  LOGITS_DX_OVERWRITTEN,
  LOGITS_DX_BEYOND,
  LOGITS_GRADIENT_WRONG,
  LOGITS_GRADIENT_NAN,
  LOGITS_GRADIENT_BEYOND,
  BACK_FAILS,
  BACK_DY_WRONG,
  BACK_DY_NOT_WRITTEN,
  BACK_DY_BEYOND,
  BACK_GRADIENT_SIGN,
  BACK_GRADIENT_NAN,
  BACK_ALLOCATES,
  SCALES_WITHOUT_LOGDET,
  LOGDET_OF_A_PIXEL,
  LOSES_AN_ELEMENT,
  LOGPRIOR_MIXES_SAMPLES,
  GRADIENT_IS_A_MEAN,
  DIAGNOSE_FAILS,
  DIAGNOSE_LEAKS,
  FAULTS
} fault;

typedef struct adder {
  int64_t pixels, channels, size;
  int32_t bias, weight, stored; /* stored: nothing that is read */
  fault fault;
} adder;

static glow_status configure(void *self, glow_setup *setup, const glow_shape *in, glow_shape *out) {
  adder *a = self;
  const int64_t logits[] = {LOGITS}, channels[] = {in->channels};
  a->pixels = in->height * in->width;
  a->channels = in->channels;
  a->size = a->pixels * a->channels;
  *out = *in;
  GLOW_TRY(glow_setup_tensor(setup, "bias", GLOW_TYPE_F32, 1, 1, channels, &a->bias));
  GLOW_TRY(glow_setup_tensor(setup, "weight", GLOW_TYPE_F32, 1, 1, logits, &a->weight));
  GLOW_TRY(glow_setup_stored(setup, 0, 1, &a->stored));
  return glow_setup_logits(setup, LOGITS);
}

static int64_t numbers(const adder *a, const glow_call *call) {
  return glow_call_sample_count(call) * a->size;
}

static void allocate(const glow_call *call) {
  glow_release(glow_call_context(call), glow_allocate(glow_call_context(call), 16));
}

/* As the kit fills its arrays before a call. */
static void as_it_was(float *at) {
  memcpy(at, &(const uint32_t){0x7ffda5a5}, sizeof *at);
}

static float scale_of(const adder *a) {
  return a->fault == SCALES_WITHOUT_LOGDET || a->fault == LOGDET_OF_A_PIXEL ? 2.0f : 1.0f;
}

static double logdet_of(const adder *a) {
  return a->fault == LOGDET_OF_A_PIXEL ? (double)a->channels * log(2.0) : 0.0;
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  const adder *a = self;
  const float *bias = glow_call_tensor(call, a->bias);
  for (int64_t i = 0; i < numbers(a, call); i++)
    y[i] = scale_of(a) * x[i] + bias[i % a->channels];
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    logdet[n] += logdet_of(a);
    if (a->fault == LOSES_AN_ELEMENT)
      y[n * a->size + 4] = 0.0f * x[n * a->size + 4];
    if (a->fault == LOGPRIOR_MIXES_SAMPLES)
      logprior[n] += (double)x[0];
  }
}

static glow_status inverse(const void *self, const glow_call *call, const float *y, float *x,
                           double *logdet, double *logprior) {
  const adder *a = self;
  const float *bias = glow_call_tensor(call, a->bias);
  (void)logprior;
  if (a->fault == BACK_FAILS && glow_call_stored(call, a->stored))
    return glow_error(GLOW_E_NUMERIC, "no way back");
  for (int64_t i = 0; i < numbers(a, call); i++)
    x[i] = (y[i] - bias[i % a->channels]) / scale_of(a);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    float sum = 0;
    for (int64_t i = 0; i < a->size; i++)
      sum += x[n * a->size + i];
    if (a->fault == REFUSES_NAN && !isfinite(sum))
      glow_call_fail(call, n, "the sum is %g", (double)sum);
    logdet[n] -= logdet_of(a);
  }
  return GLOW_OK;
}

static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const adder *a = self;
  float *d_bias = glow_call_gradient(call, a->bias);
  for (int64_t i = 0; i < numbers(a, call); i++) {
    g->dx[i] = scale_of(a) * g->dy[i];
    d_bias[i % a->channels] +=
        a->fault == GRADIENT_IS_A_MEAN ? g->dy[i] / (float)numbers(a, call) : g->dy[i];
  }
}

static void *leaked; /* by diagnose */

/* x = y - bias: dy = dx, d_bias = -sum dx. */
static void inverse_backward(const void *self, const glow_call *call,
                             const glow_layer_inverse_gradient *g) {
  const adder *a = self;
  float *d_bias = glow_call_gradient(call, a->bias);
  for (int64_t i = 0; i < numbers(a, call); i++) {
    g->dy[i] = a->fault == BACK_DY_WRONG && i == 5 ? 1.25f * g->dx[i] : g->dx[i];
    d_bias[i % a->channels] += a->fault == BACK_GRADIENT_SIGN ? g->dx[i] : -g->dx[i];
  }
  if (a->fault == BACK_DY_NOT_WRITTEN)
    as_it_was(g->dy + a->size + 3);
  if (a->fault == BACK_DY_BEYOND)
    g->dy[numbers(a, call) + 2] = 0;
  if (a->fault == BACK_GRADIENT_NAN)
    d_bias[1] = NAN;
  if (a->fault == BACK_ALLOCATES)
    allocate(call);
}

static void logits(const void *self, const glow_call *call, const float *x, float *out) {
  const adder *a = self;
  const float *weight = glow_call_tensor(call, a->weight);
  int64_t samples = glow_call_sample_count(call);
  for (int64_t n = 0; n < samples; n++)
    for (int k = 0; k < LOGITS; k++) {
      float sum = 0;
      for (int64_t i = 0; i < a->size; i++)
        sum += x[n * a->size + i];
      if (a->fault == LOGITS_MIX_SAMPLES)
        sum += x[0];
      if (a->fault == LOGITS_NAN_SPREADS)
        sum += 0.0f * x[0];
      if (a->fault == LOGITS_NAN_IS_LOST)
        sum = fmaxf(sum, -1e30f);
      out[n * LOGITS + k] = weight[k] * sum;
    }
  if (a->fault == LOGITS_CHANGE_INPUT)
    ((float *)(uintptr_t)x)[1] += 1;
  if (a->fault == LOGITS_NOT_WRITTEN)
    as_it_was(out + 1);
  if (a->fault == LOGITS_NOT_FINITE)
    out[samples * LOGITS - 1] = INFINITY;
  if (a->fault == LOGITS_BEYOND)
    out[samples * LOGITS] = 0;
  if (a->fault == LOGITS_BEFORE)
    out[-1] = 0;
  if (a->fault == LOGITS_ALLOCATE)
    allocate(call);
}

static void logits_backward(const void *self, const glow_call *call, const float *x,
                            const float *d_logits, float *dx) {
  const adder *a = self;
  const float *weight = glow_call_tensor(call, a->weight);
  float *d_weight = glow_call_gradient(call, a->weight);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int k = 0; k < LOGITS; k++) {
      float d = d_logits[n * LOGITS + k], share = a->fault == LOGITS_DX_WRONG ? 0.75f : 1.0f;
      for (int64_t i = n * a->size; i < (n + 1) * a->size; i++) {
        d_weight[k] += a->fault == LOGITS_GRADIENT_WRONG ? -d * x[i] : d * x[i];
        dx[i] = (k == 0 && a->fault == LOGITS_DX_OVERWRITTEN ? 0 : dx[i]) + share * d * weight[k];
      }
    }
  if (a->fault == LOGITS_DX_BEYOND)
    dx[numbers(a, call)] = 0;
  if (a->fault == LOGITS_GRADIENT_NAN)
    d_weight[0] = NAN;
  if (a->fault == LOGITS_GRADIENT_BEYOND)
    d_weight[LOGITS] = 0;
}

static glow_status diagnose(const void *self, const glow_call *call, const float *x,
                            glow_findings *findings) {
  const adder *a = self;
  (void)x, (void)findings;
  if (a->fault == DIAGNOSE_FAILS)
    return glow_error(GLOW_E_STATE, "there is nothing to say");
  if (a->fault == DIAGNOSE_LEAKS && !leaked)
    leaked = glow_allocate(glow_call_context(call), 16);
  return GLOW_OK;
}

static const char *const words[FAULTS] = {
    [LOGITS_CHANGE_INPUT] = "logits: logits changes its input",
    [LOGITS_NOT_WRITTEN] = "logits: element 1 of sample 0 is not written",
    [LOGITS_NOT_FINITE] = "logits: element 1 of sample 2 is not finite",
    [LOGITS_BEYOND] = "logits writes beyond its 6 elements",
    [LOGITS_BEFORE] = "logits writes beyond its 6 elements",
    [LOGITS_MIX_SAMPLES] = "logits: logits of a sample alone: element 0 of sample 1 is ",
    [LOGITS_NAN_SPREADS] = "not finite: logits gives other results for sample 1 while x of sample "
                           "0 is NaN: samples must not mix",
    [LOGITS_NAN_IS_LOST] = "not finite: logits: all results of sample 0 are finite, although x of "
                           "it is NaN",
    [LOGITS_ALLOCATE] = "logits: logits allocates memory",
    [LOGITS_DX_WRONG] = "gradients: gradient of x at sample ",
    [LOGITS_DX_OVERWRITTEN] = "gradients: logits_backward does not add to dx: at sample ",
    [LOGITS_DX_BEYOND] = "logits_backward writes beyond dx: 0 floats behind its end",
    [LOGITS_GRADIENT_WRONG] = "gradients: gradient of 'weight'[0] through the logits: ",
    [LOGITS_GRADIENT_NAN] = "gradient of 'weight'[0] is nan",
    [LOGITS_GRADIENT_BEYOND] = "writes beyond the gradients of its tensors",
    [BACK_DY_WRONG] = "inverse backward: backward of the negative gradients differs from -dx by ",
    [BACK_DY_NOT_WRITTEN] = "inverse_backward does not write dy at sample 1, row 0, column 1, "
                            "channel 1",
    [BACK_DY_BEYOND] = "inverse_backward writes beyond dy: 2 floats behind its end",
    [BACK_GRADIENT_SIGN] = "inverse backward: gradient of 'bias'[0] is ",
    [BACK_GRADIENT_NAN] = "gradient of 'bias'[1] is nan",
    [BACK_ALLOCATES] = "inverse_backward allocates memory",
    [SCALES_WITHOUT_LOGDET] = " from the numerical Jacobian (nothing was added?)",
    [LOGDET_OF_A_PIXEL] = " from the numerical Jacobian (a factor H W is missing?)",
    [LOSES_AN_ELEMENT] = " (the Jacobian is singular: forward loses something)",
    [LOGPRIOR_MIXES_SAMPLES] =
        "forward: log-prior of sample 1 alone differs from that in a batch of 3",
    [GRADIENT_IS_A_MEAN] = "between a call on 3 samples and 3 calls on one",
    [DIAGNOSE_FAILS] = "there is nothing to say",
    [DIAGNOSE_LEAKS] = "diagnosis: it leaves 1 allocations behind",
    [BACK_FAILS] = "inverse fails on what forward gave: no way back",
};

static glow_layer *make(glow_context *context, fault wrong) {
  glow_layer_ops ops = {.struct_size = sizeof ops, .type = "adder", .self_size = sizeof(adder)};
  glow_layer *layer = NULL;
  ops.configure = configure;
  ops.forward = forward;
  ops.inverse = inverse;
  ops.backward = backward;
  ops.inverse_backward = inverse_backward;
  ops.diagnose = diagnose;
  ops.logits = logits;
  ops.logits_backward = logits_backward;
  OK(glow_layer_create(context, &ops, NULL, NULL, &layer));
  ((adder *)glow_layer_self(layer))->fault = wrong;
  return layer;
}

/* All faults that the kit finds in one layer. */
typedef struct heard {
  char all[8000];
} heard;

static void hear(const char *check, const char *text, void *payload) {
  heard *h = payload;
  size_t used = strlen(h->all);
  snprintf(h->all + used, sizeof h->all - used, "%s: %s\n", check, text);
}

static void test_faults(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  for (int32_t wrong = NONE; wrong < FAULTS; wrong++) {
    glow_layer *layer = make(context, (fault)wrong);
    glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
    o.shape = shape;
    o.batch = SAMPLES;
    o.seed = helper_seed();
    heard h = {""};
    o.report = hear;
    o.payload = &h;
    glow_status status = glow_layer_check(context, &layer, &o);
    bool right = wrong == NONE || wrong == REFUSES_NAN;
    assert_int_equal(status, right ? GLOW_OK : GLOW_E_CHECK);
    if (!right && !strstr(h.all, words[wrong]))
      fail_msg("'%s' is not in\n%s", words[wrong], h.all);
    assert_null(layer);
    glow_release(context, leaked);
    leaked = NULL;
  }
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_faults),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
