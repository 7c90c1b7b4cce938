/* A layer of a caller's own with as many options as a file may hold, and with one more.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <glow/sys/layer.h>
#include <stddef.h>

enum { MOST = 1000, DIMS = 4 };

typedef struct many {
  size_t struct_size;
  int32_t values[MOST + 2]; /* an even number, so that nothing follows them */
} many;

static char names[MOST + 1][8];
static glow_option rows[MOST + 1];

static void fill_rows(void) {
  for (int i = 0; i <= MOST; i++) {
    snprintf(names[i], sizeof names[i], "o%d", i);
    rows[i] = (glow_option){.name = names[i],
                            .offset = offsetof(many, values) + (size_t)i * sizeof(int32_t),
                            .type = GLOW_OPTION_INT32,
                            .high = MOST};
  }
}

static glow_status configure(void *self, glow_setup *setup, const glow_shape *in, glow_shape *out) {
  (void)self, (void)setup;
  *out = *in;
  return GLOW_OK;
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  (void)self, (void)logdet, (void)logprior;
  memcpy(y, x, (size_t)glow_call_sample_count(call) * DIMS * sizeof *x);
}

static glow_status inverse(const void *self, const glow_call *call, const float *y, float *x,
                           double *logdet, double *logprior) {
  forward(self, call, y, x, logdet, logprior);
  return GLOW_OK;
}

static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  (void)self;
  memcpy(g->dx, g->dy, (size_t)glow_call_sample_count(call) * DIMS * sizeof *g->dx);
}

/* Saves a model of a layer with `count` options, of values 1, 2, ...; loads it, and saves it again:
 * the same file. */
static glow_status save_and_load(int32_t count) {
  const glow_options_table table = {.struct_size = sizeof table,
                                    .name = "many",
                                    .size = sizeof(many),
                                    .smallest = sizeof(many),
                                    .options = rows,
                                    .count = count};
  const glow_layer_ops ops = {.struct_size = sizeof ops,
                              .type = "many",
                              .options = &table,
                              .self_size = sizeof(many),
                              .configure = configure,
                              .forward = forward,
                              .inverse = inverse,
                              .backward = backward};
  const glow_shape shape = {1, 1, DIMS};
  glow_context *context = helper_context(1, NULL, NULL);
  many options = {.struct_size = sizeof options};
  glow_layer *layer = NULL;
  glow_model *model = NULL, *loaded = NULL;
  static char files[2][1 << 16];
  glow_output output = GLOW_OUTPUT_INIT;
  glow_input input = GLOW_INPUT_INIT;
  size_t size = 0;
  for (int32_t i = 0; i < count; i++)
    options.values[i] = i % MOST + 1;
  OK(glow_context_register_layer(context, &ops));
  OK(glow_layer_create(context, &ops, &options, NULL, &layer));
  OK(helper_wrap_layer(context, layer, true, &shape, &model));
  output.buffer = files[0];
  output.capacity = sizeof files[0];
  output.written = &size;
  glow_status status = glow_model_save_output(model, &output);
  if (status == GLOW_OK) {
    input.data = files[0];
    input.size = (int64_t)size;
    OK(glow_model_load_input(context, &input, &loaded));
    output.buffer = files[1];
    OK(glow_model_save_output(loaded, &output));
    assert_memory_equal(files[0], files[1], size);
  }
  glow_model_destroy(&loaded);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return status;
}

static void test_most(void **state) {
  (void)state;
  OK(save_and_load(MOST));
}

static void test_one_more(void **state) {
  (void)state;
  REFUSED(save_and_load(MOST + 1), GLOW_E_LIMIT, "1001 options; at most 1000 can be read");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_most),
      cmocka_unit_test(test_one_more),
  };
  fill_rows();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
