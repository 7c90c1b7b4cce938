/* Conditions of the built-in nets: a net that reads a condition gives the same bits, in every way,
 * as the same net without one that is given x and the condition as one input, joined here by the
 * rule of <glow/net.h>: vectors, images of the same size and of a multiple, with and without
 * channels of x, in float32 and bfloat16, on one thread and on three. Gradients go back to x and to
 * the condition. All of it also with conditions of large mean and scale that the net standardises,
 * against an input of which the test has standardised that part itself. And shapes that do not fit
 * are refused by name; options NULL are the defaults.
 * (Differences, round trips, saving and loading: test_check_built_in.c.)
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <glow/sys/layer.h>
#include <glow/sys/math.h>

enum { COUNT = 5, BATCH = 3, HIDDEN = 6 };

/* ---- a layer that shows what its net does ---------------------------------------------------- */

/* x is the latents; log-prior[n] = sum_j weight(j) net(x)[n, j], over H W out values. */
typedef struct probe_options {
  size_t struct_size;
  int32_t seen; /* channels of x that the net sees */
  int32_t out;
} probe_options;

static const glow_option probe_rows[] = {
    GLOW_OPTION(probe_options, seen, INT32, .high = 1000),
    GLOW_OPTION(probe_options, out, INT32, .low = 1, .high = 1000, .fallback = 1)};
static const glow_options_table probe_table = {GLOW_OPTIONS_TABLE(probe_options, probe_rows)};

typedef struct probe {
  probe_options options;
  int64_t channels, size, outs; /* of a sample */
  int32_t out, d_out;
} probe;

static float weight(int64_t j) {
  return (float)cos(1.0 + 0.7 * (double)j);
}

static glow_status probe_configure(void *self, glow_setup *setup, const glow_shape *in,
                                   glow_shape *out) {
  probe *p = self;
  const glow_shape seen = {in->height, in->width, p->options.seen};
  p->channels = in->channels;
  p->size = glow_shape_size(in);
  p->outs = in->height * in->width * p->options.out;
  *out = (glow_shape){0, 0, 0};
  GLOW_TRY(glow_setup_latents(setup, in));
  GLOW_TRY(glow_setup_stored(setup, 0, p->outs, &p->out));
  GLOW_TRY(glow_setup_scratch(setup, 0, p->outs, &p->d_out));
  return glow_setup_net(setup, 0, &seen, p->options.out);
}

static glow_status probe_initialise(const void *self, const glow_call *call, int32_t round,
                                    int32_t phase, const float *x) {
  return glow_call_net_initialise(call, 0, round, phase, x, ((const probe *)self)->channels);
}

static void probe_forward(const void *self, const glow_call *call, const float *x, float *y,
                          double *logdet, double *logprior) {
  const probe *p = self;
  float *stored = glow_call_stored(call, p->out);
  float *out = stored ? stored : glow_call_scratch(call, p->d_out);
  (void)y, (void)logdet;
  glow_call_net_forward(call, 0, x, p->channels, out);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    memcpy(glow_call_latents(call) + n * glow_call_latent_stride(call), x + n * p->size,
           (size_t)p->size * sizeof *x);
    for (int64_t j = 0; j < p->outs; j++)
      logprior[n] += (double)weight(j) * (double)out[n * p->outs + j];
  }
}

static glow_status probe_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                 double *logdet, double *logprior) {
  (void)logprior;
  const probe *p = self;
  (void)y, (void)logdet;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    memcpy(x + n * p->size, glow_call_latents(call) + n * glow_call_latent_stride(call),
           (size_t)p->size * sizeof *x);
  return GLOW_OK;
}

static void probe_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const probe *p = self;
  int64_t samples = glow_call_sample_count(call);
  float *out = glow_call_stored(call, p->out), *d_out = glow_call_scratch(call, p->d_out);
  if (!glow_call_stored_valid(call))
    glow_call_net_forward(call, 0, g->x, p->channels, out);
  for (int64_t i = 0; i < samples * p->outs; i++)
    d_out[i] = (float)g->d_logprior[i / p->outs] * weight(i % p->outs);
  memset(g->dx, 0, (size_t)(samples * p->size) * sizeof *g->dx);
  glow_call_net_backward(call, 0, g->x, p->channels, out, d_out, g->dx, p->channels);
}

