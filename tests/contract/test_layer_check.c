/* The kit finds faults that are sown into a layer, and says which and where; it finds none in
 * layers that are right in unusual ways.
 *
 * The layer: t = asinh(x) exp(logs_c) + bias_c, y = sinh(t) (Jones and Pewsey 2009), elementwise;
 * log-det = sum log cosh t + logs - 1/2 log(1 + x^2). With latents, the second half of its channels
 * are latents under N(0, 1); with labels, the bias has a row for each class.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <glow/sys/check.h>

enum { CLASSES = 3 };

/* What is right about it. */
enum {
  BY_TASKS = 1,
  LATENTS = 2,
  LABELS = 4,
  IN_PLACE = 8,
  RECONSTRUCTS = 16,
  ALWAYS = 32,
  ALL_TRAITS = 63
};

/* What is wrong with it. */
typedef enum fault {
  NONE,
  LOGDET_OF_A_PIXEL,
  LOGDET_SIGN,
  LOGDET_OVERWRITES,
  LOGPRIOR_CONSTANT,
  GRADIENT_SIGN,
  GRADIENT_OVERWRITES,
  GRADIENT_WITHOUT_LOGDET,
  GRADIENT_OF_LOGPRIOR,
  DX_NOT_WRITTEN,
  DX_WRONG,
  INVERSE_OFF,
  INVERSE_LOGDET,
  INVERSE_LOGPRIOR,
  DX_NEEDS_GRADIENTS,
  WHITENED_OFF,
  WRITES_BEYOND_Y,
  WRITES_BEYOND_SCRATCH,
  READS_SCRATCH,
  HAS_STATE,
  CHANGES_INPUT,
  MIXES_SAMPLES,
  BACKWARD_OF_THE_LAST,
  SAVED_NOT_FILLED,
  RECONSTRUCTS_WRONG,
  NOT_IN_PLACE,
  PARAMETER_NOT_DECLARED,
  OPTION_CHANGED,
  OPTION_NOT_IN_TABLE,
  INVERSE_NEEDS_EXTRA, /* what the way back needs is not saved; the way forward does not need it */
  LEAKS,
  WRONG_STATUS,
  ALLOCATES,
  ORDER_OF_TASKS,
  BUILDS_NAN,
  PREPARE_FAILS,
  STALE_DERIVED,
  INVERSE_FAILS,
  NAN_SPREADS,
  NAN_SPREADS_BACK,
  NAN_IS_LOST,
  NAN_IS_LOST_BACK,
  NAN_ENDS_INVERSE,
  WRITES_BEFORE_Y,
  WRITES_BEYOND_LATENTS,
  LATENTS_NOT_WRITTEN,
  LOGDET_NAN,
  LOGPRIOR_NAN,
  WRITES_BEYOND_SAVED,
  INVERSE_NOT_WRITTEN,
  INVERSE_WRITES_BEYOND_X,
  INVERSE_LOGDET_NAN,
  INVERSE_LOGPRIOR_NAN,
  INVERSE_OVERWRITES,
  INVERSE_CHANGES_Y,
  INVERSE_CHANGES_LATENTS,
  INVERSE_HAS_STATE,
  INVERSE_MIXES_SAMPLES,
  X_OUT_NOT_WRITTEN,
  GRADIENT_NAN,
  WRITES_BEYOND_GRADIENTS,
  WRITES_BEFORE_GRADIENTS,
  FAULTS
} fault;

typedef struct bend_options {
  size_t struct_size;
  int32_t traits;
  int32_t fault;
  double floor;  /* the least slope: e^logs is this more */
  int32_t label; /* does nothing */
  int32_t reserved;
} bend_options;

typedef struct bend {
  bend_options options;
  fault fault;
  int32_t traits;
  int64_t pixels, channels, kept; /* kept: channels that are not latents */
  float hidden;                   /* a parameter that nobody knows of */
  int32_t bias, logs, scratch, saved;
  void *extra; /* more memory */
  float *last; /* what forward left here for backward */
  float calls;
} bend;

/* ---- declaring ------------------------------------------------------------------------------- */

static glow_status configure(void *self, glow_setup *setup, const glow_shape *in, glow_shape *out) {
  bend *b = self;
  int64_t dims[] = {CLASSES, in->channels}, size = in->height * in->width * in->channels;
  *out = *in;
  b->pixels = in->height * in->width;
  b->channels = b->kept = in->channels;
  glow_status status = GLOW_OK;
  if (b->traits & LATENTS) {
    const glow_shape latents = {in->height, in->width, in->channels - in->channels / 2};
    out->channels = b->kept = in->channels / 2;
    status = glow_setup_latents(setup, &latents);
  }
  if (status == GLOW_OK && b->traits & LABELS)
    status = glow_setup_labels(setup, CLASSES);
  if (status == GLOW_OK)
    status = b->traits & LABELS
                 ? glow_setup_tensor(setup, "bias", GLOW_TYPE_F32, 1, 2, dims, &b->bias)
                 : glow_setup_tensor(setup, "bias", GLOW_TYPE_F32, 1, 1, dims + 1, &b->bias);
  if (status == GLOW_OK)
    status = glow_setup_tensor(setup, "logs", GLOW_TYPE_F32, 1, 1, dims + 1, &b->logs);
  if (status == GLOW_OK)
    status = glow_setup_derived(setup, (size_t)in->channels * sizeof(float));
  if (status == GLOW_OK)
    status = glow_setup_scratch(setup, 0, size, &b->scratch);
  return status == GLOW_OK ? glow_setup_stored(setup, 0, size, &b->saved) : status;
}

static glow_status reset(const void *self, const glow_call *call) {
  const bend *b = self;
  float *logs = glow_call_tensor_mutable(call, b->logs);
  for (int64_t c = 0; c < b->channels; c++)
    logs[c] = b->fault == BUILDS_NAN && c == 1 ? NAN : 0.1f;
  return GLOW_OK;
}

