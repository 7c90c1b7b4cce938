/* Which decoder takes a picture, and what all of them share. SPDX-License-Identifier: MIT */
#include "image.h"

#include <stdlib.h>
#include <string.h>

bool image_check_size(const char *path, uint64_t width, uint64_t height, const image_form *form,
                      message error) {
  if (width < 1 || height < 1 || width > IMAGE_SIDE || height > IMAGE_SIDE)
    return data_fail(error, "%s: %llu x %llu pixels; 1 to %d a side are read", path,
                     (unsigned long long)width, (unsigned long long)height, IMAGE_SIDE);
  return width * height <= (uint64_t)form->max_pixels ||
         data_fail(error, "%s: %llu x %llu pixels are more than the %lld of --max-pixels", path,
                   (unsigned long long)width, (unsigned long long)height,
                   (long long)form->max_pixels);
}

bool image_decode(const char *path, const file_bytes *file, const image_form *form, image *out,
                  message error) {
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
  if (decode(path, file, form, out, error))
    return true;
  free(out->pixels);
  out->pixels = NULL;
  return false;
}
