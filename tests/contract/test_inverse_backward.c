/* Gradients of inverse passes and of sampling, with respect to latents, parameters and conditions.
 * SPDX-License-Identifier: MIT */
#include "flows.h"
#include "pair.h"

enum { COUNT = 3, SIZE = 3 /* of a condition */ };

static const int32_t labels[COUNT] = {0, 2, 1};
static const double weight[COUNT] = {0.5, -0.25, 1}, weight_logdet[COUNT] = {-0.3, 0.8, 0.2};

/* ---- a bench --------------------------------------------------------------------------------- */

typedef struct bench {
  const flow *flow;
  glow_model *model;
  glow_workspace *ws;
  int64_t dims, parameters;
  float *latents, *x, *dx, *d_latents;
  float condition[COUNT * SIZE], d_condition[COUNT * SIZE];
  int32_t form;
} bench;

static float *new_floats(const bench *b) {
  return helper_allocate((size_t)(COUNT * b->dims) * sizeof(float));
}

static void open_bench(bench *b, const flow *f, glow_model *model, int32_t mode, int32_t form) {
  *b = (bench){.flow = f, .model = model, .form = form, .dims = glow_model_dims(model)};
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  helper_random random = helper_random_of(21);
  o.batch = COUNT;
  o.mode = mode;
  o.inverse_backward = 1;
  OK(glow_workspace_create(model, &o, &b->ws));
  b->parameters = glow_model_parameter_count(model);
  b->latents = helper_new_normals(&random, 0.7f, COUNT * b->dims);
  b->dx = helper_new_normals(&random, 1.0f, COUNT * b->dims);
  b->x = new_floats(b);
  b->d_latents = new_floats(b);
  helper_normals(&random, 1.0f, b->condition, COUNT * SIZE);
  if (glow_model_condition_size(model))
    OK(glow_workspace_set_condition(b->ws, b->condition, COUNT, SIZE));
}

static void close_bench(bench *b) {
  free(b->latents);
  free(b->dx);
  free(b->x);
  free(b->d_latents);
  glow_workspace_destroy(&b->ws);
}

static void invert(bench *b, int32_t store, double *log_prob, double *logdet) {
  glow_inverse_options o = GLOW_INVERSE_OPTIONS_INIT;
  o.labels = labels;
  o.form = b->form;
  o.store = store;
  o.log_prob = log_prob;
  o.logdet = logdet;
  OK(glow_workspace_inverse(b->ws, b->latents, COUNT, &o, b->x));
}

static void go_back(bench *b) {
  glow_inverse_backward_options o = GLOW_INVERSE_BACKWARD_OPTIONS_INIT;
  o.dx = b->dx;
  o.weight = weight;
  o.weight_logdet = weight_logdet;
  o.d_latents = b->d_latents;
  o.d_condition = glow_model_condition_size(b->model) ? b->d_condition : NULL;
  OK(glow_workspace_zero_gradients(b->ws));
  OK(glow_workspace_inverse_backward(b->ws, &o));
}

/* What go_back differentiates. */
static double objective(bench *b) {
  double log_prob[COUNT], logdet[COUNT], sum = 0;
  invert(b, 0, log_prob, logdet);
  for (int n = 0; n < COUNT; n++) {
    sum += weight[n] * log_prob[n] + weight_logdet[n] * logdet[n];
    for (int64_t i = n * b->dims; i < (n + 1) * b->dims; i++)
      sum += (double)b->dx[i] * (double)b->x[i];
  }
  return sum;
}

/* ---- models ---------------------------------------------------------------------------------- */

static glow_model *spline_of_a_condition(glow_context *context) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_model *model = NULL;
  helper_random random = helper_random_of(22);
  o.dims = 3, o.condition = SIZE, o.steps = 2, o.hidden = 8;
  OK(glow_model_create_vector_flow(context, &o, &model));
  helper_perturb(model, &random, 0.1f);
  return model;
}

/* A layer of the caller's without inverse_backward: the model iterates. */
static glow_model *pair(glow_context *context) {
  helper_random random = helper_random_of(23);
  OK(glow_context_register_layer(context, &pair_ops));
  OK(glow_context_register_net(context, &pair_net_ops));
  glow_model *model = pair_model(context);
  helper_perturb(model, &random, 0.3f);
  return model;
}

enum { OWN = 2, SUBJECTS = FLOWS + OWN };
static const flow own[OWN] = {
    {"spline flow of a condition", spline_of_a_condition, false, 5e-3, 0.02},
    {"a layer without inverse_backward", pair, false, 2e-5, 0.02}};