static glow_status prepare(const void *self, const glow_call *call) {
  const bend *b = self;
  const float *logs = glow_call_tensor(call, b->logs);
  float *slope = glow_call_derived_mutable(call);
  for (int64_t c = 0; c < b->channels; c++) {
    if (b->fault == PREPARE_FAILS && logs[c] > 1)
      return glow_error(GLOW_E_NUMERIC, "the slope of channel %d is too steep", (int)c);
    slope[c] = expf(b->fault == STALE_DERIVED ? 0.1f : logs[c]) + (float)b->options.floor;
  }
  return GLOW_OK;
}

/* ---- passes ---------------------------------------------------------------------------------- */

/* What forward adds to t. */
static double hidden_of(const bend *b) {
  return b->fault == PARAMETER_NOT_DECLARED ? (double)b->hidden : 0.0;
}

static const float *bias_of(const bend *b, const glow_call *call, int64_t n) {
  const float *bias = glow_call_tensor(call, b->bias);
  return b->traits & LABELS ? bias + glow_call_labels(call)[n] * b->channels : bias;
}

/* Where output channel c of pixel p of sample n is. */
static float *place(const bend *b, const glow_call *call, float *y, int64_t n, int64_t p,
                    int64_t c) {
  if (c < b->kept)
    return y + (n * b->pixels + p) * b->kept + c;
  return glow_call_latents(call) + n * glow_call_latent_stride(call) + p * (b->channels - b->kept) +
         c - b->kept;
}

static double gaussian(double z) {
  return -0.5 * (z * z + log(2 * M_PI));
}

static void forward_sample(const bend *b, const glow_call *call, int64_t n, const float *x,
                           float *y, double *logdet, double *logprior) {
  const float *slope = glow_call_derived(call), *bias = bias_of(b, call, n);
  float *scratch = glow_call_scratch(call, b->scratch), *kept = glow_call_stored(call, b->saved);
  double sum = 0, first = 0;
  for (int64_t p = 0; p < b->pixels; p++) {
    for (int64_t c = 0; c < b->channels; c++) {
      int64_t i = (n * b->pixels + p) * b->channels + c;
      double in = (double)x[b->fault == MIXES_SAMPLES ? i % (b->pixels * b->channels) : i];
      if (b->fault == NAN_SPREADS) /* changes nothing but zero times what is not finite */
        in += 0.0 * (double)x[i % (b->pixels * b->channels)];
      if (b->fault == NAN_IS_LOST)
        in = fmin(in, 1e6);
      double t = asinh(in) * (double)slope[c] + (double)bias[c] + hidden_of(b);
      float *out = place(b, call, y, n, p, c);
      if (b->fault == HAS_STATE)
        t += 1e-3 * (double)((bend *)(uintptr_t)b)->calls;
      sum += log(cosh(t)) + log((double)slope[c]) - 0.5 * log1p(in * in);
      if (scratch)
        scratch[i] = b->fault == READS_SCRATCH ? scratch[i] + (float)t : (float)t;
      if (kept && b->fault != SAVED_NOT_FILLED)
        kept[i] = (float)t;
      if (b->last)
        b->last[i % 1024] = (float)t;
      *out = sinhf(b->fault == READS_SCRATCH ? scratch[i] : (float)t);
      if (b->fault == NOT_IN_PLACE)
        *out += 0.0f * (float)in + (c ? 0.25f * (x[i - 1] - x[i - 1]) : 0.0f) +
                (y == x && c ? 0.5f : 0.0f);
      if (c >= b->kept)
        *logprior += gaussian((double)*out) + (b->fault == LOGPRIOR_CONSTANT ? 0.5 : 0.0);
      if (c >= b->kept && b->fault == WHITENED_OFF &&
          glow_call_latent_form(call) == GLOW_LATENTS_WHITENED)
        *out *= 0.5f;
    }
    if (p == 0)
      first = sum;
  }
  if (b->fault == LOGDET_OVERWRITES)
    *logdet = 0;
  *logdet += b->fault == LOGDET_OF_A_PIXEL ? first : b->fault == LOGDET_SIGN ? -sum : sum;
}

typedef struct run {
  const bend *b;
  const glow_call *call;
  const float *x;
  float *y;
  double *logdet, *logprior;
  const glow_layer_gradient *g;
} run;

static void forward_task(void *arg, uint32_t n, uint32_t worker) {
  const run *r = arg;
  (void)worker;
  forward_sample(r->b, r->call, n, r->x, r->y, &r->logdet[n], &r->logprior[n]);
}

static void for_samples(const bend *b, const glow_call *call, glow_task_fn fn, run *r) {
  uint32_t samples = (uint32_t)glow_call_sample_count(call);
  if (b->traits & BY_TASKS)
    glow_call_run(call, samples, fn, r);
  else
    for (uint32_t n = 0; n < samples; n++)
      fn(r, n, 0);
}

/* Faults in what forward writes, and where. */
static void forward_ends_wrong(const bend *b, const glow_call *call, float *y, double *logdet,
                               double *logprior) {
  int64_t samples = glow_call_sample_count(call), last = samples - 1;
  if (b->fault == WRITES_BEFORE_Y)
    y[-2] = 0;
  if (b->fault == WRITES_BEYOND_LATENTS)
    glow_call_latents(call)[b->pixels * (b->channels - b->kept) + 1] = 0;
  if (b->fault == LATENTS_NOT_WRITTEN) /* as the kit left it */
    memcpy(glow_call_latents(call) + 5, &(const uint32_t){0x7ffda5a5}, sizeof(float));
  if (b->fault == LOGDET_NAN)
    logdet[last] = NAN;
  if (b->fault == LOGPRIOR_NAN)
    logprior[last] = INFINITY;
  if (b->fault == WRITES_BEYOND_SAVED && glow_call_stored(call, b->saved))
    glow_call_stored(call, b->saved)[samples * b->pixels * b->channels + 1] = 0;
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  const bend *b = self;
  int64_t samples = glow_call_sample_count(call);
  run r = {.b = b, .call = call, .x = x, .y = y, .logdet = logdet, .logprior = logprior};
  for_samples(b, call, forward_task, &r);
  if (b->fault == HAS_STATE)
    ((bend *)(uintptr_t)b)->calls++;
  if (b->fault == CHANGES_INPUT)
    ((float *)(uintptr_t)x)[5] = 7;
  if (b->fault == WRITES_BEYOND_Y)
    y[samples * b->pixels * b->kept + 3] = 0;
  if (b->fault == WRITES_BEYOND_SCRATCH)
    glow_call_scratch(call, b->scratch)[samples * b->pixels * b->channels] = 0;
  if (b->fault == ALLOCATES)
    glow_release(glow_call_context(call), glow_allocate(glow_call_context(call), 16));
  forward_ends_wrong(b, call, y, logdet, logprior);
}

