/* Vectors of the importers. SPDX-License-Identifier: MIT */
#include "import_helpers.h"
#include <glow/import.h>

const char *vectors_folder;

const char *vectors_path(const char *name, const char *ending) {
  static char path[1024];
  snprintf(path, sizeof path, "%s/%s%s", vectors_folder, name, ending);
  return path;
}

/* Data of a tensor, NULL where there is none. Files of make_vectors.py keep x, the first, aligned;
 * copies would be needed elsewhere, so each is copied. */
static void *copy_of(const glow_tensor_file *file, const char *name) {
  glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
  int64_t index = glow_tensor_file_index(file, name);
  if (index < 0)
    return NULL;
  OK(glow_tensor_file_get(file, index, &tensor));
  return memcpy(helper_allocate((size_t)tensor.bytes), tensor.data, (size_t)tensor.bytes);
}

static int64_t number_of(const glow_tensor_file *file, const char *key) {
  const char *text = glow_tensor_file_metadata(file, key);
  assert_non_null(text);
  return strtoll(text, NULL, 10);
}

void vectors_open(glow_context *context, const char *name, vectors *v) {
  glow_file_tensor x = GLOW_FILE_TENSOR_INIT;
  memset(v, 0, sizeof *v);
  OK(glow_tensor_file_open(context, vectors_path(name, ".vectors.safetensors"), &v->file));
  OK(glow_tensor_file_find(v->file, "x", &x));
  v->count = x.dims[0];
  v->bits = (int32_t)number_of(v->file, "bits");
  v->height = number_of(v->file, "height");
  v->width = number_of(v->file, "width");
  v->x = copy_of(v->file, "x");
  v->labels = copy_of(v->file, "labels");
  v->latents = copy_of(v->file, "latents");
  v->log_prob = copy_of(v->file, "log_prob");
  v->logits = copy_of(v->file, "logits");
}

void vectors_close(vectors *v) {
  free((void *)(uintptr_t)v->x);
  free((void *)(uintptr_t)v->labels);
  free((void *)(uintptr_t)v->latents);
  free((void *)(uintptr_t)v->log_prob);
  free((void *)(uintptr_t)v->logits);
  glow_tensor_file_close(&v->file);
}

glow_status vectors_import(glow_context *context, const char *name, const vectors *v,
                           glow_model **out) {
  glow_input input = GLOW_INPUT_INIT;
  glow_import_options options = GLOW_IMPORT_OPTIONS_INIT;
  input.path = vectors_path(name, ".safetensors");
  options.height = v->height;
  options.width = v->width;
  options.bits = v->bits;
  if (strcmp(glow_tensor_file_metadata(v->file, "permutation"), "reverse") == 0)
    options.permutation = GLOW_PERMUTATION_REVERSE;
  return glow_model_import(context, &input, &options, out);
}

/* Largest difference, relative to the largest number. */
static double relative(const double *ours, const double *theirs, int64_t count) {
  double difference = 0, size = 0;
  for (int64_t i = 0; i < count; i++) {
    difference = fmax(difference, fabs(ours[i] - theirs[i]));
    size = fmax(size, fabs(theirs[i]));
    if (!isfinite(ours[i]))
      return INFINITY;
  }
  return difference / size;
}

/* A model has logits exactly where the vectors do. */
static double compare_logits(const glow_model *model, const glow_workspace *ws, const vectors *v) {
  int32_t classes = glow_model_logit_count(model);
  assert_int_equal(classes > 0, v->logits != NULL);
  if (!classes)
    return 0;
  int64_t numbers = v->count * classes;
  const float *logits = glow_workspace_logits(ws);
  double *wide = helper_allocate((size_t)numbers * sizeof *wide);
  for (int64_t i = 0; i < numbers; i++)
    wide[i] = (double)logits[i];
  double error = relative(wide, v->logits, numbers);
  free(wide);
  return error;
}

double vectors_compare(const glow_model *model, const char *name, const vectors *v) {
  int64_t numbers = v->count * glow_model_dims(model);
  float *latents = helper_allocate((size_t)numbers * sizeof *latents);
  double *wide = helper_allocate((size_t)numbers * sizeof *wide);
  double *log_prob = helper_allocate((size_t)v->count * sizeof *log_prob);
  glow_workspace *ws = helper_workspace(model, v->count, GLOW_MODE_INFERENCE);
  OK(glow_workspace_forward(ws, v->x, v->count,
                            &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                    .labels = v->labels,
                                                    .latents = latents,
                                                    .log_prob = log_prob}));
  for (int64_t i = 0; i < numbers; i++)
    wide[i] = (double)latents[i];
  double of_latents = relative(wide, v->latents, numbers);
  double of_log_prob = relative(log_prob, v->log_prob, v->count);
  double of_logits = compare_logits(model, ws, v);
  print_message("%s: relative error of latents %.2g, log-probability %.2g, logits %.2g\n", name,
                of_latents, of_log_prob, of_logits);
  glow_workspace_destroy(&ws);
  free(log_prob);
  free(wide);
  free(latents);
  return fmax(of_logits, fmax(of_latents, of_log_prob));
}
