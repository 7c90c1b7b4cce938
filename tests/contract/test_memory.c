/* Memory of passes: its size is known before, and nothing is allocated once a workspace or a
 * trainer is there. SPDX-License-Identifier: MIT */
#include "passes.h"

/* ---- memory ---------------------------------------------------------------------------------- */

static void all_passes(const bench *b, glow_workspace *ws, bool training) {
  glow_backward_options options = GLOW_BACKWARD_OPTIONS_INIT;
  double weight[BATCH] = {1, 1, 1, 1, 1, 1, 1}, out[BATCH];
  const char *layer;
  options.weight = options.weight_logdet = weight;
  options.dx = b->y;
  options.d_latents = b->z;
  for (int32_t form = GLOW_LATENTS_RAW; form <= GLOW_LATENTS_WHITENED; form++) {
    OK(glow_workspace_forward(ws, b->x, BATCH,
                              &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                      .labels = b->labels,
                                                      .form = form,
                                                      .latents = b->z,
                                                      .logdet = out,
                                                      .log_prob = out}));
    OK(glow_workspace_inverse(ws, b->z, BATCH,
                              &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options),
                                                      .labels = b->labels,
                                                      .form = form,
                                                      .logdet = out},
                              b->y));
    OK(glow_workspace_log_prob(ws, b->x, b->labels, BATCH, out));
    if (training) {
      OK(glow_workspace_forward(ws, b->x, BATCH,
                                &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                        .labels = b->labels,
                                                        .form = form,
                                                        .log_prob = out}));
      OK(glow_workspace_backward(ws, &options));
      OK(glow_workspace_zero_gradients(ws));
    }
  }
  OK(helper_sample(ws, NULL, b->labels, BATCH, b->y));
  OK(glow_workspace_find_nonfinite(ws, b->x, b->labels, BATCH, &layer));
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

typedef struct source {
  uint8_t *pixels;
  int32_t *labels;
  int64_t elements;
} source;

static glow_status next_batch(int64_t step, glow_batch *batch, void *payload) {
  source *s = payload;
  for (int64_t i = 0; i < s->elements; i++)
    s->pixels[i] = (uint8_t)(i * 37 + step);
  for (int64_t i = 0; i < batch->count; i++)
    s->labels[i] = (int32_t)(i % 3);
  batch->pixels = s->pixels;
  batch->labels = s->labels;
  return GLOW_OK;
}

static void test_steps_allocate_nothing(void **state) {
  bench *b = *state;
  uint8_t *pixels = helper_allocate((size_t)(BATCH * b->dims));
  source s = {pixels, b->labels, BATCH * b->dims};
  glow_batch batch = GLOW_BATCH_INIT;
  double weights[BATCH];
  for (int i = 0; i < BATCH; i++)
    weights[i] = i;
  batch.count = BATCH;
  batch.weights = weights;
  OK(next_batch(0, &batch, &s));
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
      OK(glow_trainer_step_batch(trainer, &batch, &report));
    }
    OK(glow_trainer_use_average(trainer, 1));
    OK(glow_trainer_use_average(trainer, 0));
    OK(helper_run(trainer, 5, BATCH, next_batch, &s));
    assert_int_equal(b->memory.calls, calls);
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
      OK(glow_workspace_plan_bytes(b->model, &options, &bytes));
      assert_int_equal(b->memory.calls, calls);
      OK(glow_workspace_create(b->model, &options, &ws));
      int64_t used = b->memory.bytes - before;
      assert_true(used >= (int64_t)bytes && used <= (int64_t)bytes + 128);
      assert_int_equal(glow_workspace_bytes(ws), bytes);
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
  OK(glow_workspace_plan_bytes(model, &options, &bytes));
  *parameters = glow_model_parameter_count(model);
  glow_model_destroy(&model);
  return bytes;
}

/* Reconstructed: only gradients grow with depth. Inference: nothing does. */
static void test_memory_flat_in_depth(void **state) {
  bench *b = *state;
  int64_t few = 0, many = 0;
  uint64_t shallow = bytes_of_depth(b, 6, GLOW_MODE_RECONSTRUCTED, &few);
  uint64_t deep = bytes_of_depth(b, 36, GLOW_MODE_RECONSTRUCTED, &many);
  assert_true(deep - shallow <= (uint64_t)(many - few) * sizeof(float) + 64);
  assert_int_equal(bytes_of_depth(b, 2, GLOW_MODE_INFERENCE, &few),
                   bytes_of_depth(b, 12, GLOW_MODE_INFERENCE, &few));
  assert_true(bytes_of_depth(b, 36, GLOW_MODE_STORED, &few) > 2 * deep);
}

static void test_too_large(void **state) {
  bench *b = *state;
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  uint64_t bytes = 0;
  options.batch = INT64_MAX / 2;
  REFUSED(glow_workspace_plan_bytes(b->model, &options, &bytes), GLOW_E_LIMIT, "too large");
  REFUSED(glow_workspace_create(b->model, &options, &ws), GLOW_E_LIMIT, "too large");
  assert_null(ws);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(passes_allocate_nothing),
      TEST(steps_allocate_nothing),
      TEST(workspace_bytes),
      TEST(memory_flat_in_depth),
      TEST(too_large),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