/* Element (p, c) of the output of sample n, as forward computed it. */
static double given_output(const bend *b, const glow_call *call, const float *y, int64_t n,
                           int64_t p, int64_t c) {
  double out = (double)*place(b, call, (float *)(uintptr_t)y, n, p, c);
  bool halved = c >= b->kept && b->fault == WHITENED_OFF &&
                glow_call_latent_form(call) == GLOW_LATENTS_WHITENED;
  return halved ? 2 * out : out;
}

/* Log-density of the latents of sample n. */
static double latent_density(const bend *b, const glow_call *call, int64_t n, const float *y) {
  double sum = 0;
  for (int64_t p = 0; p < b->pixels; p++)
    for (int64_t c = b->kept; c < b->channels; c++)
      sum +=
          gaussian(given_output(b, call, y, n, p, c)) + (b->fault == LOGPRIOR_CONSTANT ? 0.5 : 0.0);
  return sum;
}

/* x of sample n; returns forward's log-det. */
static double undo_sample(const bend *b, const glow_call *call, int64_t n, const float *y,
                          float *x) {
  const float *slope = glow_call_derived(call), *bias = bias_of(b, call, n);
  double sum = 0;
  for (int64_t p = 0; p < b->pixels; p++)
    for (int64_t c = 0; c < b->channels; c++) {
      double out = given_output(b, call, y, n, p, c);
      if (b->fault == NAN_SPREADS_BACK)
        out += 0.0 * (double)*place(b, call, (float *)(uintptr_t)y, 0, p, c);
      if (b->fault == NAN_IS_LOST_BACK)
        out = fmin(out, 1e6);
      double t = asinh(out);
      double in = sinh((t - (double)bias[c] - hidden_of(b)) / (double)slope[c]);
      x[(n * b->pixels + p) * b->channels + c] = (float)in;
      sum += log(cosh(t)) + log((double)slope[c]) - 0.5 * log1p(in * in);
    }
  return sum;
}

/* Forward's log-det of the first pixel alone. */
static double first_pixel(const bend *b, const glow_call *call, int64_t n, const float *x) {
  const float *slope = glow_call_derived(call), *bias = bias_of(b, call, n);
  double sum = 0;
  for (int64_t c = 0; c < b->channels; c++) {
    double in = (double)x[n * b->pixels * b->channels + c];
    double t = asinh(in) * (double)slope[c] + (double)bias[c];
    sum += log(cosh(t)) + log((double)slope[c]) - 0.5 * log1p(in * in);
  }
  return sum;
}

/* Faults in what inverse writes, and where. */
static void inverse_ends_wrong(bend *b, const glow_call *call, float *y, float *x, double *logdet,
                               double *logprior) {
  int64_t samples = glow_call_sample_count(call), last = samples - 1;
  int64_t size = b->pixels * b->channels;
  if (b->fault == INVERSE_NOT_WRITTEN) /* as the kit left it */
    memcpy(x + last * size + 9, &(const uint32_t){0x7ffda5a5}, sizeof(float));
  if (b->fault == INVERSE_WRITES_BEYOND_X)
    x[samples * size + 2] = 0;
  if (b->fault == INVERSE_LOGDET_NAN)
    logdet[last] = NAN;
  if (b->fault == INVERSE_LOGPRIOR_NAN && logprior)
    logprior[last] = NAN;
  if (b->fault == INVERSE_OVERWRITES)
    logdet[last] = fmod(logdet[last], 3);        /* 3 is what the kit has put there */
  if (b->fault == INVERSE_CHANGES_Y && logprior) /* else the round trip finds it first */
    y[3] += 0.25f;
  if (b->fault == INVERSE_CHANGES_LATENTS && logprior)
    glow_call_latents(call)[2] += 0.25f;
  if (b->fault == INVERSE_HAS_STATE)
    x[0] += (float)++b->calls * 1e-6f;
  if (b->fault == INVERSE_MIXES_SAMPLES)
    x[0] += samples == 1 ? 0.0f : 1e-4f;
}

static glow_status inverse(const void *self, const glow_call *call, const float *y, float *x,
                           double *logdet, double *logprior) {
  const bend *b = self;
  if (b->fault == INVERSE_FAILS)
    glow_call_fail(call, 1, "the slope is %g", 0.0);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    double sum = undo_sample(b, call, n, y, x);
    if (b->fault == NAN_ENDS_INVERSE && !isfinite(sum))
      return glow_error(GLOW_E_NUMERIC, "it is not finite");
    if (b->fault == LOGDET_OF_A_PIXEL) /* as wrong as forward's, so that the Jacobian must tell */
      sum = first_pixel(b, call, n, x);
    logdet[n] -= b->fault == INVERSE_LOGDET || b->fault == LOGDET_SIGN ? -sum : sum;
    if (logprior && b->fault != INVERSE_LOGPRIOR)
      logprior[n] += latent_density(b, call, n, y);
  }
  if (b->fault == INVERSE_NEEDS_EXTRA && !b->hidden) /* as a layer that was loaded */
    x[0] += 0.25f;
  if (b->fault == INVERSE_OFF) /* row 1, column 2, channel 3 of 4 x 4 x 4 */
    x[(1 * 4 + 2) * 4 + 3] += 0.1f;
  inverse_ends_wrong((bend *)(uintptr_t)b, call, (float *)(uintptr_t)y, x, logdet, logprior);
  return GLOW_OK;
}

/* dt = dy cosh t + w tanh t; db = dt; dlogs = (dt asinh x + w / slope) e^logs;
 * dx = dt slope / sqrt(1 + x^2) - w x / (1 + x^2). */
