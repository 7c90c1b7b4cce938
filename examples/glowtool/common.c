/* Opening a model file. SPDX-License-Identifier: MIT */
#include "common.h"

#include <stdio.h>
#include <string.h>

#include "data.h"
#include "memory.h"
#include "stop.h"

/* The commands that have a workspace only run the model. */
static glow_status use_inference_form(opened_model *m) {
  glow_model *form = NULL;
  glow_status status = glow_model_inference_form(m->model, &form);
  if (status != GLOW_OK)
    return status;
  glow_model_destroy(&m->model);
  m->model = form;
  return GLOW_OK;
}

int complain_of_file(glow_status status, const char *path, const char *wanted) {
  const char *kind = data_kind_of(path);
  bool other = kind && strcmp(kind, "a safetensors file") != 0;
  if (other && (status == GLOW_E_FORMAT || status == GLOW_E_IO || status == GLOW_E_LIMIT))
    return complain("%s is %s, not %s", path, kind, wanted);
  return complain_status(status, NULL);
}

int check_passes(uint64_t bytes, const char *what) {
  char needed[32], allowed[32];
  int64_t most = memory_for_passes();
  if (bytes <= (uint64_t)most)
    return TOOL_FINE;
  return complain("%s take %s of memory, more than the %s that --max-memory allows: choose smaller "
                  "batches, or another limit",
                  what, short_bytes((double)bytes, needed), short_bytes((double)most, allowed));
}

int open_workspace_of(opened_model *m) {
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  uint64_t bytes = 0;
  char what[64];
  options.batch = m->batch;
  glow_status status = glow_workspace_plan_bytes(m->model, &options, &bytes);
  snprintf(what, sizeof what, "passes on batches of %lld samples", (long long)m->batch);
  if (status == GLOW_OK && check_passes(bytes, what) != TOOL_FINE)
    return TOOL_BAD;
  if (status == GLOW_OK)
    status = glow_workspace_create(m->model, &options, &m->workspace);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, NULL);
}

int open_model(opened_model *m, const char *path, int64_t threads, const char *kernels,
               int64_t products, int64_t batch) {
  memset(m, 0, sizeof *m);
  int code = open_context(threads, kernels, products, &m->context);
  if (code != TOOL_FINE)
    return code;
  glow_status status = glow_model_load(m->context, path, &m->model);
  if (status != GLOW_OK)
    return complain_of_file(status, path, "a model");
  glow_model_input_shape(m->model, &m->shape);
  m->batch = batch;
  if (!batch)
    return TOOL_FINE;
  status = use_inference_form(m);
  return status == GLOW_OK ? open_workspace_of(m) : complain_status(status, NULL);
}

void close_model(opened_model *m) {
  glow_workspace_destroy(&m->workspace);
  glow_model_destroy(&m->model);
  glow_context_destroy(&m->context);
}

int check_picture(const opened_model *m) {
  if (!glow_model_bits(m->model))
    return complain("the model is for continuous data, not for images");
  if (m->shape.channels != 1 && m->shape.channels != 3)
    return complain("images of %lld channels cannot be shown: 1 or 3 can",
                    (long long)m->shape.channels);
  return TOOL_FINE;
}

int check_labels_file(const opened_model *m, const option_list *files) {
  if (files->count && !glow_model_class_count(m->model))
    return complain("--labels means nothing here: the model has no classes");
  return TOOL_FINE;
}

int check_class(const opened_model *m, int64_t label) {
  int32_t classes = glow_model_class_count(m->model);
  if (label >= 0 && !classes)
    return complain("--class: the model has no classes");
  if (label >= 0 && label >= classes)
    return complain("--class: '%lld' is not from 0 to %d", (long long)label, (int)classes - 1);
  return TOOL_FINE;
}

int run_on_model(int argc, char **argv, const option_table *table, void *settings,
                 int (*run)(void *settings, opened_model *m)) {
  option_state options;
  opened_model model;
  memset(&model, 0, sizeof model);
  int code = options_parse(&options, table, settings, argc, argv);
  if (code == TOOL_FINE)
    code = options_check(&options);
  if (code == TOOL_FINE) {
    memory_limit(options_int(&options, "max-memory"));
    code = run(settings, &model);
    if (code == TOOL_FINE && stop_wanted()) /* while a file was written, which is whole */
      code = TOOL_STOPPED;
  }
  close_model(&model);
  options_free(&options);
  return code < 0 ? TOOL_FINE : code;
}
