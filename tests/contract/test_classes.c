/* Samples whose class is not known, and classifiers: what they compute against the definitions,
 * what is refused, and what a layer of the caller's has to do for both.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <glow/sys/check.h>

enum { BATCH = 7, CLASSES = 3 };

typedef struct bench {
  glow_context *context;
  glow_model *model;
  glow_workspace *ws;
  int64_t dims;
  float *x, *z;
  int32_t labels[BATCH];
  double log_prob[BATCH];
} bench;

static glow_glow_options options(void) {
  glow_glow_options o = helper_small_glow();
  o.classes = CLASSES;
  o.classifier = 1;
  return o;
}

static int open_bench(void **state) {
  bench *b = helper_allocate(sizeof *b);
  glow_glow_options o = options();
  helper_random random = helper_random_of(21);
  memset(b, 0, sizeof *b);
  b->context = helper_context(2, "c", NULL);
  b->model = helper_glow(b->context, &o, 22);
  b->ws = helper_workspace(b->model, BATCH, GLOW_MODE_STORED);
  b->dims = glow_model_dims(b->model);
  b->x = helper_new_normals(&random, 0.5f, BATCH * b->dims);
  b->z = helper_allocate((size_t)(BATCH * b->dims) * sizeof *b->z);
  for (int i = 0; i < BATCH; i++)
    b->labels[i] = i % (CLASSES + 1) - 1;
  *state = b;
  return 0;
}

static int close_bench(void **state) {
  bench *b = *state;
  glow_workspace_destroy(&b->ws);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
  free(b->x);
  free(b->z);
  free(b);
  return 0;
}

/* ---- samples whose class is not known -------------------------------------------------------- */

static void log_probs(const bench *b, int32_t label, double *out) {
  int32_t labels[BATCH];
  for (int i = 0; i < BATCH; i++)
    labels[i] = label;
  OK(glow_workspace_log_prob(b->ws, b->x, labels, BATCH, out));
}

/* p(x) = 1/K sum_k p(x|k). */
static void check_mixture(const bench *b) {
  double of_class[CLASSES][BATCH], unknown[BATCH];
  for (int k = 0; k < CLASSES; k++)
    log_probs(b, k, of_class[k]);
  log_probs(b, -1, unknown);
  for (int i = 0; i < BATCH; i++) {
    double top = fmax(of_class[0][i], fmax(of_class[1][i], of_class[2][i])), sum = 0;
    for (int k = 0; k < CLASSES; k++)
      sum += exp(of_class[k][i] - top) / CLASSES;
    assert_true(fabs(unknown[i] - (top + log(sum))) < 1e-9 * (1 + fabs(top)));
  }
}

static void test_mixture(void **state) {
  bench *b = *state;
  check_mixture(b);
  /* Classes so far apart that the exponential of each density alone is 0. */
  float means[CLASSES * 16];
  for (int i = 0; i < CLASSES * 16; i++)
    means[i] = 50.0f * (float)(i / 16);
  OK(glow_model_set_tensor(b->model, "prior.class_mean", means, CLASSES * 16));
  OK(glow_model_prepare(b->model));
  check_mixture(b);
}

/* A label makes a sample what it was before there were others. */
static void test_mixed_batch(void **state) {
  bench *b = *state;
  double mixed[BATCH], alone;
  OK(glow_workspace_log_prob(b->ws, b->x, b->labels, BATCH, mixed));
  for (int i = 0; i < BATCH; i++) {
    OK(glow_workspace_log_prob(b->ws, b->x + i * b->dims, b->labels + i, 1, &alone));
    assert_true(alone == mixed[i]);
  }
}