static void backward_sample(const bend *b, const glow_call *call, int64_t n,
                            const glow_layer_gradient *g, const float *x) {
  const float *slope = glow_call_derived(call), *logs = glow_call_tensor(call, b->logs);
  const float *kept = glow_call_stored(call, b->saved);
  int64_t row = b->traits & LABELS ? glow_call_labels(call)[n] * b->channels : 0;
  double w = g->d_logdet[n];
  for (int64_t p = 0; p < b->pixels; p++)
    for (int64_t c = 0; c < b->channels; c++) {
      int64_t i = (n * b->pixels + p) * b->channels + c;
      double in = (double)x[i], d = 0, s = (double)slope[c];
      double t = asinh((double)*place(b, call, (float *)(uintptr_t)g->y, n, p, c));
      if (glow_call_stored_valid(call))
        t = (double)(b->last ? b->last[i % 1024] : kept[i]);
      if (c < b->kept) {
        d = (double)g->dy[(n * b->pixels + p) * b->kept + c];
      } else {
        int64_t at = n * glow_call_latent_stride(call) + p * (b->channels - b->kept) + c - b->kept;
        d = g->d_latents ? (double)g->d_latents[at] : 0;
        if (b->fault != GRADIENT_OF_LOGPRIOR)
          d -= g->d_logprior[n] * sinh(t);
      }
      double dt = d * cosh(t) + w * tanh(t), of_logdet = w / s;
      if (b->fault == GRADIENT_WITHOUT_LOGDET)
        of_logdet = 0;
      float *d_bias = glow_call_gradient(call, b->bias);
      if (d_bias && b->fault == GRADIENT_OVERWRITES && n == 0 && p == 0)
        d_bias[row + c] = 0;
      if (d_bias) {
        d_bias[row + c] += (float)(b->fault == GRADIENT_SIGN && c == 2 ? -dt : dt);
        glow_call_gradient(call, b->logs)[c] +=
            (float)((dt * asinh(in) + of_logdet) * exp((double)logs[c]));
      } else if (b->fault == DX_NEEDS_GRADIENTS) {
        dt *= 1.5;
      }
      double dx = dt * s / sqrt(1 + in * in) - w * in / (1 + in * in);
      if (b->fault != DX_NOT_WRITTEN || i != 69)
        g->dx[i] = (float)(b->fault == DX_WRONG && c == 1 ? 1.1 * dx : dx);
    }
}

static void backward_task(void *arg, uint32_t n, uint32_t worker) {
  const run *r = arg;
  (void)worker;
  backward_sample(r->b, r->call, n, r->g, r->x);
}

static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const bend *b = self;
  run r = {.b = b, .call = call, .x = g->x, .g = g};
  if (!g->x) {
    for (int64_t n = 0; n < glow_call_sample_count(call); n++)
      undo_sample(b, call, n, g->y, g->x_out);
    if (b->fault == RECONSTRUCTS_WRONG)
      g->x_out[1] += 0.5f;
    r.x = g->x_out;
  }
  if (b->fault == ORDER_OF_TASKS) /* tasks add to the same sums */
    for_samples(b, call, backward_task, &r);
  else
    for (uint32_t n = 0; n < (uint32_t)glow_call_sample_count(call); n++)
      backward_task(&r, n, 0);
  if (!g->x && b->fault == X_OUT_NOT_WRITTEN) /* as the kit left it */
    memcpy(g->x_out + 7, &(const uint32_t){0x7ffda5a5}, sizeof(float));
  float *d_logs = glow_call_gradient(call, b->logs), *d_bias = glow_call_gradient(call, b->bias);
  if (d_logs && b->fault == GRADIENT_NAN)
    d_logs[1] = NAN;
  if (d_logs && b->fault == WRITES_BEYOND_GRADIENTS)
    d_logs[b->channels] = 0;
  if (d_bias && b->fault == WRITES_BEFORE_GRADIENTS)
    d_bias[-1] = 0;
}

/* ---- making it ------------------------------------------------------------------------------- */

static const glow_option option_rows[] = {
    GLOW_OPTION(bend_options, traits, INT32, .high = ALL_TRAITS),
    GLOW_OPTION(bend_options, fault, INT32, .high = FAULTS - 1),
    GLOW_OPTION(bend_options, label, INT32, .high = 100),
    GLOW_OPTION(bend_options, reserved, RESERVED),
    GLOW_OPTION(bend_options, floor, REAL, .high = 1)}; /* the last: OPTION_NOT_IN_TABLE cuts it */
static const glow_options_table whole_table = {GLOW_OPTIONS_TABLE(bend_options, option_rows)};
static const glow_options_table table_without_floor = {
    .struct_size = sizeof(glow_options_table),
    .name = "bend_options",
    .size = sizeof(bend_options),
    .smallest = sizeof(bend_options),
    .options = option_rows,
    .count = sizeof option_rows / sizeof *option_rows - 1};

/* What LEAKS has left, for the test to free. */
static void *leaked[100];
static int leaks;

static void free_leaked(glow_context *context) {
  while (leaks > 0)
    glow_release(context, leaked[--leaks]);
}

static void destroy(void *self, glow_context *context) {
  bend *b = self;
  if (b->fault == LEAKS && b->extra && leaks < 100)
    leaked[leaks++] = b->extra;
  else
    glow_release(context, b->extra);
  glow_release(context, b->last);
}

static glow_status create(glow_context *context, const void *options, glow_net **nets,
                          glow_layer **out);

static glow_layer_ops table(int32_t traits, fault wrong) {
  glow_layer_ops ops = {.struct_size = sizeof ops, .type = "bend"};
  ops.flags = (traits & BY_TASKS ? GLOW_LAYER_BY_TASKS : 0) |
              (traits & IN_PLACE ? GLOW_LAYER_IN_PLACE : 0) |
              (traits & RECONSTRUCTS ? GLOW_LAYER_RECONSTRUCTS : 0) |
              (traits & ALWAYS ? GLOW_LAYER_ALWAYS_PREPARES : 0) | GLOW_LAYER_SKIPS_GRADIENTS;
  ops.options = wrong == OPTION_NOT_IN_TABLE ? &table_without_floor : &whole_table;
  ops.self_size = sizeof(bend);
  ops.configure = configure;
  ops.reset = reset;
  ops.prepare = prepare;
  ops.forward = forward;
  ops.inverse = inverse;
  ops.backward = backward;
  ops.destroy = destroy;
  ops.create = create;
  return ops;
}

