/* PNG by libpng: palettes, 1 to 16 bits, transparency, interlacing. Pixel values are the file's
 * own: chunks about colour (gAMA, cHRM, sRGB, iCCP) change nothing; 16 bits v become
 * round(v / 257). SPDX-License-Identifier: MIT */
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"

typedef struct png_work {
  const file_bytes *file;
  size_t at;
  char text[200];  /* of the error */
  png_bytep *rows; /* into data, as libpng wants them */
  png_bytep data;  /* as libpng expands it */
  jmp_buf jump;
} png_work;

static void on_error(png_structp png, png_const_charp text) {
  png_work *work = png_get_error_ptr(png);
  strncat(work->text, text, sizeof work->text - 1);
  longjmp(work->jump, 1);
}

/* Such as a profile that does not matter here. */
static void on_warning(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static void read_bytes(png_structp png, png_bytep to, size_t count) {
  png_work *work = png_get_io_ptr(png);
  if (count > work->file->size - work->at)
    png_error(png, "the file ends too early");
  memcpy(to, work->file->data + work->at, count);
  work->at += count;
}

/* One row of libpng's, grey or colour, of 8 or 16 bits, with alpha or without. */
static void convert_row(const uint8_t *row, int64_t width, int64_t channels, bool alpha, bool wide,
                        const uint8_t background[3], uint8_t *to) {
  int64_t step = channels + alpha, size = wide ? 2 : 1;
  uint32_t most = wide ? 65535 : 255;
  for (int64_t x = 0; x < width; x++) {
    uint32_t v[4] = {0};
    for (int64_t c = 0; c < step; c++) {
      const uint8_t *p = row + (x * step + c) * size;
      v[c] = wide ? (uint32_t)p[0] << 8 | p[1] : p[0];
    }
    for (int64_t c = 0; c < channels; c++)
      to[x * channels + c] = image_blend(v[c], alpha ? v[channels] : most, most, background[c]);
  }
}

static int orientation_of(png_structp png, png_infop info) {
#ifdef PNG_eXIf_SUPPORTED
  png_uint_32 size = 0;
  png_bytep exif = NULL;
  if (png_get_eXIf_1(png, info, &size, &exif))
    return exif_orientation(exif, size);
#else
  (void)png;
  (void)info;
#endif
  return 1;
}

static bool read_pixels(png_structp png, png_infop info, png_work *work, const char *path,
                        const uint8_t background[3], image *out, message error) {
  png_set_expand(png); /* palettes, 1 to 4 bits, and colours that are transparent */
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  bool wide = png_get_bit_depth(png, info) == 16;
  bool alpha = (png_get_color_type(png, info) & PNG_COLOR_MASK_ALPHA) != 0;
  size_t row = png_get_rowbytes(png, info);
  work->data = malloc(row * (size_t)out->height);
  work->rows = malloc((size_t)out->height * sizeof *work->rows);
  if (!work->data || !work->rows || !image_make_room(path, out, error))
    return data_fail(error, "%s: out of memory", path);
  for (int64_t y = 0; y < out->height; y++)
    work->rows[y] = work->data + (size_t)y * row;
  png_read_image(png, work->rows);
  png_read_end(png, info);
  /* Grey has one background: the mean, where red, green and blue differ. */
  int sum = background[0] + background[1] + background[2];
  uint8_t grey = (uint8_t)((sum + 1) / 3);
  const uint8_t greys[3] = {grey, grey, grey};
  for (int64_t y = 0; y < out->height; y++)
    convert_row(work->rows[y], out->width, out->channels, alpha, wide,
                out->channels == 1 ? greys : background,
                out->pixels + y * out->width * out->channels);
  return image_orient(path, out, orientation_of(png, info), error);
}

static bool decode(png_structp png, png_infop info, png_work *work, const char *path,
                   const uint8_t background[3], bool header_only, image *out, message error) {
  png_set_read_fn(png, work, read_bytes);
  png_set_benign_errors(png, 1);
  png_read_info(png, info);
  png_uint_32 width = png_get_image_width(png, info), height = png_get_image_height(png, info);
  bool colour = (png_get_color_type(png, info) & PNG_COLOR_MASK_COLOR) != 0;
  if (!image_check_size(path, width, height, error))
    return false;
  *out = (image){height, width, colour ? 3 : 1, NULL};
  if (header_only)
    return image_orient(path, out, orientation_of(png, info), error);
  return read_pixels(png, info, work, path, background, out, error);
}

bool image_decode_png(const char *path, const file_bytes *file, const uint8_t background[3],
                      bool header_only, image *out, message error) {
  png_work work = {.file = file};
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &work, on_error, on_warning);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  volatile bool ok = false;
  if (!info)
    data_fail(error, "%s: out of memory", path);
  else if (setjmp(work.jump) == 0)
    ok = decode(png, info, &work, path, background, header_only, out, error);
  else
    data_fail(error, "%s: damaged or truncated PNG: %s", path, work.text);
  png_destroy_read_struct(&png, &info, NULL);
  free(work.data);
  free(work.rows);
  return ok;
}
