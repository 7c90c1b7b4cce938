/* Where the bytes of a file come from: a path (read or mapped), memory, a callback.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io.h"

/* ---- what the caller asks for ---------------------------------------------------------------- */

glow_status glow__input_copy(const glow_input *from, glow_input *to, glow_limits *limits) {
  *to = (glow_input)GLOW_INPUT_INIT;
  if (!from)
    return glow_error(GLOW_E_ARGUMENT, "glow_input: NULL");
  GLOW_TRY(glow__options_copy(to, sizeof *to, from, sizeof *to, "glow_input"));
  if ((to->path != NULL) + (to->data != NULL) + (to->read != NULL) != 1)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_input: exactly one of path, data and read must be set");
  if (to->size < 0 || (to->flags & ~(uint32_t)(GLOW_INPUT_MAP | GLOW_INPUT_LAZY)) || to->reserved)
    return glow_error(GLOW_E_ARGUMENT, "glow_input: size, flags or reserved is not valid");
  if ((to->flags & GLOW_INPUT_MAP) && (!to->path || (to->flags & GLOW_INPUT_LAZY)))
    return glow_error(
        GLOW_E_ARGUMENT,
        "glow_input: GLOW_INPUT_MAP needs a path, and cannot be combined with GLOW_INPUT_LAZY");
  return glow__limits_copy(to->limits, limits);
}

/* ---- files ----------------------------------------------------------------------------------- */

glow_status glow__io_status(int error) {
  if (error == ENOMEM || error == EMFILE || error == ENFILE)
    return GLOW_E_MEMORY;
  return error == ENOENT || error == ENOTDIR ? GLOW_E_NOT_FOUND : GLOW_E_IO;
}

static glow_status input_failed(const glow__source *source, const char *what, int error) {
  return glow_error(glow__io_status(error), "cannot %s '%s': %s", what, source->path,
                    strerror(error));
}

/* A private mapping: a model may write to its parameters without changing the file. */
static glow_status map(glow__source *source) {
  if (source->size == 0 || (uint64_t)source->size > SIZE_MAX)
    return GLOW_OK; /* too short, which the reader reports; or not mappable: it is read instead */
  void *memory =
      mmap(NULL, (size_t)source->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, source->descriptor, 0);
  if (memory == MAP_FAILED)
    return input_failed(source, "map", errno);
  source->data = memory;
  source->mapped = true;
  return GLOW_OK;
}

static glow_status open_path(glow__source *source, const glow_input *input) {
  struct stat info;
  source->path = glow__strdup(source->context, input->path);
  if (!source->path)
    return GLOW_E_MEMORY;
  /* a pipe must not make this wait */
  do
    source->descriptor = open(input->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  while (source->descriptor < 0 && errno == EINTR);
  if (source->descriptor < 0)
    return input_failed(source, "open", errno);
  if (fstat(source->descriptor, &info) != 0)
    return input_failed(source, "read", errno);
  if (!S_ISREG(info.st_mode))
    return glow_error(GLOW_E_IO, "cannot read '%s': it is not a regular file", source->path);
  source->size = (int64_t)info.st_size;
  return input->flags & GLOW_INPUT_MAP && !GLOW_BIG_ENDIAN ? map(source) : GLOW_OK;
}

static glow_status read_path(const glow__source *source, int64_t offset, unsigned char *to,
                             int64_t bytes) {
  while (bytes > 0) {
    size_t most = bytes < (1 << 30) ? (size_t)bytes : (size_t)1 << 30;
    ssize_t got = pread(source->descriptor, to, most, (off_t)offset);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return input_failed(source, "read", errno);
    if (got == 0)
      return glow_error(GLOW_E_IO, "'%s' shrank while it was read, at byte %lld", source->path,
                        (long long)offset);
    to += got;
    offset += got;
    bytes -= got;
  }
  return GLOW_OK;
}

void glow__unmap(void *memory, int64_t bytes) {
  munmap(memory, (size_t)bytes);
}

/* ---- any source ------------------------------------------------------------------------------ */

glow_status glow__source_open(glow_context *context, const glow_input *input,
                              const glow_limits *limits, glow__source *source) {
  *source = (glow__source){.context = context,
                           .descriptor = -1,
                           .data = input->data,
                           .read = input->read,
                           .payload = input->payload,
                           .size = input->size};
  if (input->path)
    GLOW_TRY(open_path(source, input));
  if (source->size > limits->file_bytes)
    return glow__source_blame(
        source,
        glow_error(GLOW_E_LIMIT, "the file has %lld bytes; at most %lld are read (file_bytes)",
                   (long long)source->size, (long long)limits->file_bytes));
  return GLOW_OK;
}

glow_status glow__source_read(const glow__source *source, int64_t offset, void *buffer,
                              int64_t bytes) {
  if (bytes == 0)
    return GLOW_OK;
  if (source->data) {
    memcpy(buffer, source->data + offset, (size_t)bytes);
    return GLOW_OK;
  }
  if (!source->read)
    return read_path(source, offset, buffer, bytes);
  glow_status status = source->read(source->payload, offset, buffer, (size_t)bytes);
  return status == GLOW_OK
             ? status
             : glow_error(status, "the read callback failed at byte %lld, %lld bytes: %s",
                          (long long)offset, (long long)bytes, glow_status_text(status));
}

void glow__source_close(glow__source *source) {
  if (source->mapped)
    glow__unmap((void *)(uintptr_t)source->data, source->size);
  if (source->path && source->descriptor >= 0)
    close(source->descriptor);
  glow_release(source->context, source->path);
  *source = (glow__source){.descriptor = -1};
}

glow_status glow__source_blame(const glow__source *source, glow_status status) {
  if (status != GLOW_E_FORMAT && status != GLOW_E_LIMIT)
    return status;
  return source->path ? glow__error_prefix(status, "'%s'", source->path)
                      : glow__error_prefix(status, source->data ? "file in memory" : "file");
}
