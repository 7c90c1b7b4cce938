/* Writing a PNG: to a temporary file beside its place, synced and renamed. It keeps permissions and
 * owner of the file that it replaces, and links stay.
 * SPDX-License-Identifier: MIT */
#include "picture.h"

#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/io/replaced_file.h"

static bool fail(const char *path, const char *why, char *error, size_t error_size) {
  snprintf(error, error_size, "cannot write '%s': %s", path, why);
  return false;
}

/* The whole PNG in memory. */
static uint8_t *encode(int64_t width, int64_t height, int64_t channels, const uint8_t *pixels,
                       png_alloc_size_t *size) {
  png_image png = {.version = PNG_IMAGE_VERSION,
                   .width = (png_uint_32)width,
                   .height = (png_uint_32)height,
                   .format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY};
  uint8_t *data = NULL;
  if (png_image_write_get_memory_size(png, *size, 0, pixels, 0, NULL))
    data = malloc(*size);
  if (data && !png_image_write_to_memory(&png, data, size, 0, pixels, 0, NULL)) {
    free(data);
    data = NULL;
  }
  return data;
}

static bool write_all(int descriptor, const uint8_t *data, size_t size) {
  while (size > 0) {
    ssize_t wrote = write(descriptor, data, size);
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote <= 0)
      return false;
    data += wrote;
    size -= (size_t)wrote;
  }
  return true;
}

static bool replace(const glow__replaced *old, const uint8_t *data, size_t size) {
  size_t room = strlen(old->place) + 32;
  char *temporary = malloc(room);
  if (!temporary)
    return false;
  snprintf(temporary, room, "%s.%ld.tmp", old->place, (long)getpid());
  int descriptor =
      open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, glow__replaced_create_mode(old));
  bool ok = descriptor >= 0 && write_all(descriptor, data, size);
  if (ok) {
    glow__replaced_keep(old, descriptor);
    ok = fsync(descriptor) == 0;
  }
  int why = errno;
  if (descriptor >= 0 && close(descriptor) != 0 && ok) {
    ok = false;
    why = errno;
  }
  if (ok && rename(temporary, old->place) != 0) {
    ok = false;
    why = errno;
  }
  if (!ok && descriptor >= 0)
    unlink(temporary);
  free(temporary);
  errno = why;
  return ok;
}

bool picture_write_png(const char *path, int64_t width, int64_t height, int64_t channels,
                       const uint8_t *pixels, char *error, size_t error_size) {
  png_alloc_size_t size = 0;
  glow__replaced old;
  if (width < 1 || height < 1 || width > 1000000 || height > 1000000 ||
      (channels != 1 && channels != 3))
    return fail(path, "a picture needs pixels of 1 or 3 channels", error, error_size);
  int why = glow__replaced_find(path, &old);
  if (why)
    return fail(path, strerror(why), error, error_size);
  if (old.exists && !S_ISREG(old.about.st_mode))
    return fail(path, "it is not a regular file", error, error_size);
  uint8_t *data = encode(width, height, channels, pixels, &size);
  if (!data)
    return fail(path, "out of memory", error, error_size);
  bool ok = replace(&old, data, size);
  free(data);
  return ok || fail(path, strerror(errno), error, error_size);
}