static const glow_hosted_net hosted[] = {{"net", NULL}};
static const glow_layer_ops probe_ops = {.struct_size = sizeof probe_ops,
                                         .type = "test.probe",
                                         .flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_ALWAYS_PREPARES,
                                         .net_count = 1,
                                         .nets = hosted,
                                         .options = &probe_table,
                                         .self_size = sizeof(probe),
                                         .configure = probe_configure,
                                         .initialise = probe_initialise,
                                         .forward = probe_forward,
                                         .inverse = probe_inverse,
                                         .backward = probe_backward};

/* ---- nets ------------------------------------------------------------------------------------ */

enum net_kind { CONV, CONV_BORDER, RES, RES_PLAIN, MLP };

static const char *const net_names[] = {"conv", "conv with border", "res", "plain res", "mlp"};

/* condition NULL: none, and then nothing is standardised. */
static glow_status make_net(glow_context *context, int kind, const glow_shape *condition,
                            int32_t standardise, glow_net **out) {
  glow_conv_net_options conv = GLOW_CONV_NET_OPTIONS_INIT;
  glow_res_net_options res = GLOW_RES_NET_OPTIONS_INIT;
  glow_mlp_net_options mlp = GLOW_MLP_NET_OPTIONS_INIT;
  conv.hidden = res.hidden = mlp.hidden = HIDDEN;
  conv.seed = res.seed = mlp.seed = 11;
  conv.border = kind == CONV_BORDER;
  res.blocks = 2;
  res.batch_norm = res.weight_norm = kind == RES;
  if (condition) {
    conv.condition = res.condition = mlp.condition = *condition;
    conv.standardise = res.standardise = mlp.standardise = standardise;
  }
  return kind <= CONV_BORDER ? glow_conv_net_create(context, &conv, out)
         : kind == MLP       ? glow_mlp_net_create(context, &mlp, out)
                             : glow_res_net_create(context, &res, out);
}

static glow_status make_model(glow_context *context, int kind, const glow_shape *input,
                              int32_t seen, int32_t out_channels, const glow_shape *condition,
                              int32_t standardise, glow_model **out) {
  const probe_options options = {sizeof options, seen, out_channels};
  glow_net *net = NULL;
  glow_layer *layer = NULL;
  OK(make_net(context, kind, condition, standardise, &net));
  OK(glow_layer_create(context, &probe_ops, &options, &net, &layer));
  return helper_wrap_layer(context, layer, false, input, out);
}

/* ---- joined by hand -------------------------------------------------------------------------- */

typedef struct net_case {
  int kind;
  glow_shape input;
  int32_t seen; /* channels of x that the net sees: all, or none */
  int32_t out;
  glow_shape condition;
} net_case;

static const net_case cases[] = {
    {CONV, {3, 5, 2}, 2, 3, {1, 1, 3}},        {CONV, {3, 5, 2}, 2, 3, {3, 5, 1}},
    {CONV, {3, 2, 1}, 1, 2, {6, 4, 2}},        {CONV, {1, 1, 4}, 4, 2, {1, 1, 5}},
    {CONV, {2, 3, 1}, 0, 2, {1, 1, 2}},        {CONV, {2, 3, 1}, 0, 2, {6, 9, 1}},
    {CONV, {13, 11, 2}, 2, 3, {13, 11, 2}},    {CONV_BORDER, {3, 5, 2}, 2, 3, {1, 1, 3}},
    {CONV_BORDER, {3, 2, 1}, 1, 2, {6, 4, 2}}, {RES, {3, 5, 2}, 2, 3, {1, 1, 3}},
    {RES, {3, 5, 2}, 2, 3, {3, 5, 1}},         {RES, {3, 2, 1}, 1, 2, {6, 4, 2}},
    {RES, {13, 11, 1}, 0, 2, {13, 11, 1}},     {RES_PLAIN, {3, 5, 2}, 2, 3, {1, 1, 3}},
    {RES_PLAIN, {2, 3, 1}, 0, 2, {6, 9, 1}},   {MLP, {3, 2, 2}, 2, 2, {1, 1, 3}},
    {MLP, {1, 1, 4}, 4, 3, {2, 5, 3}},         {MLP, {2, 2, 1}, 0, 2, {4, 3, 1}}};