static void test_unknown_is_refused_where_a_law_is_needed(void **state) {
  bench *b = *state;
  const char *layer;
  const int32_t *labels = b->labels; /* the first is -1 */
  const char *words = "label of sample 0 is -1";
  REFUSED(helper_forward(b->ws, b->x, labels, BATCH, GLOW_LATENTS_WHITENED, b->z, NULL, NULL),
          GLOW_E_ARGUMENT, words);
  REFUSED(helper_inverse(b->ws, b->x, GLOW_LATENTS_WHITENED, labels, BATCH, b->z, NULL),
          GLOW_E_ARGUMENT, words);
  REFUSED(helper_sample(b->ws, NULL, labels, BATCH, b->z), GLOW_E_ARGUMENT, words);
  OK(helper_forward(b->ws, b->x, labels, BATCH, GLOW_LATENTS_WHITENED, NULL, NULL, b->log_prob));
  OK(helper_forward(b->ws, b->x, labels, BATCH, GLOW_LATENTS_RAW, b->z, NULL, NULL));
  float *back = helper_allocate((size_t)(BATCH * b->dims) * sizeof *back);
  OK(helper_inverse(b->ws, b->z, GLOW_LATENTS_RAW, labels, BATCH, back, NULL));
  assert_true(helper_relative(back, b->x, BATCH * b->dims) < 1e-5);
  OK(glow_workspace_find_nonfinite(b->ws, b->x, labels, BATCH, &layer));
  assert_null(layer);
  OK(glow_workspace_initialise(b->ws, b->model, b->x, labels, BATCH));
  free(back);
}

/* ---- the classifier -------------------------------------------------------------------------- */

static void test_logits(void **state) {
  bench *b = *state;
  float logits[BATCH * CLASSES], again[BATCH * CLASSES], weight[CLASSES * 16], bias[CLASSES];
  int64_t top = 0;
  assert_int_equal(glow_model_logit_count(b->model), CLASSES);
  OK(glow_model_latent_block(b->model, 1, &top, NULL));
  OK(glow_model_get_tensor(b->model, "prior.class_weight", weight, CLASSES * 16));
  OK(glow_model_get_tensor(b->model, "prior.class_bias", bias, CLASSES));
  OK(glow_workspace_classify(b->ws, b->x, NULL, BATCH, logits));
  OK(helper_forward(b->ws, b->x, b->labels, BATCH, GLOW_LATENTS_RAW, b->z, NULL, NULL));
  for (int n = 0; n < BATCH; n++)
    for (int k = 0; k < CLASSES; k++) {
      double sum = (double)bias[k];
      for (int i = 0; i < 4 * 16; i++) /* 2 x 2 pixels of 16 channels */
        sum += (double)weight[k * 16 + i % 16] * (double)b->z[n * b->dims + top + i] / 4;
      assert_true(fabs((double)logits[n * CLASSES + k] - sum) < 1e-6 * (1 + fabs(sum)));
    }
  assert_memory_equal(glow_workspace_logits(b->ws), logits, sizeof logits);
  OK(glow_workspace_classify(b->ws, b->x, b->labels, BATCH, again));
  assert_memory_equal(again, logits, sizeof logits);
  OK(glow_workspace_classify_latents(b->ws, b->z, GLOW_LATENTS_RAW, NULL, BATCH, again));
  assert_memory_equal(again, logits, sizeof logits);
}

/* Whatever the mode, and beside each pass that goes forward. */
static void test_logits_beside_passes(void **state) {
  bench *b = *state;
  float logits[BATCH * CLASSES], again[BATCH * CLASSES];
  int32_t labels[BATCH] = {0, 1, 2, 0, 1, 2, 0};
  OK(glow_workspace_classify(b->ws, b->x, NULL, BATCH, logits));
  for (int32_t mode = GLOW_MODE_INFERENCE; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    glow_workspace *ws = helper_workspace(b->model, BATCH, mode);
    assert_null(glow_workspace_logits(ws));
    OK(glow_workspace_log_prob(ws, b->x, labels, BATCH, NULL));
    assert_memory_equal(glow_workspace_logits(ws), logits, sizeof logits);
    OK(helper_forward(ws, b->x, labels, BATCH, GLOW_LATENTS_WHITENED, b->z, NULL, NULL));
    assert_memory_equal(glow_workspace_logits(ws), logits, sizeof logits);
    OK(glow_workspace_classify_latents(ws, b->z, GLOW_LATENTS_WHITENED, labels, BATCH, again));
    for (int i = 0; i < BATCH * CLASSES; i++) /* float32 there and back */
      assert_true(fabsf(again[i] - logits[i]) < 1e-5f * (1 + fabsf(logits[i])));
    glow_workspace_destroy(&ws);
  }
}

