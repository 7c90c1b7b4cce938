/* Model files: all tensors of a model under their names, its architecture in the metadata.
 * Format: docs/format.md. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "model/model.h"

/* ---- saving ---------------------------------------------------------------------------------- */

static const void *tensor_data(const glow_model *model, const glow_tensor_info *info) {
  return info->trainable ? (const void *)(glow_model_parameters(model) + info->offset)
                         : glow__model_fixed(model, info->name);
}

static glow_status list_tensors(const glow_model *model, glow_file_tensor *tensors) {
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    GLOW_TRY(glow_model_tensor(model, i, &info));
    tensors[i] = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    tensors[i].name = info.name;
    tensors[i].type = info.type == GLOW_TYPE_I32 ? GLOW_FILE_I32 : GLOW_FILE_F32;
    tensors[i].rank = info.rank;
    memcpy(tensors[i].dims, info.dims, (size_t)info.rank * sizeof *info.dims);
    tensors[i].bytes = info.elements * 4;
    tensors[i].data = tensor_data(model, &info);
  }
  return GLOW_OK;
}

static glow_status write_model(const glow_model *model, const char *path, const char *architecture,
                               glow_file_tensor *tensors) {
  char version[16];
  snprintf(version, sizeof version, "%d", GLOW_FORMAT_VERSION);
  const char *metadata[] = {"glow.format_version", version,      "glow.library",
                            glow_version(),        "glow.model", architecture};
  GLOW_TRY(list_tensors(model, tensors));
  return glow_tensor_file_write(glow__model_context(model), path, tensors,
                                glow_model_tensor_count(model), metadata, 3);
}

glow_status glow_model_save(const glow_model *model, const char *path) {
  char *architecture = NULL;
  if (!model || !path)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_save: NULL argument");
  glow_context *context = glow__model_context(model);
  GLOW_TRY(glow__architecture_write(model, &architecture));
  size_t count = (size_t)glow_model_tensor_count(model);
  glow_file_tensor *tensors = glow_allocate(context, (count + 1) * sizeof *tensors);
  glow_status status = tensors ? write_model(model, path, architecture, tensors) : GLOW_E_MEMORY;
  glow_release(context, tensors);
  glow_release(context, architecture);
  return status;
}

/* ---- loading --------------------------------------------------------------------------------- */

static glow_status check_version(const glow_tensor_file *file) {
  const char *text = glow_tensor_file_metadata(file, "glow.format_version");
  if (!text || !glow_tensor_file_metadata(file, "glow.model"))
    return glow_error(GLOW_E_FORMAT, "it is a safetensors file, but holds no libglow model");
  char *end = NULL;
  long version = strtol(text, &end, 10);
  if (!*text || *end || version < 1)
    return glow_error(GLOW_E_FORMAT, "format version '%.20s' is not a number", text);
  if (version > GLOW_FORMAT_VERSION)
    return glow_error(GLOW_E_FORMAT, "format version %ld is newer than this library reads (%d)",
                      version, GLOW_FORMAT_VERSION);
  return GLOW_OK;
}

static glow_status compare(const glow_tensor_info *info, const glow_file_tensor *tensor) {
  bool same = tensor->rank == info->rank &&
              tensor->type == (info->type == GLOW_TYPE_I32 ? GLOW_FILE_I32 : GLOW_FILE_F32);
  for (int32_t i = 0; same && i < info->rank; i++)
    same = tensor->dims[i] == info->dims[i];
  if (!same)
    return glow_error(GLOW_E_FORMAT,
                      "tensor '%s' has another type or shape than the architecture says",
                      info->name);
  return GLOW_OK;
}

/* The set of tensors must be that of the architecture; before memory for them is taken. */
static glow_status check_tensors(const glow_tensor_file *file, const glow_model *model) {
  int32_t count = glow_model_tensor_count(model);
  for (int32_t i = 0; i < count; i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
    GLOW_TRY(glow_model_tensor(model, i, &info));
    GLOW_TRY(glow_tensor_file_find(file, info.name, &tensor));
    GLOW_TRY(compare(&info, &tensor));
  }
  for (int64_t i = 0; glow_tensor_file_count(file) != count && i < glow_tensor_file_count(file);
       i++) {
    glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
    GLOW_TRY(glow_tensor_file_get(file, i, &tensor));
    if (glow_model_find_tensor(model, tensor.name, &(glow_tensor_info)GLOW_TENSOR_INFO_INIT) !=
        GLOW_OK)
      return glow_error(GLOW_E_FORMAT, "tensor '%.200s' is not part of the architecture",
                        tensor.name);
  }
  return GLOW_OK;
}

static glow_status check_finite(const char *name, const void *data, int64_t elements) {
  for (int64_t i = 0; i < elements; i++) {
    float value;
    memcpy(&value, (const char *)data + 4 * i, sizeof value);
    if (!isfinite(value))
      return glow_error(GLOW_E_FORMAT, "tensor '%s': element %lld is not finite", name,
                        (long long)i);
  }
  return GLOW_OK;
}

static glow_status read_tensors(glow_model *model, void *arg) {
  const glow_tensor_file *file = arg;
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
    GLOW_TRY(glow_model_tensor(model, i, &info));
    GLOW_TRY(glow_tensor_file_find(file, info.name, &tensor));
    if (info.type == GLOW_TYPE_F32)
      GLOW_TRY(check_finite(info.name, tensor.data, info.elements));
    memcpy((void *)(uintptr_t)tensor_data(model, &info), tensor.data, (size_t)tensor.bytes);
  }
  return GLOW_OK;
}

static glow_status read_model(glow_context *context, glow_tensor_file *file, glow_model **out) {
  glow_builder *builder = NULL;
  bool initialised = false;
  GLOW_TRY(check_version(file));
  glow_status status = glow__architecture_read(
      context, glow_tensor_file_metadata(file, "glow.model"), &builder, &initialised);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "architecture");
  status = check_tensors(file, glow__builder_model(builder));
  if (status != GLOW_OK) {
    glow_builder_destroy(&builder);
    return status;
  }
  GLOW_TRY(glow__builder_finish_from(&builder, read_tensors, file, out));
  return initialised ? glow_model_mark_initialised(*out) : GLOW_OK;
}

glow_status glow_model_load(glow_context *context, const char *path, glow_model **out) {
  glow_tensor_file *file = NULL;
  if (out)
    *out = NULL;
  if (!context || !path || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_load: NULL argument");
  GLOW_TRY(glow_tensor_file_open(context, path, &file));
  glow_status status = read_model(context, file, out);
  glow_tensor_file_close(&file);
  if (status == GLOW_OK)
    return GLOW_OK;
  glow__error_prefix(status, "'%s'", path);
  return status == GLOW_E_MEMORY ? status : GLOW_E_FORMAT;
}