enum { CASES = sizeof cases / sizeof *cases };

/* The input of the net without a condition. */
static glow_shape joined_shape(const net_case *c) {
  int64_t condition = glow_shape_size(&c->condition);
  int64_t image = c->input.height * c->input.width;
  bool vector = c->condition.height == 1 && c->condition.width == 1;
  if (c->kind == MLP)
    return (glow_shape){1, 1, image * c->seen + condition};
  return (glow_shape){c->input.height, c->input.width,
                      c->seen + (vector ? condition : condition / image)};
}

/* Where element k of a sample's joined input comes from: *from_x says whether it is x, and the
 * result is its place there or in the condition. */
static int64_t source(const net_case *c, int64_t k, bool *from_x) {
  int64_t width = c->input.width, image = c->input.height * width;
  int64_t row = joined_shape(c).channels, p = k / row, j = k % row;
  if (c->kind == MLP) {
    *from_x = k < image * c->seen;
    return *from_x ? k / c->seen * c->input.channels + k % c->seen : k - image * c->seen;
  }
  *from_x = j < c->seen;
  if (*from_x)
    return p * c->input.channels + j;
  j -= c->seen;
  if (c->condition.height == 1 && c->condition.width == 1)
    return j;
  int64_t f = c->condition.height / c->input.height, channel = j / (f * f);
  int64_t y = f * (p / width) + j / f % f, x = f * (p % width) + j % f;
  return (y * c->condition.width + x) * c->condition.channels + channel;
}

/* ---- the same, both ways --------------------------------------------------------------------- */

/* side[0]: with a condition; side[1]: joined. */
typedef struct side {
  glow_model *model;
  int64_t size; /* of a sample's input */
  float *x, *dx;
} side;

typedef struct bench {
  const net_case *c;
  int32_t standardise;
  glow_context *context;
  side sides[2];
  int64_t condition; /* elements of a sample's */
  float *conditions, *d_condition;
  /* What the net makes of them, and what their gradients are divided by; with `standardise`. */
  float *standard, *deviations;
} bench;

static void open_sides(bench *b) {
  const net_case *c = b->c;
  glow_shape joined = joined_shape(c);
  int64_t image = c->input.height * c->input.width;
  int32_t outs = (int32_t)(c->kind == MLP ? image * c->out : c->out);
  OK(make_model(b->context, c->kind, &c->input, c->seen, c->out, &c->condition, b->standardise,
                &b->sides[0].model));
  OK(make_model(b->context, c->kind, &joined, (int32_t)joined.channels, outs, NULL, 0,
                &b->sides[1].model));
  b->condition = glow_shape_size(&c->condition);
  b->sides[0].size = glow_shape_size(&c->input);
  b->sides[1].size = glow_shape_size(&joined);
  assert_int_equal(glow_model_condition_size(b->sides[0].model), b->condition);
  assert_int_equal(glow_model_condition_size(b->sides[1].model), 0);
}

/* Mean and deviation of a column of the conditions, rounded as the net rounds them: the mean to
 * float32, and then the deviation around that. */
static void column_standard(const bench *b, int64_t columns, int64_t column, float *mean,
                            float *deviation) {
  int64_t count = COUNT * b->condition / columns;
  double sum = 0, rest = 0, squares = 0;
  for (int64_t i = 0; i < count; i++)
    sum += (double)b->conditions[i * columns + column];
  *mean = (float)(sum / (double)count);
  for (int64_t i = 0; i < count; i++) {
    double d = (double)(b->conditions[i * columns + column] - *mean);
    rest += d / (double)count;
    squares += d * d / (double)count;
  }
  *deviation = (float)sqrt(squares - rest * rest);
}

/* By element for a vector and an MLP, by channel for an image. Net's and test's values are compared
 * here: sums of doubles in another order, so that the last bit of the float32 may differ. Then the
 * net's own are taken. */
