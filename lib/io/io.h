/* Internal face of io/. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_IO_H
#define GLOW_LIB_IO_H

#include <glow/io.h>

#include "base/base.h"

#define GLOW_FORMAT_VERSION 1

/* Limits of a tensor file that is read. */
enum { GLOW_IO_MAX_NAME = 4096, GLOW_IO_MAX_TENSORS = 1 << 20 };
#define GLOW_IO_MAX_HEADER ((int64_t)100000000)

/* Name of an element type in a file ("F32") and its size; NULL and 0 when there is none. */
const char *glow__type_name(int32_t type);
int64_t glow__type_size(int32_t type);

/* ---- a file that appears whole or not at all ------------------------------------------------- */

typedef struct glow__atomic_file {
  const char *path;
  char *temporary;
  char *directory;
  int descriptor;
  glow_context *context;
} glow__atomic_file;

glow_status glow__atomic_open(glow_context *context, const char *path, glow__atomic_file *file);
glow_status glow__atomic_write(glow__atomic_file *file, const void *data, size_t bytes);
/* Syncs and renames. The temporary file is gone, whatever happens. */
glow_status glow__atomic_commit(glow__atomic_file *file);
/* Removes the temporary file. */
void glow__atomic_abandon(glow__atomic_file *file);

/* ---- model files with more in them ----------------------------------------------------------- */

/* What a checkpoint adds to the file of its model. */
typedef struct glow__model_extras {
  const float *parameters;         /* in the place of the model's own */
  const glow_file_tensor *tensors; /* after the model's */
  int64_t count;
  const char *const *metadata; /* key, value, ... after the model's */
  int64_t pairs;
} glow__model_extras;
/* extras NULL: a plain model file. */
glow_status glow__model_file_write(const glow_model *model, const char *path,
                                   const glow__model_extras *extras);
/* The model of an open file. part NULL: its parameters are the tensors NAME; else NAME/part. The
 * error text does not name the file. */
glow_status glow__model_file_read(glow_context *context, glow_tensor_file *file, const char *part,
                                  glow_model **out);

/* Refuses float32 data, of any alignment, with NaN or infinity in them. */
glow_status glow__tensor_check_finite(const char *name, const void *data, int64_t elements);

/* ---- architecture as JSON -------------------------------------------------------------------- */

/* JSON text, owned by the caller (glow_release). */
glow_status glow__architecture_write(const glow_model *model, char **out);
/* A builder with all layers, and whether the model was initialised. */
glow_status glow__architecture_read(glow_context *context, const char *text, glow_builder **out,
                                    bool *initialised);

#endif