/* With more memory than its options, so that the table needs `create`. */
static glow_status make(glow_context *context, const bend_options *options, float hidden,
                        glow_layer **out) {
  fault wrong = (fault)options->fault;
  glow_layer_ops ops = table(options->traits, wrong);
  GLOW_TRY(glow_layer_create(context, &ops, options, NULL, out));
  bend *b = glow_layer_self(*out);
  b->fault = wrong;
  b->traits = options->traits;
  b->hidden = hidden;
  b->extra = glow_allocate(context, 8);
  if (wrong == BACKWARD_OF_THE_LAST)
    b->last = glow_allocate(context, 1024 * sizeof(float));
  if (b->extra && (wrong != BACKWARD_OF_THE_LAST || b->last))
    return GLOW_OK;
  glow_layer_destroy(out);
  return wrong == WRONG_STATUS ? GLOW_E_STATE : GLOW_E_MEMORY;
}

static glow_status create(glow_context *context, const void *options, glow_net **nets,
                          glow_layer **out) {
  bend_options o;
  (void)nets;
  *out = NULL;
  GLOW_TRY(glow_options_read(&whole_table, options, &o));
  if (o.fault == OPTION_CHANGED)
    o.label++;
  return make(context, &o, 0.0f, out);
}

/* ---- tests ----------------------------------------------------------------------------------- */

typedef struct heard {
  int count;
  char all[8000];
} heard;

static void hear(const char *check, const char *text, void *payload) {
  heard *h = payload;
  size_t used = strlen(h->all);
  h->count++;
  snprintf(h->all + used, sizeof h->all - used, "%s: %s\n", check, text);
}

static glow_status check(glow_context *context, fault wrong, int32_t traits,
                         const glow_check_options *options) {
  glow_layer *layer = NULL;
  const bend_options o = {sizeof o, traits, wrong, wrong == NONE ? 0.25 : 0.125, 3, 0};
  OK(make(context, &o,
          wrong == PARAMETER_NOT_DECLARED || wrong == INVERSE_NEEDS_EXTRA ? 0.3f : 0.0f, &layer));
  glow_status status = glow_layer_check(context, &layer, options);
  assert_null(layer);
  return status;
}

static glow_context *open_context(helper_memory *memory) {
  glow_context *context = helper_context(1, NULL, memory);
  const glow_layer_ops ops = table(0, NONE);
  OK(glow_context_register_layer(context, &ops));
  return context;
}

static bool one_missing(int32_t traits) {
  int32_t missing = ALL_TRAITS & ~traits;
  return (missing & (missing - 1)) == 0;
}

/* What is legal, one by one and all together. */
static void test_right(void **state) {
  glow_context *context = open_context(NULL);
  (void)state;
  for (int32_t traits = 0; traits <= ALL_TRAITS; traits++) {
    glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
    heard h = {0, ""};
    bool one = (traits & (traits - 1)) == 0, all_but_one = one_missing(traits);
    if (!one && !all_but_one)
      continue;
    o.report = hear;
    o.payload = &h;
    o.seed = helper_seed();
    if (check(context, NONE, traits, &o) != GLOW_OK)
      fail_msg("traits %d: %s %s", traits, glow_last_error(), h.all);
  }
  glow_context_destroy(&context);
}

typedef struct row {
  const char *name;
  fault fault;
  int32_t traits;
  const char *words; /* of the first fault that is found */
} row;

