/* Passes take any number of samples and cut it into batches of the workspace's size: the same bits
 * as batch by batch, whether the number is a multiple or not, with labels, conditions, temperatures
 * and the number of the first sample. And data that cannot be of the right scale are told once.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { MOST = 11, DIMS = 128, CONDITION = 3, CLASSES = 3, LATENTS = 2 };

typedef struct bench {
  glow_context *context;
  glow_model *model; /* with classes, a classifier and a condition */
  int32_t labels[MOST];
  float x[MOST * DIMS], conditions[MOST * CONDITION];
  double temperatures[MOST];
  char log[2000];
  int warnings;
} bench;

static void remember(int32_t level, const char *text, void *payload) {
  bench *b = payload;
  b->warnings += level == GLOW_LOG_WARNING;
  snprintf(b->log, sizeof b->log, "%s", text);
}

static int open_bench(void **state) {
  bench *b = helper_allocate(sizeof *b);
  helper_random random = helper_random_of(1);
  glow_context_options context = GLOW_CONTEXT_OPTIONS_INIT;
  glow_glow_options o = helper_small_glow();
  memset(b, 0, sizeof *b);
  context.threads = 2;
  context.log = remember;
  context.log_payload = b;
  OK(glow_context_create(&context, &b->context));
  o.classes = CLASSES;
  o.classifier = 1;
  o.condition = (glow_shape){1, 1, CONDITION};
  b->model = helper_glow(b->context, &o, 2);
  helper_normals(&random, 0.2f, b->x, MOST * DIMS);
  helper_normals(&random, 1.0f, b->conditions, MOST * CONDITION);
  for (int i = 0; i < MOST; i++) {
    b->labels[i] = i % CLASSES;
    b->temperatures[i] = 0.5 + 0.1 * i;
  }
  *state = b;
  return 0;
}

static int close_bench(void **state) {
  bench *b = *state;
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
  free(b);
  return 0;
}

/* All that passes write for some samples. */
typedef struct results {
  float z[MOST * DIMS], whitened[MOST * DIMS], x[MOST * DIMS], drawn[MOST * DIMS];
  float logits[MOST * CLASSES], from_latents[MOST * CLASSES];
  double logdet[MOST], log_prob[MOST], alone[MOST], back[MOST];
} results;

/* Samples [first, first + count) of the bench, in one call of each pass. */
static void run(bench *b, glow_workspace *ws, int64_t first, int64_t count, results *r) {
  const float *x = b->x + first * DIMS;
  const int32_t *labels = b->labels + first;
  const double per_latent[LATENTS] = {0.7, 0.9};
  glow_sample_options sample = GLOW_SAMPLE_OPTIONS_INIT;
  sample.seed = 5;
  sample.first = 100 + (uint64_t)first;
  sample.temperature = 0.8;
  sample.per_latent = per_latent;
  sample.per_sample = b->temperatures + first;
  OK(glow_workspace_set_condition(ws, b->conditions + first * CONDITION, count, CONDITION));
  OK(helper_forward(ws, x, labels, count, GLOW_LATENTS_RAW, r->z + first * DIMS, r->logdet + first,
                    r->log_prob + first));
  OK(helper_forward(ws, x, labels, count, GLOW_LATENTS_WHITENED, r->whitened + first * DIMS, NULL,
                    NULL));
  OK(glow_workspace_log_prob(ws, x, labels, count, r->alone + first));
  OK(helper_inverse(ws, r->z + first * DIMS, GLOW_LATENTS_RAW, labels, count, r->x + first * DIMS,
                    r->back + first));
  OK(helper_sample(ws, &sample, labels, count, r->drawn + first * DIMS));
  OK(glow_workspace_classify(ws, x, labels, count, r->logits + first * CLASSES));
  OK(glow_workspace_classify_latents(ws, r->z + first * DIMS, GLOW_LATENTS_RAW, labels, count,
                                     r->from_latents + first * CLASSES));
}

