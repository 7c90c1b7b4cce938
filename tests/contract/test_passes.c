/* Passes over a whole model: the inverse and sampling, forms of latents, temperatures, refusals, and
 * that nothing is allocated once a workspace is there. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <pthread.h>

enum { BATCH = 7 };

typedef struct bench {
  helper_memory memory;
  glow_context *context;
  glow_model *model;
  int64_t dims;
  float *x, *y, *z; /* [BATCH, dims] */
  int32_t labels[BATCH];
  char log[4000];
} bench;

static void keep_log(int32_t level, const char *text, void *payload) {
  bench *b = payload;
  size_t used = strlen(b->log);
  snprintf(b->log + used, sizeof b->log - used, "%d %s\n", (int)level, text);
}

/* Two levels, three classes. The plain kernels, whose bits do not depend on the batch, on two threads. */
static int open_bench(void **state) {
  bench *b = helper_allocate(sizeof *b);
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_glow_options o = helper_small_glow();
  helper_random random = helper_random_of(1);
  memset(b, 0, sizeof *b);
  glow_allocator allocator = helper_allocator(&b->memory);
  options.allocator = &allocator;
  options.threads = 2;
  options.kernels = "c";
  options.log = keep_log;
  options.log_payload = b;
  OK(glow_context_create(&options, &b->context));
  o.classes = 3;
  b->model = helper_glow(b->context, &o, 2);
  b->dims = glow_model_dims(b->model);
  b->x = helper_new_normals(&random, 0.3f, BATCH * b->dims);
  b->y = helper_allocate((size_t)(BATCH * b->dims) * sizeof(float));
  b->z = helper_new_normals(&random, 1.0f, BATCH * b->dims);
  for (int i = 0; i < BATCH; i++)
    b->labels[i] = i % 3;
  *state = b;
  return 0;
}

static int close_bench(void **state) {
  bench *b = *state;
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
  assert_int_equal(b->memory.live, 0);
  free(b->x);
  free(b->y);
  free(b->z);
  free(b);
  return 0;
}

static size_t batch_bytes(const bench *b) {
  return (size_t)(BATCH * b->dims) * sizeof(float);
}

/* The same model without the mark of being initialised, from other parameters. */
static glow_model *fresh_model(const bench *b) {
  glow_glow_options o = helper_small_glow();
  glow_model *model = NULL;
  o.classes = 3;
  OK(glow_model_create_glow(b->context, &o, &model));
  return model;
}

/* ---- the inverse and sampling ---------------------------------------------------------------- */

/* A new workspace that begins with an inverse, or with samples, against one that went forward. */
static void test_inverse_first(void **state) {
  bench *b = *state;
  glow_workspace *used = helper_workspace(b->model, BATCH, GLOW_MODE_INFERENCE);
  glow_sample_options options = GLOW_SAMPLE_OPTIONS_INIT;
  float *other = helper_allocate(batch_bytes(b));
  options.seed = 5;
  OK(glow_forward(used, b->x, b->labels, BATCH, GLOW_LATENTS_RAW, NULL, NULL, NULL));
  for (int32_t mode = GLOW_MODE_INFERENCE; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    glow_workspace *ws = helper_workspace(b->model, BATCH, mode);
    OK(glow_inverse(ws, b->z, GLOW_LATENTS_WHITENED, b->labels, BATCH, b->y, NULL));
    OK(glow_inverse(used, b->z, GLOW_LATENTS_WHITENED, b->labels, BATCH, other, NULL));
    assert_memory_equal(b->y, other, batch_bytes(b));
    glow_workspace_destroy(&ws);
    ws = helper_workspace(b->model, BATCH, mode);
    OK(glow_sample(ws, &options, b->labels, BATCH, b->y));
    OK(glow_sample(used, &options, b->labels, BATCH, other));
    assert_memory_equal(b->y, other, batch_bytes(b));
    glow_workspace_destroy(&ws);
  }
  glow_workspace_destroy(&used);
  free(other);
}

/* Sample i of a seed is the same in any batch; another seed gives other samples. */
static void test_sample_numbers(void **state) {
  bench *b = *state;
  glow_workspace *ws = helper_workspace(b->model, BATCH, GLOW_MODE_INFERENCE);
  glow_sample_options options = GLOW_SAMPLE_OPTIONS_INIT;
  options.seed = 9;
  OK(glow_sample(ws, &options, b->labels, BATCH, b->x));
  for (int first = 0; first < BATCH; first++)
    for (int count = 1; first + count <= BATCH; count++) {
      options.first = (uint64_t)first;
      OK(glow_sample(ws, &options, b->labels + first, count, b->y));
      assert_memory_equal(b->y, b->x + first * b->dims, (size_t)(count * b->dims) * sizeof(float));
    }
  assert_memory_not_equal(b->x, b->x + 3 * b->dims, (size_t)b->dims * sizeof(float));
  options.first = 0;
  options.seed = 10;
  OK(glow_sample(ws, &options, b->labels, BATCH, b->y));
  assert_memory_not_equal(b->x, b->y, batch_bytes(b));
  OK(glow_sample(ws, NULL, b->labels, BATCH, b->y)); /* defaults */
  glow_workspace_destroy(&ws);
}

