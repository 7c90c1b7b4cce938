/* Data whose mean is large against their deviation, as columns of years, altitudes or money are:
 * the inference form gives what the model gives, and storage in bfloat16 costs little.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "../support/model_helpers.h"

enum { COUNT = 64 };

static const double means[] = {0, 1e3, 1e4, 1e6};
enum { MEANS = sizeof means / sizeof *means };

/* ---- models ---------------------------------------------------------------------------------- */

/* COUNT samples of mean +-`mean` and deviation 1, by channel. */
static float *far_data(const glow_shape *shape, double mean) {
  helper_random random = helper_random_of(40);
  int64_t numbers = COUNT * glow_shape_size(shape);
  float *x = helper_allocate((size_t)numbers * sizeof *x);
  for (int64_t i = 0; i < numbers; i++)
    x[i] = (float)(mean * (i % shape->channels % 2 ? -1 : 1) + helper_normal(&random));
  return x;
}

/* Couplings that do something, and norms from the data. */
static void settle(glow_model *model, const float *x) {
  helper_random random = helper_random_of(41);
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  float *p = glow_model_parameters_mutable(model);
  for (int64_t i = 0; i < glow_model_parameter_count(model); i++)
    p[i] += (float)(0.05 * helper_normal(&random));
  OK(glow_model_prepare(model));
  OK(glow_workspace_initialise(ws, model, x, NULL, COUNT));
  glow_workspace_destroy(&ws);
}

static glow_model *vector_flow(glow_context *context) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_model *model = NULL;
  o.dims = 5;
  o.steps = 3;
  o.hidden = 16;
  OK(glow_model_create_vector_flow(context, &o, &model));
  return model;
}

static glow_model *images(glow_context *context) {
  glow_model *model = NULL;
  glow_glow_options o = helper_small_glow();
  OK(glow_model_create_glow(context, &o, &model));
  return model;
}

enum { ACTNORM = 'a', BATCHNORM = 'b', INVCONV = 'i', INVCONV_LU = 'l', COUPLING = 'c' };

static void add(glow_builder *builder, glow_context *context, int kind, int number) {
  glow_invconv_options invconv = GLOW_INVCONV_OPTIONS_INIT;
  glow_layer *layer = NULL;
  char name[16];
  helper_layer coupling = {
      .kind = HELPER_COUPLING, .option = GLOW_COUPLING_AFFINE, .scale = GLOW_SCALE_TANH};
  invconv.lu = kind == INVCONV_LU;
  invconv.seed = (uint64_t)number + 3;
  snprintf(name, sizeof name, "%c%d", kind, number);
  switch (kind) {
  case ACTNORM: OK(glow_actnorm_create(context, NULL, &layer)); break;
  case BATCHNORM: OK(glow_batchnorm_create(context, NULL, &layer)); break;
  case COUPLING: OK(helper_create_layer(context, &coupling, 8, &layer)); break;
  default: OK(glow_invconv_create(context, &invconv, &layer));
  }
  OK(glow_builder_add(builder, name, &layer));
}

/* A layer for each letter, and a prior. */
static glow_model *chain(glow_context *context, const char *kinds, const glow_shape *shape) {
  glow_builder *builder = NULL;
  glow_model *model = NULL;
  glow_layer *prior = NULL;
  OK(glow_builder_create(context, shape, NULL, &builder));
  for (int i = 0; kinds[i]; i++)
    add(builder, context, kinds[i], i);
  OK(glow_prior_create(context, NULL, &prior));
  OK(glow_builder_add(builder, "prior", &prior));
  OK(glow_builder_finish(&builder, &model));
  return model;
}

/* ---- the inference form ---------------------------------------------------------------------- */

typedef struct outcome {
  float *z, *back;
  double log_prob[COUNT];
} outcome;

static outcome outcome_of(const glow_model *model, const float *x, const float *z) {
  size_t bytes = COUNT * (size_t)glow_model_dims(model) * sizeof(float);
  outcome o = {.z = helper_allocate(bytes), .back = helper_allocate(bytes)};
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, o.z, NULL, o.log_prob));
  OK(helper_inverse(ws, z ? z : o.z, GLOW_LATENTS_RAW, NULL, COUNT, o.back, NULL));
  glow_workspace_destroy(&ws);
  return o;
}

static void outcome_free(outcome *o) {
  free(o->z);
  free(o->back);
}

