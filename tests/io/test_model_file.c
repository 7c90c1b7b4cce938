/* Model files: what is saved comes back bit for bit; files that were tampered with are refused.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memmem */
#include <glow/glow.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/temp_folder.h"

enum { SIDE = 8, COUNT = 3, DIMS = SIDE * SIDE * 3 };

static glow_context *context;

static int set_up(void **state) {
  (void)state;
  return temp_folder_make(NULL) && glow_context_create(NULL, &context) == GLOW_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  glow_context_destroy(&context);
  return temp_folder_remove() ? 0 : -1;
}

static void ok(glow_status status) {
  if (status != GLOW_OK)
    fail_msg("%s: %s", glow_status_name(status), glow_last_error());
}

static void fill(float *x, int64_t count, uint64_t seed) {
  glow_rng *rng = NULL;
  ok(glow_rng_create(context, seed, &rng));
  ok(glow_rng_uniform(rng, x, count));
  glow_rng_destroy(&rng);
  for (int64_t i = 0; i < count; i++)
    x[i] -= 0.5f;
}

static glow_model *make(int32_t permutation, int32_t coupling, int32_t scale, int32_t classes) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  glow_model *model = NULL;
  o.input = (glow_shape){SIDE, SIDE, 3};
  o.levels = 2;
  o.depth = 2;
  o.hidden = 12;
  o.permutation = permutation;
  o.coupling = coupling;
  o.scale = scale;
  o.classes = classes;
  o.net_actnorm = coupling == GLOW_COUPLING_AFFINE;
  o.border = o.spatial_top = o.classifier = classes > 0; /* in half of the round trips */
  o.bits = 5;
  o.seed = 3;
  ok(glow_model_create_glow(context, &o, &model));
  float *p = glow_model_parameters_mutable(model);
  float *noise = malloc((size_t)glow_model_parameter_count(model) * sizeof *noise);
  assert_non_null(noise);
  fill(noise, glow_model_parameter_count(model), 4);
  for (int64_t i = 0; i < glow_model_parameter_count(model); i++)
    p[i] += 0.1f * noise[i];
  free(noise);
  ok(glow_model_prepare(model));
  ok(glow_model_set_initialised(model));
  return model;
}

static void log_probs(const glow_model *model, double *out) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  const int32_t labels[COUNT] = {0, 2, 1};
  float x[COUNT * DIMS];
  glow_workspace *ws = NULL;
  o.batch = COUNT;
  fill(x, COUNT * DIMS, 5);
  ok(glow_workspace_create(model, &o, &ws));
  ok(glow_workspace_log_prob(ws, x, labels, COUNT, out));
  glow_workspace_destroy(&ws);
}

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  char *data = calloc(1, 1 << 20);
  assert_true(file && data);
  *size = fread(data, 1, 1 << 20, file);
  fclose(file);
  return data;
}

static void same_files(const char *a, const char *b) {
  size_t size_a, size_b;
  char *x = read_file(a, &size_a), *y = read_file(b, &size_b);
  assert_int_equal(size_a, size_b);
  assert_memory_equal(x, y, size_a);
  free(x);
  free(y);
}

static void round_trip(int32_t permutation, int32_t coupling, int32_t scale, int32_t classes) {
  glow_model *model = make(permutation, coupling, scale, classes), *loaded = NULL;
  glow_context *other = NULL;
  double before[COUNT], after[COUNT];
  ok(glow_context_create(NULL, &other));
  ok(glow_model_save(model, temp_path("model")));
  ok(glow_model_load(other, temp_path("model"), &loaded));
  assert_int_equal(glow_model_bits(loaded), 5);
  assert_int_equal(glow_model_class_count(loaded), classes);
  assert_true(glow_model_initialised(loaded));
  assert_int_equal(glow_model_parameter_count(loaded), glow_model_parameter_count(model));
  assert_memory_equal(glow_model_parameters(loaded), glow_model_parameters(model),
                      (size_t)glow_model_parameter_count(model) * sizeof(float));
  log_probs(model, before);
  log_probs(loaded, after);
  assert_memory_equal(before, after, sizeof before);
  ok(glow_model_save(loaded, temp_path("again")));
  same_files(temp_path("model"), temp_path("again"));
  glow_model_destroy(&loaded);
  glow_context_destroy(&other);
  glow_model_destroy(&model);
}