/* Whitened latents of samples drawn with these options. */
static void whitened_samples(const bench *b, glow_workspace *ws, const glow_sample_options *options,
                             float *z) {
  OK(glow_sample(ws, options, b->labels, BATCH, b->y));
  OK(glow_forward(ws, b->y, b->labels, BATCH, GLOW_LATENTS_WHITENED, z, NULL, NULL));
}

static void test_temperatures(void **state) {
  bench *b = *state;
  glow_workspace *ws = helper_workspace(b->model, BATCH, GLOW_MODE_INFERENCE);
  glow_sample_options options = GLOW_SAMPLE_OPTIONS_INIT;
  double per_latent[] = {0.25, 1.5}, per_sample[BATCH] = {1, 0, 0.5, 2, 0.7, 1, 0.1};
  float *expected = helper_allocate(batch_bytes(b)), *cold = helper_allocate(batch_bytes(b));
  int64_t top = 0;
  OK(glow_model_latent_block(b->model, 1, &top, NULL));
  options.seed = 3;
  whitened_samples(b, ws, &options, expected);
  options.temperature = 0.8;
  options.per_latent = per_latent;
  options.per_sample = per_sample;
  whitened_samples(b, ws, &options, b->z);
  for (int64_t i = 0; i < BATCH * b->dims; i++)
    expected[i] *= (float)(0.8 * per_sample[i / b->dims] * per_latent[i % b->dims >= top]);
  /* float32, through the model twice */
  assert_true(helper_relative(b->z, expected, BATCH * b->dims) < 1e-5);

  /* At temperature 0: the mean of each conditional law, whatever the seed. */
  glow_sample_options zero = GLOW_SAMPLE_OPTIONS_INIT;
  zero.temperature = 0;
  zero.seed = 77;
  memset(b->z, 0, batch_bytes(b));
  OK(glow_inverse(ws, b->z, GLOW_LATENTS_WHITENED, b->labels, BATCH, cold, NULL));
  OK(glow_sample(ws, &zero, b->labels, BATCH, b->y));
  assert_true(helper_relative(b->y, cold, BATCH * b->dims) < 1e-6);

  const double nonsense[] = {-1.0, NAN, INFINITY};
  for (int i = 0; i < 3; i++) {
    glow_sample_options bad = GLOW_SAMPLE_OPTIONS_INIT;
    bad.temperature = nonsense[i];
    REFUSED(glow_sample(ws, &bad, b->labels, BATCH, b->y), GLOW_E_ARGUMENT, "temperature");
    bad.temperature = 1;
    per_latent[1] = nonsense[i];
    bad.per_latent = per_latent;
    REFUSED(glow_sample(ws, &bad, b->labels, BATCH, b->y), GLOW_E_ARGUMENT, "latents 1");
    bad.per_latent = NULL;
    per_sample[2] = nonsense[i];
    bad.per_sample = per_sample;
    REFUSED(glow_sample(ws, &bad, b->labels, BATCH, b->y), GLOW_E_ARGUMENT, "sample 2");
  }
  free(expected);
  free(cold);
  glow_workspace_destroy(&ws);
}

/* ---- forms of latents -------------------------------------------------------------------------- */

static const float *values_of(const bench *b, const char *name) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  OK(glow_model_find_tensor(b->model, name, &info));
  return glow_model_parameters(b->model) + info.offset;
}

/* Mean and log-sd of channel c in block 0 (a split without weights: its biases alone) or the top. */
static void law_of(const bench *b, int block, int32_t label, int64_t c, int64_t channels,
                   double *mean, double *logs) {
  if (block == 0) {
    const float *bias = values_of(b, "level0.split.prior.bias");
    const float *scale = values_of(b, "level0.split.prior.logs");
    *mean = bias[c] * exp(3.0 * scale[c]);
    *logs = bias[channels + c] * exp(3.0 * scale[channels + c]);
  } else {
    *mean = (double)values_of(b, "prior.mean")[c] +
            values_of(b, "prior.class_mean")[label * channels + c];
    *logs = (double)values_of(b, "prior.logs")[c] +
            values_of(b, "prior.class_logs")[label * channels + c];
  }
}

