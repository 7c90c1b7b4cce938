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

/* Reads exactly `bytes` bytes at `offset` of the source into buffer. Any status but GLOW_OK ends
 * the reading and is returned to the caller. */
typedef glow_status (*glow_read_fn)(void *payload, int64_t offset, void *buffer, size_t bytes);
/* Takes the next `bytes` bytes of the file. Any status but GLOW_OK ends the writing and is returned
 * to the caller. */
typedef glow_status (*glow_write_fn)(void *payload, const void *data, size_t bytes);

/* Caps on what a reader accepts from a file; 0: the default. What exceeds one is refused with
 * GLOW_E_LIMIT. */
typedef struct glow_limits {
  size_t struct_size;
  int64_t file_bytes;      /* default: none */
  int64_t header_bytes;    /* of the JSON text; default 100,000,000, at most 2^31 - 1 */
  int64_t tensors;         /* default 1,048,576, at most 2^31 - 1 */
  int64_t rank;            /* default and at most GLOW_FILE_MAX_RANK */
  int64_t name_bytes;      /* of a tensor; default 4096, at most 2^24 */
  int64_t layers;          /* default 16,384, at most 100,000 */
  int64_t parameters;      /* trainable elements of a model; default: none (the file bounds them) */
  int64_t workspace_bytes; /* of passes: of a checkpoint's trainer, or of one sample through a
                              model; default: none. A small file may describe images of any size,
                              so a program that runs models of others sets this. */
  int64_t model_bytes;     /* of a model's parameters, fixed state and derived values; default:
                              none. They are at most 24 times the file. */
  int64_t prepare_work;    /* multiply-adds of preparing a model, on one thread, as its layers
                              declare them (glow_setup_prepare_work). A file of n bytes may ask for
                              n^1.5 of them: a 1x1 convolution of C channels takes 4/3 C^3. Default:
                              those of one of 4096 channels, 9.2e10 */
  int64_t metadata_bytes;  /* of a model's own metadata (glow_model_metadata); default and at most
                              GLOW_METADATA_BYTES */
} glow_limits;
#define GLOW_LIMITS_INIT                                                                           \
  { sizeof(glow_limits), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

enum {
  /* With a path: map the file into memory instead of reading it. A model uses the mapped parameters
   * in place if their type, order and alignment allow it (those that glow_model_save writes in
   * float32 do), and copies otherwise. It may be trained: pages are copied when they are written
   * to, and the file stays as it is. While it is mapped, no other program may shorten the file or
   * write to it; replacing it by a rename, as this library does, is fine. On big-endian machines
   * the file is read all the same. */
  GLOW_INPUT_MAP = 1,
  /* Tensor files: read only the header. glow_file_tensor.data is NULL, and glow_tensor_file_read
   * reads the data. Until it is closed, a file stays open, memory stays borrowed, and a callback
   * stays in use. */
  GLOW_INPUT_LAZY = 2
};

/* Where a file is read from: exactly one of path, data and read is set. */
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

/* Where a file is written to: exactly one of path, write and buffer is set. If none is, and
 * `written` is set, only the size is computed. */
typedef struct glow_output {
  size_t struct_size;
  const char *path;    /* a file, replaced whole or not at all: a temporary file beside it is
                          written, synced and renamed. Links at the path stay, and what they lead to
                          is replaced. The new file keeps the permissions of the old one, and its
                          owner, group and access list where this process may give them; otherwise
                          nobody gains access. Or */
  glow_write_fn write; /* a callback, which gets the file's bytes in their order; or */
  void *payload;
  void *buffer; /* the caller's memory of `capacity` bytes */
  size_t capacity;
  size_t *written; /* NULL, or where to put the size of the whole file in bytes, also if the buffer
                      is too small (GLOW_E_LIMIT, and the buffer is unchanged) */
  int32_t storage; /* of a model's weights (glow_tensor_info.weights): 0 or GLOW_TYPE_F32; or
                      GLOW_TYPE_BF16, rounded to the nearest, ties to even */
  uint32_t flags;  /* 0 */
} glow_output;
#define GLOW_OUTPUT_INIT                                                                           \
  { sizeof(glow_output), NULL, NULL, NULL, NULL, 0, NULL, 0, 0 }

/* ---- models ---------------------------------------------------------------------------------- */

/* Writes the model to `path`; at any moment the old file or the new one is there, and whole. An
 * inference form, or a layer that cannot be made again from its options, is refused; so is a
 * model that could not be loaded again, because a layer cannot prepare its parameters
 * (GLOW_E_NUMERIC, and nothing is touched). Parameters that changed since glow_model_prepare are
 * tried for this. */
GLOW_API glow_status glow_model_save(const glow_model *model, const char *path);
/* The same to any output. */
GLOW_API glow_status glow_model_save_output(const glow_model *model, const glow_output *output);
/* Reads a model, which is the caller's, from `path`. The file is not trusted. Types of layers and
 * nets are looked up in the context's registry. GLOW_E_FORMAT names the tensor or the byte that is
 * wrong; on failure *out is NULL. */
GLOW_API glow_status glow_model_load(glow_context *context, const char *path, glow_model **out);
/* The same from any input. */
GLOW_API glow_status glow_model_load_input(glow_context *context, const glow_input *input,
                                           glow_model **out);
/* What loading this model would take, without loading it: the bytes of its parameters, fixed state
 * and derived values, and those of a workspace for one sample. Only the header is read, and the
 * input's limits hold as for glow_model_load_input. Either pointer may be NULL. */
GLOW_API glow_status glow_model_load_bytes(glow_context *context, const glow_input *input,
                                           uint64_t *model_bytes, uint64_t *workspace_bytes);
/* 1: the parameters lie in a mapped file (GLOW_INPUT_MAP), which the model unmaps when it is
 * destroyed. */
GLOW_API int32_t glow_model_mapped(const glow_model *model);

/* ---- weights by name ------------------------------------------------------------------------- */

/* Writes to `out`, of `size` bytes, what the file calls the model's tensor `name`; "": leave this
 * tensor as it is. Two tensors may have the same name there. Any status but GLOW_OK ends the
 * filling and is returned to the caller. */
typedef glow_status (*glow_rename_fn)(const char *name, char *out, size_t size, void *payload);

/* What is told of tensors that are not filled, or not read. */
enum {
  GLOW_TENSOR_MISSING = 1801, /* the model has it, and the file does not */
  GLOW_TENSOR_UNUSED = 1802,  /* the file has it, and the model does not ask for it */
  GLOW_TENSOR_LEFT = 1803     /* the renaming function leaves it as it is */
};
/* what: GLOW_TENSOR_...; name: the model's, or of an unused tensor the file's, during the call. */
typedef void (*glow_tensor_note_fn)(int32_t what, const char *name, void *payload);

typedef struct glow_fill_options {
  size_t struct_size;
  glow_rename_fn rename; /* NULL: the file has the model's names */
  void *rename_payload;
  glow_tensor_note_fn note; /* NULL: none */
  void *note_payload;
  int32_t partial; /* 1: tensors that the file lacks keep their values; 0 (the default): they are an
                       error */
  int32_t reserved; /* 0 */
} glow_fill_options;
#define GLOW_FILL_OPTIONS_INIT                                                                     \
  { sizeof(glow_fill_options), NULL, NULL, NULL, NULL, 0, 0 }

/* Tensors of the model that the file filled, that it lacks, and that were left as they are; and
 * those of the file that nothing asked for. */
typedef struct glow_fill_report {
  size_t struct_size;
  int64_t filled, missing, unused, left;
} glow_fill_report;
#define GLOW_FILL_REPORT_INIT                                                                      \
  { sizeof(glow_fill_report), 0, 0, 0, 0 }

/* Fills a model with the tensors of a safetensors file, whoever wrote it, by their names. options
 * and report may be NULL.
 *
 * float32 takes F64, F32, BF16 and F16, rounded to the nearest, ties to even; int32 takes I64 and
 * I32. The shapes are the same but for sides of 1; elements are row-major, and are not reordered.
 * GLOW_E_FORMAT names a tensor of another type or shape, and an element that is not finite or too
 * large. GLOW_E_NOT_FOUND names the first tensor that is missing, unless `partial` is set; by then
 * all notes have been given, so that one run tells what a renaming function lacks. *report is
 * filled in whatever the status, as far as names were compared.
 *
 * All or nothing: after a failure, also if a layer cannot prepare the values (GLOW_E_NUMERIC), the
 * model is as it was. After success it is prepared, and if all of its tensors were filled it counts
 * as initialised. An inference form is refused (GLOW_E_STATE). No other thread may use the model
 * meanwhile. Takes memory for a second copy of what is filled. */
GLOW_API glow_status glow_model_fill(glow_model *model, const glow_input *input,
                                     const glow_fill_options *options, glow_fill_report *report);

/* ---- tensor files ---------------------------------------------------------------------------- */

/* A safetensors file that has been checked. It is immutable, so threads may share it. */
typedef struct glow_tensor_file glow_tensor_file;

#define GLOW_FILE_MAX_RANK 8
typedef struct glow_file_tensor {
  size_t struct_size;
  const char *name; /* owned by the file (reading) or the caller (writing) */
  int32_t type;     /* GLOW_TYPE_... */
  int32_t rank;     /* 0 to GLOW_FILE_MAX_RANK */
  int64_t dims[GLOW_FILE_MAX_RANK];
  int64_t bytes;    /* size of data */
  const void *data; /* elements in this machine's order of bytes (files are little-endian); not
                       necessarily aligned when reading. NULL in a lazy file, and for
                       glow_tensor_writer_create, which needs only the shape */
} glow_file_tensor;
#define GLOW_FILE_TENSOR_INIT                                                                      \
  { sizeof(glow_file_tensor), NULL, 0, 0, {0, 0, 0, 0, 0, 0, 0, 0}, 0, NULL }

/* Reads the whole file at `path`, and checks it. On failure *out is NULL. */
GLOW_API glow_status glow_tensor_file_open(glow_context *context, const char *path,
                                           glow_tensor_file **out);
/* The same from any input. */
GLOW_API glow_status glow_tensor_file_open_input(glow_context *context, const glow_input *input,
                                                 glow_tensor_file **out);
/* Closes the file, with all that it owns, and sets *file to NULL. NULL and a pointer to NULL are
 * fine. */
GLOW_API void glow_tensor_file_close(glow_tensor_file **file);
/* Number of tensors. They are in the order of their data. */
GLOW_API int64_t glow_tensor_file_tensor_count(const glow_tensor_file *file);
/* Describes tensor `index` in *out, whose struct_size the caller has set. */
GLOW_API glow_status glow_tensor_file_get(const glow_tensor_file *file, int64_t index,
                                          glow_file_tensor *out);
/* Describes the tensor of this name. GLOW_E_NOT_FOUND, with the name in the error text, if there is
 * none. */
GLOW_API glow_status glow_tensor_file_find(const glow_tensor_file *file, const char *name,
                                           glow_file_tensor *out);
/* Index of the tensor of this name; -1 if there is none. */
GLOW_API int64_t glow_tensor_file_index(const glow_tensor_file *file, const char *name);
/* Copies `bytes` bytes, from `offset` of the data of tensor `index`, to buffer, however the file
 * was opened. Both are of whole elements. Threads may do this at once, if a read callback behind
 * the file allows it. */
GLOW_API glow_status glow_tensor_file_read(const glow_tensor_file *file, int64_t index,
                                           int64_t offset, void *buffer, size_t bytes);
/* Text of a key of __metadata__; NULL if there is no such key. Owned by the file. */
GLOW_API const char *glow_tensor_file_metadata(const glow_tensor_file *file, const char *key);
/* Number of entries of __metadata__. They are sorted by their keys. */
GLOW_API int64_t glow_tensor_file_metadata_count(const glow_tensor_file *file);
/* Key and text of entry `index`, owned by the file. */
GLOW_API glow_status glow_tensor_file_metadata_at(const glow_tensor_file *file, int64_t index,
                                                  const char **key, const char **value);

/* Writes a file of `count` tensors in the given order, with `pairs` metadata entries key, value,
 * key, value, ... At any moment the old file at `path` or the new one is there, and whole. */
GLOW_API glow_status glow_tensor_file_write(glow_context *context, const char *path,
                                            const glow_file_tensor *tensors, int64_t count,
                                            const char *const *metadata, int64_t pairs);
/* The same to any output. */
GLOW_API glow_status glow_tensor_file_write_output(glow_context *context, const glow_output *output,
                                                   const glow_file_tensor *tensors, int64_t count,
                                                   const char *const *metadata, int64_t pairs);

/* A tensor file that is written piece by piece, for tensors larger than memory: first the shapes,
 * then the bytes of each tensor in order, with the tensors interleaved as the caller likes. The
 * file appears at its path when it is finished. A writer serves one thread at a time. */
typedef struct glow_tensor_writer glow_tensor_writer;
/* Starts a file of these tensors, whose `data` are not read. */
GLOW_API glow_status glow_tensor_writer_create(glow_context *context, const char *path,
                                               const glow_file_tensor *tensors, int64_t count,
                                               const char *const *metadata, int64_t pairs,
                                               glow_tensor_writer **out);
/* Writes the next `bytes` bytes of tensor `index`, which are whole elements. If they are not, or
 * more than is left of the tensor, it fails with GLOW_E_ARGUMENT and writes nothing. After a failed
 * write (GLOW_E_IO) the file can only be abandoned. */
GLOW_API glow_status glow_tensor_writer_append(glow_tensor_writer *writer, int64_t index,
                                               const void *data, size_t bytes);
/* Syncs the file and puts it in its place. Consumes *writer, on success and on failure, and sets it
 * to NULL. On failure, for instance because a tensor is not complete, no file is left. */
GLOW_API glow_status glow_tensor_writer_finish(glow_tensor_writer **writer);
/* Gives up, so that no file is left, and sets *writer to NULL. NULL and a pointer to NULL are
 * fine. */
GLOW_API void glow_tensor_writer_abandon(glow_tensor_writer **writer);

#ifdef __cplusplus
}
#endif
#endif
