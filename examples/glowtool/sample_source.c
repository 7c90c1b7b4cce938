/* Opening samples for a model, and batches of them. SPDX-License-Identifier: MIT */
#include "sample_source.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const option_choice data_class_sources[] = {
    {"files", DATA_CLASSES_FILES}, {"folders", DATA_CLASSES_FOLDERS}, {NULL, 0}};
const option_choice data_headers[] = {
    {"auto", DATA_HEADER_AUTO}, {"yes", DATA_HEADER_YES}, {"no", DATA_HEADER_NO}, {NULL, 0}};

/* ---- opening --------------------------------------------------------------------------------- */

static void tell_notes(const char *notes) {
  while (notes && *notes) {
    int length = (int)strcspn(notes, "\n");
    mention("%.*s", length, notes);
    notes += length + (notes[length] != '\0');
  }
}

int open_samples(const option_list *paths, const option_list *labels, const data_options *form,
                 sample_set *out) {
  char error[1024] = "";
  data_options options = *form;
  options.labels = labels->items;
  options.label_files = labels->count;
  errno = 0;
  if (!data_open(paths->items, paths->count, &options, out, error, sizeof error))
    return complain_failure(error, errno);
  tell_notes(out->notes);
  return TOOL_FINE;
}

int check_labels(const sample_set *set, int32_t classes) {
  char name[PATH_MAX + 4] = "", text[PATH_MAX];
  int64_t i = 0;
  while (classes && set->labels && i < set->count && set->labels[i] < classes)
    i++;
  if (!classes || !set->labels || i == set->count)
    return TOOL_FINE;
  if (data_named(set))
    snprintf(name, sizeof name, " (%s)", data_name(set, i, text, sizeof text));
  return complain("sample %lld%s has label %d; the model's classes are 0 to %d", (long long)i, name,
                  (int)set->labels[i], (int)classes - 1);
}

static int check_fit(const glow_model *model, const glow_shape *wanted, const sample_set *set) {
  if (set->height != wanted->height || set->width != wanted->width ||
      set->channels != wanted->channels)
    return complain("the samples are %lld x %lld x %lld (height, width, channels); the model reads "
                    "%lld x %lld x %lld",
                    (long long)set->height, (long long)set->width, (long long)set->channels,
                    (long long)wanted->height, (long long)wanted->width,
                    (long long)wanted->channels);
  if (!set->floats && !glow_model_bits(model))
    return complain("the samples are pixels, but the model is for continuous data");
  if (set->condition != glow_model_condition_size(model))
    return complain("the model's condition has %lld values, but the data have %lld: name their "
                    "columns by --condition",
                    (long long)glow_model_condition_size(model), (long long)set->condition);
  if (glow_model_class_count(model) && !set->labels)
    mention("the samples have no labels: densities are of the mixture of all classes");
  return check_labels(set, glow_model_class_count(model));
}

const char *model_class_lines(const glow_model *model) {
  const char *lines = glow_model_metadata(model, GLOW_METADATA_CLASS_NAMES), *at = lines;
  for (int32_t i = 0; at && i < glow_model_class_count(model); i++) {
    size_t length = strcspn(at, "\n");
    bool ends = i + 1 == glow_model_class_count(model);
    if (length == 0 || at[length] != (ends ? '\0' : '\n'))
      return NULL;
    at += length + 1;
  }
  return glow_model_class_count(model) ? lines : NULL;
}

/* A file with names of classes beside the model, for models that do not have them. */
static const char *classes_beside(const char *model_path, char out[PATH_MAX]) {
  const char *slash = strrchr(model_path, '/');
  int length = slash ? (int)(slash - model_path) + 1 : 0;
  bool fits = snprintf(out, PATH_MAX, "%.*sclasses.csv", length, model_path) < PATH_MAX;
  return fits && access(out, R_OK) == 0 ? out : NULL;
}

