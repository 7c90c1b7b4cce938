/* The functions of <glow/io.h>, <glow/checkpoint.h> and <glow/import.h> in a build without files
 * (-Dfiles=disabled), instead of everything else in this folder: the library has the same symbols
 * in every build. None of these functions can make an object, so those that need one cannot be
 * reached.
 * SPDX-License-Identifier: MIT */
#include <glow/checkpoint.h>
#include <glow/import.h>
#include <glow/io.h>

#include "base/base.h"

static glow_status unsupported(const char *function) {
  return glow_error(GLOW_E_UNSUPPORTED,
                    "%s: this build of the library cannot read or write files (-Dfiles=disabled)",
                    function);
}

static glow_status load_nothing(const char *function, glow_model **model, glow_trainer **trainer) {
  if (model)
    *model = NULL;
  if (trainer)
    *trainer = NULL;
  return unsupported(function);
}

/* ---- models ---------------------------------------------------------------------------------- */

glow_status glow_model_save(const glow_model *model, const char *path) {
  (void)model, (void)path;
  return unsupported("glow_model_save");
}

glow_status glow_model_save_output(const glow_model *model, const glow_output *output) {
  (void)model, (void)output;
  return unsupported("glow_model_save_output");
}

glow_status glow_model_load_bytes(glow_context *context, const glow_input *input,
                                  uint64_t *model_bytes, uint64_t *workspace_bytes) {
  (void)context, (void)input;
  if (model_bytes)
    *model_bytes = 0;
  if (workspace_bytes)
    *workspace_bytes = 0;
  return unsupported("glow_model_load_bytes");
}

glow_status glow_model_load(glow_context *context, const char *path, glow_model **out) {
  (void)context, (void)path;
  return load_nothing("glow_model_load", out, NULL);
}

glow_status glow_model_load_input(glow_context *context, const glow_input *input,
                                  glow_model **out) {
  (void)context, (void)input;
  return load_nothing("glow_model_load_input", out, NULL);
}

int32_t glow_model_mapped(const glow_model *model) {
  (void)model;
  return 0;
}

glow_status glow_model_fill(glow_model *model, const glow_input *input,
                            const glow_fill_options *options, glow_fill_report *report) {
  (void)model, (void)input, (void)options, (void)report;
  return unsupported("glow_model_fill");
}

/* ---- tensor files ---------------------------------------------------------------------------- */

glow_status glow_tensor_file_open(glow_context *context, const char *path, glow_tensor_file **out) {
  (void)context, (void)path;
  if (out)
    *out = NULL;
  return unsupported("glow_tensor_file_open");
}

glow_status glow_tensor_file_open_input(glow_context *context, const glow_input *input,
                                        glow_tensor_file **out) {
  (void)context, (void)input;
  if (out)
    *out = NULL;
  return unsupported("glow_tensor_file_open_input");
}

void glow_tensor_file_close(glow_tensor_file **file) {
  (void)file;
}

int64_t glow_tensor_file_tensor_count(const glow_tensor_file *file) {
  (void)file;
  return 0;
}

glow_status glow_tensor_file_get(const glow_tensor_file *file, int64_t index,
                                 glow_file_tensor *out) {
  (void)file, (void)index, (void)out;
  return unsupported("glow_tensor_file_get");
}

glow_status glow_tensor_file_find(const glow_tensor_file *file, const char *name,
                                  glow_file_tensor *out) {
  (void)file, (void)name, (void)out;
  return unsupported("glow_tensor_file_find");
}

int64_t glow_tensor_file_index(const glow_tensor_file *file, const char *name) {
  (void)file, (void)name;
  return -1;
}

glow_status glow_tensor_file_read(const glow_tensor_file *file, int64_t index, int64_t offset,
                                  void *buffer, size_t bytes) {
  (void)file, (void)index, (void)offset, (void)buffer, (void)bytes;
  return unsupported("glow_tensor_file_read");
}

const char *glow_tensor_file_metadata(const glow_tensor_file *file, const char *key) {
  (void)file, (void)key;
  return NULL;
}

int64_t glow_tensor_file_metadata_count(const glow_tensor_file *file) {
  (void)file;
  return 0;
}

glow_status glow_tensor_file_metadata_at(const glow_tensor_file *file, int64_t index,
                                         const char **key, const char **value) {
  (void)file, (void)index, (void)key, (void)value;
  return unsupported("glow_tensor_file_metadata_at");
}

glow_status glow_tensor_file_write(glow_context *context, const char *path,
                                   const glow_file_tensor *tensors, int64_t count,
                                   const char *const *metadata, int64_t pairs) {
  (void)context, (void)path, (void)tensors, (void)count, (void)metadata, (void)pairs;
  return unsupported("glow_tensor_file_write");
}

