/* Diagnosis: healthy models of all presets are healthy, sown illnesses are found and named, the
 * numbers are those of their definitions whatever batches and threads, callers' layers and nets
 * take part, and what cannot be diagnosed is refused. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <glow/sys/check.h>

enum { COUNT = 6, DRAWN = 24 };

/* ---- diagnosing ------------------------------------------------------------------------------ */

static glow_diagnosis *diagnose(glow_workspace *ws, const float *x, const int32_t *labels,
                                int64_t drawn) {
  glow_diagnose_options o = GLOW_DIAGNOSE_OPTIONS_INIT;
  glow_diagnosis *d = NULL;
  o.x = x;
  o.labels = labels;
  o.count = x ? COUNT : 0;
  o.drawn = drawn;
  OK(glow_workspace_diagnose(ws, &o, &d));
  return d;
}

static glow_layer_diagnosis layer_of(const glow_diagnosis *d, const glow_model *model,
                                     const char *name) {
  glow_layer_diagnosis l = GLOW_LAYER_DIAGNOSIS_INIT;
  for (int32_t i = 0; i < glow_model_layer_count(model); i++)
    if (strcmp(glow_model_layer_name(model, i), name) == 0) {
      OK(glow_diagnosis_layer(d, i, &l));
      assert_ptr_equal(l.name, glow_model_layer_name(model, i));
      assert_ptr_equal(l.type, glow_model_layer_type(model, i));
      return l;
    }
  fail_msg("no layer %s", name);
  return l;
}

static glow_model_diagnosis whole_of(const glow_diagnosis *d) {
  glow_model_diagnosis m = GLOW_MODEL_DIAGNOSIS_INIT;
  OK(glow_diagnosis_model(d, &m));
  return m;
}

/* One layer of a model, from data alone. */
static glow_layer_diagnosis examine(const glow_model *model, const float *x, const char *name) {
  glow_workspace *ws = helper_workspace(model, 4, GLOW_MODE_INFERENCE);
  glow_diagnosis *d = diagnose(ws, x, NULL, 0);
  glow_layer_diagnosis l = layer_of(d, model, name);
  glow_diagnosis_destroy(&d);
  glow_workspace_destroy(&ws);
  return l;
}

static void set(glow_model *model, const char *name, int64_t at, float value) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  OK(glow_model_find_tensor(model, name, &info));
  assert_in_range(at, 0, info.elements - 1);
  glow_model_parameters_mutable(model)[info.offset + at] = value;
  OK(glow_model_prepare(model));
}

/* ---- the healthy ----------------------------------------------------------------------------- */

/* Initialised on these data, as in life. */
static void initialise(glow_model *model, const float *x, const int32_t *labels) {
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  OK(glow_workspace_initialise(ws, model, x, labels, COUNT));
  glow_workspace_destroy(&ws);
}

/* A round trip in float32 errs by a few 2^-24 of what is usual for each operation that an element
 * goes through, for which 1e-5 leaves a factor of ten. Layers multiply the errors of those before
 * them: 1e-3 is the default drift_bound of workspaces, and a RealNVP initialised from six samples
 * has 3e-4. */
static void check_healthy(const glow_model *model, const glow_diagnosis *d) {
  for (int32_t i = 0; i < glow_model_layer_count(model); i++) {
    glow_layer_diagnosis l = layer_of(d, model, glow_model_layer_name(model, i));
    assert_int_equal(l.nonfinite_parameters, 0);
    assert_int_equal(l.lost, 0);
    assert_int_equal(l.drawn_lost[0], 0);
    assert_true(l.nonfinite_share == 0);
    assert_true(l.round_trip < 1e-5);
    assert_true(isfinite(l.mean) && l.deviation > 0 && l.largest >= fabs(l.mean));
    assert_true(l.drawn_largest[0] > 0 && l.drawn_largest[1] > 0);
    assert_true(isnan(l.condition_number) || l.condition_number < 1.0 + 1e-5); /* a rotation */
    assert_int_equal(isnan(l.condition_number) != 0, strcmp(l.type, "invconv") != 0);
    assert_true(l.units >= 0 && l.dead_units >= 0 && l.dead_units <= l.units / 2);
    assert_int_equal(l.units > 0, strstr(l.type, "coupling") != NULL);
    if (strcmp(l.type, "actnorm") == 0)
      assert_true(l.least_scale > 0 && l.largest_scale >= l.least_scale);
  }
  glow_model_diagnosis m = whole_of(d);
  assert_int_equal(m.count, COUNT);
  assert_int_equal(m.lost, 0);
  assert_int_equal(m.first_nonfinite, -1);
  assert_int_equal(m.drawn, DRAWN);
  assert_true(m.round_trip >= 0 && m.round_trip < 1e-3);
}