static void test_round_trips(void **state) {
  (void)state;
  round_trip(GLOW_PERMUTATION_INVCONV_LU, GLOW_COUPLING_AFFINE, GLOW_SCALE_SIGMOID, 0);
  round_trip(GLOW_PERMUTATION_INVCONV, GLOW_COUPLING_AFFINE, GLOW_SCALE_SIGMOID_FLOOR, 0);
  round_trip(GLOW_PERMUTATION_SHUFFLE, GLOW_COUPLING_AFFINE, GLOW_SCALE_TANH, 3);
  round_trip(GLOW_PERMUTATION_REVERSE, GLOW_COUPLING_ADDITIVE, GLOW_SCALE_EXP, 3);
}

static void test_uninitialised_stays_so(void **state) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  glow_model *model = NULL, *loaded = NULL;
  (void)state;
  o.input = (glow_shape){4, 4, 1};
  o.levels = o.depth = 1;
  o.hidden = 4;
  ok(glow_model_create_glow(context, &o, &model));
  ok(glow_model_save(model, temp_path("model")));
  ok(glow_model_load(context, temp_path("model"), &loaded));
  assert_false(glow_model_initialised(loaded));
  glow_model_destroy(&loaded);
  glow_model_destroy(&model);
}

/* ---- tampering: a text in the file is replaced by one of the same length --------------------- */

typedef struct change {
  const char *from, *to, *message;
} change;

static const change changes[] = {
    {"\\\"type\\\":\\\"squeeze\\\"", "\\\"type\\\":\\\"sqweeze\\\"", "'sqweeze' is not registered"},
    {"\\\"bits\\\":5", "\\\"bits\\\":9", "bits must be a whole number, 0 to 8"},
    {"\\\"input\\\":[8,8,3]", "\\\"input\\\":[8,9,3]", "must be even"},
    {"\\\"input\\\":[8,8,3]", "\\\"input\\\":[8,8,0]", "input is not"},
    {"\\\"input\\\":[8,8,3]", "\\\"input\\\":[8,8,1]", "another type or shape"},
    {"\\\"net.hidden\\\":12", "\\\"net.hidden\\\":13", "another type or shape"},
    {"\\\"net.hidden\\\":12", "\\\"net.hidden\\\":-1", "net.hidden"},
    {"\\\"initialised\\\":true", "\\\"initialised\\\":null", "initialised is neither"},
    {"\\\"kind\\\":\\\"affine\\\"", "\\\"kind\\\":\\\"affina\\\"", "'affina'"},
    {"\\\"name\\\":\\\"level0.split\\\"", "\\\"name\\\":\\\"level0.aplit\\\"",
     "no tensor 'level0.aplit"},
    {"format_version\":\"1.2\"", "format_version\":\"2.0\"",
     "format version 2.0 is newer than this library reads (1.x)"},
    {"format_version\":\"1.2\"", "format_version\":\"200\"", "200 is newer"},
    {"format_version\":\"1.2\"", "format_version\":\"0.9\"", "does not exist"},
    {"format_version\":\"1.2\"", "format_version\":\"1.x\"", "not a number"},
    {"format_version\":\"1.2\"", "format_version\":\"1.2x", "header:"},
    {"format_version\":\"1.2\"", "format_version\":\".11\"", "not a number"},
    {"\\\"options\\\":{}}", "\\\"optjons\\\":{}}",
     "layer 0 has more than a name, a type and options: it has 'optjons'"},
    {"\\\"net.hidden\\\":12", "\\\"net.width1\\\":12", "option 'net.width1' is not known to layer"},
    {"\\\"bits\\\":5", "\\\"pits\\\":5", "key 'pits' is not known"},
    {"\\\"bits\\\":5", "\\\"bits\\\"5,", "':' expected"},
    {"\"glow.model\"", "\"glow.mxdel\"", "no libglow model"},
    {"\"prior.mean\"", "\"prior.maan\"", "no tensor 'prior.mean'"},
    {"\"prior.mean\":{\"dtype\":\"F32\"", "\"prior.mean\":{\"dtype\":\"I32\"",
     "another type or shape"},
};

