/* Writing safetensors: in one call from tensors in memory, or piece by piece.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "io/io.h"

/* ---- in one call ----------------------------------------------------------------------------- */

static glow_status tensor_writer_write_all(glow__sink *sink, const glow__preamble *preamble,
                                           const glow_file_tensor *tensors, int64_t count) {
  GLOW_TRY(glow__sink_write(sink, preamble->bytes, preamble->size));
  for (int64_t i = 0; i < count; i++)
    GLOW_TRY(glow__sink_elements(sink, tensors[i].data, tensors[i].bytes,
                                 glow__type_size(tensors[i].type)));
  return GLOW_OK;
}

static glow_status write_to(glow_context *context, const glow_output *output,
                            const glow__preamble *preamble, const glow_file_tensor *tensors,
                            int64_t count) {
  glow__sink sink;
  GLOW_TRY(glow__sink_open(context, output, preamble->size + preamble->data_bytes, &sink));
  glow_status status = GLOW_OK;
  if (glow__output_wants_bytes(output))
    status = tensor_writer_write_all(&sink, preamble, tensors, count);
  if (status == GLOW_OK)
    return glow__sink_commit(&sink);
  glow__sink_abandon(&sink);
  return status;
}

static glow_status check_data(const glow_file_tensor *tensors, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (tensors[i].bytes && !tensors[i].data)
      return glow_error(GLOW_E_ARGUMENT, "tensor '%.100s' has no data", tensors[i].name);
  return GLOW_OK;
}

glow_status glow_tensor_file_write_output(glow_context *context, const glow_output *output,
                                          const glow_file_tensor *tensors, int64_t count,
                                          const char *const *metadata, int64_t pairs) {
  GLOW_LIVE(context, CONTEXT);
  glow__preamble preamble;
  glow_output o;
  if (!context || !output)
    return glow_error(GLOW_E_ARGUMENT, "glow_tensor_file_write: NULL argument");
  GLOW_TRY(glow__output_copy(output, &o));
  if (o.storage)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_output: storage is only for models; a tensor has its own type");
  GLOW_TRY(glow__preamble_make(context, tensors, count, metadata, pairs, &preamble));
  glow_status status = check_data(tensors, count);
  if (status == GLOW_OK)
    status = write_to(context, &o, &preamble, tensors, count);
  glow_release(context, preamble.bytes);
  return status;
}

glow_status glow_tensor_file_write(glow_context *context, const char *path,
                                   const glow_file_tensor *tensors, int64_t count,
                                   const char *const *metadata, int64_t pairs) {
  glow_output output = GLOW_OUTPUT_INIT;
  output.path = path;
  return glow_tensor_file_write_output(context, path ? &output : NULL, tensors, count, metadata,
                                       pairs);
}

/* ---- piece by piece -------------------------------------------------------------------------- */

typedef struct piece {
  int64_t begin, bytes, done; /* begin: in the file */
  int64_t size;               /* of an element */
} piece;

struct glow_tensor_writer {
  glow_context *context;
  glow__atomic_file file;
  piece *pieces;
  int64_t count;
  bool failed;
};

static glow_status tensor_writer_start(glow_tensor_writer *writer, const char *path,
                                       const glow_file_tensor *tensors,
                                       const glow__preamble *preamble) {
  int64_t at = preamble->size;
  writer->pieces = glow_allocate(writer->context, ((size_t)writer->count + 1) * sizeof(piece));
  if (!writer->pieces)
    return GLOW_E_MEMORY;
  for (int64_t i = 0; i < writer->count; i++) {
    writer->pieces[i] = (piece){at, tensors[i].bytes, 0, glow__type_size(tensors[i].type)};
    at += tensors[i].bytes;
  }
  GLOW_TRY(glow__atomic_open(writer->context, path, &writer->file));
  return glow__atomic_write(&writer->file, 0, preamble->bytes, preamble->size);
}

