/* Pictures in memory, decoded: the file's own values as 8 bits, grey or red, green, blue.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_IMAGE_H
#define GLOWTOOL_IMAGE_H

#include "data_file.h"

enum { IMAGE_SIDE = 16384 }; /* pixels on a side */

typedef struct image {
  int64_t height, width, channels; /* 1 or 3 */
  uint8_t *pixels;                 /* [height, width, channels] */
} image;

/* What decoders share. */
bool image_check_size(const char *path, uint64_t width, uint64_t height, message error);
bool image_make_room(const char *path, image *out, message error);
/* Value over a background: alpha and value of `most` at most, the background 0 to 255, the result 0
 * to 255, rounded to nearest, all in the file's own values. */
uint8_t image_blend(uint32_t value, uint32_t alpha, uint32_t most, uint8_t background);

/* A decoder: the shape from the header alone, or the pixels too. Its background lies under
 * transparent pixels. The path is for messages. */
typedef bool (*image_decoder)(const char *path, const file_bytes *file, const uint8_t background[3],
                              bool header_only, image *out, message error);
bool image_decode_png(const char *path, const file_bytes *file, const uint8_t background[3],
                      bool header_only, image *out, message error);
bool image_decode_jpeg(const char *path, const file_bytes *file, const uint8_t background[3],
                       bool header_only, image *out, message error);
bool image_decode_webp(const char *path, const file_bytes *file, const uint8_t background[3],
                       bool header_only, image *out, message error);
/* The one that the file's first bytes ask for. */
bool image_decode(const char *path, const file_bytes *file, const uint8_t background[3],
                  bool header_only, image *out, message error);

/* ---- how the camera was held ----------------------------------------------------------------- */

/* Orientation 1 to 8 of EXIF data, which start with the byte order of TIFF, "Exif\0\0" in front of
 * it or not; 1 where they say nothing. */
int exif_orientation(const uint8_t *data, size_t size);
/* Turns the pixels (if there are any) and the shape to how they are to be seen. */
bool image_orient(const char *path, image *in, int orientation, message error);

#endif