static void standardise_by_hand(bench *b) {
  int64_t columns = b->c->kind == MLP ? b->condition : b->c->condition.channels;
  float *mean = helper_allocate((size_t)columns * sizeof *mean);
  float *deviation = helper_allocate((size_t)columns * sizeof *deviation);
  OK(glow_model_get_tensor(b->sides[0].model, "layer.net.condition_mean", mean, columns));
  OK(glow_model_get_tensor(b->sides[0].model, "layer.net.condition_deviation", deviation, columns));
  for (int64_t j = 0; j < columns; j++) {
    float m, d;
    column_standard(b, columns, j, &m, &d);
    assert_true(fabsf(mean[j] - m) <= 2.4e-7f * fabsf(m));
    assert_true(fabsf(deviation[j] - d) <= 1e-6f * d);
  }
  for (int64_t i = 0; i < COUNT * b->condition; i++) {
    b->deviations[i] = deviation[i % columns];
    b->standard[i] = (b->conditions[i] - mean[i % columns]) / deviation[i % columns];
  }
  free(mean);
  free(deviation);
}

/* x of side 1 from x and conditions of side 0. */
static void join_by_hand(bench *b) {
  side *plain = &b->sides[0], *joined = &b->sides[1];
  for (int64_t i = 0; i < COUNT * joined->size; i++) {
    int64_t n = i / joined->size;
    bool from_x;
    int64_t at = source(b->c, i % joined->size, &from_x);
    joined->x[i] = from_x ? plain->x[n * plain->size + at] : b->standard[n * b->condition + at];
  }
}

static void fill(bench *b, helper_random *random) {
  side *plain = &b->sides[0], *joined = &b->sides[1];
  int64_t conditions = COUNT * b->condition;
  plain->x = helper_new_normals(random, 1.0f, COUNT * plain->size);
  b->conditions = helper_new_normals(random, 1.0f, conditions);
  b->d_condition = helper_new_normals(random, 1.0f, conditions);
  b->standard = helper_allocate((size_t)conditions * sizeof(float));
  b->deviations = helper_allocate((size_t)conditions * sizeof(float));
  joined->x = helper_new_normals(random, 1.0f, COUNT * joined->size);
  for (int64_t i = 0; i < conditions; i++) {
    if (b->standardise)
      b->conditions[i] = 1e6f + 1e4f * b->conditions[i];
    b->standard[i] = b->conditions[i];
    b->deviations[i] = 1;
  }
  join_by_hand(b);
  for (int s = 0; s < 2; s++)
    b->sides[s].dx = helper_new_normals(random, 1.0f, COUNT * b->sides[s].size);
}

static void open_bench(bench *b, const net_case *c, uint32_t threads, int32_t products,
                       int32_t standardise) {
  helper_random random = helper_random_of(40);
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  *b = (bench){.c = c, .standardise = standardise};
  options.threads = threads;
  options.products = products;
  OK(glow_context_create(&options, &b->context));
  open_sides(b);
  fill(b, &random);
}

static void close_bench(bench *b) {
  for (int s = 0; s < 2; s++) {
    glow_model_destroy(&b->sides[s].model);
    free(b->sides[s].x);
    free(b->sides[s].dx);
  }
  free(b->conditions);
  free(b->d_condition);
  free(b->standard);
  free(b->deviations);
  glow_context_destroy(&b->context);
}

static glow_workspace *workspace(const bench *b, int s, const glow_model *model, int64_t batch,
                                 int32_t mode) {
  glow_workspace *ws = helper_workspace(model, batch, mode);
  if (s == 0)
    OK(glow_workspace_set_condition(ws, b->conditions, COUNT, b->condition));
  return ws;
}

static void same(const bench *b, const char *what, const void *a, const void *other, int64_t count,
                 size_t size) {
  if (helper_same_bits(a, other, count, size))
    return;
  fail_msg("%s, condition %d x %d x %d: %s differs from that of the joined input",
           net_names[b->c->kind], (int)b->c->condition.height, (int)b->c->condition.width,
           (int)b->c->condition.channels, what);
}

