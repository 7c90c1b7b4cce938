/* Rate factors: twice the factor is twice the rate; what is held keeps its bits through everything
 * that a trainer does, and the others train as if its gradients were zero.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { COUNT = 5, DIMS = 8 * 8 * 2 };

typedef struct bench {
  glow_context *context;
  float *x; /* [COUNT, DIMS] */
} bench;

static int open_bench(void **state) {
  bench *b = helper_allocate(sizeof *b);
  helper_random random = helper_random_of(helper_seed());
  b->context = helper_context(2, NULL, NULL);
  b->x = helper_allocate(COUNT * DIMS * sizeof *b->x);
  for (int i = 0; i < COUNT * DIMS; i++)
    b->x[i] = (float)(0.2 * helper_normal(&random));
  *state = b;
  return 0;
}

static int close_bench(void **state) {
  bench *b = *state;
  glow_context_destroy(&b->context);
  free(b->x);
  free(b);
  return 0;
}

static bool begins(const char *name, const char *prefix) {
  return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Bytes of the tensors, trainable or not, whose names begin like this. */
static uint64_t bits_of(const glow_model *model, const char *prefix) {
  uint64_t hash = 0;
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, i, &info));
    if (!begins(info.name, prefix))
      continue;
    float *values = helper_allocate((size_t)info.elements * 4);
    OK(glow_model_get_tensor(model, info.name, values, info.elements));
    for (int64_t k = 0; k < info.elements * 4; k++)
      hash = hash * 1099511628211u + ((unsigned char *)values)[k];
    free(values);
  }
  return hash;
}

/* ---- factors --------------------------------------------------------------------------------- */

static glow_optimizer *new_optimizer(const glow_model *model, int32_t kind) {
  glow_optimizer_options o = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_optimizer *optimizer = NULL;
  o.kind = kind;
  o.weight_decay = 0.1;
  OK(glow_optimizer_create(model, &o, &optimizer));
  return optimizer;
}

/* Each tensor moves as if the whole model had its rate, to the bit, decay included. */
static void test_factor_is_a_rate(void **state) {
  const bench *b = *state;
  static const double factors[] = {2.0, 1.0, 0.3, 0.0};
  static const char *const prefixes[] = {"level0", "", "level1.step0.coupling", "prior.mean"};
  for (int32_t kind = GLOW_OPTIMIZER_SGD; kind <= GLOW_OPTIMIZER_LION; kind++)
    for (int k = 0; k < 4; k++) {
      glow_model *one = helper_glow(b->context, NULL, 1), *other = helper_glow(b->context, NULL, 1);
      glow_optimizer *with = new_optimizer(one, kind), *whole = new_optimizer(other, kind);
      int64_t count;
      float *gradients = helper_parameters(one, &count), *start = helper_parameters(one, &count);
      OK(glow_optimizer_set_rate_factor(with, prefixes[k], factors[k]));
      for (int step = 0; step < 3; step++) {
        OK(glow_optimizer_step(with, one, gradients, 0.01));
        OK(glow_optimizer_step(whole, other, gradients, 0.01 * factors[k]));
      }
      for (int32_t i = 0; i < glow_model_tensor_count(one); i++) {
        glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
        OK(glow_model_tensor(one, i, &info));
        if (!begins(info.name, prefixes[k]))
          continue;
        assert_true(glow_optimizer_rate_factor(with, info.name) == factors[k]);
        if (info.trainable)
          assert_memory_equal(glow_model_parameters(one) + info.offset,
                              (factors[k] > 0 ? glow_model_parameters(other) : start) + info.offset,
                              (size_t)info.elements * sizeof(float));
      }
      glow_optimizer_destroy(&with);
      glow_optimizer_destroy(&whole);
      glow_model_destroy(&one);
      glow_model_destroy(&other);
      free(gradients);
      free(start);
    }
}

