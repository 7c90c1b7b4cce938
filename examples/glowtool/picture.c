/* Writing a PNG, whole or not at all. SPDX-License-Identifier: MIT */
#include "picture.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "new_file.h"

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

static int replace(const char *path, const uint8_t *data, size_t size) {
  new_file file;
  int error = new_file_open(&file, path);
  if (error)
    return error;
  error = new_file_write(&file, data, size);
  if (!error)
    return new_file_place(&file);
  new_file_abandon(&file);
  return error;
}

bool picture_write_png(const char *path, int64_t width, int64_t height, int64_t channels,
                       const uint8_t *pixels, char *error, size_t error_size) {
  png_alloc_size_t size = 0;
  struct stat place;
  if (width < 1 || height < 1 || width > 1000000 || height > 1000000 ||
      (channels != 1 && channels != 3))
    return fail(path, "a picture needs pixels of 1 or 3 channels", error, error_size);
  if (stat(path, &place) == 0 && !S_ISREG(place.st_mode))
    return fail(path, "it is not a regular file", error, error_size);
  uint8_t *data = encode(width, height, channels, pixels, &size);
  if (!data)
    return fail(path, "out of memory", error, error_size);
  int why = replace(path, data, size);
  free(data);
  return !why || fail(path, strerror(why), error, error_size);
}