static const flow *subject(int i) {
  return i < FLOWS ? &flows[i] : &own[i - FLOWS];
}

static void for_each(uint32_t threads, void (*test)(const flow *, glow_model *)) {
  for (int i = 0; i < SUBJECTS; i++) {
    glow_context *context = helper_context(threads, NULL, NULL);
    glow_model *model = subject(i)->make(context);
    test(subject(i), model);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

/* ---- against the forward pass's backward ----------------------------------------------------- */

/* With u the gradient of raw latents, forward's backward gives -dx for -u, and the negative
 * gradients of parameters and of conditions (<glow/sys/layer.h>). */
static void against_forward(const flow *f, glow_model *model, int32_t mode) {
  bench b;
  open_bench(&b, f, model, mode, GLOW_LATENTS_RAW);
  glow_forward_options forward = GLOW_FORWARD_OPTIONS_INIT;
  glow_backward_options backward = GLOW_BACKWARD_OPTIONS_INIT;
  float *dx = new_floats(&b), d_condition[COUNT * SIZE];
  double minus[COUNT];
  invert(&b, 1, NULL, NULL);
  go_back(&b);
  float *gradients = helper_allocate((size_t)b.parameters * sizeof *gradients);
  memcpy(gradients, glow_workspace_gradients(b.ws), (size_t)b.parameters * sizeof *gradients);
  for (int64_t i = 0; i < COUNT * b.dims; i++)
    b.d_latents[i] = -b.d_latents[i];
  for (int n = 0; n < COUNT; n++)
    minus[n] = -weight_logdet[n];
  forward.labels = labels;
  forward.running_averages = 1;
  OK(glow_workspace_forward(b.ws, b.x, COUNT, &forward));
  backward.weight = weight;
  backward.weight_logdet = minus;
  backward.d_latents = b.d_latents;
  backward.dx = dx;
  backward.d_condition = glow_model_condition_size(model) ? d_condition : NULL;
  OK(glow_workspace_zero_gradients(b.ws));
  OK(glow_workspace_backward(b.ws, &backward));
  for (int64_t i = 0; i < COUNT * b.dims; i++)
    dx[i] = -dx[i];
  double of_x = helper_relative(dx, b.dx, COUNT * b.dims);
  double of_parameters = helper_relative(glow_workspace_gradients(b.ws), gradients, b.parameters);
  if (!(of_x < f->rounding) || !(of_parameters < 5 * f->rounding))
    fail_msg("%s, mode %d: dx differs by %.2g, gradients of parameters by %.2g", f->name, mode,
             of_x, of_parameters);
  if (backward.d_condition)
    assert_true(helper_relative(d_condition, b.d_condition, COUNT * SIZE) < 5 * f->rounding);
  free(gradients);
  free(dx);
  close_bench(&b);
}

static void stored_and_reconstructed(const flow *f, glow_model *model) {
  against_forward(f, model, GLOW_MODE_STORED);
  against_forward(f, model, GLOW_MODE_RECONSTRUCTED);
}

static void test_against_forward(void **state) {
  (void)state;
  for_each(1, stored_and_reconstructed);
}

/* ---- against differences --------------------------------------------------------------------- */

typedef struct line {
  float *values;         /* which move */
  const float *gradient; /* along this */
  int64_t count;
  double length;        /* of the gradient, and the slope that is expected */
  glow_model *prepares; /* the model if they are its parameters, or NULL */
} line;

static double slope_along(bench *b, const line *l, double step) {
  float *kept = helper_allocate((size_t)l->count * sizeof *kept);
  double at[2];
  memcpy(kept, l->values, (size_t)l->count * sizeof *kept);
  for (int side = 0; side < 2; side++) {
    for (int64_t i = 0; i < l->count; i++)
      l->values[i] = kept[i] + (float)((side ? step : -step) * (double)l->gradient[i] / l->length);
    if (l->prepares)
      OK(glow_model_prepare(l->prepares));
    at[side] = objective(b);
  }
  memcpy(l->values, kept, (size_t)l->count * sizeof *kept);
  if (l->prepares)
    OK(glow_model_prepare(l->prepares));
  free(kept);
  return (at[1] - at[0]) / (2 * step);
}

/* With two steps: in a few of a thousand places one of ReLU's kinks or of a spline's is within the
 * first step, and hardly ever within the second. Smaller ones would show rounding of the objective,
 * some 1e-6 of it. */
static void check_slope(bench *b, const char *what, float *values, const float *gradient,
                        int64_t count, glow_model *prepares) {
  line l = {values, gradient, count, 0, prepares};
  for (int64_t i = 0; i < count; i++)
    l.length += (double)gradient[i] * (double)gradient[i];
  l.length = sqrt(l.length) + 1e-30;
  double step = fmin(0.01 / (l.length + 0.1), 1e-3);
  double first = slope_along(b, &l, step), second = slope_along(b, &l, step / 4);
  double error = fmin(fabs(first - l.length), fabs(second - l.length));
  if (!(error < b->flow->slope * (l.length + 1e-2)))
    fail_msg("%s, form %d, %s: %g and %g by differences, %g by backward", b->flow->name, b->form,
             what, first, second, l.length);
}

static void differences(const flow *f, glow_model *model) {
  for (int32_t form = GLOW_LATENTS_RAW; form <= GLOW_LATENTS_WHITENED; form++) {
    bench b;
    open_bench(&b, f, model, GLOW_MODE_STORED, form);
    invert(&b, 1, NULL, NULL);
    go_back(&b);
    float *gradients = helper_allocate((size_t)b.parameters * sizeof *gradients);
    memcpy(gradients, glow_workspace_gradients(b.ws), (size_t)b.parameters * sizeof *gradients);
    check_slope(&b, "latents", b.latents, b.d_latents, COUNT * b.dims, NULL);
    check_slope(&b, "parameters", glow_model_parameters_mutable(model), gradients, b.parameters,
                model);
    if (glow_model_condition_size(model))
      check_slope(&b, "condition", b.condition, b.d_condition, COUNT * SIZE, NULL);
    free(gradients);
    close_bench(&b);
  }
}

static void test_differences(void **state) {
  (void)state;
  for_each(1, differences);
}

/* ---- sampling -------------------------------------------------------------------------------- */

/* Sampling is an inverse pass of the whitened latents that it drew. */
static void sampling(const flow *f, glow_model *model) {
  bench b;
  open_bench(&b, f, model, GLOW_MODE_STORED, GLOW_LATENTS_WHITENED);
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  float *other = new_floats(&b);
  o.labels = labels;
  o.temperature = 0.7;
  o.latents = b.latents;
  o.store = 1;
  OK(glow_workspace_sample(b.ws, COUNT, &o, b.x));
  go_back(&b);
  memcpy(other, b.d_latents, (size_t)(COUNT * b.dims) * sizeof *other);
  float *gradients = helper_allocate((size_t)b.parameters * sizeof *gradients);
  memcpy(gradients, glow_workspace_gradients(b.ws), (size_t)b.parameters * sizeof *gradients);
  invert(&b, 1, NULL, NULL);
  go_back(&b);
  assert_true(helper_same_bits(other, b.d_latents, COUNT * b.dims, sizeof *other));
  assert_true(
      helper_same_bits(gradients, glow_workspace_gradients(b.ws), b.parameters, sizeof *other));
  free(gradients);
  free(other);
  close_bench(&b);
}

static void test_sampling(void **state) {
  (void)state;
  for_each(1, sampling);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void test_threads(void **state) {
  (void)state;
  for (int i = 0; i < SUBJECTS; i++) {
    float *first = NULL;
    for (uint32_t threads = 1; threads <= 4; threads += 3) {
      glow_context *context = helper_context(threads, NULL, NULL);
      glow_model *model = subject(i)->make(context);
      bench b;
      open_bench(&b, subject(i), model, GLOW_MODE_STORED, GLOW_LATENTS_WHITENED);
      invert(&b, 1, NULL, NULL);
      go_back(&b);
      float *all = helper_allocate((size_t)(b.parameters + COUNT * b.dims) * sizeof *all);
      memcpy(all, glow_workspace_gradients(b.ws), (size_t)b.parameters * sizeof *all);
      memcpy(all + b.parameters, b.d_latents, (size_t)(COUNT * b.dims) * sizeof *all);
      if (first)
        assert_true(helper_same_bits(all, first, b.parameters + COUNT * b.dims, sizeof *all));
      if (first)
        free(all);
      else
        first = all;
      close_bench(&b);
      glow_model_destroy(&model);
      glow_context_destroy(&context);
    }
    free(first);
  }
}

/* ---- iteration ------------------------------------------------------------------------------- */

/* Layers without inverse_backward on vectors of 4: HALF emits x2 as latents, of standard normal
 * density; LOST has a backward that loses what it is given, so that nothing can be solved. */
enum { HALF, LOST, WIDE = 4 };

typedef struct odd_layer {
  int32_t kind;
} odd_layer;
static int32_t odd_kind; /* of the layer that is configured next */
static int odd_calls;    /* of backward */

static glow_status odd_configure(void *self, glow_setup *setup, const glow_shape *in,
                                 glow_shape *out) {
  const glow_shape half = {1, 1, WIDE / 2};
  ((odd_layer *)self)->kind = odd_kind;
  *out = *in;
  if (odd_kind != HALF)
    return GLOW_OK;
  *out = half;
  return glow_setup_latents(setup, &half);
}

static int64_t odd_kept(const odd_layer *l) {
  return l->kind == HALF ? WIDE / 2 : WIDE;
}

static void odd_forward(const void *self, const glow_call *call, const float *x, float *y,
                        double *logdet, double *logprior) {
  int64_t kept = odd_kept(self);
  (void)logdet;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    memcpy(y + n * kept, x + n * WIDE, (size_t)kept * sizeof *y);
    for (int64_t i = kept; i < WIDE; i++) {
      glow_call_latents(call)[n * glow_call_latent_stride(call) + i - kept] = x[n * WIDE + i];
      logprior[n] -= 0.5 * ((double)x[n * WIDE + i] * (double)x[n * WIDE + i] + log(2 * M_PI));
    }
  }
}

static glow_status odd_inverse(const void *self, const glow_call *call, const float *y, float *x,
                               double *logdet, double *logprior) {
  int64_t kept = odd_kept(self);
  (void)logdet;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    memcpy(x + n * WIDE, y + n * kept, (size_t)kept * sizeof *y);
    for (int64_t i = kept; i < WIDE; i++) {
      float z = glow_call_latents(call)[n * glow_call_latent_stride(call) + i - kept];
      x[n * WIDE + i] = z;
      if (logprior)
        logprior[n] -= 0.5 * ((double)z * (double)z + log(2 * M_PI));
    }
  }
  return GLOW_OK;
}

static void odd_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const odd_layer *l = self;
  int64_t kept = odd_kept(l);
  odd_calls++;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = 0; i < WIDE; i++) {
      float *dx = g->dx + n * WIDE + i;
      int64_t latent = n * glow_call_latent_stride(call) + i - kept;
      if (i < kept)
        *dx = l->kind == LOST ? 0.0f : g->dy[n * kept + i];
      else
        *dx = (g->d_latents ? g->d_latents[latent] : 0.0f) -
              (float)g->d_logprior[n] * g->x[n * WIDE + i];
    }
}