/* Whole names and whole parts of names; the last call wins; what is refused changes nothing. */
static void test_prefixes(void **state) {
  const bench *b = *state;
  glow_model *model = helper_glow(b->context, NULL, 1);
  glow_optimizer *o = new_optimizer(model, GLOW_OPTIMIZER_ADAM);
  const char *bias = "level0.step0.actnorm.bias", *logs = "level0.step0.actnorm.logs";
  OK(glow_optimizer_set_rate_factor(o, "level0.step0", 3));
  OK(glow_optimizer_set_rate_factor(o, bias, 0));
  assert_true(glow_optimizer_rate_factor(o, bias) == 0);
  assert_true(glow_optimizer_rate_factor(o, logs) == 3);
  assert_true(glow_optimizer_rate_factor(o, "level0.step1.actnorm.bias") == 1);
  assert_true(isnan(glow_optimizer_rate_factor(o, "level0.step0")));
  REFUSED(glow_optimizer_set_rate_factor(o, "level0.ste", 2), GLOW_E_NOT_FOUND, "'level0.ste'");
  REFUSED(glow_optimizer_set_rate_factor(o, "level0.step0.", 2), GLOW_E_NOT_FOUND, "dot");
  REFUSED(glow_optimizer_set_rate_factor(o, bias, -1), GLOW_E_ARGUMENT, "is -1");
  REFUSED(glow_optimizer_set_rate_factor(o, bias, NAN), GLOW_E_ARGUMENT, "not a number");
  REFUSED(glow_optimizer_set_rate_factor(o, bias, INFINITY), GLOW_E_ARGUMENT, "is inf");
  assert_true(glow_optimizer_rate_factor(o, bias) == 0);
  OK(glow_optimizer_set_rate_factor(o, "", 1));
  assert_true(glow_optimizer_rate_factor(o, bias) == 1);
  glow_optimizer_destroy(&o);
  glow_model_destroy(&model);
}

/* The gradients of held tensors are not looked at; those of others are named. */
static void test_gradients_of_held(void **state) {
  const bench *b = *state;
  glow_model *model = helper_glow(b->context, NULL, 1);
  glow_optimizer *o = new_optimizer(model, GLOW_OPTIMIZER_ADAM);
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  int64_t count;
  float *gradients = helper_parameters(model, &count);
  OK(glow_model_find_tensor(model, "level1.step1.actnorm.bias", &info));
  gradients[info.offset] = NAN;
  REFUSED(glow_optimizer_step(o, model, gradients, 0.01), GLOW_E_NUMERIC, "level1.step1.actnorm");
  OK(glow_optimizer_set_rate_factor(o, "level1.step1", 0));
  OK(glow_optimizer_step(o, model, gradients, 0.01));
  OK(glow_model_find_tensor(model, "level0.step1.actnorm.bias", &info));
  gradients[info.offset] = INFINITY;
  REFUSED(glow_optimizer_step(o, model, gradients, 0.01), GLOW_E_NUMERIC, "level0.step1.actnorm");
  /* So large a factor that the update overflows: as with such a rate. */
  gradients[info.offset] = 1;
  OK(glow_optimizer_set_rate_factor(o, "level0", 1e300));
  REFUSED(glow_optimizer_step(o, model, gradients, 0.01), GLOW_E_NUMERIC, "update is not finite");
  assert_int_equal(glow_optimizer_step_count(o), 1);
  free(gradients);
  glow_optimizer_destroy(&o);
  glow_model_destroy(&model);
}

/* ---- trainers -------------------------------------------------------------------------------- */

static glow_trainer *new_trainer(glow_model *model, double clip_norm, double weight_decay) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_optimizer_options adam = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  adam.weight_decay = weight_decay;
  o.optimizer = &adam;
  o.micro_batch = 2;
  o.average = 1;
  o.average_decay = 0.5;
  o.clip_norm = clip_norm;
  OK(glow_trainer_create(model, &o, &trainer));
  return trainer;
}

