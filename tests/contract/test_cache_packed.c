/* Workspaces that cache packed weights: the same bits as those that do not, through changes of
 * parameters, in all modes; a layer is asked to pack once for each version of the parameters; the
 * bytes are counted. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { COUNT = 3 };

/* ---- the same bits --------------------------------------------------------------------------- */

static glow_workspace *open_workspace(const glow_model *model, int32_t mode, int32_t keep) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  uint64_t bytes = 0;
  o.batch = COUNT;
  o.mode = mode;
  o.cache_packed = keep;
  OK(glow_workspace_create(model, &o, &ws));
  OK(glow_workspace_plan_bytes(model, &o, &bytes));
  assert_int_equal(bytes, glow_workspace_bytes(ws));
  return ws;
}

typedef struct results {
  double log_prob[COUNT], again[COUNT];
  float *samples, *gradients;
} results;

static void run(const glow_model *model, glow_workspace *ws, const float *x, results *r) {
  static const double weight[COUNT] = {1, -0.5, 2};
  const size_t parameters = (size_t)glow_model_parameter_count(model) * sizeof(float);
  glow_sample_options sample = GLOW_SAMPLE_OPTIONS_INIT;
  glow_backward_options back = GLOW_BACKWARD_OPTIONS_INIT;
  OK(glow_workspace_log_prob(ws, x, NULL, COUNT, r->log_prob));
  OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, NULL, NULL, r->again));
  if (glow_workspace_gradients(ws)) {
    back.weight = weight;
    OK(glow_workspace_zero_gradients(ws));
    OK(glow_workspace_backward(ws, &back));
    memcpy(r->gradients, glow_workspace_gradients(ws), parameters);
  }
  OK(helper_sample(ws, &sample, NULL, COUNT, r->samples));
}

static void check_mode(glow_model *model, int32_t mode) {
  int64_t dims = glow_model_dims(model), parameters = glow_model_parameter_count(model);
  helper_random random = helper_random_of((uint64_t)mode);
  float *x = helper_new_normals(&random, 0.3f, COUNT * dims);
  glow_workspace *both[] = {open_workspace(model, mode, 0), open_workspace(model, mode, 1)};
  results r[2];
  for (int i = 0; i < 2; i++)
    r[i] = (results){.samples = helper_allocate((size_t)(COUNT * dims) * sizeof(float)),
                     .gradients = calloc((size_t)parameters, sizeof(float))};
  assert_true(glow_workspace_bytes(both[1]) > glow_workspace_bytes(both[0]));
  for (int round = 0; round < 6; round++) {
    for (int i = 0; i < 2; i++)
      run(model, both[i], x, &r[i]);
    assert_memory_equal(r[0].log_prob, r[1].log_prob, sizeof r[0].log_prob);
    assert_memory_equal(r[0].again, r[1].again, sizeof r[0].again);
    assert_true(helper_same_bits(r[0].samples, r[1].samples, COUNT * dims, sizeof(float)));
    assert_true(helper_same_bits(r[0].gradients, r[1].gradients, parameters, sizeof(float)));
    if (round % 2) /* every second round runs on what the one before has cached */
      helper_perturb(model, &random, 0.02f);
    if (round == 3)
      OK(glow_workspace_initialise(both[1], model, x, NULL, COUNT));
  }
  for (int i = 0; i < 2; i++) {
    glow_workspace_destroy(&both[i]);
    free(r[i].samples);
    free(r[i].gradients);
  }
  free(x);
}