static const row rows[] = {
#define ROW(fault, traits, words)                                                                  \
  { #fault, fault, traits, words }
    ROW(LOGDET_OF_A_PIXEL, 0, "log-det: sample 0: "),
    ROW(LOGDET_OF_A_PIXEL, BY_TASKS, " from the numerical Jacobian"),
    ROW(LOGDET_SIGN, 0, "from the numerical Jacobian (wrong sign?)"),
    ROW(LOGDET_OVERWRITES, 0, "forward: the log-det is overwritten, not added to: sample 0"),
    ROW(LOGPRIOR_CONSTANT, LATENTS, "log-prior: sample 0: "),
    ROW(GRADIENT_SIGN, 0, "gradients: gradient of 'bias'[2] through y: "),
    ROW(GRADIENT_SIGN, BY_TASKS, " (wrong sign?)"),
    ROW(GRADIENT_SIGN, LABELS, "gradients: gradient of 'bias'["),
    ROW(GRADIENT_OVERWRITES, 0, "gradients: gradient of 'bias'[0] is overwritten, not added to: "),
    ROW(GRADIENT_OVERWRITES, BY_TASKS, "gradient of 'bias'[0] is overwritten, not added to: "),
    ROW(GRADIENT_WITHOUT_LOGDET, 0, "gradients: gradient of 'logs'[0] through the log-det: "),
    ROW(GRADIENT_OF_LOGPRIOR, LATENTS,
        "gradients: gradient of 'bias'[2] through the log-prior: 0 "
        "from backward, "),
    ROW(DX_NOT_WRITTEN, 0, "backward does not write dx at sample 1, row 0, column 1, channel 1"),
    ROW(DX_WRONG, 0, "gradients: gradient of x at sample "),
    ROW(INVERSE_OFF, 0,
        "inverse: inverse(forward(x)) differs from x by 0.1 at sample 0, row 1, "
        "column 2, channel 3: "),
    ROW(INVERSE_FAILS, 0,
        "inverse: inverse fails on what forward gave: layer 'layer': the inverse of sample 1: the "
        "slope is 0"),
    ROW(INVERSE_FAILS, BY_TASKS,
        "inverse: inverse fails on what forward gave: layer 'layer': the inverse of sample 1: "),
    ROW(NAN_SPREADS, 0,
        "not finite: forward gives other results for sample 1 while x of sample 0 is NaN: samples "
        "must not mix"),
    ROW(NAN_SPREADS, BY_TASKS | LATENTS, "not finite: forward gives other results for sample 1"),
    ROW(NAN_SPREADS_BACK, 0,
        "not finite: inverse gives other results for sample 1 while y of sample 0 is NaN"),
    ROW(NAN_IS_LOST, LATENTS,
        "not finite: forward: all results of sample 0 are finite, although x of it is NaN (a "
        "comparison that NaN fails?)"),
    ROW(NAN_IS_LOST_BACK, BY_TASKS,
        "not finite: inverse: all results of sample 0 are finite, although y of it is NaN"),
    ROW(NAN_ENDS_INVERSE, 0,
        "not finite: inverse ends the pass because of one sample: it is not finite"),
    ROW(INVERSE_LOGDET, 0, "inverse: the inverse's log-det is not minus forward's: sample 0: "),
    ROW(DX_NEEDS_GRADIENTS, 0,
        "backward: dx without gradients of parameters differs from that with them by "),
    ROW(INVERSE_LOGPRIOR, LATENTS, "inverse: the inverse's log-prior is not forward's: sample 0: "),
    ROW(WHITENED_OFF, LATENTS, "log-prior: sample 0: "),
    ROW(WRITES_BEYOND_Y, 0, "forward: forward writes beyond y: 3 floats behind its end"),
    ROW(WRITES_BEYOND_SCRATCH, 0,
        "forward writes beyond its scratch region 0, which was declared "
        "with 0 + 64 floats a sample, on 3 samples: 0 floats behind"),
    ROW(WRITES_BEYOND_SCRATCH, BY_TASKS, "forward writes beyond its scratch region 0"),
    ROW(READS_SCRATCH, 0,
        "forward: y is nan at sample 0, row 0, column 0, channel 0 (memory read "
        "before it was written?)"),
    ROW(HAS_STATE, 0, "forward: "),
    ROW(CHANGES_INPUT, 0, "forward: forward changes its input by "),
    ROW(MIXES_SAMPLES, 0, "forward: y of sample 1 alone differs from that in a batch of 3 by "),
    ROW(BACKWARD_OF_THE_LAST, 0, "backward: dx after the forward of another batch differs"),
    ROW(SAVED_NOT_FILLED, 0, "region that forward did not fill"),
    ROW(RECONSTRUCTS_WRONG, RECONSTRUCTS,
        "backward: without x: x_out differs from x by 0.5 at "
        "sample 0, row 0, column 0, channel 1"),
    ROW(NOT_IN_PLACE, IN_PLACE, "in place: y of forward over its input differs by "),
    ROW(PARAMETER_NOT_DECLARED, 0,
        "save and load: after loading, the output of forward differs "
        "(something that is neither a tensor nor a saved option?)"),
    ROW(OPTION_CHANGED, 0,
        "save and load: option 'label' is saved, but saved with another value by the layer that is "
        "made from it"),
    ROW(OPTION_NOT_IN_TABLE, 0, "save and load: after loading, the output of forward differs"),
    ROW(INVERSE_NEEDS_EXTRA, 0, "save and load: after loading, x of inverse differs"),
    ROW(LEAKS, 0, "save and load: 1 blocks of memory leak when the layer is made and destroyed"),
    ROW(WRONG_STATUS, 0, "of making the layer fails, but that does not give GLOW_E_MEMORY"),
    ROW(ALLOCATES, 0, "forward: forward allocates memory"),
    ROW(ORDER_OF_TASKS, BY_TASKS, "threads: gradient of 'bias'["),
    ROW(BUILDS_NAN, 0, "build: tensor 'logs' is not finite at element 1 as it is built"),
    ROW(PREPARE_FAILS, ALWAYS,
        "build: GLOW_LAYER_ALWAYS_PREPARES is set, but prepare fails: layer "
        "'layer': the slope of channel "),
    ROW(STALE_DERIVED, 0, "gradients: gradient of 'logs'[0] through y: "),
    ROW(STALE_DERIVED, BY_TASKS, "(forward does not depend on it?)"),
    ROW(WRITES_BEFORE_Y, 0, "forward: forward writes 2 floats before y"),
    ROW(WRITES_BEYOND_LATENTS, LATENTS,
        "forward writes beyond the latents of sample 0: 1 floats behind its end"),
    ROW(LATENTS_NOT_WRITTEN, LATENTS, "forward does not write the latents at sample 0, row 0, "),
    ROW(LOGDET_NAN, 0, "forward: the log-det of sample 2 is nan"),
    ROW(LOGPRIOR_NAN, LATENTS, "forward: the log-prior of sample 2 is inf"),
    ROW(WRITES_BEYOND_SAVED, 0,
        "forward writes beyond its saved region 0, which was declared with 0 + 64 floats a sample, "
        "on 3 samples: 1 floats behind"),
    ROW(INVERSE_NOT_WRITTEN, 0,
        "inverse: inverse does not write x at sample 2, row 0, column 2, channel 1"),
    ROW(INVERSE_WRITES_BEYOND_X, BY_TASKS, "inverse writes beyond x: 2 floats behind its end"),
    ROW(INVERSE_LOGDET_NAN, 0, "inverse: the log-det of sample 2 is nan"),
    ROW(INVERSE_LOGPRIOR_NAN, LATENTS, "inverse: the log-prior of sample 2 is nan"),
    ROW(INVERSE_OVERWRITES, 0, "inverse: the inverse's log-det is "),
    ROW(INVERSE_CHANGES_Y, 0, "inverse: inverse changes y by 0.25 at sample 0, row 0, column 0, "),
    ROW(INVERSE_CHANGES_LATENTS, LATENTS, "inverse: inverse changes the latents by 0.25 at "),
    ROW(INVERSE_HAS_STATE, 0, "inverse: inverse of the same y differs at the second call by "),
    ROW(INVERSE_MIXES_SAMPLES, 0,
        "inverse: inverse of a sample alone differs from that in a batch by "),
    ROW(X_OUT_NOT_WRITTEN, RECONSTRUCTS,
        "backward does not write x_out at sample 0, row 0, column 1, channel 3"),
    ROW(GRADIENT_NAN, 0, "backward: gradient of 'logs'[1] is nan"),
    ROW(WRITES_BEYOND_GRADIENTS, 0, "backward writes beyond the gradients of its tensors"),
    ROW(WRITES_BEFORE_GRADIENTS, LABELS, "backward writes beyond the gradients of its tensors"),
#undef ROW
};

static void test_faults(void **state) {
  helper_memory memory = {0};
  glow_context *context = open_context(&memory);
  int64_t live = memory.live;
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const row *r = &rows[i];
    glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
    heard h = {0, ""};
    char first[600];
    o.seed = helper_seed();
    glow_status status = check(context, r->fault, r->traits, &o);
    snprintf(first, sizeof first, "%s", glow_last_error());
    if (status != GLOW_E_CHECK || !strstr(first, r->words))
      fail_msg("%s: %s: \"%s\" has not \"%s\"", r->name, glow_status_name(status), first, r->words);
    o.report = hear; /* to hear of all of them does not change the first */
    o.payload = &h;
    assert_int_equal(check(context, r->fault, r->traits, &o), GLOW_E_CHECK);
    assert_string_equal(glow_last_error(), first);
    char *place = strstr(first, " (lib/check/"); /* in builds of type debug; not in the report */
    if (place)
      *place = '\0';
    assert_true(strncmp(h.all, first, strlen(first)) == 0);
    free_leaked(context);
    assert_int_equal(memory.live, live);
  }
  glow_context_destroy(&context);
}