int open_for_model(const glow_model *model, const char *model_path, const sample_source *source,
                   int64_t limit, uint64_t shapes_seed, sample_set *out) {
  char beside[PATH_MAX];
  glow_shape shape;
  glow_model_input_shape(model, &shape);
  memset(out, 0, sizeof *out);
  data_options form = source->form;
  bool generated = data_is_generated(form.format);
  bool vectors = shape.height == 1 && shape.width == 1 && !glow_model_bits(model);
  if (!source->paths.count && !generated)
    return complain("--data is missing: name files%s",
                    vectors ? "" : ", or use --format digits or shapes");
  form.as = vectors ? DATA_VECTORS : DATA_IMAGES;
  form.nonfinite = true; /* such samples get NaN, and are counted */
  if (!vectors && !form.pad) {
    form.width = shape.width;
    form.height = shape.height;
  }
  form.channels = shape.channels == 1 || shape.channels == 3 ? shape.channels : 0;
  form.limit = generated && !limit ? 256 : limit;
  form.seed = shapes_seed;
  form.class_lines = model_class_lines(model);
  if (glow_model_class_count(model) && !form.classes && !form.class_lines)
    form.classes = classes_beside(model_path, beside);
  int code = open_samples(&source->paths, &source->labels, &form, out);
  if (code != TOOL_FINE)
    return code;
  code = check_fit(model, &shape, out);
  if (code != TOOL_FINE)
    data_free(out);
  return code;
}

int keep_class(sample_set *set, int64_t label, const char *what) {
  if (!set->labels)
    return complain("--%s: the images have no labels to choose class %lld by", what,
                    (long long)label);
  bool *keep = malloc((size_t)set->count * sizeof *keep);
  for (int64_t i = 0; keep && i < set->count; i++)
    keep[i] = set->labels[i] == label;
  bool good = keep && data_keep(set, keep);
  free(keep);
  if (!good) {
    complain("out of memory for choosing images");
    return TOOL_FAILED;
  }
  return set->count ? TOOL_FINE : complain("--%s: no image has class %lld", what, (long long)label);
}

int read_samples(const sample_set *set, int64_t first, int64_t count, void *samples,
                 float *conditions) {
  char error[1024] = "";
  errno = 0;
  return data_read(set, first, count, samples, conditions, error, sizeof error)
             ? TOOL_FINE
             : complain_failure(error, errno);
}

/* ---- batches --------------------------------------------------------------------------------- */

int sample_batch_open(sample_batch *b, const glow_model *model, const sample_set *set,
                      int64_t batch) {
  size_t count = (size_t)batch, dims = (size_t)data_dims(set);
  *b = (sample_batch){.model = model, .set = set, .dims = data_dims(set)};
  b->x = malloc(count * dims * sizeof *b->x);
  if (!set->floats)
    b->pixels = malloc(count * dims);
  if (set->condition)
    b->conditions = malloc(count * (size_t)set->condition * sizeof *b->conditions);
  if (glow_model_class_count(model))
    b->labels = malloc(count * sizeof *b->labels);
  if (b->x && (b->pixels || set->floats) && (b->conditions || !set->condition) &&
      (b->labels || !glow_model_class_count(model)))
    return TOOL_FINE;
  complain("out of memory for batches of %lld samples", (long long)batch);
  return TOOL_FAILED;
}

int sample_batch_read(sample_batch *b, glow_workspace *workspace, int64_t first, int64_t count,
                      uint64_t seed, uint64_t position) {
  const sample_set *set = b->set;
  int code = read_samples(set, first, count, set->floats ? (void *)b->x : (void *)b->pixels,
                          b->conditions);
  if (code != TOOL_FINE)
    return code;
  for (int64_t i = 0; b->labels && i < count; i++)
    b->labels[i] = sample_label(set, first + i);
  glow_status status = GLOW_OK;
  if (!set->floats)
    status = glow_model_dequantise(b->model, b->pixels, count, seed, position, b->x);
  if (status == GLOW_OK && b->conditions)
    status = glow_workspace_set_condition(workspace, b->conditions, count, set->condition);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "reading samples");
}

void sample_batch_close(sample_batch *b, glow_workspace *workspace) {
  if (b->conditions && workspace)
    glow_workspace_set_condition(workspace, NULL, 0, 0);
  free(b->pixels);
  free(b->x);
  free(b->conditions);
  free(b->labels);
  *b = (sample_batch){0};
}
