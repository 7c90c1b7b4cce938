/* PNG by libpng: palettes, 1 to 16 bits, transparency, interlacing. Pixel values are the file's
 * own: chunks about colour (gAMA, cHRM, sRGB, iCCP) change nothing; 16 bits v become
 * round(v / 257). SPDX-License-Identifier: MIT */
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "memory.h"

typedef struct png_work {
  const file_bytes *file;
  size_t at;
  char text[200];   /* of the error */
  png_bytep *lines; /* into data, as libpng wants them */
  png_bytep data;   /* as libpng expands it: a row, or all of them where they are interlaced */
  uint8_t *row;     /* of 8 bits, without alpha */
  int64_t taken;    /* of the limit of memory */
  image_rows rows;
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

/* ---- the camera ------------------------------------------------------------------------------ */

static size_t big_endian(const uint8_t *p) {
  return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

/* CRC-32 of a chunk's name and data (PNG's annex D). */
static size_t checksum(const uint8_t *data, size_t size) {
  uint32_t sum = 0xFFFFFFFF;
  for (size_t i = 0; i < size; i++) {
    sum ^= data[i];
    for (int bit = 0; bit < 8; bit++)
      sum = sum >> 1 ^ (sum & 1 ? 0xEDB88320 : 0);
  }
  return ~sum;
}

/* The chunk eXIf may stand behind the pixels, and is wanted before the first of them. Chunks are a
 * length, a name, data and a checksum. */
static int orientation_of(const file_bytes *file) {
  for (size_t at = 8; at + 12 <= file->size;) {
    const uint8_t *chunk = file->data + at;
    size_t size = big_endian(chunk);
    if (size > file->size - at - 12)
      return 1;
    if (memcmp(chunk + 4, "eXIf", 4) == 0 &&
        checksum(chunk + 4, size + 4) == big_endian(chunk + 8 + size))
      return exif_orientation(chunk + 8, size);
    at += size + 12;
  }
  return 1;
}

/* ---- pixels ---------------------------------------------------------------------------------- */

/* Rows are as libpng expands them. Grey has one background: the mean, where red, green and blue
 * differ. */
typedef struct png_rows {
  int64_t width, channels;
  size_t bytes;
  bool alpha, wide;
  uint8_t background[3];
} png_rows;

static png_rows rows_of(png_structp png, png_infop info, const image *stored,
                        const image_form *form) {
  int sum = form->background[0] + form->background[1] + form->background[2];
  png_rows r = {.width = stored->width,
                .channels = stored->channels,
                .bytes = png_get_rowbytes(png, info),
                .alpha = (png_get_color_type(png, info) & PNG_COLOR_MASK_ALPHA) != 0,
                .wide = png_get_bit_depth(png, info) == 16};
  memcpy(r.background, form->background, sizeof r.background);
  if (stored->channels == 1)
    r.background[0] = (uint8_t)((sum + 1) / 3);
  return r;
}

static void put_row(png_work *work, const png_rows *r, const uint8_t *line) {
  convert_row(line, r->width, r->channels, r->alpha, r->wide, r->background, work->row);
  image_rows_put(&work->rows, work->row);
}

/* Each pass changes all rows, so they are in memory together. */
static bool read_interlaced(png_structp png, png_work *work, const png_rows *r, const char *path,
                            int64_t height, message error) {
  int64_t bytes = (int64_t)r->bytes * height;
  if (!memory_take(bytes, path, "an interlaced PNG", error))
    return false;
  work->taken = bytes;
  work->data = malloc((size_t)bytes);
  work->lines = malloc((size_t)height * sizeof *work->lines);
  if (!work->data || !work->lines)
    return data_fail(error, "%s: out of memory", path);
  for (int64_t y = 0; y < height; y++)
    work->lines[y] = work->data + (size_t)y * r->bytes;
  png_read_image(png, work->lines);
  for (int64_t y = 0; y < height; y++)
    put_row(work, r, work->lines[y]);
  return true;
}

static bool read_rows(png_structp png, png_work *work, const png_rows *r, const char *path,
                      int64_t height, message error) {
  work->data = malloc(r->bytes);
  if (!work->data)
    return data_fail(error, "%s: out of memory", path);
  for (int64_t y = 0; y < height; y++) {
    png_read_row(png, work->data, NULL);
    put_row(work, r, work->data);
  }
  return true;
}

static bool read_pixels(png_structp png, png_infop info, png_work *work, const char *path,
                        const image *stored, const image_form *form, image *out, message error) {
  if (!image_rows_open(&work->rows, path, stored, orientation_of(work->file), form, out, error))
    return false;
  png_set_expand(png); /* palettes, 1 to 4 bits, and colours that are transparent */
  bool interlaced = png_set_interlace_handling(png) > 1;
  png_read_update_info(png, info);
  png_rows r = rows_of(png, info, stored, form);
  work->row = malloc((size_t)(r.width * r.channels));
  if (!work->row)
    return data_fail(error, "%s: out of memory", path);
  if (!(interlaced ? read_interlaced : read_rows)(png, work, &r, path, stored->height, error))
    return false;
  png_read_end(png, info);
  return true;
}

static bool decode(png_structp png, png_infop info, png_work *work, const char *path,
                   const image_form *form, image *out, message error) {
  png_set_read_fn(png, work, read_bytes);
  png_set_benign_errors(png, 1);
  /* All but what pixels are made of is passed over: texts and profiles unpack to megabytes each. */
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_read_info(png, info);
  png_uint_32 width = png_get_image_width(png, info), height = png_get_image_height(png, info);
  bool colour = (png_get_color_type(png, info) & PNG_COLOR_MASK_COLOR) != 0;
  if (!image_check_size(path, width, height, form, error))
    return false;
  image stored = {height, width, colour ? 3 : 1, NULL};
  if (!form->header_only)
    return read_pixels(png, info, work, path, &stored, form, out, error);
  *out = stored;
  image_turn_shape(out, orientation_of(work->file));
  return true;
}

bool image_decode_png(const char *path, const file_bytes *file, const image_form *form, image *out,
                      message error) {
  png_work work = {.file = file};
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &work, on_error, on_warning);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  volatile bool ok = false;
  if (!info)
    data_fail(error, "%s: out of memory", path);
  else if (setjmp(work.jump) == 0)
    ok = decode(png, info, &work, path, form, out, error);
  else
    data_fail(error, "%s: damaged or truncated PNG, byte %zu: %s", path, work.at, work.text);
  png_destroy_read_struct(&png, &info, NULL);
  image_rows_close(&work.rows);
  memory_give(work.taken);
  free(work.data);
  free(work.lines);
  free(work.row);
  return ok;
}
