/* What the importers read: tensors of a file, by the names that a project gave them, checked for
 * shape and finiteness, in double. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/import.h"

/* The whole name, PREFIX FROM name. The projects' names are short, so one that does not fit is not
 * one of theirs. */
static const char *full_name(const glow__import *im, const char *name, char *out, size_t size) {
  snprintf(out, size, "%s%s%s", im->prefix, im->from, name);
  return out;
}

bool glow__import_has(const glow__import *im, const char *name) {
  char full[2 * GLOW_IMPORT_NAME];
  return glow_tensor_file_index(im->file, full_name(im, name, full, sizeof full)) >= 0;
}

static glow_status import_source_find(const glow__import *im, const char *name, int64_t *index,
                                      glow_file_tensor *tensor) {
  char full[2 * GLOW_IMPORT_NAME];
  *index = glow_tensor_file_index(im->file, full_name(im, name, full, sizeof full));
  if (*index < 0)
    return glow_error(GLOW_E_FORMAT, "the file has no tensor '%s', which %s has here", full,
                      im->format->project);
  return glow_tensor_file_get(im->file, *index, tensor);
}

glow_status glow__import_dim(const glow__import *im, const char *name, int32_t rank, int32_t index,
                             int64_t limit, int64_t *out) {
  glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
  int64_t at;
  GLOW_TRY(import_source_find(im, name, &at, &tensor));
  if (tensor.rank != rank)
    return glow_error(GLOW_E_FORMAT, "tensor '%s' has %d dimensions; it must have %d", tensor.name,
                      tensor.rank, rank);
  if (tensor.dims[index] < 1 || tensor.dims[index] > limit)
    return glow_error(GLOW_E_FORMAT, "tensor '%s': dimension %d is %lld; it must be 1 to %lld",
                      tensor.name, index, (long long)tensor.dims[index], (long long)limit);
  *out = tensor.dims[index];
  return GLOW_OK;
}

static glow_status check_shape(const glow_file_tensor *tensor, int32_t rank, const int64_t *dims) {
  char found[256], wanted[256];
  bool same = tensor->rank == rank;
  for (int32_t i = 0; same && i < rank; i++)
    same = tensor->dims[i] == dims[i];
  if (same)
    return GLOW_OK;
  return glow_error(GLOW_E_FORMAT,
                    "tensor '%.200s' has the shape %s, but %s would fit the other tensors",
                    tensor->name, glow__dims_text(tensor->rank, tensor->dims, found, sizeof found),
                    glow__dims_text(rank, dims, wanted, sizeof wanted));
}

static glow_status locate(glow__import *im, const char *name, int32_t rank, const int64_t *dims,
                          bool integers, int64_t *index, glow_file_tensor *tensor) {
  GLOW_TRY(import_source_find(im, name, index, tensor));
  GLOW_TRY(check_shape(tensor, rank, dims));
  if (!(integers ? glow__type_is_whole(tensor->type) : glow__type_is_real(tensor->type)))
    return glow_error(GLOW_E_FORMAT, "tensor '%.200s' is not of %s numbers", tensor->name,
                      integers ? "whole" : "floating-point");
  im->known[*index] = 1;
  return GLOW_OK;
}

/* ---- values ---------------------------------------------------------------------------------- */

glow_status glow__import_read_flag(glow__import *im, const char *name, int64_t *out) {
  glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
  unsigned char raw[8] = {0};
  int64_t index;
  GLOW_TRY(import_source_find(im, name, &index, &tensor));
  if (tensor.bytes != glow__type_size(tensor.type))
    return glow_error(GLOW_E_FORMAT, "tensor '%.200s' is not one number", tensor.name);
  GLOW_TRY(glow_tensor_file_read(im->file, index, 0, raw, (size_t)tensor.bytes));
  im->known[index] = 1;
  *out = (int64_t)glow__bits_at(raw, tensor.bytes);
  return GLOW_OK;
}

static int64_t elements_of(const glow_file_tensor *tensor) {
  return tensor->bytes / glow__type_size(tensor->type);
}

/* The tensor's bytes, in memory with room for 8 bytes of each element. raw is at the end of it, so
 * that elements can be widened from the first to the last without overwriting any that is still
 * needed. */
static glow_status import_source_load(glow__import *im, int64_t index,
                                      const glow_file_tensor *tensor, void **room,
                                      unsigned char **raw) {
  int64_t bytes;
  if (!glow_size_multiply(elements_of(tensor), 8, &bytes))
    return glow_error(GLOW_E_LIMIT, "tensor '%.200s' is too large", tensor->name);
  unsigned char *memory = glow_allocate(im->context, (size_t)bytes);
  if (!memory)
    return GLOW_E_MEMORY;
  *raw = memory + (bytes - tensor->bytes);
  *room = memory;
  glow_status status = glow_tensor_file_read(im->file, index, 0, *raw, (size_t)tensor->bytes);
  if (status != GLOW_OK) {
    glow_release(im->context, memory);
    *room = NULL;
  }
  return status;
}

glow_status glow__import_read(glow__import *im, const char *name, int32_t rank, const int64_t *dims,
                              double **out) {
  glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
  unsigned char *raw = NULL;
  void *room = NULL;
  int64_t index;
  *out = NULL;
  GLOW_TRY(locate(im, name, rank, dims, false, &index, &tensor));
  if (!im->model)
    return GLOW_OK;
  GLOW_TRY(import_source_load(im, index, &tensor, &room, &raw));
  double *values = room;
  for (int64_t i = 0; i < elements_of(&tensor); i++) {
    double value = glow__real_at(raw + i * glow__type_size(tensor.type), tensor.type);
    if (!isfinite(value)) {
      glow_release(im->context, room);
      return glow_error(GLOW_E_FORMAT, "tensor '%.200s': element %lld is not finite", tensor.name,
                        (long long)i);
    }
    values[i] = value;
  }
  *out = values;
  return GLOW_OK;
}

static glow_status read_indices(const glow_file_tensor *tensor, const unsigned char *raw,
                                int64_t count, unsigned char *seen, int32_t *indices) {
  for (int64_t i = 0; i < count; i++) {
    int64_t value = glow__whole_at(raw + i * glow__type_size(tensor->type), tensor->type);
    if (value < 0 || value >= count || seen[value]++)
      return glow_error(GLOW_E_FORMAT, "tensor '%.200s' is not a permutation: element %lld is %lld",
                        tensor->name, (long long)i, (long long)value);
    indices[i] = (int32_t)value;
  }
  return GLOW_OK;
}

glow_status glow__import_read_permutation(glow__import *im, const char *name, int64_t count,
                                          int32_t **out) {
  glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
  unsigned char *raw = NULL;
  void *room = NULL;
  int64_t index;
  *out = NULL;
  GLOW_TRY(locate(im, name, GLOW_SHAPE(count), true, &index, &tensor));
  if (!im->model)
    return GLOW_OK;
  GLOW_TRY(import_source_load(im, index, &tensor, &room, &raw));
  unsigned char *seen = glow_allocate(im->context, (size_t)count);
  int32_t *indices = seen ? glow_allocate(im->context, (size_t)count * sizeof *indices) : NULL;
  glow_status status = indices ? read_indices(&tensor, raw, count, seen, indices) : GLOW_E_MEMORY;
  glow_release(im->context, seen);
  glow_release(im->context, room);
  if (status != GLOW_OK) {
    glow_release(im->context, indices);
    return status;
  }
  *out = indices;
  return GLOW_OK;
}