/* Classifying forgets a forward pass, and does not disturb the next. */
static void test_backward_after_classifying(void **state) {
  bench *b = *state;
  float logits[BATCH * CLASSES];
  glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
  OK(helper_forward(b->ws, b->x, b->labels, BATCH, GLOW_LATENTS_RAW, NULL, NULL, NULL));
  OK(glow_workspace_classify(b->ws, b->x, NULL, BATCH, logits));
  REFUSED(glow_workspace_backward(b->ws, &o), GLOW_E_STATE, "glow_workspace_forward");
}

static void test_refusals(void **state) {
  bench *b = *state;
  glow_glow_options o = helper_small_glow();
  float logits[BATCH * CLASSES], good = b->x[5];
  int32_t labels[BATCH] = {0, 1, -2, 0, 0, 0, 0};
  REFUSED(glow_workspace_classify(NULL, b->x, NULL, 1, logits), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_workspace_classify(b->ws, NULL, NULL, 1, logits), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_workspace_classify(b->ws, b->x, NULL, 1, NULL), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_workspace_classify(b->ws, b->x, NULL, 0, logits), GLOW_E_ARGUMENT, "1 or more");
  REFUSED(glow_workspace_classify(b->ws, b->x, labels, BATCH, logits), GLOW_E_ARGUMENT,
          "sample 2 is -2");
  REFUSED(glow_workspace_classify_latents(NULL, b->x, GLOW_LATENTS_RAW, NULL, 1, logits),
          GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_workspace_classify_latents(b->ws, b->x, 3, NULL, 1, logits), GLOW_E_ARGUMENT,
          "form");
  REFUSED(glow_workspace_classify_latents(b->ws, b->x, GLOW_LATENTS_WHITENED, NULL, 1, logits),
          GLOW_E_ARGUMENT, "needs labels");
  REFUSED(glow_workspace_classify_latents(b->ws, b->x, GLOW_LATENTS_WHITENED, b->labels, 1, logits),
          GLOW_E_ARGUMENT, "is -1");
  b->x[5] = NAN;
  REFUSED(glow_workspace_classify(b->ws, b->x, NULL, 1, logits), GLOW_E_NUMERIC, "element 5");
  REFUSED(glow_workspace_classify_latents(b->ws, b->x, GLOW_LATENTS_RAW, NULL, 1, logits),
          GLOW_E_NUMERIC, "element 5");
  b->x[5] = good;
  glow_model_parameters_mutable(b->model);
  REFUSED(glow_workspace_classify(b->ws, b->x, NULL, 1, logits), GLOW_E_STATE,
          "glow_model_prepare");
  assert_null(glow_workspace_logits(NULL));
  assert_int_equal(glow_model_logit_count(NULL), 0);

  o.classes = CLASSES; /* without a classifier */
  glow_model *model = helper_glow(b->context, &o, 23);
  glow_workspace *ws = helper_workspace(model, 1, GLOW_MODE_STORED);
  glow_backward_options backward = GLOW_BACKWARD_OPTIONS_INIT;
  backward.d_logits = logits;
  OK(glow_workspace_log_prob(ws, b->x, b->labels, 1, NULL));
  assert_null(glow_workspace_logits(ws));
  REFUSED(glow_workspace_classify(ws, b->x, NULL, 1, logits), GLOW_E_STATE, "no classifier");
  OK(helper_forward(ws, b->x, b->labels, 1, GLOW_LATENTS_RAW, NULL, NULL, NULL));
  REFUSED(glow_workspace_backward(ws, &backward), GLOW_E_ARGUMENT, "no logits");
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  o.classes = 0;
  o.classifier = 1;
  REFUSED(glow_model_create_glow(b->context, &o, &model), GLOW_E_ARGUMENT, "classes is 0");
  o.classes = CLASSES;
  o.classifier = 2;
  REFUSED(glow_model_create_glow(b->context, &o, &model), GLOW_E_ARGUMENT, "classifier is 2");
}

