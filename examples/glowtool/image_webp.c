/* WebP by libwebp: lossy and lossless still images. SPDX-License-Identifier: MIT */
#include "image.h"

#ifdef GLOWTOOL_HAVE_WEBP
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>

#include "memory.h"

/* RIFF: chunks of a name, a little-endian size and data, padded to an even number of bytes. */
static int orientation_of(const file_bytes *file) {
  size_t at = 12;
  while (at + 8 <= file->size) {
    const uint8_t *d = file->data + at;
    size_t size = (size_t)d[4] | (size_t)d[5] << 8 | (size_t)d[6] << 16 | (size_t)d[7] << 24;
    if (size > file->size - at - 8)
      return 1;
    if (memcmp(d, "EXIF", 4) == 0)
      return exif_orientation(d + 8, size);
    at += 8 + size + (size & 1);
  }
  return 1;
}

/* libwebp decodes into memory of its own, a few rows at a time if the picture is lossy, else all of
 * it in 4 bytes a pixel; and then here. */
static bool read_pixels(const char *path, const file_bytes *file, bool alpha, const image *stored,
                        const image_form *form, image *out, message error) {
  size_t step = alpha ? 4 : 3, row = (size_t)stored->width * step;
  size_t size = row * (size_t)stored->height;
  int64_t taken = (int64_t)size + 4 * stored->width * stored->height;
  image_rows rows = {0};
  if (!memory_take(taken, path, "a WebP image", error))
    return false;
  uint8_t *data = malloc(size), *line = malloc((size_t)stored->width * 3);
  bool ok = (data && line) || data_fail(error, "%s: out of memory", path);
  ok = ok && image_rows_open(&rows, path, stored, orientation_of(file), form, out, error);
  if (ok && !(alpha ? WebPDecodeRGBAInto(file->data, file->size, data, size, (int)row)
                    : WebPDecodeRGBInto(file->data, file->size, data, size, (int)row)))
    ok = data_fail(error, "%s: damaged or truncated WebP", path);
  for (int64_t y = 0; ok && y < stored->height; y++) {
    for (int64_t x = 0; x < stored->width; x++)
      for (int c = 0; c < 3; c++) {
        const uint8_t *pixel = data + (size_t)y * row + (size_t)x * step;
        line[3 * x + c] = image_blend(pixel[c], alpha ? pixel[3] : 255, 255, form->background[c]);
      }
    image_rows_put(&rows, line);
  }
  image_rows_close(&rows);
  memory_give(taken);
  free(data);
  free(line);
  return ok;
}

bool image_decode_webp(const char *path, const file_bytes *file, const image_form *form, image *out,
                       message error) {
  WebPBitstreamFeatures about;
  if (WebPGetFeatures(file->data, file->size, &about) != VP8_STATUS_OK)
    return data_fail(error, "%s: damaged or truncated WebP", path);
  if (about.has_animation)
    return data_fail(error, "%s: an animated WebP; still images are read", path);
  if (!image_check_size(path, (uint64_t)about.width, (uint64_t)about.height, form, error))
    return false;
  image stored = {about.height, about.width, 3, NULL};
  if (!form->header_only)
    return read_pixels(path, file, about.has_alpha != 0, &stored, form, out, error);
  *out = stored;
  image_turn_shape(out, orientation_of(file));
  return true;
}
#else
bool image_decode_webp(const char *path, const file_bytes *file, const image_form *form, image *out,
                       message error) {
  (void)file;
  (void)form;
  (void)out;
  return data_fail(error, "%s: a WebP image, and this build has no libwebp", path);
}
#endif