/* How far apart model and form may be. */
typedef struct bounds {
  double log_prob;  /* over 1 + |log p| */
  double roundings; /* of x on the way back, 2^-24 mean each; what is small before has errors of
                       1e-5, which layers stretch by 10 at most */
} bounds;

static void check_outcomes(const char *name, double mean, const glow_model *model, const float *x,
                           bounds most) {
  glow_model *form = NULL;
  OK(glow_model_inference_form(model, &form));
  outcome a = outcome_of(model, x, NULL), b = outcome_of(form, x, a.z);
  double worst = 0, back = 0;
  for (int i = 0; i < COUNT; i++)
    worst = fmax(worst, fabs(a.log_prob[i] - b.log_prob[i]) / (1 + fabs(a.log_prob[i])));
  for (int64_t i = 0; i < COUNT * glow_model_dims(model); i++)
    back = fmax(back, fabs((double)a.back[i] - (double)b.back[i]));
  if (!(worst <= most.log_prob))
    fail_msg("%s, mean %g: log p is %g off in the inference form", name, mean, worst);
  if (!(back <= most.roundings * ldexp(mean, -24) + 1e-4))
    fail_msg("%s, mean %g: the inverse is %g off in the inference form", name, mean, back);
  outcome_free(&a);
  outcome_free(&b);
  glow_model_destroy(&form);
}

static void check_form(const char *name, glow_model *model, const glow_shape *shape, double mean,
                       bounds most) {
  float *x = far_data(shape, mean);
  settle(model, x);
  check_outcomes(name, mean, model, x, most);
  free(x);
  glow_model_destroy(&model);
}

/* A norm in front takes its shift off x with no more than one rounding, of what is left, whatever
 * the mean is: 2e-5 is what is allowed with a mean of 0, where both forms differ by roundings
 * alone. The last step back adds the shift, one rounding in each form. */
static void test_norm_first(void **state) {
  const glow_shape vector = {1, 1, 5}, image = {8, 8, 2}, small = {2, 2, 4};
  const bounds most = {2e-5, 4};
  const char *const chains[] = {"ai", "al", "bi", "bl", "aic", "blc", "aaic", "biac", "abla"};
  (void)state;
  glow_context *context = helper_context(2, NULL, NULL);
  for (int m = 0; m < MEANS; m++) {
    check_form("vector flow", vector_flow(context), &vector, means[m], most);
    check_form("Glow", images(context), &image, means[m], most);
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++)
      check_form(chains[i], chain(context, chains[i], &small), &small, means[m], most);
  }
  glow_context_destroy(&context);
}

/* A 1x1 convolution in front: the model itself rounds sums of four products of the size of the
 * mean, each to 2^-24 of it, before a norm takes the mean away. The form does not; what they are
 * apart is the model's own error: at most 8 2^-24 mean in each of 16 latents, times the latent,
 * some 3, over 1 + |log p|, some 25. The last step back is such a sum, too. */
static void test_convolution_first(void **state) {
  const glow_shape shape = {2, 2, 4};
  const char *const chains[] = {"ia", "la", "ib", "lbc", "iaic"};
  (void)state;
  glow_context *context = helper_context(2, NULL, NULL);
  for (int m = 0; m < MEANS; m++)
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
      const bounds most = {2e-5 + 16. * 3 / 25 * ldexp(8 * means[m], -24), 16};
      check_form(chains[i], chain(context, chains[i], &shape), &shape, means[m], most);
    }
  glow_context_destroy(&context);
}

/* ---- against double -------------------------------------------------------------------------- */

enum { C = 4 };

static void tensor_of(const glow_model *model, const char *name, float *out, int64_t count) {
  OK(glow_model_get_tensor(model, name, out, count));
}

static void norm_of(const glow_model *model, const char *bias_name, const char *logs_name,
                    double *x) {
  float bias[C], logs[C];
  tensor_of(model, bias_name, bias, C);
  tensor_of(model, logs_name, logs, C);
  for (int i = 0; i < C; i++)
    x[i] = (x[i] + (double)bias[i]) * exp((double)logs[i]);
}

static void product_of(const glow_model *model, const char *name, double *x) {
  float w[C * C];
  double y[C] = {0};
  tensor_of(model, name, w, (int64_t)C * C);
  for (int i = 0; i < C; i++)
    for (int j = 0; j < C; j++)
      y[i] += (double)w[i * C + j] * x[j];
  memcpy(x, y, sizeof y);
}

