/* WebP by libwebp: lossy and lossless still images. SPDX-License-Identifier: MIT */
#include "image.h"

#ifdef GLOWTOOL_HAVE_WEBP
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>

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

static bool read_pixels(const char *path, const file_bytes *file, bool alpha,
                        const uint8_t background[3], image *out, message error) {
  size_t step = alpha ? 4 : 3, row = (size_t)out->width * step, size = row * (size_t)out->height;
  uint8_t *data = malloc(size), *end = NULL;
  if (!data || !image_make_room(path, out, error)) {
    free(data);
    return data_fail(error, "%s: out of memory", path);
  }
  end = alpha ? WebPDecodeRGBAInto(file->data, file->size, data, size, (int)row)
              : WebPDecodeRGBInto(file->data, file->size, data, size, (int)row);
  for (int64_t p = 0; end && p < out->height * out->width; p++)
    for (int c = 0; c < 3; c++) {
      const uint8_t *pixel = data + (size_t)p * step;
      out->pixels[3 * p + c] = image_blend(pixel[c], alpha ? pixel[3] : 255, 255, background[c]);
    }
  free(data);
  return end || data_fail(error, "%s: damaged or truncated WebP", path);
}

bool image_decode_webp(const char *path, const file_bytes *file, const uint8_t background[3],
                       bool header_only, image *out, message error) {
  WebPBitstreamFeatures about;
  if (WebPGetFeatures(file->data, file->size, &about) != VP8_STATUS_OK)
    return data_fail(error, "%s: damaged or truncated WebP", path);
  if (about.has_animation)
    return data_fail(error, "%s: an animated WebP; still images are read", path);
  if (!image_check_size(path, (uint64_t)about.width, (uint64_t)about.height, error))
    return false;
  *out = (image){about.height, about.width, 3, NULL};
  if (!header_only && !read_pixels(path, file, about.has_alpha != 0, background, out, error))
    return false;
  return image_orient(path, out, orientation_of(file), error);
}
#else
bool image_decode_webp(const char *path, const file_bytes *file, const uint8_t background[3],
                       bool header_only, image *out, message error) {
  (void)file;
  (void)background;
  (void)header_only;
  (void)out;
  return data_fail(error, "%s: a WebP image, and this build has no libwebp", path);
}
#endif