/* ---- networks -------------------------------------------------------------------------------- */

/* out_o = sum_k w[o, k] tanh x_k, pixel by pixel. */
typedef struct mix_options {
  size_t struct_size;
  int32_t fault;
  int32_t reserved;
} mix_options;

typedef struct mix {
  mix_options options;
  int64_t pixels, in, out;
  int32_t w;
} mix;

enum {
  NET_RIGHT,
  NET_OVERWRITES_DX,
  NET_IGNORES_STRIDE,
  NET_NAN_SPREADS,
  NET_GRADIENT,
  NET_FAULTS
};

static glow_shape net_input; /* of the last one */

static glow_status mix_configure(void *self, glow_setup *setup, const glow_shape *input,
                                 int64_t out_channels) {
  mix *m = self;
  int64_t dims[] = {out_channels, input->channels};
  net_input = *input;
  m->pixels = input->height * input->width;
  m->in = input->channels;
  m->out = out_channels;
  return glow_setup_tensor(setup, "w", GLOW_TYPE_F32, 1, 2, dims, &m->w);
}

static void mix_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                        float *out) {
  const mix *m = self;
  const float *w = glow_call_tensor(call, m->w);
  if (m->options.fault == NET_IGNORES_STRIDE)
    stride = m->in;
  for (int64_t i = 0; i < glow_call_sample_count(call) * m->pixels; i++)
    for (int64_t o = 0; o < m->out; o++) {
      out[i * m->out + o] = 0;
      for (int64_t k = 0; k < m->in; k++)
        out[i * m->out + o] += w[o * m->in + k] * tanhf(x[i * stride + k]);
      if (m->options.fault == NET_NAN_SPREADS) /* as a product over all rows at once may */
        out[i * m->out + o] += 0.0f * x[i % m->pixels * stride];
    }
}

static void mix_backward(const void *self, const glow_call *call, const float *x, int64_t stride,
                         const float *out, float *dout, float *dx, int64_t dx_stride) {
  const mix *m = self;
  const float *w = glow_call_tensor(call, m->w);
  float *dw = glow_call_gradient(call, m->w);
  (void)out;
  for (int64_t i = 0; i < glow_call_sample_count(call) * m->pixels; i++)
    for (int64_t k = 0; k < m->in; k++) {
      float t = tanhf(x[i * stride + k]), dt = 0;
      for (int64_t o = 0; o < m->out; o++) {
        dt += dout[i * m->out + o] * w[o * m->in + k];
        dw[o * m->in + k] += dout[i * m->out + o] * (m->options.fault == NET_GRADIENT ? 1.0f : t);
      }
      float *to = dx + i * dx_stride + k;
      *to = (m->options.fault == NET_OVERWRITES_DX ? 0 : *to) + dt * (1 - t * t);
    }
}

static const glow_option mix_rows[] = {
    GLOW_OPTION(mix_options, fault, INT32, .high = NET_FAULTS - 1),
    GLOW_OPTION(mix_options, reserved, RESERVED)};
static const glow_options_table mix_table = {GLOW_OPTIONS_TABLE(mix_options, mix_rows)};

static void test_net_faults(void **state) {
  static const char *const words[NET_FAULTS] = {
      [NET_OVERWRITES_DX] = "gradients: gradient of x at sample ",
      [NET_IGNORES_STRIDE] = "forward: y of sample 1 alone differs from that in a batch of 3 by ",
      [NET_NAN_SPREADS] = "not finite: forward gives other results for sample 1 while x of sample "
                          "0 is NaN",
      [NET_GRADIENT] = "gradients: gradient of 'net.w'[0, 0] through y: "};
  const glow_net_ops ops = {.struct_size = sizeof ops,
                            .type = "mix",
                            .options = &mix_table,
                            .self_size = sizeof(mix),
                            .configure = mix_configure,
                            .forward = mix_forward,
                            .backward = mix_backward};
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  for (int32_t wrong = NET_RIGHT; wrong < NET_FAULTS; wrong++) {
    if (wrong == NET_GRADIENT) /* the others cannot be saved, which is no fault */
      OK(glow_context_register_net(context, &ops));
    const mix_options options = {sizeof options, wrong, 0};
    glow_net *net = NULL;
    glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
    o.shape = (glow_shape){2, 3, 2};
    o.seed = helper_seed();
    OK(glow_net_create(context, &ops, &options, &net));
    if (wrong == NET_RIGHT)
      OK(glow_net_check(context, &net, &o));
    else
      REFUSED(glow_net_check(context, &net, &o), GLOW_E_CHECK, words[wrong]);
    assert_null(net);
    assert_memory_equal(&net_input, &o.shape, sizeof o.shape); /* the shape is that of its input */
  }
  glow_context_destroy(&context);
}

