/* Model files: safetensors with the architecture in __metadata__. Format: docs/format.md. In a
 * build without files (-Dfiles=disabled) the functions here, of checkpoints and of importers return
 * GLOW_E_UNSUPPORTED.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_IO_H
#define GLOW_IO_H

#include <glow/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- where bytes come from ------------------------------------------------------------------- */

/* Reads exactly `bytes` bytes at `offset` of the source. Any status but GLOW_OK ends the reading
 * and is returned to the caller. */
typedef glow_status (*glow_read_fn)(void *payload, int64_t offset, void *buffer, size_t bytes);
/* Takes the next `bytes` bytes. Any status but GLOW_OK ends the writing and is returned. */
typedef glow_status (*glow_write_fn)(void *payload, const void *data, size_t bytes);

/* Caps on what a reader takes from a file; 0: the default. Beyond one: GLOW_E_LIMIT. */
typedef struct glow_limits {
  size_t struct_size;
  int64_t file_bytes;      /* default: none */
  int64_t header_bytes;    /* of the JSON text; default 100,000,000, at most 2^31 - 1 */
  int64_t tensors;         /* default 1,048,576, at most 2^31 - 1 */
  int64_t rank;            /* default and at most GLOW_FILE_MAX_RANK */
  int64_t name_bytes;      /* of a tensor; default 4096, at most 2^24 */
  int64_t layers;          /* default 16,384, at most 100,000 */
  int64_t parameters;      /* trainable numbers of a model; default: none (the file bounds them) */
  int64_t workspace_bytes; /* workspace of a checkpoint's trainer; default: none */
} glow_limits;
#define GLOW_LIMITS_INIT                                                                           \
  { sizeof(glow_limits), 0, 0, 0, 0, 0, 0, 0, 0 }

enum {
  /* With a path: map the file into memory instead of reading it. A model uses the mapped parameters
   * in place where their type, order and alignment allow (those of glow_model_save in float32 do),
   * else copies; it may be trained: pages are copied when they are written to, and the file stays
   * as it is. While it is mapped, no other program may shorten the file or write to it; replacing
   * it by a rename, as this library does, is fine. */
  GLOW_INPUT_MAP = 1,
  /* Tensor files: read the header only. glow_file_tensor.data is NULL, and data come through
   * glow_tensor_file_read. A file stays open; memory stays borrowed; a callback stays in use. */
  GLOW_INPUT_LAZY = 2
};

/* One of path, data and read is set. */
typedef struct glow_input {
  size_t struct_size;
  const char *path;  /* a regular file; or */
  const void *data;  /* `size` bytes in memory, borrowed until the tensor file is closed; or */
  glow_read_fn read; /* a callback over `size` bytes */
  void *payload;
  int64_t size;
  uint32_t flags;            /* GLOW_INPUT_... */
  uint32_t reserved;         /* 0 */
  const glow_limits *limits; /* NULL: the defaults */
} glow_input;
#define GLOW_INPUT_INIT                                                                            \
  { sizeof(glow_input), NULL, NULL, NULL, NULL, 0, 0, 0, NULL }

/* One of path, write and buffer is set; none, with `written`: only asks for the size. */
typedef struct glow_output {
  size_t struct_size;
  const char *path;    /* a file, replaced whole or not at all: written to a temporary file beside
                          it, which is synced and renamed; or */
  glow_write_fn write; /* a callback, which gets the file's bytes in their order; or */
  void *payload;
  void *buffer; /* the caller's memory of `capacity` bytes */
  size_t capacity;
  size_t *written; /* NULL, or where to put the number of bytes of the whole file; also when the
                      buffer is too small for it (GLOW_E_LIMIT, and the buffer is left alone) */
  int32_t storage; /* of a model's parameters: 0 or GLOW_TYPE_F32; GLOW_TYPE_BF16, rounded to the
                      nearest, ties to even */
  uint32_t flags;  /* 0 */
} glow_output;
#define GLOW_OUTPUT_INIT                                                                           \
  { sizeof(glow_output), NULL, NULL, NULL, NULL, 0, NULL, 0, 0 }

/* ---- models ---------------------------------------------------------------------------------- */

/* Writes the model to `path`: the old or the new file is there, never half a one. */
GLOW_API glow_status glow_model_save(const glow_model *model, const char *path);
GLOW_API glow_status glow_model_save_output(const glow_model *model, const glow_output *output);
/* Reads a model. The file is not trusted. Layer types are looked up in the context's registry. */
GLOW_API glow_status glow_model_load(glow_context *context, const char *path, glow_model **out);
GLOW_API glow_status glow_model_load_input(glow_context *context, const glow_input *input,
                                           glow_model **out);