static void check_context(int32_t products, uint32_t threads) {
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_glow_options glow = GLOW_GLOW_OPTIONS_INIT;
  glow_context *context = NULL;
  glow_model *model = NULL;
  options.products = products;
  options.threads = threads;
  OK(glow_context_create(&options, &context));
  glow.input = (glow_shape){8, 8, 3};
  glow.levels = 2;
  glow.depth = 2;
  glow.hidden = 20;
  OK(glow_model_create_glow(context, &glow, &model));
  helper_random random = helper_random_of(7);
  helper_perturb(model, &random, 0.02f);
  for (int32_t mode = GLOW_MODE_INFERENCE; mode <= GLOW_MODE_RECONSTRUCTED; mode++)
    check_mode(model, mode);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_same_bits(void **unused) {
  (void)unused;
  check_context(GLOW_PRODUCTS_FLOAT32, 1);
  check_context(GLOW_PRODUCTS_FLOAT32, 3);
  check_context(GLOW_PRODUCTS_BFLOAT16, 2);
}

/* ---- once for each version ------------------------------------------------------------------- */

/* y = x exp(a), where exp(a) and, for backward, exp(-a) are what is packed. */
typedef struct counted {
  int64_t size;
  int32_t a, packed, back;
  int *packs, *back_packs; /* how often each was made */
  bool by_tasks;
} counted;

static glow_status configure(void *self, glow_setup *setup, const glow_shape *in, glow_shape *out) {
  counted *s = self;
  int64_t one[] = {1};
  *out = *in;
  s->size = in->height * in->width * in->channels;
  OK(glow_setup_tensor(setup, "a", GLOW_TYPE_F32, 1, 1, one, &s->a));
  OK(glow_setup_packed(setup, 1, 0, &s->packed));
  if (s->by_tasks)
    OK(glow_setup_packed(setup, 1, 1, &s->back));
  return GLOW_OK;
}

static float packed_of(const counted *s, const glow_call *call, int32_t id, float sign,
                       int *packs) {
  float *packed = glow_call_scratch(call, id);
  if (glow_call_must_pack(call, id)) {
    ++*packs;
    *packed = expf(sign * *(const float *)glow_call_tensor(call, s->a));
  }
  return *packed;
}

static void times(const counted *s, const glow_call *call, float factor, const float *from,
                  float *to) {
  for (int64_t i = 0; i < glow_call_sample_count(call) * s->size; i++)
    to[i] = from[i] * factor;
}

static void add_logdet(const counted *s, const glow_call *call, double sign, double *logdet) {
  float a = *(const float *)glow_call_tensor(call, s->a);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] += sign * (double)a * (double)s->size;
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  const counted *s = self;
  (void)logprior;
  times(s, call, packed_of(s, call, s->packed, 1, s->packs), x, y);
  add_logdet(s, call, 1, logdet);
}

static glow_status inverse(const void *self, const glow_call *call, const float *y, float *x,
                           double *logdet, double *logprior) {
  (void)logprior;
  const counted *s = self;
  times(s, call, 1 / packed_of(s, call, s->packed, 1, s->packs), y, x);
  add_logdet(s, call, -1, logdet);
  return GLOW_OK;
}

static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const counted *s = self;
  if (s->by_tasks)
    times(s, call, 1 / packed_of(s, call, s->back, -1, s->back_packs), g->dy, g->dx);
  else
    times(s, call, packed_of(s, call, s->packed, 1, s->packs), g->dy, g->dx);
}

static glow_model *counted_model(glow_context *context, bool by_tasks, int *packs,
                                 int *back_packs) {
  const glow_shape input = {2, 2, 3};
  glow_layer_ops ops = {.struct_size = sizeof ops, .type = "counted", .configure = configure};
  glow_builder *builder = NULL;
  glow_model *model = NULL;
  glow_layer *layer = NULL;
  glow_prior_options prior = GLOW_PRIOR_OPTIONS_INIT;
  ops.flags = by_tasks ? GLOW_LAYER_BY_TASKS : 0;
  ops.forward = forward;
  ops.inverse = inverse;
  ops.backward = backward;
  ops.self_size = sizeof(counted);
  OK(glow_builder_create(context, &input, NULL, &builder));
  for (int i = 0; i < 2; i++) { /* two, which must not share what they keep */
    OK(glow_layer_create(context, &ops, NULL, NULL, &layer));
    *(counted *)glow_layer_self(layer) =
        (counted){.packs = packs, .back_packs = back_packs, .by_tasks = by_tasks};
    OK(glow_builder_add(builder, i ? "second" : "first", &layer));
  }
  OK(glow_prior_create(context, &prior, &layer));
  OK(glow_builder_add(builder, "prior", &layer));
  OK(glow_builder_finish(&builder, &model));
  return model;
}