/* ---- what stands around it ------------------------------------------------------------------- */

/* A type that no file can name cannot be saved, which is no fault: all else is checked. */
static void test_registry(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
  (void)state;
  OK(check(context, NONE, 0, &o));
  OK(check(context, OPTION_NOT_IN_TABLE, 0, &o));
  REFUSED(check(context, GRADIENT_SIGN, 0, &o), GLOW_E_CHECK, "gradient of 'bias'[2]");
  glow_context_destroy(&context);
}

/* The caller's pool, and each provider of kernels. */
static void test_contexts(void **state) {
  (void)state;
  for (uint32_t k = 0; glow_kernels_name(k); k++) {
    glow_context *context = helper_context(3, glow_kernels_name(k), NULL);
    glow_conv_net_options conv = GLOW_CONV_NET_OPTIONS_INIT;
    glow_layer *layer = NULL;
    glow_net *net = NULL;
    conv.hidden = 6;
    OK(glow_conv_net_create(context, &conv, &net));
    OK(glow_net_check(context, &net, NULL));
    OK(glow_invconv_create(context, NULL, &layer));
    OK(glow_layer_check(context, &layer, NULL));
    glow_context_destroy(&context);
  }
}

static void refused(glow_context *context, const glow_check_options *o, glow_status status,
                    const char *words) {
  glow_layer *layer = NULL;
  glow_net *net = NULL;
  OK(glow_split_create(context, NULL, &layer));
  REFUSED(glow_layer_check(context, &layer, o), status, words);
  assert_null(layer);
  OK(glow_conv_net_create(context, NULL, &net));
  glow_check_options of_net = *o; /* is given twice the channels */
  of_net.shape.channels *= of_net.shape.channels > 3 ? 1 : 2;
  if (status == GLOW_E_ARGUMENT)
    REFUSED(glow_net_check(context, &net, &of_net), status, words);
  glow_net_destroy(&net);
}

static void test_arguments(void **state) {
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  glow_layer *layer = NULL;
  glow_net *net = NULL;
  (void)state;
  int64_t live = memory.live;
  REFUSED(glow_layer_check(context, NULL, NULL), GLOW_E_ARGUMENT, "no layer");
  REFUSED(glow_layer_check(context, &layer, NULL), GLOW_E_ARGUMENT, "no layer");
  REFUSED(glow_net_check(context, &net, NULL), GLOW_E_ARGUMENT, "no net");
  OK(glow_actnorm_create(context, NULL, &layer));
  REFUSED(glow_layer_check(NULL, &layer, NULL), GLOW_E_ARGUMENT, "NULL");
  assert_null(layer);
  OK(glow_conv_net_create(context, NULL, &net));
  REFUSED(glow_net_check(NULL, &net, NULL), GLOW_E_ARGUMENT, "NULL");
  assert_null(net);
#define BAD(field, value, status, words)                                                           \
  do {                                                                                             \
    glow_check_options o = GLOW_CHECK_OPTIONS_INIT;                                                \
    o.field = value;                                                                               \
    refused(context, &o, status, words);                                                           \
  } while (0)
  BAD(struct_size, 8, GLOW_E_ARGUMENT, "glow_check_options");
  BAD(batch, 1, GLOW_E_ARGUMENT, "batch is 1");
  BAD(batch, 17, GLOW_E_ARGUMENT, "batch is 17");
  BAD(reserved, 1, GLOW_E_ARGUMENT, "batch");
  BAD(shape.height, 0, GLOW_E_ARGUMENT, "shape is 0 x 4 x");
  BAD(shape.height, 33, GLOW_E_ARGUMENT, "1 to 512 elements");
  BAD(shape.height, INT64_MAX, GLOW_E_ARGUMENT, "1 to 512 elements");
  BAD(low, 2.0, GLOW_E_ARGUMENT, "inputs from [2, 2]");
  BAD(low, NAN, GLOW_E_ARGUMENT, "inputs from");
  BAD(high, INFINITY, GLOW_E_ARGUMENT, "inputs from");
  BAD(spread, -1.0, GLOW_E_ARGUMENT, "spread");
  BAD(spread, NAN, GLOW_E_ARGUMENT, "spread");
  BAD(round_trip, 0.0, GLOW_E_ARGUMENT, "tolerances");
  BAD(logdet, -1.0, GLOW_E_ARGUMENT, "tolerances");
  BAD(gradient, NAN, GLOW_E_ARGUMENT, "tolerances");
  BAD(shape.channels, 3, GLOW_E_SHAPE, "a split needs an even number of channels");
#undef BAD
  assert_int_equal(memory.live, live);
  glow_context_destroy(&context);
}

/* The n-th allocation of the kit itself fails. */
static void test_memory(void **state) {
  (void)state;
  for (int64_t n = 1;; n++) {
    helper_memory memory = {0};
    glow_context *context = open_context(&memory);
    glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
    glow_layer *layer = NULL;
    o.shape = (glow_shape){1, 1, 2};
    const bend_options options = {
        sizeof options, BY_TASKS | LATENTS | RECONSTRUCTS, NONE, 0.25, 0, 0};
    OK(make(context, &options, 0.0f, &layer));
    memory.fail_at = memory.calls + n;
    glow_status status = glow_layer_check(context, &layer, &o);
    int64_t failures = memory.failures;
    glow_context_destroy(&context);
    assert_int_equal(memory.live, 0);
    if (!failures) {
      assert_int_equal(status, GLOW_OK);
      assert_true(n > 10);
      return;
    }
    /* when threads cannot be made, the check goes on without */
    assert_true(status == GLOW_E_MEMORY || status == GLOW_OK);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_right),      cmocka_unit_test(test_faults),
      cmocka_unit_test(test_net_faults), cmocka_unit_test(test_registry),
      cmocka_unit_test(test_contexts),   cmocka_unit_test(test_arguments),
      cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
