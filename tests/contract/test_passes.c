/* Passes over a whole model: the inverse and sampling, forms of latents, temperatures, gradients in
 * parts, and threads that share a model. SPDX-License-Identifier: MIT */
#include <pthread.h>

#include "passes.h"

/* ---- the inverse and sampling ---------------------------------------------------------------- */

/* A new workspace that begins with an inverse, or with samples, against one that went forward. */
static void test_inverse_first(void **state) {
  bench *b = *state;
  glow_workspace *used = helper_workspace(b->model, BATCH, GLOW_MODE_INFERENCE);
  glow_sample_options options = GLOW_SAMPLE_OPTIONS_INIT;
  float *other = helper_allocate(batch_bytes(b));
  options.seed = 5;
  OK(glow_workspace_forward(
      used, b->x, BATCH,
      &(glow_forward_options){.struct_size = sizeof(glow_forward_options), .labels = b->labels}));
  for (int32_t mode = GLOW_MODE_INFERENCE; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    glow_workspace *ws = helper_workspace(b->model, BATCH, mode);
    OK(glow_workspace_inverse(ws, b->z, BATCH,
                              &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options),
                                                      .labels = b->labels,
                                                      .form = GLOW_LATENTS_WHITENED},
                              b->y));
    OK(glow_workspace_inverse(used, b->z, BATCH,
                              &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options),
                                                      .labels = b->labels,
                                                      .form = GLOW_LATENTS_WHITENED},
                              other));
    assert_memory_equal(b->y, other, batch_bytes(b));
    glow_workspace_destroy(&ws);
    ws = helper_workspace(b->model, BATCH, mode);
    OK(helper_sample(ws, &options, b->labels, BATCH, b->y));
    OK(helper_sample(used, &options, b->labels, BATCH, other));
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
  OK(helper_sample(ws, &options, b->labels, BATCH, b->x));
  for (int first = 0; first < BATCH; first++)
    for (int count = 1; first + count <= BATCH; count++) {
      options.first = (uint64_t)first;
      OK(helper_sample(ws, &options, b->labels + first, count, b->y));
      assert_memory_equal(b->y, b->x + first * b->dims, (size_t)(count * b->dims) * sizeof(float));
    }
  assert_memory_not_equal(b->x, b->x + 3 * b->dims, (size_t)b->dims * sizeof(float));
  options.first = 0;
  options.seed = 10;
  OK(helper_sample(ws, &options, b->labels, BATCH, b->y));
  assert_memory_not_equal(b->x, b->y, batch_bytes(b));
  OK(helper_sample(ws, NULL, b->labels, BATCH, b->y)); /* defaults */
  glow_workspace_destroy(&ws);
}

/* A loss that does not depend on the samples has gradients of 0, not small ones. */
static void test_gradients_of_nothing(void **state) {
  bench *b = *state;
  glow_forward_options forward = GLOW_FORWARD_OPTIONS_INIT;
  glow_backward_options backward = GLOW_BACKWARD_OPTIONS_INIT;
  const double weight[BATCH] = {0};
  forward.labels = b->labels;
  backward.weight = weight;
  backward.dx = b->y;
  for (int32_t mode = GLOW_MODE_STORED; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    glow_workspace *ws = helper_workspace(b->model, BATCH, mode);
    OK(glow_workspace_forward(ws, b->x, BATCH, &forward));
    OK(glow_workspace_backward(ws, &backward));
    const float *gradients = glow_workspace_gradients(ws);
    for (int64_t i = 0; i < glow_model_parameter_count(b->model); i++)
      assert_true(gradients[i] == 0.0f);
    for (int64_t i = 0; i < BATCH * b->dims; i++)
      assert_true(b->y[i] == 0.0f);
    glow_workspace_destroy(&ws);
  }
}