/* Whitened latents are (z - mean) / sd of the raw ones, and the density is that of both. */
static void test_whitened(void **state) {
  bench *b = *state;
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  double logdet[BATCH], log_prob[BATCH], again[BATCH];
  float *raw = helper_allocate(batch_bytes(b)), *expected = helper_allocate(batch_bytes(b));
  OK(glow_model_find_tensor(b->model, "level0.split.prior.weight", &info));
  memset(glow_model_parameters_mutable(b->model) + info.offset, 0,
         (size_t)info.elements * sizeof(float));
  OK(glow_model_prepare(b->model));
  glow_workspace *ws = helper_workspace(b->model, BATCH, GLOW_MODE_INFERENCE);
  OK(glow_forward(ws, b->x, b->labels, BATCH, GLOW_LATENTS_RAW, raw, logdet, log_prob));
  OK(glow_forward(ws, b->x, b->labels, BATCH, GLOW_LATENTS_WHITENED, b->z, NULL, again));
  assert_int_equal(glow_model_latent_count(b->model), 2);
  for (int n = 0; n < BATCH; n++) {
    double density = logdet[n];
    for (int block = 0; block < 2; block++) {
      int64_t offset = 0;
      glow_shape shape;
      OK(glow_model_latent_block(b->model, block, &offset, &shape));
      for (int64_t i = 0; i < shape.height * shape.width * shape.channels; i++) {
        double mean, logs;
        int64_t at = n * b->dims + offset + i;
        law_of(b, block, b->labels[n], i % shape.channels, shape.channels, &mean, &logs);
        expected[at] = (float)((raw[at] - mean) * exp(-logs));
        density -= 0.5 * ((double)expected[at] * expected[at] + log(2 * M_PI)) + logs;
      }
    }
    assert_true(fabs(density - log_prob[n]) < 1e-6 * fabs(density));
    assert_true(log_prob[n] == again[n]);
  }
  assert_true(helper_relative(b->z, expected, BATCH * b->dims) < 1e-6);
  free(raw);
  free(expected);
  glow_workspace_destroy(&ws);
}

static void test_bits_per_dim(void **state) {
  bench *b = *state;
  double expected = -100.0 / 128 / log(2.0) + 8;
  assert_int_equal(b->dims, 128);
  assert_true(fabs(glow_bits_per_dim(b->model, 100.0) - expected) < 1e-12);
  assert_true(isnan(glow_bits_per_dim(NULL, 0)));
}

/* Outputs that are not wanted change nothing in the others; x is left alone. */
static void test_outputs_may_be_null(void **state) {
  bench *b = *state;
  double logdet[BATCH], log_prob[BATCH], alone[BATCH], inverse[BATCH];
  float *copy = helper_allocate(batch_bytes(b)), *z = helper_allocate(batch_bytes(b));
  memcpy(copy, b->x, batch_bytes(b));
  for (int32_t mode = GLOW_MODE_INFERENCE; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    glow_workspace *ws = helper_workspace(b->model, BATCH, mode);
    OK(glow_forward(ws, b->x, b->labels, BATCH, GLOW_LATENTS_RAW, z, logdet, log_prob));
    OK(glow_forward(ws, b->x, b->labels, BATCH, GLOW_LATENTS_RAW, b->z, NULL, NULL));
    assert_memory_equal(z, b->z, batch_bytes(b));
    OK(glow_forward(ws, b->x, b->labels, BATCH, GLOW_LATENTS_WHITENED, NULL, alone, NULL));
    assert_memory_equal(logdet, alone, sizeof alone);
    OK(glow_log_prob(ws, b->x, b->labels, BATCH, alone));
    assert_memory_equal(log_prob, alone, sizeof alone);
    OK(glow_inverse(ws, z, GLOW_LATENTS_RAW, b->labels, BATCH, b->y, inverse));
    assert_memory_equal(z, b->z, batch_bytes(b));
    assert_memory_equal(copy, b->x, batch_bytes(b));
    for (int n = 0; n < BATCH; n++)
      assert_true(fabs(inverse[n] + logdet[n]) < 1e-5 * (1 + fabs(logdet[n])));
    glow_workspace_destroy(&ws);
  }
  free(copy);
  free(z);
}

/* ---- backward ------------------------------------------------------------------------------------ */

static void accumulate(const bench *b, glow_workspace *ws, int64_t first, int64_t count) {
  glow_backward_options options = GLOW_BACKWARD_OPTIONS_INIT;
  double weight[BATCH];
  for (int i = 0; i < BATCH; i++)
    weight[i] = 1 + i;
  options.weight = weight + first;
  OK(glow_forward(ws, b->x + first * b->dims, b->labels + first, count, GLOW_LATENTS_RAW, NULL,
                  NULL, NULL));
  OK(glow_backward(ws, &options));
}