/* Through steps, decay, the average and its use; held from the start and from the middle on. */
static void test_held_keep_their_bits(void **state) {
  const bench *b = *state;
  const char *prefix = "level0.step1";
  glow_model *model = helper_glow(b->context, NULL, 1);
  glow_trainer *trainer = new_trainer(model, 0.1, 0.5);
  for (int start = 0; start < 2; start++) {
    OK(glow_trainer_set_rate_factor(trainer, prefix, start ? 1 : 0));
    if (start)
      OK(glow_trainer_step(trainer, b->x, NULL, COUNT, NULL));
    OK(glow_trainer_set_rate_factor(trainer, prefix, 0));
    uint64_t before = bits_of(model, prefix), others = bits_of(model, "level1");
    for (int step = 0; step < 3; step++)
      OK(glow_trainer_step(trainer, b->x, NULL, COUNT, NULL));
    assert_true(bits_of(model, prefix) == before && bits_of(model, "level1") != others);
    OK(glow_trainer_use_average(trainer, 1));
    assert_true(bits_of(model, prefix) == before);
    OK(glow_trainer_use_average(trainer, 0));
    assert_true(bits_of(model, prefix) == before);
  }
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

/* Clipping and its norm are those of the others: by hand, with the gradients of what is held set to
 * zero. */
static void test_clipping(void **state) {
  const bench *b = *state;
  const char *prefix = "level1";
  glow_model *one = helper_glow(b->context, NULL, 1), *other = helper_glow(b->context, NULL, 1);
  glow_trainer *trainer = new_trainer(one, 0.05, 0);
  glow_optimizer *optimizer = NULL;
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  glow_workspace *ws = helper_workspace(other, COUNT, GLOW_MODE_STORED);
  double weight[COUNT], squares = 0;
  int64_t count = glow_model_parameter_count(other);
  OK(glow_trainer_set_rate_factor(trainer, prefix, 0));
  OK(glow_trainer_step(trainer, b->x, NULL, COUNT, &report));
  OK(glow_optimizer_create(other, NULL, &optimizer));
  OK(helper_forward(ws, b->x, NULL, COUNT, GLOW_LATENTS_RAW, NULL, NULL, NULL));
  for (int n = 0; n < COUNT; n++)
    weight[n] = -1 / (COUNT * DIMS * log(2.0));
  glow_backward_options back = GLOW_BACKWARD_OPTIONS_INIT;
  back.weight = weight;
  OK(glow_workspace_backward(ws, &back));
  float *g = glow_workspace_gradients(ws);
  for (int32_t i = 0; i < glow_model_tensor_count(other); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(other, i, &info));
    if (info.trainable && begins(info.name, prefix))
      memset(g + info.offset, 0, (size_t)info.elements * sizeof *g);
  }
  for (int64_t i = 0; i < count; i++)
    squares += (double)g[i] * g[i];
  assert_true(sqrt(squares) > 0.05); /* it is clipped */
  assert_true(fabs(report.gradient_norm - sqrt(squares)) < 1e-5 * sqrt(squares));
  for (int64_t i = 0; i < count; i++)
    g[i] *= (float)(0.05 / sqrt(squares));
  OK(glow_optimizer_step(optimizer, other, g, 1e-3));
  /* Micro-batches add in another order, which Adam's first steps, of 1e-3 each, enlarge where a
   * gradient is near 0. */
  assert_true(helper_relative(glow_model_parameters(one), glow_model_parameters(other), count) <
              1e-5);
  glow_optimizer_destroy(&optimizer);
  glow_workspace_destroy(&ws);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&one);
  glow_model_destroy(&other);
}