static void test_tampered(void **state) {
  glow_model *model =
      make(GLOW_PERMUTATION_INVCONV_LU, GLOW_COUPLING_AFFINE, GLOW_SCALE_SIGMOID, 0);
  (void)state;
  ok(glow_model_save(model, temp_path("model")));
  glow_model_destroy(&model);
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    size_t size;
    char *data = read_file(temp_path("model"), &size);
    char *at = memmem(data, size, changes[i].from, strlen(changes[i].from));
    assert_int_equal(strlen(changes[i].from), strlen(changes[i].to));
    if (!at)
      fail_msg("'%s' is not in the file", changes[i].from);
    memcpy(at, changes[i].to, strlen(changes[i].to));
    FILE *file = fopen(temp_path("bad"), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
    free(data);
    if (glow_model_load(context, temp_path("bad"), &model) != GLOW_E_FORMAT || model)
      fail_msg("%s: was not refused", changes[i].to);
    if (!strstr(glow_last_error(), changes[i].message))
      fail_msg("%s: message '%s' lacks '%s'", changes[i].to, glow_last_error(), changes[i].message);
  }
}

/* Rewrites the model's file with one tensor more, or with NaN in one. */
static void rewrite(const char *extra, const char *spoiled) {
  glow_tensor_file *file = NULL;
  glow_file_tensor tensors[300];
  float nan[64];
  ok(glow_tensor_file_open(context, temp_path("model"), &file));
  int64_t count = glow_tensor_file_tensor_count(file);
  for (int i = 0; i < 64; i++)
    nan[i] = NAN;
  for (int64_t i = 0; i < count; i++) {
    tensors[i] = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    ok(glow_tensor_file_get(file, i, &tensors[i]));
    if (spoiled && strcmp(tensors[i].name, spoiled) == 0)
      tensors[i].data = nan;
  }
  if (extra) {
    tensors[count] = tensors[0];
    tensors[count++].name = extra;
  }
  const char *metadata[] = {"glow.format_version", "1", "glow.model",
                            glow_tensor_file_metadata(file, "glow.model")};
  ok(glow_tensor_file_write(context, temp_path("bad"), tensors, count, metadata, 2));
  glow_tensor_file_close(&file);
}

static void test_tensors_must_fit(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_SHUFFLE, GLOW_COUPLING_AFFINE, GLOW_SCALE_SIGMOID, 0);
  (void)state;
  ok(glow_model_save(model, temp_path("model")));
  glow_model_destroy(&model);
  rewrite(NULL, NULL);
  ok(glow_model_load(context, temp_path("bad"), &model));
  glow_model_destroy(&model);
  rewrite("surplus", NULL);
  assert_int_equal(glow_model_load(context, temp_path("bad"), &model), GLOW_E_FORMAT);
  assert_non_null(strstr(glow_last_error(), "'surplus' is not part"));
  rewrite(NULL, "prior.logs");
  assert_int_equal(glow_model_load(context, temp_path("bad"), &model), GLOW_E_FORMAT);
  assert_non_null(strstr(glow_last_error(), "'prior.logs': element 0 is not finite"));
  rewrite(NULL, "level0.step0.permute.index"); /* NaN's bits are not an index */
  assert_int_equal(glow_model_load(context, temp_path("bad"), &model), GLOW_E_FORMAT);
  assert_non_null(strstr(glow_last_error(), "level0.step0.permute"));
  assert_null(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trips),
      cmocka_unit_test(test_uninitialised_stays_so),
      cmocka_unit_test(test_tampered),
      cmocka_unit_test(test_tensors_must_fit),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
