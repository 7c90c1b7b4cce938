/* Pictures in memory, decoded: the file's own values as 8 bits, grey or red, green, blue. Decoders
 * give rows, and what is kept of them is no larger than the result.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_IMAGE_H
#define GLOWTOOL_IMAGE_H

#include "data_file.h"
#include "resize.h"

enum { IMAGE_SIDE = 16384 }; /* pixels on a side */

typedef struct image {
  int64_t height, width, channels; /* 1 or 3 */
  uint8_t *pixels;                 /* [height, width, channels] */
} image;

/* How a picture is wanted. */
typedef struct image_form {
  uint8_t background[3]; /* under transparent pixels */
  int64_t height, width; /* cropped and resized to this; 0: as it is */
  int64_t channels;      /* 1 or 3; 0: as it is */
  int64_t max_pixels;    /* one that has more is refused */
  bool header_only;      /* the shape that it has in the file, and no pixels */
} image_form;

/* ---- what decoders share --------------------------------------------------------------------- */

/* Does the header ask for a picture that may be decoded? */
bool image_check_size(const char *path, uint64_t width, uint64_t height, const image_form *form,
                      message error);
/* Value over a background: alpha and value of `most` at most, the background 0 to 255, the result 0
 * to 255, rounded to nearest, all in the file's own values. */
uint8_t image_blend(uint32_t value, uint32_t alpha, uint32_t most, uint8_t background);

/* Grey to three equal channels, or colour to grey, rounded to nearest. */
void image_change_channels(const uint8_t *from, int64_t pixels, int64_t to_channels, uint8_t *to);

/* Rows of a picture on their way to how it is wanted. */
typedef struct image_rows {
  image *out;
  int64_t height, width, channels; /* as the file stores it */
  int orientation;
  uint8_t *changed; /* a row in out->channels; NULL: they are the file's */
  uint8_t *small;   /* a row that is resized; NULL: nothing is */
  resize scale;
  int64_t height_out, width_out; /* of the result before it is turned */
  int64_t row;                   /* of it, which comes next */
} image_rows;
/* `stored`: the shape in the file. *out gets its final shape and room. image_rows_close is due in
 * any case. */
bool image_rows_open(image_rows *r, const char *path, const image *stored, int orientation,
                     const image_form *form, image *out, message error);
/* The next row [width, channels], from the top on. */
void image_rows_put(image_rows *r, const uint8_t *row);
void image_rows_close(image_rows *r);

/* A decoder: how a picture is wanted, or its shape alone. The path is for messages. */
typedef bool (*image_decoder)(const char *path, const file_bytes *file, const image_form *form,
                              image *out, message error);
bool image_decode_png(const char *path, const file_bytes *file, const image_form *form, image *out,
                      message error);
bool image_decode_jpeg(const char *path, const file_bytes *file, const image_form *form, image *out,
                       message error);
bool image_decode_webp(const char *path, const file_bytes *file, const image_form *form, image *out,
                       message error);
/* The one that the file's first bytes ask for. */
bool image_decode(const char *path, const file_bytes *file, const image_form *form, image *out,
                  message error);

/* ---- how the camera was held ----------------------------------------------------------------- */

/* Orientation 1 to 8 of EXIF data, which start with the byte order of TIFF, "Exif\0\0" in front of
 * it or not; 1 where they say nothing. */
int exif_orientation(const uint8_t *data, size_t size);
/* How a stored image is turned to be seen: rows and columns change places, after columns, or rows,
 * are taken from the end. */
typedef struct image_turn {
  bool swap, right, down;
} image_turn;
image_turn image_turn_of(int orientation);
/* The shape of a picture that is turned. */
void image_turn_shape(image *shape, int orientation);

#endif