/* A logit that is not finite is found, in the layer that gives it. */
static void test_nonfinite_logits(void **state) {
  bench *b = *state;
  const float bias[CLASSES] = {0, INFINITY, 0};
  const char *layer = NULL;
  OK(glow_model_set_tensor(b->model, "prior.class_bias", bias, CLASSES));
  OK(glow_model_prepare(b->model));
  OK(glow_workspace_find_nonfinite(b->ws, b->x, b->labels, BATCH, &layer));
  assert_string_equal(layer, "prior");
}

/* ---- layers of the caller's ------------------------------------------------------------------ */

/* The identity, which reads labels; and whose two logits are scale times its first two inputs. */
enum { RIGHT, OVERWRITES_DX, WRONG_SIGN, NOT_ADDED, READS_NEIGHBOURS, WRITES_BEYOND };
typedef struct reader {
  bool unlabelled, logits;
  int32_t fault;
  int32_t scale;
} reader;

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             glow_shape *output) {
  reader *r = self;
  const int64_t one[] = {1};
  *output = *input;
  OK(glow_setup_tensor(setup, "scale", GLOW_TYPE_F32, 1, 1, one, &r->scale));
  REFUSED(glow_setup_unlabelled(setup), GLOW_E_ARGUMENT, "glow_setup_labels");
  OK(glow_setup_labels(setup, CLASSES));
  if (r->unlabelled)
    OK(glow_setup_unlabelled(setup));
  return r->logits ? glow_setup_logits(setup, 2) : GLOW_OK;
}

static void copy(const void *self, const glow_call *call, const float *x, float *y, double *logdet,
                 double *logprior) {
  (void)self, (void)logdet, (void)logprior;
  memcpy(y, x, (size_t)glow_call_sample_count(call) * 8 * sizeof *y);
}

static glow_status copy_back(const void *self, const glow_call *call, const float *y, float *x,
                             double *logdet, double *logprior) {
  (void)logprior;
  copy(self, call, y, x, logdet, NULL);
  return GLOW_OK;
}

static void copy_gradient(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  copy(self, call, g->dy, g->dx, NULL, NULL);
}

static void logits(const void *self, const glow_call *call, const float *x, float *out) {
  const reader *r = self;
  const float *scale = glow_call_tensor(call, r->scale);
  for (int64_t i = 0; i < 2 * glow_call_sample_count(call); i++)
    out[i] = *scale * x[(r->fault == READS_NEIGHBOURS ? 0 : i / 2) * 8 + i % 2];
  if (r->fault == WRITES_BEYOND)
    out[2 * glow_call_sample_count(call)] = 0;
}

static void logits_backward(const void *self, const glow_call *call, const float *x, const float *d,
                            float *dx) {
  const reader *r = self;
  const float *scale = glow_call_tensor(call, r->scale);
  for (int64_t i = 0; i < 2 * glow_call_sample_count(call); i++) {
    float g = d[i] * x[i / 2 * 8 + i % 2], *at = glow_call_gradient(call, r->scale);
    *at = r->fault == NOT_ADDED ? g : *at + (r->fault == WRONG_SIGN ? -g : g);
    at = dx + i / 2 * 8 + i % 2;
    *at = (r->fault == OVERWRITES_DX ? 0 : *at) + d[i] * *scale;
  }
}

