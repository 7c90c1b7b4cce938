/* Where the bytes of a file go: to a path, a callback, the caller's memory, or nowhere, if only
 * their count is wanted. SPDX-License-Identifier: MIT */
#include <string.h>

#include "io/io.h"

bool glow__output_wants_bytes(const glow_output *output) {
  return output->path || output->write || output->buffer || output->capacity;
}

glow_status glow__output_copy(const glow_output *from, glow_output *to) {
  *to = (glow_output)GLOW_OUTPUT_INIT;
  if (!from)
    return glow_error(GLOW_E_ARGUMENT, "glow_output: NULL");
  GLOW_TRY(glow__options_copy(to, sizeof *to, from, sizeof *to, "glow_output"));
  int places = (to->path != NULL) + (to->write != NULL) + (to->buffer != NULL);
  if (places > 1 || (places == 0 && (!to->written || to->capacity)))
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_output: exactly one of path, write and buffer must be set, or "
                      "only `written`, to ask for the size");
  if (to->flags)
    return glow_error(GLOW_E_ARGUMENT, "glow_output: flags must be 0");
  if (to->storage != 0 && to->storage != GLOW_TYPE_F32 && to->storage != GLOW_TYPE_BF16)
    return glow_error(
        GLOW_E_ARGUMENT,
        "glow_output: storage is %d; it must be GLOW_TYPE_F32 (%d), GLOW_TYPE_BF16 (%d) or 0",
        (int)to->storage, GLOW_TYPE_F32, GLOW_TYPE_BF16);
  if (to->written)
    *to->written = 0;
  return GLOW_OK;
}

glow_status glow__sink_open(glow_context *context, const glow_output *output, int64_t size,
                            glow__sink *sink) {
  *sink = (glow__sink){.output = *output, .size = size};
  if ((uint64_t)size > SIZE_MAX)
    return glow_error(GLOW_E_LIMIT, "a file of %lld bytes is too large", (long long)size);
  if (output->written)
    *output->written = (size_t)size;
  if (output->buffer && output->capacity < (size_t)size)
    return glow_error(GLOW_E_LIMIT, "the file has %lld bytes, the buffer %zu", (long long)size,
                      output->capacity);
  return output->path ? glow__atomic_open(context, output->path, &sink->file) : GLOW_OK;
}

glow_status glow__sink_write(glow__sink *sink, const void *data, int64_t bytes) {
  const glow_output *output = &sink->output;
  glow_status status = GLOW_OK;
  if (bytes == 0)
    return GLOW_OK;
  if (output->path)
    status = glow__atomic_write(&sink->file, sink->at, data, bytes);
  else if (output->buffer)
    memcpy((char *)output->buffer + sink->at, data, (size_t)bytes);
  else if (output->write &&
           (status = output->write(output->payload, data, (size_t)bytes)) != GLOW_OK)
    glow_error(status, "the write callback failed at byte %lld, %lld bytes: %s",
               (long long)sink->at, (long long)bytes, glow_status_text(status));
  sink->at += bytes;
  if (output->path && status == GLOW_OK)
    glow__atomic_push(&sink->file, &sink->pushed, sink->at);
  return status;
}

glow_status glow__sink_elements(glow__sink *sink, const void *data, int64_t bytes, int64_t size) {
  glow__ordered ordered;
  for (int64_t at = 0, here; at < bytes; at += here) {
    here = glow__file_order((const char *)data + at, bytes - at, size, &ordered);
    GLOW_TRY(glow__sink_write(sink, ordered.data, here));
  }
  return GLOW_OK;
}

glow_status glow__sink_commit(glow__sink *sink) {
  return sink->output.path ? glow__atomic_commit(&sink->file) : GLOW_OK;
}

void glow__sink_abandon(glow__sink *sink) {
  if (sink->output.path)
    glow__atomic_abandon(&sink->file);
}