glow_status glow_tensor_file_write_output(glow_context *context, const glow_output *output,
                                          const glow_file_tensor *tensors, int64_t count,
                                          const char *const *metadata, int64_t pairs) {
  (void)context, (void)output, (void)tensors, (void)count, (void)metadata, (void)pairs;
  return unsupported("glow_tensor_file_write_output");
}

glow_status glow_tensor_writer_create(glow_context *context, const char *path,
                                      const glow_file_tensor *tensors, int64_t count,
                                      const char *const *metadata, int64_t pairs,
                                      glow_tensor_writer **out) {
  (void)context, (void)path, (void)tensors, (void)count, (void)metadata, (void)pairs;
  if (out)
    *out = NULL;
  return unsupported("glow_tensor_writer_create");
}

glow_status glow_tensor_writer_append(glow_tensor_writer *writer, int64_t index, const void *data,
                                      size_t bytes) {
  (void)writer, (void)index, (void)data, (void)bytes;
  return unsupported("glow_tensor_writer_append");
}

glow_status glow_tensor_writer_finish(glow_tensor_writer **writer) {
  (void)writer;
  return unsupported("glow_tensor_writer_finish");
}

void glow_tensor_writer_abandon(glow_tensor_writer **writer) {
  (void)writer;
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

glow_status glow_checkpoint_save(const glow_trainer *trainer, const char *path,
                                 const char *const *notes, int64_t pairs) {
  (void)trainer, (void)path, (void)notes, (void)pairs;
  return unsupported("glow_checkpoint_save");
}

glow_status glow_checkpoint_save_output(const glow_trainer *trainer, const glow_output *output,
                                        const char *const *notes, int64_t pairs) {
  (void)trainer, (void)output, (void)notes, (void)pairs;
  return unsupported("glow_checkpoint_save_output");
}

glow_status glow_checkpoint_save_series(const glow_trainer *trainer, const char *folder,
                                        int32_t keep, const char *const *notes, int64_t pairs) {
  (void)trainer, (void)folder, (void)keep, (void)notes, (void)pairs;
  return unsupported("glow_checkpoint_save_series");
}

glow_status glow_checkpoint_load(glow_context *context, const char *path, glow_model **model,
                                 glow_trainer **trainer) {
  (void)context, (void)path;
  return load_nothing("glow_checkpoint_load", model, trainer);
}

glow_status glow_checkpoint_load_input(glow_context *context, const glow_input *input,
                                       glow_model **model, glow_trainer **trainer) {
  (void)context, (void)input;
  return load_nothing("glow_checkpoint_load_input", model, trainer);
}

glow_status glow_checkpoint_load_average(glow_context *context, const char *path,
                                         glow_model **out) {
  (void)context, (void)path;
  return load_nothing("glow_checkpoint_load_average", out, NULL);
}

glow_status glow_checkpoint_load_average_input(glow_context *context, const glow_input *input,
                                               glow_model **out) {
  (void)context, (void)input;
  return load_nothing("glow_checkpoint_load_average_input", out, NULL);
}

glow_status glow_checkpoint_newest(glow_context *context, const char *folder,
                                   const glow_limits *limits, char *path, size_t size) {
  (void)context, (void)folder, (void)limits;
  if (path && size)
    path[0] = '\0';
  return unsupported("glow_checkpoint_newest");
}

glow_status glow_checkpoint_save_optimizer(const glow_optimizer *optimizer,
                                           const glow_output *output, const char *const *notes,
                                           int64_t pairs) {
  (void)optimizer, (void)output, (void)notes, (void)pairs;
  return unsupported("glow_checkpoint_save_optimizer");
}

glow_status glow_checkpoint_load_optimizer(glow_context *context, const glow_input *input,
                                           glow_model **model, glow_optimizer **optimizer) {
  (void)context, (void)input;
  if (optimizer)
    *optimizer = NULL;
  return load_nothing("glow_checkpoint_load_optimizer", model, NULL);
}

const char *glow_optimizer_note(const glow_optimizer *optimizer, const char *key) {
  (void)optimizer, (void)key;
  return NULL;
}

/* Notes only come from checkpoints. */
const char *glow_trainer_note(const glow_trainer *trainer, const char *key) {
  (void)trainer, (void)key;
  return NULL;
}

/* ---- models of other projects ---------------------------------------------------------------- */

glow_status glow_model_import(glow_context *context, const glow_input *input,
                              const glow_import_options *options, glow_model **out) {
  (void)context, (void)input, (void)options;
  return load_nothing("glow_model_import", out, NULL);
}

glow_status glow_model_export(const glow_model *model, int32_t format, const glow_output *output) {
  (void)model, (void)format, (void)output;
  return unsupported("glow_model_export");
}