static void test_micro_batches(void **state) {
  bench *b = *state;
  int64_t parameters = glow_model_parameter_count(b->model);
  for (int32_t mode = GLOW_MODE_STORED; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    glow_workspace *whole = helper_workspace(b->model, BATCH, mode);
    glow_workspace *parts = helper_workspace(b->model, 3, mode);
    accumulate(b, whole, 0, BATCH);
    accumulate(b, parts, 0, 3);
    accumulate(b, parts, 3, 3);
    accumulate(b, parts, 6, 1);
    assert_true(helper_relative(glow_workspace_gradients(parts), glow_workspace_gradients(whole),
                                parameters) < 2e-6);
    glow_workspace_destroy(&whole);
    glow_workspace_destroy(&parts);
  }
}

/* Once for each forward, in a training mode, with nothing in between. */
static void test_backward_needs_forward(void **state) {
  bench *b = *state;
  glow_backward_options options = GLOW_BACKWARD_OPTIONS_INIT;
  const char *layer;
  glow_workspace *ws = helper_workspace(b->model, BATCH, GLOW_MODE_INFERENCE);
  OK(glow_log_prob(ws, b->x, b->labels, BATCH, NULL));
  REFUSED(glow_backward(ws, &options), GLOW_E_STATE, "inference");
  assert_null(glow_workspace_gradients(ws));
  REFUSED(glow_workspace_zero_gradients(ws), GLOW_E_STATE, "inference");
  glow_workspace_destroy(&ws);
  ws = helper_workspace(b->model, BATCH, GLOW_MODE_STORED);
  REFUSED(glow_backward(ws, &options), GLOW_E_STATE, "glow_forward");
  OK(glow_log_prob(ws, b->x, b->labels, BATCH, NULL));
  OK(glow_backward(ws, &options));
  REFUSED(glow_backward(ws, &options), GLOW_E_STATE, "glow_forward");
  OK(glow_log_prob(ws, b->x, b->labels, BATCH, NULL));
  OK(glow_inverse(ws, b->z, GLOW_LATENTS_RAW, b->labels, BATCH, b->y, NULL));
  REFUSED(glow_backward(ws, &options), GLOW_E_STATE, "glow_forward");
  OK(glow_log_prob(ws, b->x, b->labels, BATCH, NULL));
  OK(glow_sample(ws, NULL, b->labels, BATCH, b->y));
  REFUSED(glow_backward(ws, &options), GLOW_E_STATE, "glow_forward");
  OK(glow_log_prob(ws, b->x, b->labels, BATCH, NULL));
  OK(glow_find_nonfinite(ws, b->x, b->labels, BATCH, &layer));
  REFUSED(glow_backward(ws, &options), GLOW_E_STATE, "glow_forward");
  OK(glow_log_prob(ws, b->x, b->labels, BATCH, NULL));
  glow_model_parameters_mutable(b->model);
  REFUSED(glow_backward(ws, &options), GLOW_E_STATE, "glow_model_prepare");
  glow_workspace_destroy(&ws);
}

/* ---- refusals ------------------------------------------------------------------------------------ */

static void refuse_all_passes(const bench *b, glow_model *model, const char *words) {
  glow_workspace *ws = helper_workspace(model, BATCH, GLOW_MODE_STORED);
  const char *layer = "";
  double d[BATCH];
  REFUSED(glow_forward(ws, b->x, b->labels, BATCH, GLOW_LATENTS_RAW, NULL, NULL, NULL),
          GLOW_E_STATE, words);
  REFUSED(glow_log_prob(ws, b->x, b->labels, BATCH, d), GLOW_E_STATE, words);
  REFUSED(glow_inverse(ws, b->z, GLOW_LATENTS_RAW, b->labels, BATCH, b->y, NULL), GLOW_E_STATE,
          words);
  REFUSED(glow_sample(ws, NULL, b->labels, BATCH, b->y), GLOW_E_STATE, words);
  REFUSED(glow_find_nonfinite(ws, b->x, b->labels, BATCH, &layer), GLOW_E_STATE, words);
  assert_null(layer);
  glow_workspace_destroy(&ws);
}

static void test_uninitialised(void **state) {
  bench *b = *state;
  glow_model *model = fresh_model(b);
  glow_trainer *trainer = NULL;
  assert_int_equal(glow_model_initialised(model), 0);
  refuse_all_passes(b, model, "not initialised");
  OK(glow_trainer_create(model, NULL, &trainer));
  REFUSED(glow_trainer_step(trainer, b->x, b->labels, BATCH, NULL), GLOW_E_STATE,
          "not initialised");
  glow_trainer_destroy(&trainer);
  glow_workspace *ws = helper_workspace(model, 2, GLOW_MODE_INFERENCE);
  OK(glow_workspace_initialise(ws, model, b->x, b->labels, BATCH));
  assert_int_equal(glow_model_initialised(model), 1);
  OK(glow_log_prob(ws, b->x, b->labels, 2, NULL));
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
}