static glow_model *perturbed_model(glow_context *context, bool by_tasks, int *packs,
                                   int *back_packs) {
  glow_model *model = counted_model(context, by_tasks, packs, back_packs);
  helper_random random = helper_random_of(1);
  helper_perturb(model, &random, 0.1f);
  return model;
}

static void count_passes(glow_workspace *ws, const float *x, int times_each) {
  static const double weight[COUNT] = {1, 1, 1};
  double log_prob[COUNT];
  for (int i = 0; i < times_each; i++) {
    glow_backward_options back = GLOW_BACKWARD_OPTIONS_INIT;
    back.weight = weight;
    OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, NULL, NULL, log_prob));
    OK(glow_workspace_backward(ws, &back));
  }
}

static void test_once_for_each_version(void **unused) {
  (void)unused;
  int packs = 0, back_packs = 0;
  float x[COUNT * 12] = {0.5f, 1};
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = perturbed_model(context, true, &packs, &back_packs);
  glow_workspace *plain = open_workspace(model, GLOW_MODE_STORED, 0);
  glow_workspace *keeps = open_workspace(model, GLOW_MODE_STORED, 1);
  count_passes(plain, x, 3);
  assert_int_equal(packs, 2 * 3);
  assert_int_equal(back_packs, 2 * 3);
  helper_random random = helper_random_of(2);
  for (int version = 1; version <= 3; version++) {
    packs = back_packs = 0;
    count_passes(keeps, x, 4);
    assert_int_equal(packs, 2);
    assert_int_equal(back_packs, 2);
    helper_perturb(model, &random, 0.1f);
  }
  glow_workspace_destroy(&plain);
  glow_workspace_destroy(&keeps);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* All micro-batches of a step share what is packed. */
static void test_trainer(void **unused) {
  (void)unused;
  int packs = 0, back_packs = 0;
  float x[COUNT * 12] = {0.5f, 1};
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = perturbed_model(context, true, &packs, &back_packs);
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  o.micro_batch = 1;
  o.cache_packed = 1;
  OK(glow_trainer_create(model, &o, &trainer));
  for (int step = 1; step <= 3; step++) {
    OK(glow_trainer_step(trainer, x, NULL, COUNT, NULL));
    assert_int_equal(packs, 2 * step);
    assert_int_equal(back_packs, 2 * step);
  }
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* Blocks of a layer that is run by samples run at the same time: each makes its own. */
static void test_by_samples(void **unused) {
  (void)unused;
  int packs = 0;
  float x[COUNT * 12] = {0.5f, 1};
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = perturbed_model(context, false, &packs, NULL);
  glow_workspace *keeps = open_workspace(model, GLOW_MODE_STORED, 1);
  count_passes(keeps, x, 2);
  assert_int_equal(packs, 2 * 2 * 2);
  glow_workspace_destroy(&keeps);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_refused(void **unused) {
  (void)unused;
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = counted_model(context, true, NULL, NULL);
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  o.cache_packed = 2;
  REFUSED(glow_workspace_create(model, &o, &ws), GLOW_E_ARGUMENT, "cache_packed is 2");
  assert_null(ws);
  glow_trainer_options t = GLOW_TRAINER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  t.cache_packed = 2;
  REFUSED(glow_trainer_create(model, &t, &trainer), GLOW_E_ARGUMENT, "cache_packed is 2");
  assert_null(trainer);
  t.cache_packed = 0;
  t.inverse_backward = 2;
  REFUSED(glow_trainer_create(model, &t, &trainer), GLOW_E_ARGUMENT, "inverse_backward is 2");
  assert_null(trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_same_bits), cmocka_unit_test(test_once_for_each_version),
      cmocka_unit_test(test_trainer),   cmocka_unit_test(test_by_samples),
      cmocka_unit_test(test_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