static void check_parameters(const bench *b, const char *what) {
  int64_t count = glow_model_parameter_count(b->sides[0].model);
  assert_int_equal(count, glow_model_parameter_count(b->sides[1].model));
  same(b, what, glow_model_parameters(b->sides[0].model), glow_model_parameters(b->sides[1].model),
       count, sizeof(float));
}

static void check_initialisation(bench *b) {
  check_parameters(b, "starting values");
  for (int s = 0; s < 2; s++) {
    glow_workspace *ws = workspace(b, s, b->sides[s].model, BATCH, GLOW_MODE_INFERENCE);
    OK(glow_workspace_initialise(ws, b->sides[s].model, b->sides[s].x, NULL, COUNT));
    glow_workspace_destroy(&ws);
    if (s == 0 && b->standardise) {
      standardise_by_hand(b);
      join_by_hand(b);
    }
  }
  check_parameters(b, "values after initialisation");
}

/* Last layers start at 0: without this nothing would differ. */
static void perturb(bench *b) {
  for (int s = 0; s < 2; s++) {
    helper_random random = helper_random_of(41);
    helper_perturb(b->sides[s].model, &random, 0.3f);
  }
}

static void check_inference(const bench *b) {
  double log_prob[2][COUNT], alone;
  for (int s = 0; s < 2; s++) {
    glow_workspace *ws = workspace(b, s, b->sides[s].model, BATCH, GLOW_MODE_INFERENCE);
    OK(glow_workspace_log_prob(ws, b->sides[s].x, NULL, COUNT, log_prob[s]));
    glow_workspace_destroy(&ws);
  }
  same(b, "log-density", log_prob[0], log_prob[1], COUNT, sizeof(double));
  assert_true(log_prob[0][0] != log_prob[0][1]);
  if (helper_is_cblas(glow_context_kernels(b->context)))
    return;
  glow_workspace *ws = helper_workspace(b->sides[0].model, 1, GLOW_MODE_INFERENCE);
  for (int n = 0; n < COUNT; n++) {
    OK(glow_workspace_set_condition(ws, b->conditions + n * b->condition, 1, b->condition));
    OK(glow_workspace_log_prob(ws, b->sides[0].x + n * b->sides[0].size, NULL, 1, &alone));
    assert_true(alone == log_prob[0][n]);
  }
  glow_workspace_destroy(&ws);
}

static void check_form(const bench *b) {
  double log_prob[2][COUNT];
  for (int s = 0; s < 2; s++) {
    glow_model *form = NULL;
    OK(glow_model_inference_form(b->sides[s].model, &form));
    glow_workspace *ws = workspace(b, s, form, BATCH, GLOW_MODE_INFERENCE);
    OK(glow_workspace_log_prob(ws, b->sides[s].x, NULL, COUNT, log_prob[s]));
    glow_workspace_destroy(&ws);
    glow_model_destroy(&form);
  }
  same(b, "log-density of the inference form", log_prob[0], log_prob[1], COUNT, sizeof(double));
}

/* The gradient of the joined input, taken apart: in order of its elements, as sums in float32, each
 * divided by the deviation first. */
static void check_input_gradients(const bench *b) {
  const side *plain = &b->sides[0], *joined = &b->sides[1];
  float *dx = helper_allocate((size_t)(COUNT * plain->size) * sizeof(float));
  float *d_condition = helper_allocate((size_t)(COUNT * b->condition) * sizeof(float));
  memset(dx, 0, (size_t)(COUNT * plain->size) * sizeof(float));
  memset(d_condition, 0, (size_t)(COUNT * b->condition) * sizeof(float));
  for (int64_t i = 0; i < COUNT * joined->size; i++) {
    int64_t n = i / joined->size;
    bool from_x;
    int64_t at = source(b->c, i % joined->size, &from_x);
    if (from_x)
      dx[n * plain->size + at] += joined->dx[i];
    else
      d_condition[n * b->condition + at] += joined->dx[i] / b->deviations[n * b->condition + at];
  }
  for (int64_t i = 0; i < COUNT * plain->size; i++)
    assert_true(plain->dx[i] == dx[i]); /* by value: -0 is as good as 0 */
  for (int64_t i = 0; i < COUNT * b->condition; i++)
    assert_true(b->d_condition[i] == d_condition[i]);
  free(dx);
  free(d_condition);
}