static void test_unprepared(void **state) {
  bench *b = *state;
  float mean[32];
  OK(glow_model_get(b->model, "prior.mean", mean, 16));
  OK(glow_model_set(b->model, "prior.mean", mean, 16));
  refuse_all_passes(b, b->model, "glow_model_prepare");
  OK(glow_model_prepare(b->model));
  glow_model_parameters_mutable(b->model);
  refuse_all_passes(b, b->model, "glow_model_prepare");
}

/* A singular matrix is named; the model refuses passes until it is mended. */
static void test_singular(void **state) {
  bench *b = *state;
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  const char *name = "level1.step0.invconv.weight";
  OK(glow_model_find_tensor(b->model, name, &info));
  float *good = helper_allocate((size_t)info.elements * sizeof *good);
  float *bad = helper_allocate((size_t)info.elements * sizeof *bad);
  OK(glow_model_get(b->model, name, good, info.elements));
  const float row[] = {0.0f, NAN};
  for (int i = 0; i < 2; i++) {
    memcpy(bad, good, (size_t)info.elements * sizeof *bad);
    for (int64_t j = 0; j < info.dims[1]; j++)
      bad[3 * info.dims[1] + j] = row[i];
    OK(glow_model_set(b->model, name, bad, info.elements));
    REFUSED(glow_model_prepare(b->model), GLOW_E_NUMERIC, "level1.step0.invconv");
    refuse_all_passes(b, b->model, "glow_model_prepare");
  }
  OK(glow_model_set(b->model, name, good, info.elements));
  OK(glow_model_prepare(b->model));
  free(good);
  free(bad);
}

static void refuse_labels(const bench *b, const int32_t *labels, const char *words) {
  glow_workspace *ws = helper_workspace(b->model, BATCH, GLOW_MODE_STORED);
  glow_trainer *trainer = NULL;
  const char *layer;
  double d[BATCH];
  REFUSED(glow_forward(ws, b->x, labels, BATCH, GLOW_LATENTS_RAW, NULL, NULL, NULL),
          GLOW_E_ARGUMENT, words);
  REFUSED(glow_log_prob(ws, b->x, labels, BATCH, d), GLOW_E_ARGUMENT, words);
  REFUSED(glow_inverse(ws, b->z, GLOW_LATENTS_RAW, labels, BATCH, b->y, NULL), GLOW_E_ARGUMENT,
          words);
  REFUSED(glow_sample(ws, NULL, labels, BATCH, b->y), GLOW_E_ARGUMENT, words);
  REFUSED(glow_find_nonfinite(ws, b->x, labels, BATCH, &layer), GLOW_E_ARGUMENT, words);
  REFUSED(glow_workspace_initialise(ws, b->model, b->x, labels, BATCH), GLOW_E_ARGUMENT, words);
  OK(glow_trainer_create(b->model, NULL, &trainer));
  REFUSED(glow_trainer_step(trainer, b->x, labels, BATCH, NULL), GLOW_E_ARGUMENT, words);
  assert_int_equal(glow_trainer_steps(trainer), 0);
  glow_trainer_destroy(&trainer);
  glow_workspace_destroy(&ws);
}

static void test_labels(void **state) {
  bench *b = *state;
  int32_t labels[BATCH] = {0, 1, 3, 0, 0, 0, 0};
  refuse_labels(b, NULL, "needs labels");
  refuse_labels(b, labels, "label of sample 2 is 3");
  labels[2] = -1;
  refuse_labels(b, labels, "label of sample 2 is -1");
}

static void test_counts(void **state) {
  bench *b = *state;
  glow_workspace *ws = helper_workspace(b->model, 3, GLOW_MODE_INFERENCE);
  const int64_t counts[] = {0, -1, 4, INT64_MIN, INT64_MAX};
  const char *layer;
  for (int i = 0; i < 5; i++) {
    REFUSED(glow_log_prob(ws, b->x, b->labels, counts[i], NULL), GLOW_E_ARGUMENT, "1 to 3");
    REFUSED(glow_inverse(ws, b->z, GLOW_LATENTS_RAW, b->labels, counts[i], b->y, NULL),
            GLOW_E_ARGUMENT, "1 to 3");
    REFUSED(glow_sample(ws, NULL, b->labels, counts[i], b->y), GLOW_E_ARGUMENT, "1 to 3");
    REFUSED(glow_find_nonfinite(ws, b->x, b->labels, counts[i], &layer), GLOW_E_ARGUMENT, "1 to 3");
  }
  glow_workspace_destroy(&ws);
}