static glow_model *make_odd(glow_context *context, int32_t kind) {
  static const glow_shape vector = {1, 1, WIDE};
  const glow_layer_ops ops = {.struct_size = sizeof ops,
                              .type = "test.odd",
                              .self_size = sizeof(odd_layer),
                              .configure = odd_configure,
                              .forward = odd_forward,
                              .inverse = odd_inverse,
                              .backward = odd_backward};
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  odd_kind = kind;
  OK(glow_layer_create(context, &ops, NULL, NULL, &layer));
  OK(helper_wrap_layer(context, layer, true, &vector, &model));
  OK(glow_model_prepare(model));
  OK(glow_model_set_initialised(model));
  return model;
}

/* With x = (y, z) = latents: their gradient is dx - weight_n x, by density of either half. */
static void test_emitting(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = make_odd(context, HALF);
  bench b;
  glow_inverse_backward_options o = GLOW_INVERSE_BACKWARD_OPTIONS_INIT;
  (void)state;
  open_bench(&b, &own[1], model, GLOW_MODE_STORED, GLOW_LATENTS_RAW);
  invert(&b, 1, NULL, NULL);
  odd_calls = 0;
  go_back(&b);
  assert_in_range(odd_calls, 1, 100); /* what <glow/sys/layer.h> says an iteration takes */
  for (int n = 0; n < COUNT; n++)
    for (int i = 0; i < WIDE; i++) {
      int from = (i + WIDE / 2) % WIDE; /* the latents begin with those of the layer */
      double expected = (double)b.dx[n * WIDE + from] - weight[n] * (double)b.x[n * WIDE + from];
      assert_true(fabs((double)b.d_latents[n * WIDE + i] - expected) < 1e-5);
    }
  o.dx = NULL; /* nothing wanted and nothing given: zeros */
  invert(&b, 1, NULL, NULL);
  o.d_latents = b.d_latents;
  OK(glow_workspace_inverse_backward(b.ws, &o));
  for (int i = 0; i < COUNT * WIDE; i++)
    assert_true(b.d_latents[i] == 0.0f);
  b.form = GLOW_LATENTS_WHITENED;
  invert(&b, 1, NULL, NULL);
  REFUSED(glow_workspace_inverse_backward(b.ws, &o), GLOW_E_UNSUPPORTED,
          "layer 'layer' takes whitened latents and its table has no inverse_backward");
  close_bench(&b);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_no_solution(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = make_odd(context, LOST);
  bench b;
  glow_inverse_backward_options o = GLOW_INVERSE_BACKWARD_OPTIONS_INIT;
  (void)state;
  open_bench(&b, &own[1], model, GLOW_MODE_STORED, GLOW_LATENTS_RAW);
  invert(&b, 1, NULL, NULL);
  o.dx = b.dx;
  REFUSED(glow_workspace_inverse_backward(b.ws, &o), GLOW_E_NUMERIC,
          "layer 'layer': the gradient of its inverse does not converge for sample 0 (the residual "
          "is 1): give its table inverse_backward");
  close_bench(&b);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* `inverse_backward` takes memory only where a layer has to be iterated. */
static void test_memory(void **state) {
  (void)state;
  for (int i = 0; i < SUBJECTS; i++) {
    glow_context *context = helper_context(1, NULL, NULL);
    glow_model *model = subject(i)->make(context);
    glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
    uint64_t without = 0, with = 0;
    o.mode = GLOW_MODE_STORED;
    OK(glow_workspace_plan_bytes(model, &o, &without));
    o.inverse_backward = 1;
    OK(glow_workspace_plan_bytes(model, &o, &with));
    if (subject(i)->make == pair)
      assert_true(with > without);
    else
      assert_true(with == without);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void test_refusals(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = flows[0].make(context);
  glow_workspace_options wo = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_inverse_options io = GLOW_INVERSE_OPTIONS_INIT;
  glow_inverse_backward_options bo = GLOW_INVERSE_BACKWARD_OPTIONS_INIT;
  glow_backward_options fo = GLOW_BACKWARD_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  bench b;
  open_bench(&b, &flows[0], model, GLOW_MODE_STORED, GLOW_LATENTS_RAW);
  int32_t statuses[COUNT];
  (void)state;
  wo.inverse_backward = 1;
  REFUSED(glow_workspace_create(model, &wo, &ws), GLOW_E_ARGUMENT,
          "inverse_backward is 1, and mode is GLOW_MODE_INFERENCE");
  REFUSED(glow_workspace_inverse_backward(b.ws, NULL), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_workspace_inverse_backward(b.ws, &bo), GLOW_E_STATE, "needs an inverse pass");
  invert(&b, 0, NULL, NULL);
  REFUSED(glow_workspace_inverse_backward(b.ws, &bo), GLOW_E_STATE, "needs an inverse pass");
  invert(&b, 1, NULL, NULL);
  REFUSED(glow_workspace_backward(b.ws, &fo), GLOW_E_STATE, "needs a glow_workspace_forward");
  bo.d_condition = b.d_condition;
  REFUSED(glow_workspace_inverse_backward(b.ws, &bo), GLOW_E_ARGUMENT, "no condition");
  bo.d_condition = NULL;
  OK(glow_workspace_inverse_backward(b.ws, &bo));
  REFUSED(glow_workspace_inverse_backward(b.ws, &bo), GLOW_E_STATE, "needs an inverse pass");
  io.store = 2;
  REFUSED(glow_workspace_inverse(b.ws, b.latents, COUNT, &io, b.x), GLOW_E_ARGUMENT, "store is 2");
  io.store = 1;
  REFUSED(glow_workspace_inverse(b.ws, b.latents, COUNT + 1, &io, b.x), GLOW_E_ARGUMENT, "");
  ws = helper_workspace(model, COUNT, GLOW_MODE_STORED);
  REFUSED(glow_workspace_inverse(ws, b.latents, COUNT, &io, b.x), GLOW_E_STATE,
          "made without inverse_backward");
  b.latents[b.dims] = NAN; /* sample 1 */
  io.statuses = statuses;
  OK(glow_workspace_inverse(b.ws, b.latents, COUNT, &io, b.x));
  REFUSED(glow_workspace_inverse_backward(b.ws, &bo), GLOW_E_NUMERIC, "sample 1");
  glow_workspace_destroy(&ws);
  close_bench(&b);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_forward), cmocka_unit_test(test_differences),
      cmocka_unit_test(test_sampling),        cmocka_unit_test(test_threads),
      cmocka_unit_test(test_refusals),        cmocka_unit_test(test_emitting),
      cmocka_unit_test(test_memory),          cmocka_unit_test(test_no_solution),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