static void check_training(bench *b, int32_t mode) {
  const double weight_of[COUNT] = {1.0, -0.5, 2.0, 0.25, -1.5};
  int64_t parameters = glow_model_parameter_count(b->sides[0].model);
  double log_prob[2][COUNT];
  glow_workspace *ws[2];
  for (int s = 0; s < 2; s++) {
    glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
    ws[s] = workspace(b, s, b->sides[s].model, COUNT, mode);
    o.weight = weight_of;
    o.dx = b->sides[s].dx;
    o.d_condition = s == 0 ? b->d_condition : NULL;
    OK(helper_forward(ws[s], b->sides[s].x, NULL, COUNT, GLOW_LATENTS_RAW, NULL, NULL,
                      log_prob[s]));
    OK(glow_workspace_backward(ws[s], &o));
  }
  same(b, "log-density in training", log_prob[0], log_prob[1], COUNT, sizeof(double));
  same(b, "gradient of the parameters", glow_workspace_gradients(ws[0]),
       glow_workspace_gradients(ws[1]), parameters, sizeof(float));
  check_input_gradients(b);
  /* A net that hands nothing to the condition passes all of the above but this. */
  bool has_gradient = false;
  for (int64_t i = 0; i < COUNT * b->condition; i++)
    has_gradient = has_gradient || fabsf(b->d_condition[i] * b->deviations[i]) > 1e-3f;
  assert_true(has_gradient);
  for (int s = 0; s < 2; s++)
    glow_workspace_destroy(&ws[s]);
}

static void check_case(const net_case *c, uint32_t threads, int32_t products, int32_t standardise) {
  bench b;
  open_bench(&b, c, threads, products, standardise);
  check_initialisation(&b);
  perturb(&b);
  check_inference(&b);
  check_form(&b);
  check_training(&b, GLOW_MODE_STORED);
  check_training(&b, GLOW_MODE_RECONSTRUCTED);
  close_bench(&b);
}

static void test_joined(void **state) {
  (void)state;
  for (int i = 0; i < CASES; i++)
    check_case(&cases[i], 1, GLOW_PRODUCTS_FLOAT32, 0);
}

static void test_threads(void **state) {
  (void)state;
  for (int i = 0; i < CASES; i++)
    check_case(&cases[i], 3, GLOW_PRODUCTS_FLOAT32, 0);
}

static void test_standardised(void **state) {
  (void)state;
  for (int i = 0; i < CASES; i++) {
    check_case(&cases[i], 1, GLOW_PRODUCTS_FLOAT32, 1);
    check_case(&cases[i], 3, GLOW_PRODUCTS_BFLOAT16, 1);
  }
}

static void test_bfloat16(void **state) {
  (void)state;
  for (int i = 0; i < CASES; i++)
    check_case(&cases[i], 2, GLOW_PRODUCTS_BFLOAT16, 0);
}

/* ---- refusals and defaults ------------------------------------------------------------------- */

static void refused(glow_context *context, int kind, glow_shape input, int32_t seen,
                    glow_shape condition, const char *words) {
  glow_model *model = NULL;
  glow_status status = make_model(context, kind, &input, seen, 2, &condition, 0, &model);
  if (status != GLOW_E_SHAPE || !strstr(glow_last_error(), words))
    fail_msg("%s: \"%s\" instead of \"%s\"", net_names[kind], glow_last_error(), words);
  assert_null(model);
}

static void test_refusals(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  for (int kind = CONV; kind < MLP; kind++) {
    const glow_shape in = {4, 6, 2};
    refused(context, kind, in, 2, (glow_shape){4, 5, 1}, "4 x 5 pixels does not fit 4 x 6");
    refused(context, kind, in, 2, (glow_shape){8, 6, 1}, "8 x 6 pixels does not fit 4 x 6");
    refused(context, kind, in, 2, (glow_shape){2, 3, 1}, "must be a vector (1 x 1), or both sides");
    refused(context, kind, in, 2, (glow_shape){1, 6, 1}, "1 x 6 pixels does not fit");
  }
  for (int kind = CONV; kind <= MLP; kind++)
    refused(context, kind, (glow_shape){2, 2, 1}, 0, (glow_shape){1, 1, 0}, "nothing to read");
  glow_context_destroy(&context);
}