/* ---- numbers that are not finite ------------------------------------------------------------------ */

static void test_nonfinite_input(void **state) {
  bench *b = *state;
  glow_workspace *ws = helper_workspace(b->model, BATCH, GLOW_MODE_STORED);
  const char *layer = "";
  const float bad[] = {NAN, INFINITY, -INFINITY};
  OK(glow_find_nonfinite(ws, b->x, b->labels, BATCH, &layer));
  assert_null(layer);
  for (int i = 0; i < 3; i++) {
    float good = b->x[2 * b->dims + 5];
    b->x[2 * b->dims + 5] = b->z[2 * b->dims + 5] = bad[i];
    REFUSED(glow_log_prob(ws, b->x, b->labels, BATCH, NULL), GLOW_E_NUMERIC,
            "element 5 of sample 2");
    REFUSED(glow_inverse(ws, b->z, GLOW_LATENTS_RAW, b->labels, BATCH, b->y, NULL), GLOW_E_NUMERIC,
            "element 5 of sample 2");
    REFUSED(glow_workspace_initialise(ws, b->model, b->x, b->labels, BATCH), GLOW_E_NUMERIC,
            "element 5 of sample 2");
    OK(glow_find_nonfinite(ws, b->x, b->labels, BATCH, &layer));
    assert_string_equal(layer, "input");
    OK(glow_find_nonfinite(ws, b->x, b->labels, 2, &layer)); /* the samples before it are fine */
    assert_null(layer);
    b->x[2 * b->dims + 5] = good;
  }
  glow_workspace_destroy(&ws);
}

/* Each of these parameters makes its layer the first that is not finite. */
static void test_nonfinite_layer(void **state) {
  bench *b = *state;
  static const struct {
    const char *tensor, *layer;
    float value;
  } cases[] = {{"level0.step0.actnorm.bias", "level0.step0.actnorm", NAN},
               {"level0.step1.actnorm.logs", "level0.step1.actnorm", INFINITY},
               {"level1.step0.coupling.net.conv3.bias", "level1.step0.coupling", NAN},
               {"level0.split.prior.bias", "level0.split", NAN},
               {"prior.mean", "prior", INFINITY}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    const char *layer = NULL;
    OK(glow_model_find_tensor(b->model, cases[i].tensor, &info));
    float *at = glow_model_parameters_mutable(b->model) + info.offset, good = *at;
    *at = cases[i].value;
    OK(glow_model_prepare(b->model));
    for (int32_t mode = GLOW_MODE_INFERENCE; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
      glow_workspace *ws = helper_workspace(b->model, BATCH, mode);
      OK(glow_find_nonfinite(ws, b->x, b->labels, BATCH, &layer));
      assert_non_null(layer);
      assert_string_equal(layer, cases[i].layer);
      glow_workspace_destroy(&ws);
    }
    *at = good;
    OK(glow_model_prepare(b->model));
  }
}

/* ---- a channel that is constant --------------------------------------------------------------------- */

static void test_constant_channel(void **state) {
  bench *b = *state;
  glow_model *model = fresh_model(b);
  glow_workspace *ws = helper_workspace(model, 3, GLOW_MODE_INFERENCE);
  float logs[8];
  for (int64_t i = 1; i < BATCH * b->dims; i += 2)
    b->x[i] = 0.25f; /* channel 1 of 2; after the squeeze, channels 4 to 7 */
  OK(glow_workspace_initialise(ws, model, b->x, b->labels, BATCH));
  for (int c = 0; c < 8; c++) {
    char words[60];
    snprintf(words, sizeof words, "'level0.step0.actnorm': channel %d is constant", c);
    assert_int_equal(strstr(b->log, words) != NULL, c >= 4);
  }
  char level[8];
  snprintf(level, sizeof level, "%d ", GLOW_LOG_WARNING);
  assert_true(strncmp(b->log, level, strlen(level)) == 0);
  OK(glow_model_get(model, "level0.step0.actnorm.logs", logs, 8));
  for (int c = 4; c < 8; c++) /* -log(0 + 1e-6) */
    assert_true(fabs(logs[c] + log(1e-6)) < 1e-3);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
}

