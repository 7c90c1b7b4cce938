/* The cap on the work of preparing the model of a file: layers, built-in ones and a caller's own,
 * say what they cost, and the sum is compared before anything is prepared.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"
#include "../support/temp_folder.h"

static glow_context *context;
static int prepared; /* how often a layer of the types below was */

/* ---- 1x1 convolutions ------------------------------------------------------------------------ */

/* C^3 / 3 multiply-adds to factor each matrix of the model, and C^3 to invert it. */
static int64_t work_of(const glow_model *model) {
  int64_t sum = 0;
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, i, &info));
    if (strstr(info.name, ".invconv.weight"))
      sum += info.dims[0] * info.elements + info.dims[0] * info.elements / 3;
  }
  return sum;
}

static void test_matrices(void **state) {
  glow_glow_options o = helper_small_glow();
  glow_limits limits = GLOW_LIMITS_INIT;
  glow_input in = GLOW_INPUT_INIT;
  (void)state;
  o.permutation = GLOW_PERMUTATION_INVCONV;
  glow_model *model = helper_glow(context, &o, 3), *loaded = NULL;
  in.path = temp_path("matrices");
  in.limits = &limits;
  OK(glow_model_save(model, in.path));
  limits.prepare_work = work_of(model);
  OK(glow_model_load_input(context, &in, &loaded));
  glow_model_destroy(&loaded);
  limits.prepare_work--;
  REFUSED(glow_model_load_input(context, &in, &loaded), GLOW_E_LIMIT,
          "for layer 'level1.step0.invconv'; at most");
  REFUSED(glow_model_load_bytes(context, &in, NULL, NULL), GLOW_E_LIMIT, "(prepare_work)");
  limits.prepare_work = -1;
  REFUSED(glow_model_load_input(context, &in, &loaded), GLOW_E_ARGUMENT, "prepare_work is -1");
  glow_model_destroy(&model);
}

/* ---- a layer of the caller's own ------------------------------------------------------------- */

#define DEAR ((int64_t)1 << 34)

static glow_status dear_configure(void *self, glow_setup *setup, const glow_shape *input,
                                  glow_shape *output) {
  (void)self;
  *output = *input;
  return glow_setup_prepare_work(setup, DEAR);
}

/* The counts of one layer are added up, and end at the largest number. */
static glow_status endless_configure(void *self, glow_setup *setup, const glow_shape *input,
                                     glow_shape *output) {
  GLOW_TRY(dear_configure(self, setup, input, output));
  return glow_setup_prepare_work(setup, INT64_MAX);
}

static glow_status dear_prepare(const void *self, const glow_call *call) {
  (void)self;
  (void)call;
  prepared++;
  return GLOW_OK;
}

static void dear_forward(const void *self, const glow_call *call, const float *x, float *y,
                         double *logdet, double *logprior) {
  (void)self;
  (void)logdet;
  (void)logprior;
  memcpy(y, x, (size_t)glow_call_sample_count(call) * sizeof *y);
}

static glow_status dear_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                double *logdet, double *logprior) {
  dear_forward(self, call, y, x, logdet, logprior);
  return GLOW_OK;
}

static const glow_layer_ops dear_ops = {.struct_size = sizeof(glow_layer_ops),
                                        .type = "dear",
                                        .flags = GLOW_LAYER_INFERENCE_ONLY,
                                        .configure = dear_configure,
                                        .prepare = dear_prepare,
                                        .forward = dear_forward,
                                        .inverse = dear_inverse};

/* A file of samples of one number, with `count` layers of a type. */
static glow_input file_of(const char *type, int32_t count) {
  static char architecture[1024];
  static const char *const metadata[] = {"glow.format_version", "1.1", "glow.model", architecture};
  glow_input in = GLOW_INPUT_INIT;
  int used = snprintf(architecture, sizeof architecture,
                      "{\"input\":[1,1,1],\"bits\":8,\"initialised\":true,\"layers\":[");
  for (int32_t i = 0; i < count; i++)
    used += snprintf(architecture + used, sizeof architecture - (size_t)used,
                     "{\"name\":\"%s%d\",\"type\":\"%s\",\"options\":{}},", type, i, type);
  snprintf(architecture + used, sizeof architecture - (size_t)used,
           "{\"name\":\"p\",\"type\":\"prior\",\"options\":{\"learned\":0}}]}");
  in.path = temp_path(type);
  OK(glow_tensor_file_write(context, in.path, NULL, 0, metadata, 2));
  return in;
}

/* By default 4/3 4096^3 = 9.16e10: five layers of 1.72e10, and not a sixth. Nothing is prepared. */
static void test_own_layers(void **state) {
  glow_limits limits = GLOW_LIMITS_INIT;
  glow_model *model = NULL;
  glow_input in = file_of("dear", 6);
  (void)state;
  prepared = 0;
  REFUSED(glow_model_load_input(context, &in, &model), GLOW_E_LIMIT,
          "preparing the model would take 1.03e+11 multiply-adds, 1.72e+10 of them for layer "
          "'dear0'; at most 9.16e+10 may be (prepare_work)");
  assert_int_equal(prepared, 0);
  in.limits = &limits;
  limits.prepare_work = 6 * DEAR;
  OK(glow_model_load_input(context, &in, &model));
  assert_int_equal(prepared, 6);
  glow_model_destroy(&model);
  in = file_of("dear", 5);
  OK(glow_model_load_input(context, &in, &model));
  glow_model_destroy(&model);
}

static void test_largest_sum(void **state) {
  glow_limits limits = GLOW_LIMITS_INIT;
  glow_model *model = NULL;
  glow_input in = file_of("endless", 2);
  (void)state;
  in.limits = &limits;
  limits.prepare_work = INT64_MAX - 1;
  REFUSED(glow_model_load_input(context, &in, &model), GLOW_E_LIMIT, "9.22e+18 multiply-adds");
  limits.prepare_work = INT64_MAX; /* no cap */
  OK(glow_model_load_input(context, &in, &model));
  glow_model_destroy(&model);
}

static int set_up(void **state) {
  glow_layer_ops endless = dear_ops;
  (void)state;
  endless.type = "endless";
  endless.configure = endless_configure;
  context = helper_context(1, NULL, NULL);
  OK(glow_context_register_layer(context, &dear_ops));
  OK(glow_context_register_layer(context, &endless));
  return temp_folder_make(NULL) ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  glow_context_destroy(&context);
  return temp_folder_remove() ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_matrices),
      cmocka_unit_test(test_own_layers),
      cmocka_unit_test(test_largest_sum),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