/* 1: the parameters lie in a mapped file (GLOW_INPUT_MAP); the model unmaps it in the end. */
GLOW_API int32_t glow_model_mapped(const glow_model *model);

/* ---- tensor files ---------------------------------------------------------------------------- */

/* A safetensors file that was checked. Immutable, so threads may share it. */
typedef struct glow_tensor_file glow_tensor_file;

#define GLOW_FILE_MAX_RANK 8
typedef struct glow_file_tensor {
  size_t struct_size;
  const char *name; /* owned by the file (reading) or the caller (writing) */
  int32_t type;     /* GLOW_FILE_... */
  int32_t rank;     /* 0 to GLOW_FILE_MAX_RANK */
  int64_t dims[GLOW_FILE_MAX_RANK];
  int64_t bytes;    /* size of data */
  const void *data; /* little-endian; alignment is not promised when reading. NULL: a lazy file, or
                       a shape for glow_tensor_writer_create */
} glow_file_tensor;
#define GLOW_FILE_TENSOR_INIT                                                                      \
  { sizeof(glow_file_tensor), NULL, 0, 0, {0, 0, 0, 0, 0, 0, 0, 0}, 0, NULL }

/* Reads the whole file at `path`. */
GLOW_API glow_status glow_tensor_file_open(glow_context *context, const char *path,
                                           glow_tensor_file **out);
GLOW_API glow_status glow_tensor_file_open_input(glow_context *context, const glow_input *input,
                                                 glow_tensor_file **out);
GLOW_API void glow_tensor_file_close(glow_tensor_file **file);
/* Tensors in the order of their data. */
GLOW_API int64_t glow_tensor_file_tensor_count(const glow_tensor_file *file);
GLOW_API glow_status glow_tensor_file_get(const glow_tensor_file *file, int64_t index,
                                          glow_file_tensor *out);
/* GLOW_E_NOT_FOUND, naming it, if there is none. */
GLOW_API glow_status glow_tensor_file_find(const glow_tensor_file *file, const char *name,
                                           glow_file_tensor *out);
/* Number of the tensor of this name; -1: none. */
GLOW_API int64_t glow_tensor_file_index(const glow_tensor_file *file, const char *name);
/* Copies `bytes` bytes from `offset` of the data of tensor `index`, however the file was opened.
 * Threads may share the file, if a read callback behind it allows that. */
GLOW_API glow_status glow_tensor_file_read(const glow_tensor_file *file, int64_t index,
                                           int64_t offset, void *buffer, size_t bytes);
/* Text of a __metadata__ key, NULL if absent. Owned by the file. */
GLOW_API const char *glow_tensor_file_metadata(const glow_tensor_file *file, const char *key);
/* Metadata by number, sorted by their keys. */
GLOW_API int64_t glow_tensor_file_metadata_count(const glow_tensor_file *file);
GLOW_API glow_status glow_tensor_file_metadata_at(const glow_tensor_file *file, int64_t index,
                                                  const char **key, const char **value);

/* Writes tensors in the given order, with `pairs` metadata entries key, value, key, value, ... */
GLOW_API glow_status glow_tensor_file_write(glow_context *context, const char *path,
                                            const glow_file_tensor *tensors, int64_t count,
                                            const char *const *metadata, int64_t pairs);
GLOW_API glow_status glow_tensor_file_write_output(glow_context *context, const glow_output *output,
                                                   const glow_file_tensor *tensors, int64_t count,
                                                   const char *const *metadata, int64_t pairs);

/* A tensor file written piece by piece, for tensors larger than memory: shapes first (data is not
 * read), then the bytes of each tensor in their order, tensors interleaved as the caller likes. The
 * file appears at its path when it is finished. For one thread at a time. */
typedef struct glow_tensor_writer glow_tensor_writer;
GLOW_API glow_status glow_tensor_writer_create(glow_context *context, const char *path,
                                               const glow_file_tensor *tensors, int64_t count,
                                               const char *const *metadata, int64_t pairs,
                                               glow_tensor_writer **out);
/* More bytes than are left of the tensor: GLOW_E_ARGUMENT, and nothing is written. After a failed
 * write (GLOW_E_IO) the file can only be abandoned. */
GLOW_API glow_status glow_tensor_writer_append(glow_tensor_writer *writer, int64_t index,
                                               const void *data, size_t bytes);
/* Syncs the file and puts it in its place, whole. Consumes *writer, on success and on failure, and
 * sets it to NULL; on failure (a tensor is not complete, say) no file is left. */
GLOW_API glow_status glow_tensor_writer_finish(glow_tensor_writer **writer);
/* Gives up: no file is left. NULL and a pointer to NULL are fine. */
GLOW_API void glow_tensor_writer_abandon(glow_tensor_writer **writer);

#ifdef __cplusplus
}
#endif
#endif