/* Inside a network: hidden channel 2 sees nothing. */
static void test_constant_hidden_channel(void **state) {
  bench *b = *state;
  glow_model *model = fresh_model(b);
  glow_workspace *ws = helper_workspace(model, 3, GLOW_MODE_INFERENCE);
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  OK(glow_model_find_tensor(model, "level0.step1.coupling.net.conv1.weight", &info));
  int64_t row = info.elements / info.dims[0];
  memset(glow_model_parameters_mutable(model) + info.offset + 2 * row, 0,
         (size_t)row * sizeof(float));
  OK(glow_model_prepare(model));
  OK(glow_workspace_initialise(ws, model, b->x, b->labels, BATCH));
  assert_non_null(strstr(b->log, "'level0.step1.coupling' net.norm1: channel 2 is constant"));
  assert_null(strstr(b->log, "channel 1 is constant"));
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
}

/* ---- memory ----------------------------------------------------------------------------------------- */

static void all_passes(const bench *b, glow_workspace *ws, bool training) {
  glow_backward_options options = GLOW_BACKWARD_OPTIONS_INIT;
  double weight[BATCH] = {1, 1, 1, 1, 1, 1, 1}, out[BATCH];
  const char *layer;
  options.weight = options.weight_logdet = weight;
  options.dx = b->y;
  options.d_latents = b->z;
  for (int32_t form = GLOW_LATENTS_RAW; form <= GLOW_LATENTS_WHITENED; form++) {
    OK(glow_forward(ws, b->x, b->labels, BATCH, form, b->z, out, out));
    OK(glow_inverse(ws, b->z, form, b->labels, BATCH, b->y, out));
    OK(glow_log_prob(ws, b->x, b->labels, BATCH, out));
    if (training) {
      OK(glow_backward(ws, &options));
      OK(glow_workspace_zero_gradients(ws));
    }
  }
  OK(glow_sample(ws, NULL, b->labels, BATCH, b->y));
  OK(glow_find_nonfinite(ws, b->x, b->labels, BATCH, &layer));
}

static void test_passes_allocate_nothing(void **state) {
  bench *b = *state;
  for (int32_t mode = GLOW_MODE_INFERENCE; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    glow_workspace *ws = helper_workspace(b->model, BATCH, mode);
    int64_t calls = b->memory.calls, live = b->memory.live;
    all_passes(b, ws, mode != GLOW_MODE_INFERENCE);
    OK(glow_model_prepare(b->model));
    assert_int_equal(b->memory.calls, calls);
    assert_int_equal(b->memory.live, live);
    glow_workspace_destroy(&ws);
  }
}

static glow_status fill_batch(int64_t step, int64_t count, uint8_t *pixels, int32_t *labels,
                              void *payload) {
  for (int64_t i = 0; i < count * *(int64_t *)payload; i++)
    pixels[i] = (uint8_t)(i * 37 + step);
  for (int64_t i = 0; i < count; i++)
    labels[i] = (int32_t)(i % 3);
  return GLOW_OK;
}

static void test_steps_allocate_nothing(void **state) {
  bench *b = *state;
  uint8_t *pixels = helper_allocate((size_t)(BATCH * b->dims));
  fill_batch(0, BATCH, pixels, b->labels, &b->dims);
  for (int32_t mode = GLOW_MODE_STORED; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    glow_trainer *trainer = NULL;
    options.mode = mode;
    options.micro_batch = 3;
    options.average = 1;
    options.clip_norm = 1.0;
    OK(glow_trainer_create(b->model, &options, &trainer));
    int64_t calls = b->memory.calls;
    for (int i = 0; i < 3; i++) {
      OK(glow_trainer_step(trainer, b->x, b->labels, BATCH, &report));
      OK(glow_trainer_step_pixels(trainer, pixels, b->labels, BATCH, &report));
    }
    OK(glow_trainer_use_average(trainer, 1));
    OK(glow_trainer_use_average(trainer, 0));
    assert_int_equal(b->memory.calls, calls);
    /* A run allocates its batch, whatever the number of steps. */
    OK(glow_trainer_run(trainer, 1, BATCH, fill_batch, &b->dims, NULL, NULL));
    int64_t of_one = b->memory.calls - calls;
    calls = b->memory.calls;
    OK(glow_trainer_run(trainer, 5, BATCH, fill_batch, &b->dims, NULL, NULL));
    assert_int_equal(b->memory.calls - calls, of_one);
    glow_trainer_destroy(&trainer);
  }
  free(pixels);
}