static glow_layer_ops reader_ops(uint32_t flags, bool with_functions) {
  return (glow_layer_ops){.struct_size = sizeof(glow_layer_ops),
                          .type = "reader",
                          .flags = flags,
                          .configure = configure,
                          .forward = copy,
                          .inverse = copy_back,
                          .backward = copy_gradient,
                          .self_size = sizeof(reader),
                          .logits = with_functions ? logits : NULL,
                          .logits_backward = with_functions ? logits_backward : NULL};
}

/* A model of the layer and a prior. */
static glow_status build(const bench *b, reader *r, uint32_t flags, bool with_functions,
                         int32_t classifier, glow_model **out) {
  const glow_layer_ops ops = reader_ops(flags, with_functions);
  glow_prior_options prior = GLOW_PRIOR_OPTIONS_INIT;
  const glow_shape shape = {2, 2, 2};
  glow_builder *builder = NULL;
  glow_layer *layer = NULL, *top = NULL;
  prior.classes = CLASSES;
  prior.classifier = classifier;
  OK(glow_builder_create(b->context, &shape, NULL, &builder));
  OK(glow_layer_create(b->context, &ops, NULL, NULL, &layer));
  *(reader *)glow_layer_self(layer) = *r;
  OK(glow_prior_create(b->context, &prior, &top));
  glow_status status = glow_builder_add(builder, "reader", &layer);
  if (status == GLOW_OK)
    status = glow_builder_add(builder, "prior", &top);
  else
    glow_layer_destroy(&top);
  if (status == GLOW_OK)
    return glow_builder_finish(&builder, out);
  glow_builder_destroy(&builder);
  return status;
}

/* A layer that reads labels and does not say that it takes -1 never gets it. */
static void test_reader_of_labels(void **state) {
  bench *b = *state;
  glow_model *model = NULL;
  float out[BATCH * CLASSES];
  int32_t labels[BATCH] = {0, 1, 2, 0, 1, 2, -1};
  reader strict = {0}, open = {.unlabelled = true};
  OK(build(b, &strict, 0, false, 1, &model));
  glow_workspace *ws = helper_workspace(model, BATCH, GLOW_MODE_INFERENCE);
  REFUSED(glow_workspace_log_prob(ws, b->x, labels, BATCH, b->log_prob), GLOW_E_ARGUMENT,
          "sample 6 is -1");
  REFUSED(glow_workspace_classify(ws, b->x, NULL, BATCH, out), GLOW_E_ARGUMENT, "needs labels");
  labels[6] = 0;
  OK(glow_workspace_classify(ws, b->x, labels, BATCH, out));
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  labels[6] = -1;
  OK(build(b, &open, 0, false, 1, &model));
  ws = helper_workspace(model, BATCH, GLOW_MODE_INFERENCE);
  OK(glow_workspace_log_prob(ws, b->x, labels, BATCH, b->log_prob));
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
}

/* Logits of a layer that is not the last, run by samples and by tasks. */
static void test_logits_of_a_callers_layer(void **state) {
  bench *b = *state;
  for (int32_t flags = 0; flags <= GLOW_LAYER_BY_TASKS; flags += GLOW_LAYER_BY_TASKS) {
    reader r = {.unlabelled = true, .logits = true};
    glow_model *model = NULL;
    float two = 2.0f, out[BATCH * 2], d[BATCH * 2], dx[BATCH * 8], sum = 0;
    OK(build(b, &r, (uint32_t)flags, true, 0, &model));
    OK(glow_model_set_tensor(model, "reader.scale", &two, 1));
    OK(glow_model_prepare(model));
    assert_int_equal(glow_model_logit_count(model), 2);
    for (int32_t mode = GLOW_MODE_STORED; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
      glow_workspace *ws = helper_workspace(model, BATCH, mode);
      glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
      OK(helper_forward(ws, b->x, b->labels, BATCH, GLOW_LATENTS_RAW, b->z, NULL, NULL));
      sum = 0;
      for (int i = 0; i < BATCH * 2; i++) {
        assert_true(glow_workspace_logits(ws)[i] == 2 * b->x[i / 2 * 8 + i % 2]);
        d[i] = (float)(i + 1);
        sum += d[i] * b->x[i / 2 * 8 + i % 2];
      }
      o.d_logits = d;
      o.dx = dx;
      OK(glow_workspace_backward(ws, &o));
      for (int i = 0; i < BATCH * 8; i++)
        assert_true(dx[i] == (i % 8 < 2 ? 2 * d[i / 8 * 2 + i % 8] : 0));
      assert_true(fabsf(glow_workspace_gradients(ws)[0] - sum) < 1e-5f * (1 + fabsf(sum)));
      OK(glow_workspace_classify_latents(ws, b->z, GLOW_LATENTS_RAW, NULL, BATCH, out));
      for (int i = 0; i < BATCH * 2; i++)
        assert_true(out[i] == 2 * b->x[i / 2 * 8 + i % 2]);
      glow_workspace_destroy(&ws);
    }
    glow_model_destroy(&model);
  }
}