static glow_model *preset(glow_context *context, int kind) {
  glow_model *model = NULL;
  glow_glow_options g = helper_small_glow();
  glow_realnvp_options r = GLOW_REALNVP_OPTIONS_INIT;
  glow_nice_options n = GLOW_NICE_OPTIONS_INIT;
  glow_vector_flow_options v = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  g.classes = kind == 0 ? 3 : 0;
  g.border = kind == 1;
  r.input = n.input = g.input;
  r.hidden = r.blocks = n.couplings = 2;
  n.hidden = 8;
  n.depth = 2;
  v.dims = 128;
  v.steps = 2;
  v.coupling = kind == 4 ? GLOW_COUPLING_SPLINE : GLOW_COUPLING_AFFINE;
  if (kind < 2)
    OK(glow_model_create_glow(context, &g, &model));
  else if (kind == 2)
    OK(glow_model_create_realnvp(context, &r, &model));
  else if (kind == 3)
    OK(glow_model_create_nice(context, &n, &model));
  else
    OK(glow_model_create_vector_flow(context, &v, &model));
  return model;
}

static void test_healthy(void **state) {
  const int32_t labels[COUNT] = {0, 1, 2, 0, -1, 2};
  helper_random random = helper_random_of(1);
  (void)state;
  for (int kind = 0; kind < 6; kind++) {
    glow_context *context = helper_context(0, NULL, NULL);
    glow_model *model = preset(context, kind);
    float *x = helper_new_normals(&random, 0.1f, COUNT * 128);
    initialise(model, x, labels);
    for (int32_t mode = GLOW_MODE_INFERENCE; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
      glow_workspace *ws = helper_workspace(model, 4, mode);
      glow_diagnosis *d = diagnose(ws, x, labels, DRAWN);
      check_healthy(model, d);
      glow_diagnosis_destroy(&d);
      assert_null(d);
      glow_workspace_destroy(&ws);
    }
    free(x);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

/* Products in bfloat16, whose stored activations lie otherwise. */
static void test_bfloat16(void **state) {
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  helper_random random = helper_random_of(2);
  (void)state;
  o.products = GLOW_PRODUCTS_BFLOAT16;
  OK(glow_context_create(&o, &context));
  glow_glow_options g = helper_small_glow();
  g.hidden = 7;
  glow_model *model = helper_glow(context, &g, 2);
  float *x = helper_new_normals(&random, 0.5f, COUNT * 128);
  glow_layer_diagnosis l = examine(model, x, "level0.step0.coupling");
  int64_t dead = l.dead_units;
  assert_int_equal(l.units, 14);
  set(model, "level0.step0.coupling.net.norm2.bias", 6, -1e6f);
  l = examine(model, x, "level0.step0.coupling");
  assert_in_range(l.dead_units, dead > 0 ? dead : 1, dead + 1);
  free(x);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- sown illnesses -------------------------------------------------------------------------- */

typedef struct patient {
  glow_context *context;
  glow_model *model;
  float *x;
} patient;

/* A Glow. Plain 1x1 convolutions, or LU. */
static patient patient_make(int32_t permutation, uint64_t use) {
  patient p = {.context = helper_context(0, NULL, NULL)};
  glow_glow_options o = helper_small_glow();
  helper_random random = helper_random_of(use);
  o.permutation = permutation;
  p.model = helper_glow(p.context, &o, use);
  p.x = helper_new_normals(&random, 0.5f, COUNT * glow_model_dims(p.model));
  return p;
}

static void patient_end(patient *p) {
  free(p->x);
  glow_model_destroy(&p->model);
  glow_context_destroy(&p->context);
}

/* A rotation of channels 0 and 1 by 45 degrees in front of diag(1, ..., small): its singular values
 * are known. Parameters are float32, so the ratio is off by 2^-24 at most, and the smallest one by
 * 2^-24 of the largest. */
static void test_condition_number(void **state) {
  patient p = patient_make(GLOW_PERMUTATION_INVCONV, 3);
  const float small = 1e-3f, half = sqrtf(0.5f);
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  (void)state;
  OK(glow_model_find_tensor(p.model, "level1.step1.invconv.weight", &info));
  int64_t c = info.dims[0];
  float *w = glow_model_parameters_mutable(p.model) + info.offset;
  for (int64_t i = 0; i < c * c; i++)
    w[i] = i % (c + 1) == 0;
  w[0] = half;
  w[1] = -half * small;
  w[c] = half;
  w[c + 1] = half * small;
  OK(glow_model_prepare(p.model));
  glow_layer_diagnosis l = examine(p.model, p.x, "level1.step1.invconv");
  assert_true(fabs(l.condition_number / (double)(1.0f / small) - 1.0) < 1e-3);
  l = examine(p.model, p.x, "level1.step0.invconv");
  assert_true(l.condition_number > 1.0 && l.condition_number < 10.0); /* perturbed by 0.03 */
  patient_end(&p);
}

/* In LU form without L and U the singular values are exp(log_s). */
static void test_condition_number_lu(void **state) {
  patient p = patient_make(GLOW_PERMUTATION_INVCONV_LU, 4);
  const char *zeros[] = {"level0.step0.invconv.lower", "level0.step0.invconv.upper",
                         "level0.step0.invconv.log_s"};
  (void)state;
  for (int i = 0; i < 3; i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_find_tensor(p.model, zeros[i], &info));
    memset(glow_model_parameters_mutable(p.model) + info.offset, 0, (size_t)info.elements * 4);
  }
  set(p.model, "level0.step0.invconv.log_s", 2, -14.0f);
  glow_layer_diagnosis l = examine(p.model, p.x, "level0.step0.invconv");
  assert_true(fabs(l.condition_number / exp(14.0) - 1.0) < 1e-9);
  assert_true(l.round_trip < 1e-5); /* a diagonal matrix inverts each channel well */
  patient_end(&p);
}

/* Ill-conditioned and not diagonal: what comes back is off, here by around 2^-24 1e5. */
static void test_round_trip(void **state) {
  patient p = patient_make(GLOW_PERMUTATION_INVCONV, 5);
  (void)state;
  assert_true(examine(p.model, p.x, "level0.step0.invconv").round_trip < 1e-5);
  for (int64_t i = 0; i < 64; i++)
    set(p.model, "level0.step0.invconv.weight", i, 1.0f + (i % 9 == 0 ? 1e-5f : 0.0f));
  glow_layer_diagnosis l = examine(p.model, p.x, "level0.step0.invconv");
  assert_true(l.condition_number > 1e5);
  assert_true(l.round_trip > 1e-3);
  patient_end(&p);
}

static void test_scales(void **state) {
  patient p = patient_make(GLOW_PERMUTATION_INVCONV, 6);
  (void)state;
  set(p.model, "level0.step1.actnorm.logs", 3, logf(1e-8f));
  set(p.model, "level0.step1.actnorm.logs", 5, logf(1e7f));
  glow_layer_diagnosis l = examine(p.model, p.x, "level0.step1.actnorm");
  assert_true(fabs(l.least_scale / 1e-8 - 1.0) < 1e-5);
  assert_true(fabs(l.largest_scale / 1e7 - 1.0) < 1e-5);
  set(p.model, "prior.logs", 0, -20.0f);
  l = examine(p.model, p.x, "prior");
  assert_true(fabs(l.least_scale / exp(-20.0) - 1.0) < 1e-5);
  /* sigmoid(raw + 2) with raw = bias exp(3 logs) where the last convolution is 0 */
  for (int64_t i = 0; i < 16 * 9; i++)
    set(p.model, "level0.step0.coupling.net.conv3.weight", i, 0);
  for (int64_t i = 0; i < 8; i++) {
    set(p.model, "level0.step0.coupling.net.conv3.logs", i, 0);
    set(p.model, "level0.step0.coupling.net.conv3.bias", i, i == 6 ? -12.0f : 0.0f);
  }
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  OK(glow_model_find_tensor(p.model, "level0.step0.coupling.net.conv3.weight", &info));
  memset(glow_model_parameters_mutable(p.model) + info.offset, 0, (size_t)info.elements * 4);
  OK(glow_model_prepare(p.model));
  l = examine(p.model, p.x, "level0.step0.coupling");
  assert_true(fabs(l.least_scale * (1.0 + exp(10.0)) - 1.0) < 1e-4);
  assert_true(fabs(l.largest_scale * (1.0 + exp(-2.0)) - 1.0) < 1e-4);
  patient_end(&p);
}

/* Of a split's prior, deviations and nothing else: its means are far from any of them. */
static void test_deviations(void **state) {
  patient p = patient_make(GLOW_PERMUTATION_INVCONV, 9);
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  (void)state;
  OK(glow_model_find_tensor(p.model, "level0.split.prior.weight", &info));
  memset(glow_model_parameters_mutable(p.model) + info.offset, 0, (size_t)info.elements * 4);
  for (int64_t i = 0; i < 8; i++) { /* four means, four logs of deviations: -2 to 1 */
    set(p.model, "level0.split.prior.logs", i, 0);
    set(p.model, "level0.split.prior.bias", i, i < 4 ? (i % 2 ? -9.0f : 9.0f) : (float)i - 6.0f);
  }
  glow_layer_diagnosis l = examine(p.model, p.x, "level0.split");
  assert_true(fabs(l.least_scale / exp(-2.0) - 1.0) < 1e-6);
  assert_true(fabs(l.largest_scale / exp(1.0) - 1.0) < 1e-6);
  patient_end(&p);
}

/* Of two elements one goes through a spline, so the log-det of a sample is the log of its slope. */
static void test_slopes(void **state) {
  enum { SAMPLES = 300 };
  const glow_shape shape = {1, 1, 2};
  glow_forward_options o = GLOW_FORWARD_OPTIONS_INIT;
  glow_layer *coupling = NULL;
  glow_model *model = NULL;
  helper_random random = helper_random_of(8);
  double logdet[SAMPLES], least = INFINITY, most = 0;
  float *x = helper_new_normals(&random, 2.0f, 2 * SAMPLES);
  (void)state;
  glow_context *context = helper_context(1, NULL, NULL);
  glow_net *net = NULL;
  OK(glow_mlp_net_create(context, NULL, &net));
  OK(glow_spline_coupling_create(context, NULL, &net, &coupling));
  OK(helper_wrap_layer(context, coupling, true, &shape, &model));
  helper_perturb(model, &random, 0.5f);
  OK(glow_model_set_initialised(model));
  glow_workspace *ws = helper_workspace(model, SAMPLES, GLOW_MODE_INFERENCE);
  o.logdet = logdet;
  OK(glow_workspace_forward(ws, x, SAMPLES, &o));
  for (int i = 0; i < SAMPLES; i++) {
    least = fmin(least, exp(logdet[i]));
    most = fmax(most, exp(logdet[i]));
  }
  glow_diagnose_options d = GLOW_DIAGNOSE_OPTIONS_INIT;
  d.x = x;
  d.count = SAMPLES;
  glow_diagnosis *diagnosis = NULL;
  OK(glow_workspace_diagnose(ws, &d, &diagnosis));
  glow_layer_diagnosis l = GLOW_LAYER_DIAGNOSIS_INIT;
  OK(glow_diagnosis_layer(diagnosis, 0, &l));
  assert_true(least < 0.9 && most > 1.1);
  assert_true(fabs(l.least_scale / least - 1.0) < 1e-12);
  assert_true(fabs(l.largest_scale / most - 1.0) < 1e-12);
  glow_diagnosis_destroy(&diagnosis);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  free(x);
}

/* Units whose bias is far below 0 are dead, and no others of those that lived. */
static void check_dead(glow_model *model, const float *x, const char *layer, const char *bias,
                       int64_t units, const int64_t *at, int kill) {
  glow_layer_diagnosis before = examine(model, x, layer);
  assert_int_equal(before.units, units);
  for (int i = 0; i < kill; i++)
    set(model, bias, at[i], -1e9f);
  glow_layer_diagnosis after = examine(model, x, layer);
  assert_int_equal(after.units, units);
  assert_in_range(after.dead_units, kill, before.dead_units + kill);
}

static void test_dead_units(void **state) {
  const int64_t at[] = {0, 2, 5, 7};
  helper_random random = helper_random_of(7);
  patient p = patient_make(GLOW_PERMUTATION_INVCONV, 7);
  (void)state;
  check_dead(p.model, p.x, "level0.step0.coupling", "level0.step0.coupling.net.norm2.bias", 16, at,
             4);
  patient_end(&p);
  for (int kind = 2; kind < 4; kind++) {
    glow_context *context = helper_context(0, NULL, NULL);
    glow_model *model = preset(context, kind);
    float *x = helper_new_normals(&random, 0.1f, COUNT * 128);
    initialise(model, x, NULL);
    if (kind == 2) /* two blocks: five norms of two channels */
      check_dead(model, x, "scale0.checkerboard0.coupling",
                 "scale0.checkerboard0.coupling.net.norm.bias", 10, at, 1);
    else
      check_dead(model, x, "step0.coupling", "step0.coupling.net.fc2.bias", 16, at, 4);
    free(x);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

/* One sample of the data overflows in one layer, and from there on it counts in nothing. */
static void test_lost(void **state) {
  patient p = patient_make(GLOW_PERMUTATION_INVCONV, 8);
  (void)state;
  int64_t dims = glow_model_dims(p.model);
  for (int64_t i = 0; i < 4; i++)
    set(p.model, "level0.step0.actnorm.logs", i, logf(4.0f));
  p.x[2 * dims] = p.x[2 * dims + 1] = 2e38f;
  glow_workspace *ws = helper_workspace(p.model, 4, GLOW_MODE_INFERENCE);
  glow_diagnosis *d = diagnose(ws, p.x, NULL, 0);
  glow_model_diagnosis m = whole_of(d);
  assert_int_equal(m.lost, 1);
  assert_string_equal(glow_model_layer_name(p.model, m.first_nonfinite), "level0.step0.actnorm");
  glow_layer_diagnosis l = layer_of(d, p.model, "level0.step0.actnorm");
  assert_int_equal(l.lost, 1);
  assert_true(l.nonfinite_share > 0 && l.nonfinite_share <= 2.0 / (COUNT * (double)dims) + 1e-12);
  for (int32_t i = m.first_nonfinite + 1; i < glow_model_layer_count(p.model); i++) {
    l = layer_of(d, p.model, glow_model_layer_name(p.model, i));
    assert_int_equal(l.lost, 0);
    assert_true(l.nonfinite_share == 0 && isfinite(l.mean) && isfinite(l.round_trip));
  }
  glow_diagnosis_destroy(&d);
  glow_workspace_destroy(&ws);
  patient_end(&p);
}

/* All of them: the layers behind have nothing to say. */
static void test_all_lost(void **state) {
  patient p = patient_make(GLOW_PERMUTATION_INVCONV, 9);
  (void)state;
  set(p.model, "level0.step1.actnorm.bias", 0, NAN);
  glow_workspace *ws = helper_workspace(p.model, 4, GLOW_MODE_INFERENCE);
  glow_diagnosis *d = diagnose(ws, p.x, NULL, DRAWN);
  glow_model_diagnosis m = whole_of(d);
  assert_int_equal(m.lost, COUNT);
  assert_int_equal(m.drawn_lost[0], DRAWN);
  assert_int_equal(m.drawn_lost[1], DRAWN);
  assert_true(isnan(m.round_trip));
  glow_layer_diagnosis l = layer_of(d, p.model, "level0.step1.actnorm");
  assert_int_equal(l.nonfinite_parameters, 1);
  assert_int_equal(l.lost, COUNT);
  assert_int_equal(l.drawn_lost[0], DRAWN);
  assert_true(isnan(l.round_trip));
  l = layer_of(d, p.model, "prior");
  assert_int_equal(l.units, -1);
  assert_int_equal(l.lost, -1);
  assert_true(isnan(l.largest) && isnan(l.nonfinite_share));
  glow_diagnosis_destroy(&d);
  glow_workspace_destroy(&ws);
  patient_end(&p);
}

/* As many are lost as glow_workspace_sample says, with the same seed and temperature. */
static void test_drawn(void **state) {
  patient p = patient_make(GLOW_PERMUTATION_INVCONV, 10);
  glow_diagnose_options o = GLOW_DIAGNOSE_OPTIONS_INIT;
  int32_t statuses[DRAWN];
  (void)state;
  /* exp(-bias / sd) back overflows for some latents and not for others */
  for (int64_t i = 0; i < 4; i++)
    set(p.model, "level0.step1.actnorm.logs", i, -86.5f);
  o.drawn = DRAWN;
  o.seed = 11;
  o.temperature[0] = 0.2;
  glow_workspace *ws = helper_workspace(p.model, 5, GLOW_MODE_INFERENCE);
  glow_diagnosis *d = NULL;
  OK(glow_workspace_diagnose(ws, &o, &d));
  glow_model_diagnosis m = whole_of(d);
  float *x = helper_allocate((size_t)(DRAWN * glow_model_dims(p.model)) * sizeof *x);
  for (int t = 0; t < 2; t++) {
    glow_sample_options s = GLOW_SAMPLE_OPTIONS_INIT;
    int64_t failed = 0;
    s.temperature = o.temperature[t];
    s.seed = o.seed;
    s.statuses = statuses;
    s.failed = &failed;
    OK(glow_workspace_sample(ws, DRAWN, &s, x));
    assert_int_equal(m.drawn_lost[t], failed);
  }
  assert_true(m.drawn_lost[1] > 0);
  assert_true(m.drawn_lost[0] <= m.drawn_lost[1]);
  assert_int_equal(layer_of(d, p.model, "level1.step1.coupling").drawn_lost[1], 0);
  free(x);
  glow_diagnosis_destroy(&d);
  glow_workspace_destroy(&ws);
  patient_end(&p);
}

/* ---- numbers do not depend on batches and threads -------------------------------------------- */

static void test_batches_and_threads(void **state) {
  const int64_t batches[] = {COUNT, 1, 4};
  glow_layer_diagnosis first[64];
  (void)state;
  for (uint32_t run = 0; run < 3; run++) {
    glow_context *context = helper_context(run == 2 ? 3 : 0, NULL, NULL);
    helper_random random = helper_random_of(12);
    glow_model *model = helper_glow(context, NULL, 12);
    float *x = helper_new_normals(&random, 0.5f, COUNT * 128);
    glow_workspace *ws = helper_workspace(model, batches[run], GLOW_MODE_INFERENCE);
    glow_diagnosis *d = diagnose(ws, x, NULL, DRAWN);
    for (int32_t i = 0; i < glow_model_layer_count(model); i++) {
      glow_layer_diagnosis l = GLOW_LAYER_DIAGNOSIS_INIT;
      OK(glow_diagnosis_layer(d, i, &l));
      l.name = l.type = NULL;
      if (run == 0)
        first[i] = l;
      /* Doubles by their bits, because some are NaN. */
      assert_memory_equal(&l, &first[i], sizeof l);
    }
    glow_diagnosis_destroy(&d);
    glow_workspace_destroy(&ws);
    free(x);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

/* ---- layers and nets of callers -------------------------------------------------------------- */

/* y = 2 x with an opinion: a matrix, a scale, three ReLU units of which number 1 lives. */
typedef struct opinion {
  int64_t size;
  int32_t stored;
} opinion;

static glow_status opinion_configure(void *self, glow_setup *setup, const glow_shape *input,
                                     glow_shape *output) {
  opinion *o = self;
  *output = *input;
  o->size = glow_shape_size(input);
  return glow_setup_stored(setup, 0, 1, &o->stored);
}

static void opinion_forward(const void *self, const glow_call *call, const float *x, float *y,
                            double *logdet, double *logprior) {
  const opinion *o = self;
  float *stored = glow_call_stored(call, o->stored);
  (void)logprior;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    if (stored)
      stored[n] = x[n * o->size];
    logdet[n] += (double)o->size * log(2.0);
    for (int64_t i = 0; i < o->size; i++)
      y[n * o->size + i] = 2.0f * x[n * o->size + i];
  }
}

static glow_status opinion_inverse(const void *self, const glow_call *call, const float *y,
                                   float *x, double *logdet, double *logprior) {
  const opinion *o = self;
  (void)logprior;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    logdet[n] -= (double)o->size * log(2.0);
    for (int64_t i = 0; i < o->size; i++)
      x[n * o->size + i] = 0.5f * y[n * o->size + i];
  }
  return GLOW_OK;
}

static void opinion_backward(const void *self, const glow_call *call,
                             const glow_layer_gradient *g) {
  const opinion *o = self;
  for (int64_t i = 0; i < glow_call_sample_count(call) * o->size; i++)
    g->dx[i] = 2.0f * g->dy[i];
}

static glow_status opinion_diagnose(const void *self, const glow_call *call, const float *x,
                                    glow_findings *findings) {
  const opinion *o = self;
  const double matrix[] = {3, 0, 0, -6}, rotated[] = {0, 1, 1, 0};
  unsigned char *active;
  if (!x) {
    assert_int_equal(glow_call_sample_count(call), 0);
    GLOW_TRY(glow_findings_matrix(findings, 2, rotated));
    return glow_findings_matrix(findings, 2, matrix);
  }
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    assert_true(glow_call_stored(call, o->stored)[n] == x[n * o->size]);
    glow_findings_scale(findings, -2.0);
    glow_findings_scale(findings, NAN);
  }
  GLOW_TRY(glow_findings_units(findings, 3, &active));
  active[1] = 1;
  REFUSED(glow_findings_units(findings, 4, &active), GLOW_E_ARGUMENT, "4 units, and 3 before");
  REFUSED(glow_findings_units(findings, 0, &active), GLOW_E_ARGUMENT, "0 units");
  REFUSED(glow_findings_matrix(findings, 0, matrix), GLOW_E_ARGUMENT, "0 rows");
  return GLOW_OK;
}

static const glow_layer_ops opinion_ops = {.struct_size = sizeof(glow_layer_ops),
                                           .type = "opinion",
                                           .self_size = sizeof(opinion),
                                           .configure = opinion_configure,
                                           .forward = opinion_forward,
                                           .inverse = opinion_inverse,
                                           .backward = opinion_backward,
                                           .diagnose = opinion_diagnose};

/* A net that says nothing, and one that fails. */
static glow_status silent_configure(void *self, glow_setup *setup, const glow_shape *input,
                                    int64_t out_channels) {
  (void)setup;
  *(int64_t *)self = input->height * input->width * out_channels;
  return GLOW_OK;
}
static void silent_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                           float *out) {
  (void)x;
  (void)stride;
  memset(out, 0, (size_t)(glow_call_sample_count(call) * *(const int64_t *)self) * sizeof *out);
}
static void silent_backward(const void *self, const glow_call *call, const float *x, int64_t stride,
                            const float *out, float *dout, float *dx, int64_t dx_stride) {
  (void)self;
  (void)call;
  (void)x;
  (void)stride;
  (void)out;
  (void)dout;
  (void)dx;
  (void)dx_stride;
}
static glow_status failing_diagnose(const void *self, const glow_call *call,
                                    glow_findings *findings) {
  (void)self;
  (void)call;
  (void)findings;
  return glow_error(GLOW_E_NUMERIC, "it has no idea");
}

static glow_model *with_net(glow_context *context, bool fails) {
  const glow_net_ops ops = {.struct_size = sizeof ops,
                            .type = "silent",
                            .self_size = sizeof(int64_t),
                            .configure = silent_configure,
                            .forward = silent_forward,
                            .backward = silent_backward,
                            .diagnose = fails ? failing_diagnose : NULL};
  const glow_shape shape = {2, 2, 2};
  glow_net *net = NULL;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  OK(glow_net_create(context, &ops, NULL, &net));
  OK(glow_coupling_create(context, NULL, &net, &layer));
  OK(helper_wrap_layer(context, layer, true, &shape, &model));
  OK(glow_model_set_initialised(model));
  return model;
}

static void test_custom(void **state) {
  const glow_shape shape = {2, 2, 2};
  glow_context *context = helper_context(0, NULL, NULL);
  helper_random random = helper_random_of(13);
  float *x = helper_new_normals(&random, 1.0f, COUNT * 8);
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  (void)state;
  OK(glow_layer_create(context, &opinion_ops, NULL, NULL, &layer));
  OK(helper_wrap_layer(context, layer, true, &shape, &model));
  OK(glow_model_set_initialised(model));
  glow_layer_diagnosis l = examine(model, x, "layer");
  assert_true(fabs(l.condition_number - 2.0) < 1e-12);
  assert_true(l.least_scale == 2.0 && l.largest_scale == 2.0);
  assert_int_equal(l.units, 3);
  assert_int_equal(l.dead_units, 2);
  assert_true(l.round_trip == 0);
  glow_model_destroy(&model);

  model = with_net(context, false);
  l = examine(model, x, "layer");
  assert_int_equal(l.units, -1);
  assert_int_equal(l.dead_units, -1);
  assert_true(fabs(l.least_scale * (1.0 + exp(-2.0)) - 1.0) < 1e-6);
  glow_model_destroy(&model);

  glow_diagnose_options o = GLOW_DIAGNOSE_OPTIONS_INIT;
  glow_diagnosis *d = (glow_diagnosis *)x;
  model = with_net(context, true);
  glow_workspace *ws = helper_workspace(model, 4, GLOW_MODE_INFERENCE);
  o.x = x;
  o.count = COUNT;
  REFUSED(glow_workspace_diagnose(ws, &o, &d), GLOW_E_NUMERIC, "layer 'layer': it has no idea");
  assert_null(d);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  free(x);
  glow_context_destroy(&context);
}

/* The kit runs `diagnose` too. */
static void test_kit(void **state) {
  const glow_net_ops ops = {.struct_size = sizeof ops,
                            .type = "silent",
                            .self_size = sizeof(int64_t),
                            .configure = silent_configure,
                            .forward = silent_forward,
                            .backward = silent_backward,
                            .diagnose = failing_diagnose};
  glow_context *context = helper_context(0, NULL, NULL);
  glow_layer *layer = NULL;
  glow_net *net = NULL;
  (void)state;
  OK(glow_net_create(context, &ops, NULL, &net));
  REFUSED(glow_net_check(context, &net, NULL), GLOW_E_CHECK, "diagnosis: layer 'layer': it has");
  OK(glow_layer_create(context, &opinion_ops, NULL, NULL, &layer));
  OK(glow_layer_check(context, &layer, NULL));
  glow_context_destroy(&context);
}

/* The inference form has layers of its own, which speak too. */
static void test_inference_form(void **state) {
  patient p = patient_make(GLOW_PERMUTATION_INVCONV, 14);
  glow_model *form = NULL;
  (void)state;
  OK(glow_model_inference_form(p.model, &form));
  glow_layer_diagnosis l = examine(form, p.x, "level0.step0.actnorm");
  assert_string_equal(l.type, "affine");
  assert_true(l.condition_number >= 1.0 && l.condition_number < 10.0);
  l = examine(form, p.x, "level0.step0.coupling");
  glow_layer_diagnosis same = examine(p.model, p.x, "level0.step0.coupling");
  assert_int_equal(l.units, same.units);
  assert_true(fabs(l.least_scale / same.least_scale - 1.0) < 1e-4);
  glow_model_destroy(&form);
  patient_end(&p);
}

/* Samples with a condition each: as many can be drawn. */
static void test_conditions(void **state) {
  glow_context *context = helper_context(0, NULL, NULL);
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_diagnose_options q = GLOW_DIAGNOSE_OPTIONS_INIT;
  glow_diagnosis *d = NULL;
  glow_model *model = NULL;
  helper_random random = helper_random_of(15);
  float *x = helper_new_normals(&random, 1.0f, COUNT * 4);
  float *condition = helper_new_normals(&random, 1.0f, COUNT * 3);
  (void)state;
  o.dims = 4;
  o.condition = 3;
  o.steps = 2;
  OK(glow_model_create_vector_flow(context, &o, &model));
  glow_workspace *ws = helper_workspace(model, 4, GLOW_MODE_INFERENCE);
  OK(glow_workspace_set_condition(ws, condition, COUNT, 3));
  OK(glow_workspace_initialise(ws, model, x, NULL, COUNT));
  q.x = x;
  q.count = q.drawn = COUNT;
  OK(glow_workspace_diagnose(ws, &q, &d));
  assert_int_equal(whole_of(d).drawn, COUNT);
  assert_true(whole_of(d).round_trip < 1e-4);
  glow_diagnosis_destroy(&d);
  q.drawn = COUNT + 1;
  REFUSED(glow_workspace_diagnose(ws, &q, &d), GLOW_E_ARGUMENT, "6 conditions for 7 samples");
  glow_workspace_destroy(&ws);
  free(x);
  free(condition);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- refusals and memory --------------------------------------------------------------------- */

static void test_refusals(void **state) {
  patient p = patient_make(GLOW_PERMUTATION_INVCONV, 16);
  glow_workspace *ws = helper_workspace(p.model, 4, GLOW_MODE_INFERENCE);
  glow_diagnose_options o = GLOW_DIAGNOSE_OPTIONS_INIT;
  glow_layer_diagnosis l = GLOW_LAYER_DIAGNOSIS_INIT;
  glow_diagnosis *d = NULL;
  (void)state;
  REFUSED(glow_workspace_diagnose(NULL, NULL, &d), GLOW_E_ARGUMENT, "NULL argument");
  REFUSED(glow_workspace_diagnose(ws, NULL, NULL), GLOW_E_ARGUMENT, "NULL argument");
  o.count = 2;
  REFUSED(glow_workspace_diagnose(ws, &o, &d), GLOW_E_ARGUMENT, "x is NULL, and count is 2");
  o.x = p.x;
  o.count = -1;
  REFUSED(glow_workspace_diagnose(ws, &o, &d), GLOW_E_ARGUMENT, "-1 samples");
  o.count = COUNT;
  p.x[130] = INFINITY;
  REFUSED(glow_workspace_diagnose(ws, &o, &d), GLOW_E_NUMERIC, "element 2 of sample 1");
  p.x[130] = 0;
  o.drawn = -1;
  REFUSED(glow_workspace_diagnose(ws, &o, &d), GLOW_E_ARGUMENT, "drawn is -1");
  o.drawn = 1;
  o.temperature[1] = -1;
  REFUSED(glow_workspace_diagnose(ws, &o, &d), GLOW_E_ARGUMENT, "temperature[1] is -1");
  o.temperature[1] = NAN;
  REFUSED(glow_workspace_diagnose(ws, &o, &d), GLOW_E_ARGUMENT, "temperature[1] is");
  o.temperature[1] = 1;
  glow_model_parameters_mutable(p.model);
  REFUSED(glow_workspace_diagnose(ws, &o, &d), GLOW_E_STATE, "glow_model_prepare");
  OK(glow_model_prepare(p.model));
  OK(glow_workspace_diagnose(ws, &o, &d));
  REFUSED(glow_diagnosis_layer(d, -1, &l), GLOW_E_ARGUMENT, "layer -1");
  REFUSED(glow_diagnosis_layer(d, 1000, &l), GLOW_E_ARGUMENT, "layer 1000");
  REFUSED(glow_diagnosis_layer(NULL, 0, &l), GLOW_E_ARGUMENT, "layer 0");
  REFUSED(glow_diagnosis_layer(d, 0, NULL), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_diagnosis_model(NULL, NULL), GLOW_E_ARGUMENT, "NULL argument");
  glow_diagnosis_destroy(&d);
  glow_diagnosis_destroy(&d);
  glow_diagnosis_destroy(NULL);
  glow_workspace_destroy(&ws);
  patient_end(&p);
}

static void test_not_ready(void **state) {
  glow_context *context = helper_context(0, NULL, NULL);
  glow_model *model = preset(context, 0);
  glow_workspace *ws = helper_workspace(model, 4, GLOW_MODE_INFERENCE);
  glow_diagnose_options o = GLOW_DIAGNOSE_OPTIONS_INIT;
  glow_diagnosis *d = NULL;
  helper_random random = helper_random_of(17);
  float *x = helper_new_normals(&random, 0.1f, COUNT * 128);
  (void)state;
  REFUSED(glow_workspace_diagnose(ws, NULL, &d), GLOW_E_STATE, "not initialised");
  OK(glow_model_set_initialised(model));
  o.x = x;
  o.count = COUNT;
  REFUSED(glow_workspace_diagnose(ws, &o, &d), GLOW_E_ARGUMENT, "3 classes and needs labels");
  glow_workspace_destroy(&ws);
  free(x);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* Each allocation fails in turn: GLOW_E_MEMORY, nothing is left, and the next call succeeds. */
static void test_memory(void **state) {
  helper_memory memory = {.live = 0};
  glow_context *context = helper_context(0, NULL, &memory);
  glow_model *model = helper_glow(context, NULL, 18);
  glow_workspace *ws = helper_workspace(model, 4, GLOW_MODE_INFERENCE);
  glow_diagnose_options o = GLOW_DIAGNOSE_OPTIONS_INIT;
  glow_diagnosis *d = NULL;
  helper_random random = helper_random_of(18);
  float *x = helper_new_normals(&random, 0.5f, COUNT * 128);
  int64_t live = memory.live, n = 0;
  (void)state;
  o.x = x;
  o.count = COUNT;
  o.drawn = 4;
  do {
    memory.fail_at = memory.calls + ++n;
    memory.failures = 0;
    glow_status status = glow_workspace_diagnose(ws, &o, &d);
    assert_int_equal(status, memory.failures ? GLOW_E_MEMORY : GLOW_OK);
    assert_int_equal(d != NULL, status == GLOW_OK);
    glow_diagnosis_destroy(&d);
    assert_int_equal(memory.live, live);
  } while (memory.failures);
  assert_true(n > 20);
  memory.fail_at = 0;
  glow_workspace_destroy(&ws);
  free(x);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  assert_int_equal(memory.live, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_healthy),
      cmocka_unit_test(test_bfloat16),
      cmocka_unit_test(test_condition_number),
      cmocka_unit_test(test_condition_number_lu),
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_scales),
      cmocka_unit_test(test_deviations),
      cmocka_unit_test(test_slopes),
      cmocka_unit_test(test_dead_units),
      cmocka_unit_test(test_lost),
      cmocka_unit_test(test_all_lost),
      cmocka_unit_test(test_drawn),
      cmocka_unit_test(test_batches_and_threads),
      cmocka_unit_test(test_custom),
      cmocka_unit_test(test_kit),
      cmocka_unit_test(test_inference_form),
      cmocka_unit_test(test_conditions),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_not_ready),
      cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