/* NAME: as in GLOW_NAME_NET_OPTIONS_INIT. */
#define BAD(type, NAME, field, value, words)                                                       \
  do {                                                                                             \
    glow_##type##_net_options bad_ = GLOW_##NAME##_NET_OPTIONS_INIT;                               \
    bad_.condition.channels = 1;                                                                   \
    bad_.condition.field = (value);                                                                \
    REFUSED(glow_##type##_net_create(context, &bad_, &net), GLOW_E_ARGUMENT, words);               \
    assert_null(net);                                                                              \
  } while (0)
#define BAD_CONDITIONS(type, NAME)                                                                 \
  BAD(type, NAME, channels, -1, "condition.channels is -1; it must be 0 to 16777216");             \
  BAD(type, NAME, channels, (int64_t)1 << 40, "condition.channels is 1099511627776");              \
  BAD(type, NAME, height, -3, "condition.height is -3; it must be 1 to 16777216");                 \
  BAD(type, NAME, width, INT64_MAX, "condition.width is")

#define BAD_STANDARDISE(type, NAME)                                                                \
  do {                                                                                             \
    glow_##type##_net_options bad_ = GLOW_##NAME##_NET_OPTIONS_INIT;                               \
    bad_.standardise = 1;                                                                          \
    REFUSED(glow_##type##_net_create(context, &bad_, &net), GLOW_E_ARGUMENT,                       \
            "no condition to standardise");                                                        \
    bad_.condition.channels = 1;                                                                   \
    bad_.standardise = 2;                                                                          \
    REFUSED(glow_##type##_net_create(context, &bad_, &net), GLOW_E_ARGUMENT, "standardise is 2");  \
    assert_null(net);                                                                              \
  } while (0)

static void test_options(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_net *net = NULL;
  (void)state;
  BAD_CONDITIONS(conv, CONV);
  BAD_CONDITIONS(res, RES);
  BAD_CONDITIONS(mlp, MLP);
  BAD_STANDARDISE(conv, CONV);
  BAD_STANDARDISE(res, RES);
  BAD_STANDARDISE(mlp, MLP);
  glow_context_destroy(&context);
}

/* What a net was made with stands at the start of its `self`. */
#define CHECK_DEFAULTS(type, NAME)                                                                 \
  do {                                                                                             \
    const glow_##type##_net_options expected_ = GLOW_##NAME##_NET_OPTIONS_INIT;                    \
    glow_net *net_ = NULL;                                                                         \
    OK(glow_##type##_net_create(context, NULL, &net_));                                            \
    assert_memory_equal(glow_net_self(net_), &expected_, sizeof expected_);                        \
    glow_net_destroy(&net_);                                                                       \
    OK(glow_##type##_net_create(context, &expected_, &net_));                                      \
    assert_memory_equal(glow_net_self(net_), &expected_, sizeof expected_);                        \
    glow_net_destroy(&net_);                                                                       \
  } while (0)

static void test_defaults(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_mlp_net_options zeros = GLOW_MLP_NET_OPTIONS_INIT;
  glow_net *net = NULL;
  (void)state;
  CHECK_DEFAULTS(conv, CONV);
  CHECK_DEFAULTS(res, RES);
  CHECK_DEFAULTS(mlp, MLP);
  /* Sides of 0 are those of a vector: a caller who sets channels alone. */
  zeros.condition = (glow_shape){0, 0, 4};
  OK(glow_mlp_net_create(context, &zeros, &net));
  zeros.condition = (glow_shape){1, 1, 4};
  assert_memory_equal(glow_net_self(net), &zeros, sizeof zeros);
  glow_net_destroy(&net);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_joined),       cmocka_unit_test(test_threads),
      cmocka_unit_test(test_bfloat16),     cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_options),      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_standardised),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