/* The kit looks at logits too. */
static void test_kit(void **state) {
  static const char *const faults[] = {NULL,          "logits_backward does not add to dx",
                                       "wrong sign?", "not added to",
                                       "alone",       "logits writes beyond"};
  bench *b = *state;
  for (int32_t i = RIGHT; i <= WRITES_BEYOND; i++) {
    reader r = {.unlabelled = true, .logits = true, .fault = i};
    const glow_layer_ops ops = reader_ops(0, true);
    glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
    glow_layer *layer = NULL;
    o.shape = (glow_shape){2, 2, 2};
    OK(glow_layer_create(b->context, &ops, NULL, NULL, &layer));
    *(reader *)glow_layer_self(layer) = r;
    if (faults[i])
      REFUSED(glow_layer_check(b->context, &layer, &o), GLOW_E_CHECK, faults[i]);
    else
      OK(glow_layer_check(b->context, &layer, &o));
  }
}

/* A block brings its logits with it. */
static void test_blocks(void **state) {
  bench *b = *state;
  const glow_shape shape = {2, 2, 2};
  glow_prior_options prior = GLOW_PRIOR_OPTIONS_INIT;
  glow_builder *outer = NULL, *block = NULL;
  glow_layer *top = NULL;
  glow_model *model = NULL;
  prior.classes = CLASSES;
  prior.classifier = 1;
  OK(glow_builder_create(b->context, &shape, NULL, &outer));
  OK(glow_builder_create(b->context, &shape, NULL, &block));
  OK(glow_prior_create(b->context, &prior, &top));
  OK(glow_builder_add(block, "prior", &top));
  OK(glow_builder_add_block(outer, "top", &block));
  OK(glow_builder_finish(&outer, &model));
  assert_int_equal(glow_model_logit_count(model), CLASSES);
  float logits[CLASSES];
  glow_workspace *ws = helper_workspace(model, 1, GLOW_MODE_INFERENCE);
  OK(glow_workspace_classify(ws, b->x, NULL, 1, logits));
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
}

static void test_bad_setups(void **state) {
  bench *b = *state;
  glow_model *model = NULL;
  reader r = {.logits = true};
  REFUSED(build(b, &r, 0, false, 0, &model), GLOW_E_ARGUMENT, "no logits");
  REFUSED(build(b, &r, 0, true, 1, &model), GLOW_E_STATE, "another layer");
  REFUSED(glow_setup_unlabelled(NULL), GLOW_E_ARGUMENT, "");
  REFUSED(glow_setup_logits(NULL, 2), GLOW_E_ARGUMENT, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, open_bench, close_bench)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(mixture),
      TEST(mixed_batch),
      TEST(unknown_is_refused_where_a_law_is_needed),
      TEST(logits),
      TEST(logits_beside_passes),
      TEST(backward_after_classifying),
      TEST(refusals),
      TEST(nonfinite_logits),
      TEST(reader_of_labels),
      TEST(logits_of_a_callers_layer),
      TEST(kit),
      TEST(blocks),
      TEST(bad_setups),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