#define SAME(member, size)                                                                         \
  do {                                                                                             \
    if (!helper_same_bits(a->member, b->member, count * (size), sizeof *a->member))                \
      fail_msg("%s differs for %d samples in batches of %d", #member, (int)count, (int)batch);     \
  } while (0)
static void compare(const results *a, const results *b, int64_t count, int64_t batch) {
  SAME(z, DIMS);
  SAME(whitened, DIMS);
  SAME(x, DIMS);
  SAME(drawn, DIMS);
  SAME(logits, CLASSES);
  SAME(from_latents, CLASSES);
  SAME(logdet, 1);
  SAME(log_prob, 1);
  SAME(alone, 1);
  SAME(back, 1);
}

static void test_any_count(void **state) {
  bench *b = *state;
  assert_int_equal(glow_model_latent_block_count(b->model), LATENTS);
  assert_int_equal(glow_model_dims(b->model), DIMS);
  results *whole = helper_allocate(sizeof *whole), *parts = helper_allocate(sizeof *parts);
  for (int64_t batch = 1; batch <= 4; batch++) {
    glow_workspace *ws = helper_workspace(b->model, batch, GLOW_MODE_INFERENCE);
    for (int64_t count = 1; count <= MOST; count += 1 + (count > 5)) {
      memset(whole, 0, sizeof *whole);
      memset(parts, 0, sizeof *parts);
      run(b, ws, 0, count, whole);
      for (int64_t first = 0; first < count; first += batch)
        run(b, ws, first, count - first < batch ? count - first : batch, parts);
      compare(whole, parts, count, batch);
    }
    glow_workspace_destroy(&ws);
  }
  assert_memory_not_equal(whole->z, whole->z + DIMS, DIMS * sizeof *whole->z);
  free(whole);
  free(parts);
}

/* In a training mode too, where nothing is stored for backward: log-densities and the way back. */
static void test_in_training_modes(void **state) {
  bench *b = *state;
  double whole[MOST], want[MOST];
  glow_workspace *all = helper_workspace(b->model, MOST, GLOW_MODE_INFERENCE);
  OK(glow_workspace_set_condition(all, b->conditions, MOST, CONDITION));
  OK(glow_workspace_log_prob(all, b->x, b->labels, MOST, want));
  for (int32_t mode = GLOW_MODE_STORED; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    glow_workspace *ws = helper_workspace(b->model, 4, mode);
    OK(glow_workspace_set_condition(ws, b->conditions, MOST, CONDITION));
    OK(glow_workspace_log_prob(ws, b->x, b->labels, MOST, whole));
    assert_memory_equal(whole, want, sizeof whole);
    glow_workspace_destroy(&ws);
  }
  glow_workspace_destroy(&all);
}

/* Conditions are asked for as many as there are samples, not as a batch has. */
static void test_too_few_conditions(void **state) {
  bench *b = *state;
  double log_prob[MOST];
  glow_workspace *ws = helper_workspace(b->model, 3, GLOW_MODE_INFERENCE);
  OK(glow_workspace_set_condition(ws, b->conditions, 6, CONDITION));
  OK(glow_workspace_log_prob(ws, b->x, b->labels, 6, log_prob));
  REFUSED(glow_workspace_log_prob(ws, b->x, b->labels, 7, log_prob), GLOW_E_ARGUMENT, "7 samples");
  glow_workspace_destroy(&ws);
}

/* ---- the scale of the input ------------------------------------------------------------------ */

static void test_scale(void **state) {
  bench *b = *state;
  double log_prob[MOST];
  float pixels[MOST * DIMS];
  for (int i = 0; i < MOST * DIMS; i++)
    pixels[i] = (float)(i * 7 % 256);
  for (int round = 0; round < 2; round++) { /* once for each workspace */
    glow_workspace *ws = helper_workspace(b->model, 4, GLOW_MODE_INFERENCE);
    b->warnings = 0;
    OK(glow_workspace_set_condition(ws, b->conditions, MOST, CONDITION));
    OK(glow_workspace_log_prob(ws, b->x, b->labels, MOST, log_prob));
    assert_int_equal(b->warnings, 0);
    OK(glow_workspace_log_prob(ws, pixels, b->labels, MOST, log_prob));
    assert_int_equal(b->warnings, 1);
    assert_non_null(strstr(b->log, "input: element 1 of sample 0 is 7; the model is of 8-bit"));
    OK(glow_workspace_log_prob(ws, pixels, b->labels, MOST, log_prob));
    OK(helper_forward(ws, pixels, b->labels, MOST, 0, NULL, NULL, log_prob));
    assert_int_equal(b->warnings, 1);
    glow_workspace_destroy(&ws);
  }
}

/* Data that are no images have any scale. */
static void test_scale_of_continuous_data(void **state) {
  bench *b = *state;
  glow_glow_options o = helper_small_glow();
  double log_prob;
  float x[DIMS];
  o.bits = 0;
  glow_model *model = helper_glow(b->context, &o, 3);
  glow_workspace *ws = helper_workspace(model, 1, GLOW_MODE_INFERENCE);
  for (int i = 0; i < DIMS; i++)
    x[i] = 50;
  OK(glow_workspace_log_prob(ws, x, NULL, 1, &log_prob));
  assert_int_equal(b->warnings, 0);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, open_bench, close_bench)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(any_count), TEST(in_training_modes),        TEST(too_few_conditions),
      TEST(scale),     TEST(scale_of_continuous_data),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
