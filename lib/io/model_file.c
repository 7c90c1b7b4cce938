/* Model files: all tensors of a model under their names, its architecture in the metadata.
 * Format: docs/format.md. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint.h"
#include "model/model.h"

/* ---- saving ---------------------------------------------------------------------------------- */

static const void *tensor_data(const glow_model *model, const float *parameters,
                               const glow_tensor_info *info) {
  return info->trainable ? (const void *)(parameters + info->offset)
                         : glow__model_fixed(model, info->name);
}

static glow_status list_tensors(const glow_model *model, const float *parameters,
                                glow_file_tensor *tensors) {
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    GLOW_TRY(glow_model_tensor(model, i, &info));
    tensors[i] = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    tensors[i].name = info.name;
    tensors[i].type = info.type == GLOW_TYPE_I32 ? GLOW_FILE_I32 : GLOW_FILE_F32;
    tensors[i].rank = info.rank;
    memcpy(tensors[i].dims, info.dims, (size_t)info.rank * sizeof *info.dims);
    tensors[i].bytes = info.elements * 4;
    tensors[i].data = tensor_data(model, parameters, &info);
  }
  return GLOW_OK;
}

enum { OWN_PAIRS = 3 };

static glow_status write_model(const glow_model *model, const glow_output *output,
                               const char *architecture, const glow__model_extras *extras,
                               glow_file_tensor *tensors, const char **metadata) {
  char version[16];
  int64_t count = glow_model_tensor_count(model);
  snprintf(version, sizeof version, "%d", GLOW_FORMAT_MAJOR);
  const char *own[2 * OWN_PAIRS] = {"glow.format_version", version,      "glow.library",
                                    glow_version(),        "glow.model", architecture};
  memcpy(metadata, own, sizeof own);
  if (extras->pairs)
    memcpy(metadata + 2 * OWN_PAIRS, extras->metadata,
           2 * (size_t)extras->pairs * sizeof *metadata);
  GLOW_TRY(list_tensors(model, extras->parameters, tensors));
  if (extras->count)
    memcpy(tensors + count, extras->tensors, (size_t)extras->count * sizeof *tensors);
  return glow_tensor_file_write_output(glow__model_context(model), output, tensors,
                                       count + extras->count, metadata, OWN_PAIRS + extras->pairs);
}

glow_status glow__model_file_write(const glow_model *model, const glow_output *output,
                                   const glow__model_extras *extras) {
  const glow__model_extras none = {glow_model_parameters(model), NULL, 0, NULL, 0};
  glow_context *context = glow__model_context(model);
  char *architecture = NULL;
  extras = extras ? extras : &none;
  GLOW_TRY(glow__architecture_write(model, &architecture));
  size_t count = (size_t)(glow_model_tensor_count(model) + extras->count);
  glow_file_tensor *tensors = glow_allocate(context, (count + 1) * sizeof *tensors);
  const char **metadata =
      glow_allocate(context, 2 * (size_t)(OWN_PAIRS + extras->pairs) * sizeof *metadata);
  glow_status status = tensors && metadata
                           ? write_model(model, output, architecture, extras, tensors, metadata)
                           : GLOW_E_MEMORY;
  glow_release(context, metadata);
  glow_release(context, tensors);
  glow_release(context, architecture);
  return status;
}

glow_status glow_model_save_output(const glow_model *model, const glow_output *output) {
  if (!model || !output)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_save: NULL argument");
  return glow__model_file_write(model, output, NULL);
}

glow_status glow_model_save(const glow_model *model, const char *path) {
  glow_output output = GLOW_OUTPUT_INIT;
  output.path = path;
  return glow_model_save_output(model, path ? &output : NULL);
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
  if (version > GLOW_FORMAT_MAJOR)
    return glow_error(GLOW_E_FORMAT, "format version %ld is newer than this library reads (%d)",
                      version, GLOW_FORMAT_MAJOR);
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

/* Which tensors there are besides the model's own: the parts of a checkpoint. */
typedef struct parts {
  const char *names[GLOW_CHECKPOINT_PARTS];
  int32_t count;
} parts;

static glow_status find_parts(const glow_tensor_file *file, parts *out) {
  const char *text = glow_tensor_file_metadata(file, GLOW_CHECKPOINT_KEY);
  glow__record record;
  out->count = 0;
  if (!text)
    return GLOW_OK;
  glow_status status = glow__record_read(text, &record);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "checkpoint");
  out->count = glow__record_parts(&record, out->names);
  return GLOW_OK;
}

static glow_status find_tensor(const glow_tensor_file *file, const glow_tensor_info *info,
                               const char *part, glow_file_tensor *tensor) {
  char name[GLOW_IO_MAX_NAME + 16];
  if (!part)
    return glow_tensor_file_find(file, info->name, tensor);
  snprintf(name, sizeof name, "%s/%s", info->name, part);
  return glow_tensor_file_find(file, name, tensor);
}

