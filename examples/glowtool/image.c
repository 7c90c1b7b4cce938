/* Which decoder takes a picture, and what all of them share. SPDX-License-Identifier: MIT */
#include "image.h"

#include <stdlib.h>
#include <string.h>

bool image_check_size(const char *path, uint64_t width, uint64_t height, message error) {
  if (width < 1 || height < 1 || width > IMAGE_SIDE || height > IMAGE_SIDE)
    return data_fail(error, "%s: %llu x %llu pixels; 1 to %d a side are read", path,
                     (unsigned long long)width, (unsigned long long)height, IMAGE_SIDE);
  return true;
}

bool image_make_room(const char *path, image *out, message error) {
  out->pixels = malloc((size_t)(out->height * out->width * out->channels));
  return out->pixels || data_fail(error, "%s: out of memory for %lld x %lld pixels", path,
                                  (long long)out->width, (long long)out->height);
}

/* (alpha value + (most - alpha) background most / 255) / most, times 255 / most. */
uint8_t image_blend(uint32_t value, uint32_t alpha, uint32_t most, uint8_t background) {
  uint64_t square = (uint64_t)most * most;
  uint64_t sum = (uint64_t)alpha * value * 255 + (uint64_t)(most - alpha) * background * most;
  return (uint8_t)((sum + square / 2) / square);
}

bool image_decode(const char *path, const file_bytes *file, const uint8_t background[3],
                  bool header_only, image *out, message error) {
  static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  const uint8_t *d = file->data;
  image_decoder decode = NULL;
  *out = (image){0};
  if (file->size >= sizeof png && memcmp(d, png, sizeof png) == 0)
    decode = image_decode_png;
  else if (file->size >= 3 && d[0] == 0xFF && d[1] == 0xD8 && d[2] == 0xFF)
    decode = image_decode_jpeg;
  else if (file->size >= 12 && memcmp(d, "RIFF", 4) == 0 && memcmp(d + 8, "WEBP", 4) == 0)
    decode = image_decode_webp;
  if (!decode)
    return data_fail(error, "%s: not a PNG, JPEG or WebP image", path);
  if (decode(path, file, background, header_only, out, error))
    return true;
  free(out->pixels);
  out->pixels = NULL;
  return false;
}