/* The size is known before; a workspace is one block of it, and the alignment of that. */
static void test_workspace_bytes(void **state) {
  bench *b = *state;
  for (int32_t mode = GLOW_MODE_INFERENCE; mode <= GLOW_MODE_RECONSTRUCTED; mode++)
    for (int64_t batch = 1; batch < 40; batch += 13) {
      glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
      glow_workspace *ws = NULL;
      uint64_t bytes = 0;
      int64_t before = b->memory.bytes, calls = b->memory.calls;
      options.batch = batch;
      options.mode = mode;
      OK(glow_workspace_bytes(b->model, &options, &bytes));
      assert_int_equal(b->memory.calls, calls);
      OK(glow_workspace_create(b->model, &options, &ws));
      int64_t used = b->memory.bytes - before;
      assert_true(used >= (int64_t)bytes && used <= (int64_t)bytes + 128);
      assert_int_equal(glow_workspace_size(ws), bytes);
      glow_workspace_destroy(&ws);
      assert_int_equal(b->memory.bytes, before);
    }
}

static uint64_t bytes_of_depth(const bench *b, int32_t depth, int32_t mode, int64_t *parameters) {
  glow_glow_options o = helper_small_glow();
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_model *model = NULL;
  uint64_t bytes = 0;
  o.depth = depth;
  options.batch = 16;
  options.mode = mode;
  OK(glow_model_create_glow(b->context, &o, &model));
  OK(glow_workspace_bytes(model, &options, &bytes));
  *parameters = glow_model_parameter_count(model);
  glow_model_destroy(&model);
  return bytes;
}

/* Reconstructed: only gradients grow with depth. Inference: nothing does. */
static void test_memory_flat_in_depth(void **state) {
  bench *b = *state;
  int64_t few = 0, many = 0;
  uint64_t shallow = bytes_of_depth(b, 2, GLOW_MODE_RECONSTRUCTED, &few);
  uint64_t deep = bytes_of_depth(b, 12, GLOW_MODE_RECONSTRUCTED, &many);
  assert_true(deep - shallow <= (uint64_t)(many - few) * sizeof(float) + 64);
  assert_int_equal(bytes_of_depth(b, 2, GLOW_MODE_INFERENCE, &few),
                   bytes_of_depth(b, 12, GLOW_MODE_INFERENCE, &few));
  assert_true(bytes_of_depth(b, 12, GLOW_MODE_STORED, &few) > 2 * deep);
}

static void test_too_large(void **state) {
  bench *b = *state;
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  uint64_t bytes = 0;
  options.batch = INT64_MAX / 2;
  REFUSED(glow_workspace_bytes(b->model, &options, &bytes), GLOW_E_LIMIT, "too large");
  REFUSED(glow_workspace_create(b->model, &options, &ws), GLOW_E_LIMIT, "too large");
  assert_null(ws);
}

/* ---- threads that share a model ---------------------------------------------------------------------- */

typedef struct sharer {
  const bench *b;
  double log_prob[BATCH];
  glow_status status;
} sharer;

static void *share(void *arg) {
  sharer *s = arg;
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  options.batch = BATCH;
  s->status = glow_workspace_create(s->b->model, &options, &ws);
  for (int i = 0; i < 10 && s->status == GLOW_OK; i++)
    s->status = glow_log_prob(ws, s->b->x, s->b->labels, BATCH, s->log_prob);
  glow_workspace_destroy(&ws);
  return NULL;
}

/* The context of this one has an allocator that threads may use at once. */
static void test_shared_model(void **state) {
  bench *b = *state;
  bench other = *b;
  glow_glow_options o = helper_small_glow();
  pthread_t threads[3];
  sharer sharers[3];
  o.classes = 3;
  other.context = helper_context(2, NULL, NULL);
  other.model = helper_glow(other.context, &o, 2);
  for (int i = 0; i < 3; i++) {
    sharers[i] = (sharer){.b = &other};
    assert_int_equal(pthread_create(&threads[i], NULL, share, &sharers[i]), 0);
  }
  for (int i = 0; i < 3; i++)
    pthread_join(threads[i], NULL);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(sharers[i].status, GLOW_OK);
    assert_memory_equal(sharers[i].log_prob, sharers[0].log_prob, sizeof sharers[0].log_prob);
  }
  glow_model_destroy(&other.model);
  glow_context_destroy(&other.context);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, open_bench, close_bench)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(inverse_first),
      TEST(sample_numbers),
      TEST(temperatures),
      TEST(whitened),
      TEST(bits_per_dim),
      TEST(outputs_may_be_null),
      TEST(micro_batches),
      TEST(backward_needs_forward),
      TEST(uninitialised),
      TEST(unprepared),
      TEST(singular),
      TEST(labels),
      TEST(counts),
      TEST(nonfinite_input),
      TEST(nonfinite_layer),
      TEST(constant_channel),
      TEST(constant_hidden_channel),
      TEST(passes_allocate_nothing),
      TEST(steps_allocate_nothing),
      TEST(workspace_bytes),
      TEST(memory_flat_in_depth),
      TEST(too_large),
      TEST(shared_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