/* x becomes what actnorm and 1x1 convolution, in either order, make of it. */
static void truth_of(const glow_model *model, bool norm_first, double *x) {
  if (norm_first) {
    norm_of(model, "a0.bias", "a0.logs", x);
    product_of(model, "i1.weight", x);
  } else {
    product_of(model, "i0.weight", x);
    norm_of(model, "a1.bias", "a1.logs", x);
  }
}

/* Latents are sums of four products of numbers below 8: with the roundings of the factors some
 * 4 (2 + 4) 2^-24 8 = 1.1e-5 at the worst. */
static void check_truth(glow_context *context, bool norm_first, double mean) {
  const glow_shape shape = {1, 1, C};
  float *x = far_data(&shape, mean);
  glow_model *model = chain(context, norm_first ? "ai" : "ia", &shape), *form = NULL;
  settle(model, x);
  OK(glow_model_inference_form(model, &form));
  outcome o = outcome_of(form, x, NULL);
  for (int n = 0; n < COUNT; n++) {
    double z[C];
    for (int i = 0; i < C; i++)
      z[i] = (double)x[n * C + i];
    truth_of(model, norm_first, z);
    for (int i = 0; i < C; i++)
      if (!(fabs(z[i] - (double)o.z[n * C + i]) <= 1.1e-5))
        fail_msg("norm first: %d, mean %g, sample %d: latent %d is %.9g in the form, %.9g else",
                 norm_first, mean, n, i, (double)o.z[n * C + i], z[i]);
  }
  outcome_free(&o);
  glow_model_destroy(&form);
  glow_model_destroy(&model);
  free(x);
}

static void test_truth(void **state) {
  (void)state;
  glow_context *context = helper_context(1, NULL, NULL);
  for (int m = 0; m < MEANS; m++) {
    check_truth(context, true, means[m]);
    check_truth(context, false, means[m]);
  }
  glow_context_destroy(&context);
}

/* ---- storage in bfloat16 --------------------------------------------------------------------- */

static double mean_log_prob(const glow_model *model, const float *x) {
  outcome o = outcome_of(model, x, NULL);
  double sum = 0;
  for (int i = 0; i < COUNT; i++)
    sum += o.log_prob[i];
  outcome_free(&o);
  return sum / COUNT;
}

static glow_model *stored(glow_context *context, const glow_model *model) {
  static char room[1 << 18];
  glow_output output = GLOW_OUTPUT_INIT;
  glow_input input = GLOW_INPUT_INIT;
  glow_model *loaded = NULL;
  size_t size = 0;
  output.buffer = room;
  output.capacity = sizeof room;
  output.written = &size;
  output.storage = GLOW_TYPE_BF16;
  OK(glow_model_save_output(model, &output));
  input.data = room;
  input.size = (int64_t)size;
  OK(glow_model_load_input(context, &input, &loaded));
  return loaded;
}

/* Only the nets' weights are rounded, each by 2^-9 of itself, and what the nets give changes by
 * about as much of itself, whatever the mean of the data. 0.05 nats is 5 times what is seen, for
 * 128 numbers a sample. With its shifts rounded, a model of data of mean 1e3 loses some nats, of
 * 1e6 millions. */
static void check_storage(const char *name, glow_context *context, glow_model *model,
                          const glow_shape *shape, double mean) {
  float *x = far_data(shape, mean);
  settle(model, x);
  glow_model *half = stored(context, model);
  double before = mean_log_prob(model, x), after = mean_log_prob(half, x);
  if (!(fabs(after - before) <= 0.05))
    fail_msg("%s, mean %g: mean log p is %g, stored in bfloat16 %g", name, mean, before, after);
  glow_model_destroy(&half);
  glow_model_destroy(&model);
  free(x);
}

static void test_storage(void **state) {
  const glow_shape vector = {1, 1, 5}, image = {8, 8, 2}, small = {2, 2, 4};
  const char *const chains[] = {"aic", "blc", "iac", "lbc"};
  (void)state;
  if (!helper_has_files())
    skip();
  glow_context *context = helper_context(2, NULL, NULL);
  for (int m = 0; m < MEANS; m++) {
    check_storage("vector flow", context, vector_flow(context), &vector, means[m]);
    check_storage("Glow", context, images(context), &image, means[m]);
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++)
      check_storage(chains[i], context, chain(context, chains[i], &small), &small, means[m]);
  }
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_norm_first),
      cmocka_unit_test(test_convolution_first),
      cmocka_unit_test(test_truth),
      cmocka_unit_test(test_storage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
