/* Model files: safetensors with the architecture in __metadata__. Format: docs/format.md.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_IO_H
#define GLOW_IO_H

#include <glow/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the model to a temporary file beside `path`, syncs it and renames it: the old or the new
 * file is there, never half a one. */
GLOW_API glow_status glow_model_save(const glow_model *model, const char *path);
/* Reads a model. The file is not trusted. Layer types are looked up in the context's registry. */
GLOW_API glow_status glow_model_load(glow_context *context, const char *path, glow_model **out);

/* ---- tensor files ---------------------------------------------------------------------------- */

/* A safetensors file in memory: read whole and checked. Immutable, so threads may share it. */
typedef struct glow_tensor_file glow_tensor_file;

enum {
  GLOW_FILE_U8 = 1,
  GLOW_FILE_I32 = 2,
  GLOW_FILE_F32 = 3,
  GLOW_FILE_F64 = 4,
  GLOW_FILE_I64 = 5,
  GLOW_FILE_BF16 = 6
};
#define GLOW_FILE_MAX_RANK 8
typedef struct glow_file_tensor {
  size_t struct_size;
  const char *name; /* owned by the file (reading) or the caller (writing) */
  int32_t type;     /* GLOW_FILE_... */
  int32_t rank;     /* 0 to GLOW_FILE_MAX_RANK */
  int64_t dims[GLOW_FILE_MAX_RANK];
  int64_t bytes;    /* size of data */
  const void *data; /* little-endian; alignment is not promised when reading */
} glow_file_tensor;
#define GLOW_FILE_TENSOR_INIT                                                                      \
  { sizeof(glow_file_tensor), NULL, 0, 0, {0, 0, 0, 0, 0, 0, 0, 0}, 0, NULL }

GLOW_API glow_status glow_tensor_file_open(glow_context *context, const char *path,
                                           glow_tensor_file **out);
GLOW_API void glow_tensor_file_close(glow_tensor_file **file);
GLOW_API int64_t glow_tensor_file_count(const glow_tensor_file *file);
GLOW_API glow_status glow_tensor_file_get(const glow_tensor_file *file, int64_t index,
                                          glow_file_tensor *out);
/* GLOW_E_FORMAT, naming it, if there is none. */
GLOW_API glow_status glow_tensor_file_find(const glow_tensor_file *file, const char *name,
                                           glow_file_tensor *out);
/* Text of a __metadata__ key, NULL if absent. Owned by the file. */
GLOW_API const char *glow_tensor_file_metadata(const glow_tensor_file *file, const char *key);
/* The metadata by number, 0 to count - 1. */
GLOW_API int64_t glow_tensor_file_metadata_count(const glow_tensor_file *file);
GLOW_API glow_status glow_tensor_file_metadata_at(const glow_tensor_file *file, int64_t index,
                                                  const char **key, const char **value);
/* Writes tensors in the given order, with `pairs` metadata entries key, value, key, value, ... */
GLOW_API glow_status glow_tensor_file_write(glow_context *context, const char *path,
                                            const glow_file_tensor *tensors, int64_t count,
                                            const char *const *metadata, int64_t pairs);

#ifdef __cplusplus
}
#endif
#endif