/* Whitened latents of samples drawn with these options. */
static void whitened_samples(const bench *b, glow_workspace *ws, const glow_sample_options *options,
                             float *z) {
  OK(helper_sample(ws, options, b->labels, BATCH, b->y));
  OK(glow_workspace_forward(ws, b->y, BATCH,
                            &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                    .labels = b->labels,
                                                    .form = GLOW_LATENTS_WHITENED,
                                                    .latents = z}));
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

  /* At temperature 0: the mean of each conditional distribution, whatever the seed. */
  glow_sample_options zero = GLOW_SAMPLE_OPTIONS_INIT;
  zero.temperature = 0;
  zero.seed = 77;
  memset(b->z, 0, batch_bytes(b));
  OK(glow_workspace_inverse(ws, b->z, BATCH,
                            &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options),
                                                    .labels = b->labels,
                                                    .form = GLOW_LATENTS_WHITENED},
                            cold));
  OK(helper_sample(ws, &zero, b->labels, BATCH, b->y));
  assert_true(helper_relative(b->y, cold, BATCH * b->dims) < 1e-6);

  const double nonsense[] = {-1.0, NAN, INFINITY};
  for (int i = 0; i < 3; i++) {
    glow_sample_options bad = GLOW_SAMPLE_OPTIONS_INIT;
    bad.temperature = nonsense[i];
    REFUSED(helper_sample(ws, &bad, b->labels, BATCH, b->y), GLOW_E_ARGUMENT, "temperature");
    bad.temperature = 1;
    per_latent[1] = nonsense[i];
    bad.per_latent = per_latent;
    REFUSED(helper_sample(ws, &bad, b->labels, BATCH, b->y), GLOW_E_ARGUMENT, "latents 1");
    bad.per_latent = NULL;
    per_sample[2] = nonsense[i];
    bad.per_sample = per_sample;
    REFUSED(helper_sample(ws, &bad, b->labels, BATCH, b->y), GLOW_E_ARGUMENT, "sample 2");
  }
  free(expected);
  free(cold);
  glow_workspace_destroy(&ws);
}

/* ---- forms of latents ------------------------------------------------------------------------ */

static const float *values_of(const bench *b, const char *name) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  OK(glow_model_find_tensor(b->model, name, &info));
  return glow_model_parameters(b->model) + info.offset;
}

/* Mean and log-sd of channel c in block 0 (a split without weights: its biases alone) or the top.
 * */
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
  OK(glow_workspace_forward(ws, b->x, BATCH,
                            &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                    .labels = b->labels,
                                                    .latents = raw,
                                                    .logdet = logdet,
                                                    .log_prob = log_prob}));
  OK(glow_workspace_forward(ws, b->x, BATCH,
                            &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                    .labels = b->labels,
                                                    .form = GLOW_LATENTS_WHITENED,
                                                    .latents = b->z,
                                                    .log_prob = again}));
  assert_int_equal(glow_model_latent_block_count(b->model), 2);
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
  assert_true(fabs(glow_model_bits_per_dim(b->model, 100.0) - expected) < 1e-12);
  assert_true(isnan(glow_model_bits_per_dim(NULL, 0)));
}

/* Outputs that are not wanted change nothing in the others; x is left alone. */
static void test_outputs_may_be_null(void **state) {
  bench *b = *state;
  double logdet[BATCH], log_prob[BATCH], alone[BATCH], inverse[BATCH];
  float *copy = helper_allocate(batch_bytes(b)), *z = helper_allocate(batch_bytes(b));
  memcpy(copy, b->x, batch_bytes(b));
  for (int32_t mode = GLOW_MODE_INFERENCE; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    glow_workspace *ws = helper_workspace(b->model, BATCH, mode);
    OK(glow_workspace_forward(ws, b->x, BATCH,
                              &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                      .labels = b->labels,
                                                      .latents = z,
                                                      .logdet = logdet,
                                                      .log_prob = log_prob}));
    OK(glow_workspace_forward(ws, b->x, BATCH,
                              &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                      .labels = b->labels,
                                                      .latents = b->z}));
    assert_memory_equal(z, b->z, batch_bytes(b));
    OK(glow_workspace_forward(ws, b->x, BATCH,
                              &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                      .labels = b->labels,
                                                      .form = GLOW_LATENTS_WHITENED,
                                                      .logdet = alone}));
    assert_memory_equal(logdet, alone, sizeof alone);
    OK(glow_workspace_log_prob(ws, b->x, b->labels, BATCH, alone));
    assert_memory_equal(log_prob, alone, sizeof alone);
    OK(glow_workspace_inverse(ws, z, BATCH,
                              &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options),
                                                      .labels = b->labels,
                                                      .logdet = inverse},
                              b->y));
    assert_memory_equal(z, b->z, batch_bytes(b));
    assert_memory_equal(copy, b->x, batch_bytes(b));
    for (int n = 0; n < BATCH; n++)
      assert_true(fabs(inverse[n] + logdet[n]) < 1e-5 * (1 + fabs(logdet[n])));
    glow_workspace_destroy(&ws);
  }
  free(copy);
  free(z);
}