/* Is it a part of a trainable tensor? */
static bool is_part(const glow_model *model, const parts *p, const char *name) {
  char base[GLOW_IO_MAX_NAME + 1];
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  const char *slash = strrchr(name, '/');
  if (!slash || slash - name > GLOW_IO_MAX_NAME)
    return false;
  memcpy(base, name, (size_t)(slash - name));
  base[slash - name] = '\0';
  for (int32_t i = 0; i < p->count; i++)
    if (strcmp(slash + 1, p->names[i]) == 0)
      return glow_model_find_tensor(model, base, &info) == GLOW_OK && info.trainable;
  return false;
}

static glow_status refuse_surplus(const glow_tensor_file *file, const glow_model *model,
                                  const parts *p) {
  for (int64_t i = 0; i < glow_tensor_file_count(file); i++) {
    glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    GLOW_TRY(glow_tensor_file_get(file, i, &tensor));
    if (glow_model_find_tensor(model, tensor.name, &info) != GLOW_OK &&
        !is_part(model, p, tensor.name))
      return glow_error(GLOW_E_FORMAT, "tensor '%.200s' is not part of the architecture",
                        tensor.name);
  }
  return GLOW_OK;
}

/* The set of tensors must be that of the architecture, and of the checkpoint if it is one; before
 * memory for them is taken. */
static glow_status check_tensors(const glow_tensor_file *file, const glow_model *model,
                                 const parts *p) {
  int64_t expected = glow_model_tensor_count(model);
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
    GLOW_TRY(glow_model_tensor(model, i, &info));
    GLOW_TRY(find_tensor(file, &info, NULL, &tensor));
    GLOW_TRY(compare(&info, &tensor));
    for (int32_t k = 0; info.trainable && k < p->count; k++, expected++) {
      GLOW_TRY(find_tensor(file, &info, p->names[k], &tensor));
      GLOW_TRY(compare(&info, &tensor));
    }
  }
  return glow_tensor_file_count(file) == expected ? GLOW_OK : refuse_surplus(file, model, p);
}

glow_status glow__tensor_check_finite(const char *name, const void *data, int64_t elements) {
  for (int64_t i = 0; i < elements; i++) {
    float value;
    memcpy(&value, (const char *)data + 4 * i, sizeof value);
    if (!isfinite(value))
      return glow_error(GLOW_E_FORMAT, "tensor '%s': element %lld is not finite", name,
                        (long long)i);
  }
  return GLOW_OK;
}

typedef struct source {
  const glow_tensor_file *file;
  const char *part; /* of which trainable tensors are read, or NULL */
} source;

static glow_status read_tensors(glow_model *model, void *arg) {
  const source *from = arg;
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
    GLOW_TRY(glow_model_tensor(model, i, &info));
    GLOW_TRY(find_tensor(from->file, &info, info.trainable ? from->part : NULL, &tensor));
    if (info.type == GLOW_TYPE_F32)
      GLOW_TRY(glow__tensor_check_finite(tensor.name, tensor.data, info.elements));
    memcpy((void *)(uintptr_t)tensor_data(model, glow_model_parameters(model), &info), tensor.data,
           (size_t)tensor.bytes);
  }
  return GLOW_OK;
}

glow_status glow__model_file_read(glow_context *context, glow_tensor_file *file, const char *part,
                                  glow_model **out) {
  source from = {file, part};
  glow_builder *builder = NULL;
  bool initialised = false;
  parts p;
  GLOW_TRY(check_version(file));
  GLOW_TRY(find_parts(file, &p));
  glow_status status = glow__architecture_read(
      context, glow_tensor_file_metadata(file, "glow.model"), &builder, &initialised);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "architecture");
  status = check_tensors(file, glow__builder_model(builder), &p);
  if (status != GLOW_OK) {
    glow_builder_destroy(&builder);
    return status;
  }
  GLOW_TRY(glow__builder_finish_from(&builder, read_tensors, &from, out));
  return initialised ? glow_model_mark_initialised(*out) : GLOW_OK;
}

glow_status glow_model_load_input(glow_context *context, const glow_input *input,
                                  glow_model **out) {
  glow_tensor_file *file = NULL;
  if (out)
    *out = NULL;
  if (!context || !input || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_load: NULL argument");
  GLOW_TRY(glow_tensor_file_open_input(context, input, &file));
  glow_status status = glow__model_file_read(context, file, NULL, out);
  glow_tensor_file_close(&file);
  if (status == GLOW_OK)
    return GLOW_OK;
  glow__error_prefix(status, "'%s'", input->path ? input->path : "file");
  return status == GLOW_E_MEMORY ? status : GLOW_E_FORMAT;
}

glow_status glow_model_load(glow_context *context, const char *path, glow_model **out) {
  glow_input input = GLOW_INPUT_INIT;
  input.path = path;
  return glow_model_load_input(context, path ? &input : NULL, out);
}