/* Held tensors are not initialised, the others are; and what comes behind them sees them. */
static void test_initialisation(void **state) {
  const bench *b = *state;
  glow_glow_options o = helper_small_glow();
  glow_model *model = NULL;
  OK(glow_model_create_glow(b->context, &o, &model));
  const float bias[] = {9, 8, 7, 6, 5, 4, 3, 2};
  OK(glow_model_set_tensor(model, "level0.step0.actnorm.bias", bias, 8));
  OK(glow_model_prepare(model));
  glow_trainer *trainer = new_trainer(model, 0, 0);
  OK(glow_trainer_set_rate_factor(trainer, "level0.step0.actnorm", 0));
  OK(glow_trainer_set_rate_factor(trainer, "level1.step0.actnorm.logs", 0)); /* a part of a layer */
  uint64_t held = bits_of(model, "level0.step0.actnorm"),
           part = bits_of(model, "level1.step0.actnorm.logs"),
           rest = bits_of(model, "level1.step0.actnorm.bias");
  OK(glow_trainer_initialise(trainer, b->x, NULL, COUNT));
  assert_true(bits_of(model, "level0.step0.actnorm") == held);
  assert_true(bits_of(model, "level1.step0.actnorm.logs") == part);
  assert_true(bits_of(model, "level1.step0.actnorm.bias") != rest);
  assert_int_equal(glow_model_initialised(model), 1);
  /* The second actnorm makes up for the first one: what comes out of it has a mean of 0, so its
   * bias is the mean of what goes in, about the mean of 9 ... 2, mixed by a rotation. */
  float second[8];
  double norm = 0, first = 0;
  OK(glow_model_get_tensor(model, "level0.step1.actnorm.bias", second, 8));
  for (int i = 0; i < 8; i++) {
    norm += (double)second[i] * second[i];
    first += (double)bias[i] * bias[i];
  }
  assert_true(fabs(norm - first) < 0.3 * first);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

/* Running averages of a held layer stay; those of the others move. Weights of a standardisation
 * that is held by its fixed state are not initialised. */
static void test_fixed_state(void **state) {
  const bench *b = *state;
  glow_realnvp_options o = GLOW_REALNVP_OPTIONS_INIT;
  glow_model *model = NULL;
  o.input = (glow_shape){8, 8, 2};
  o.scales = 1;
  o.hidden = 4;
  o.blocks = 1;
  o.bits = 0;
  OK(glow_model_create_realnvp(b->context, &o, &model));
  glow_trainer *trainer = new_trainer(model, 0, 0);
  OK(glow_trainer_initialise(trainer, b->x, NULL, COUNT));
  char averages[3][200] = {"", "", ""};
  int found = 0;
  for (int32_t i = 0; i < glow_model_tensor_count(model) && found < 3; i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, i, &info));
    const char *dot = strrchr(info.name, '.');
    if (!info.trainable && dot && strcmp(dot, ".mean") == 0)
      snprintf(averages[found++], sizeof *averages, "%s", info.name);
  }
  assert_int_equal(found, 3);
  OK(glow_trainer_set_rate_factor(trainer, averages[0], 0)); /* itself, */
  char layer[200];                                           /* with all that its layer trains */
  snprintf(layer, sizeof layer, "%.*s", (int)(strstr(averages[1], ".net.") - averages[1]),
           averages[1]);
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, i, &info));
    if (info.trainable && begins(info.name, layer))
      OK(glow_trainer_set_rate_factor(trainer, info.name, 0));
  }
  uint64_t before[3];
  for (int i = 0; i < 3; i++)
    before[i] = bits_of(model, averages[i]);
  bool same = strncmp(averages[2], layer, strlen(layer)) == 0;
  uint64_t all = bits_of(model, "");
  OK(glow_trainer_step(trainer, b->x, NULL, COUNT, NULL));
  assert_true(bits_of(model, averages[0]) == before[0]);
  assert_true(bits_of(model, averages[1]) == before[1]);
  assert_true((bits_of(model, averages[2]) == before[2]) == same);
  assert_true(bits_of(model, "") != all);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, open_bench, close_bench)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(factor_is_a_rate),     TEST(prefixes), TEST(gradients_of_held),
      TEST(held_keep_their_bits), TEST(clipping), TEST(initialisation),
      TEST(fixed_state),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