glow_status glow_tensor_writer_create(glow_context *context, const char *path,
                                      const glow_file_tensor *tensors, int64_t count,
                                      const char *const *metadata, int64_t pairs,
                                      glow_tensor_writer **out) {
  glow__preamble preamble;
  if (out)
    *out = NULL;
  GLOW_LIVE(context, CONTEXT);
  if (!context || !path || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_tensor_writer_create: NULL argument");
  GLOW_TRY(glow__preamble_make(context, tensors, count, metadata, pairs, &preamble));
  glow_tensor_writer *writer = glow_allocate(context, sizeof *writer);
  glow_status status = GLOW_E_MEMORY;
  if (writer) {
    glow__live_add(writer, GLOW_LIVE_WRITER);
    writer->context = glow__context_hold(context);
    writer->file.descriptor = -1;
    writer->count = count;
    status = tensor_writer_start(writer, path, tensors, &preamble);
  }
  glow_release(context, preamble.bytes);
  if (status != GLOW_OK)
    glow_tensor_writer_abandon(&writer);
  *out = writer;
  return status;
}

static glow_status append_elements(const glow__atomic_file *file, const piece *p, const char *data,
                                   int64_t bytes) {
  glow__ordered ordered;
  for (int64_t at = 0, here; at < bytes; at += here) {
    here = glow__file_order(data + at, bytes - at, p->size, &ordered);
    GLOW_TRY(glow__atomic_write(file, p->begin + p->done + at, ordered.data, here));
  }
  return GLOW_OK;
}

glow_status glow_tensor_writer_append(glow_tensor_writer *writer, int64_t index, const void *data,
                                      size_t bytes) {
  GLOW_LIVE(writer, WRITER);
  if (!writer || (bytes && !data))
    return glow_error(GLOW_E_ARGUMENT, "glow_tensor_writer_append: NULL argument");
  if (index < 0 || index >= writer->count)
    return glow_error(GLOW_E_ARGUMENT, "the writer has no tensor %lld", (long long)index);
  piece *p = &writer->pieces[index];
  if (bytes > (uint64_t)(p->bytes - p->done))
    return glow_error(
        GLOW_E_ARGUMENT, "tensor %lld: %zu more bytes, but only %lld of %lld are left",
        (long long)index, bytes, (long long)(p->bytes - p->done), (long long)p->bytes);
  if ((int64_t)bytes % p->size)
    return glow_error(GLOW_E_ARGUMENT,
                      "tensor %lld has elements of %lld bytes; %zu bytes are not whole ones",
                      (long long)index, (long long)p->size, bytes);
  if (writer->failed)
    return glow_error(GLOW_E_STATE, "writing failed earlier");
  glow_status status = append_elements(&writer->file, p, data, (int64_t)bytes);
  writer->failed = status != GLOW_OK;
  if (status == GLOW_OK)
    p->done += (int64_t)bytes;
  return status;
}

static glow_status check_complete(const glow_tensor_writer *writer) {
  if (writer->failed)
    return glow_error(GLOW_E_STATE, "writing failed earlier");
  for (int64_t i = 0; i < writer->count; i++)
    if (writer->pieces[i].done < writer->pieces[i].bytes)
      return glow_error(GLOW_E_STATE, "tensor %lld has %lld of its %lld bytes", (long long)i,
                        (long long)writer->pieces[i].done, (long long)writer->pieces[i].bytes);
  return GLOW_OK;
}

glow_status glow_tensor_writer_finish(glow_tensor_writer **writer) {
  if (!writer || !*writer)
    return glow_error(GLOW_E_ARGUMENT, "glow_tensor_writer_finish: NULL argument");
  GLOW_LIVE(*writer, WRITER);
  glow_status status = check_complete(*writer);
  if (status == GLOW_OK)
    status = glow__atomic_commit(&(*writer)->file);
  glow_tensor_writer_abandon(writer);
  return status;
}

void glow_tensor_writer_abandon(glow_tensor_writer **writer) {
  if (!writer || !*writer)
    return;
  GLOW_LIVE_END(*writer, WRITER);
  glow_context *context = (*writer)->context;
  if ((*writer)->file.path)
    glow__atomic_abandon(&(*writer)->file);
  glow_release(context, (*writer)->pieces);
  glow_release(context, *writer);
  glow__context_drop(context);
  *writer = NULL;
}
