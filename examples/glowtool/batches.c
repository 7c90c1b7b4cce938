/* Reading batches: shapes are checked once, then samples come piece by piece.
 * SPDX-License-Identifier: MIT */
#include "batches.h"

#include <string.h>

const char *latent_form_name(int32_t form) {
  return form == GLOW_LATENTS_RAW ? "raw" : "whitened";
}

static void start(batch_reader *r, const opened_model *m, uint64_t seed) {
  memset(r, 0, sizeof *r);
  r->model = m;
  r->seed = seed;
}

static int open_batch(batch_reader *r) {
  r->count = r->set.count;
  return sample_batch_open(&r->batch, r->model->model, &r->set, r->model->batch);
}

int batches_open(batch_reader *r, const opened_model *m, const char *model_path,
                 const sample_source *source, int64_t limit, uint64_t shapes_seed, uint64_t seed) {
  start(r, m, seed);
  sample_source once = *source;
  once.form.once = true;
  int code = open_for_model(m->model, model_path, &once, limit, shapes_seed, &r->set);
  return code == TOOL_FINE ? open_batch(r) : code;
}

/* ---- latents --------------------------------------------------------------------------------- */

/* What encode has written down; 0 for other files. */
static int32_t form_of(glow_context *context, const char *path) {
  glow_input input = GLOW_INPUT_INIT;
  glow_tensor_file *file = NULL;
  int32_t form = 0;
  input.path = path;
  input.flags = GLOW_INPUT_LAZY;
  if (glow_tensor_file_open_input(context, &input, &file) == GLOW_OK) {
    const char *text = glow_tensor_file_metadata(file, GLOWTOOL_FORM);
    form = !text                           ? 0
           : strcmp(text, "raw") == 0      ? GLOW_LATENTS_RAW
           : strcmp(text, "whitened") == 0 ? GLOW_LATENTS_WHITENED
                                           : 0;
  }
  glow_tensor_file_close(&file);
  return form;
}

static int check_latents(const batch_reader *r) {
  int64_t dims = glow_model_dims(r->model->model);
  if (data_dims(&r->set) != dims)
    return complain("the file has %lld latents a sample, but the model has %lld",
                    (long long)data_dims(&r->set), (long long)dims);
  if (r->set.condition != glow_model_condition_size(r->model->model))
    return complain("the model's condition has %lld values, but the data have %lld: name their "
                    "columns by --condition",
                    (long long)glow_model_condition_size(r->model->model),
                    (long long)r->set.condition);
  return check_labels(&r->set, glow_model_class_count(r->model->model));
}

int batches_open_latents(batch_reader *r, const opened_model *m, const sample_source *source,
                         int64_t limit, int32_t *form) {
  data_options options = source->form;
  start(r, m, 0);
  *form = 0;
  options.as = DATA_VECTORS;
  options.limit = limit;
  options.own_names = options.once = options.nonfinite = true;
  if (!options.tensor)
    options.tensor = "latents";
  int code = open_samples(&source->paths, &source->labels, &options, &r->set);
  if (code == TOOL_FINE)
    code = check_latents(r);
  if (code == TOOL_FINE)
    *form = form_of(m->context, source->paths.items[0]);
  return code == TOOL_FINE ? open_batch(r) : code;
}

/* ---- reading --------------------------------------------------------------------------------- */

int batches_read(batch_reader *r, int64_t first, int64_t count) {
  uint64_t position = (uint64_t)first * (uint64_t)r->batch.dims;
  return sample_batch_read(&r->batch, r->model->workspace, first, count, r->seed, position);
}

void batches_close(batch_reader *r) {
  sample_batch_close(&r->batch, r->model ? r->model->workspace : NULL);
  data_free(&r->set);
  memset(r, 0, sizeof *r);
}