/* ---- backward -------------------------------------------------------------------------------- */

static void accumulate(const bench *b, glow_workspace *ws, int64_t first, int64_t count) {
  glow_backward_options options = GLOW_BACKWARD_OPTIONS_INIT;
  double weight[BATCH];
  for (int i = 0; i < BATCH; i++)
    weight[i] = 1 + i;
  options.weight = weight + first;
  OK(glow_workspace_forward(ws, b->x + first * b->dims, count,
                            &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                    .labels = b->labels + first}));
  OK(glow_workspace_backward(ws, &options));
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

static glow_status forward(const bench *b, glow_workspace *ws) {
  return glow_workspace_forward(
      ws, b->x, BATCH,
      &(glow_forward_options){.struct_size = sizeof(glow_forward_options), .labels = b->labels});
}

/* Once for each forward, in a training mode, with nothing in between. */
static void test_backward_needs_forward(void **state) {
  bench *b = *state;
  glow_backward_options options = GLOW_BACKWARD_OPTIONS_INIT;
  const char *layer;
  glow_workspace *ws = helper_workspace(b->model, BATCH, GLOW_MODE_INFERENCE);
  OK(forward(b, ws));
  REFUSED(glow_workspace_backward(ws, &options), GLOW_E_STATE, "inference");
  assert_null(glow_workspace_gradients(ws));
  REFUSED(glow_workspace_zero_gradients(ws), GLOW_E_STATE, "inference");
  glow_workspace_destroy(&ws);
  ws = helper_workspace(b->model, BATCH, GLOW_MODE_STORED);
  REFUSED(glow_workspace_backward(ws, &options), GLOW_E_STATE, "glow_workspace_forward");
  OK(forward(b, ws));
  OK(glow_workspace_backward(ws, &options));
  REFUSED(glow_workspace_backward(ws, &options), GLOW_E_STATE, "glow_workspace_forward");
  OK(forward(b, ws));
  OK(glow_workspace_log_prob(ws, b->x, b->labels, BATCH, NULL));
  REFUSED(glow_workspace_backward(ws, &options), GLOW_E_STATE, "glow_workspace_forward");
  OK(forward(b, ws));
  OK(glow_workspace_inverse(
      ws, b->z, BATCH,
      &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options), .labels = b->labels},
      b->y));
  REFUSED(glow_workspace_backward(ws, &options), GLOW_E_STATE, "glow_workspace_forward");
  OK(forward(b, ws));
  OK(helper_sample(ws, NULL, b->labels, BATCH, b->y));
  REFUSED(glow_workspace_backward(ws, &options), GLOW_E_STATE, "glow_workspace_forward");
  OK(forward(b, ws));
  OK(glow_workspace_find_nonfinite(ws, b->x, b->labels, BATCH, &layer));
  REFUSED(glow_workspace_backward(ws, &options), GLOW_E_STATE, "glow_workspace_forward");
  OK(forward(b, ws));
  glow_model_parameters_mutable(b->model);
  REFUSED(glow_workspace_backward(ws, &options), GLOW_E_STATE, "glow_model_prepare");
  glow_workspace_destroy(&ws);
}

/* ---- threads that share a model -------------------------------------------------------------- */

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
    s->status = glow_workspace_log_prob(ws, s->b->x, s->b->labels, BATCH, s->log_prob);
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

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(inverse_first), TEST(sample_numbers),
      TEST(temperatures),  TEST(whitened),
      TEST(bits_per_dim),  TEST(outputs_may_be_null),
      TEST(micro_batches), TEST(backward_needs_forward),
      TEST(shared_model),  TEST(gradients_of_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
