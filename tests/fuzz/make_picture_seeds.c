/* Seeds of pictures: PNG of every kind, and JPEG and WebP if the build reads them. Each goes to the
 * target `image`, and a few to `data`. SPDX-License-Identifier: MIT */
#include <png.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef GLOWTOOL_HAVE_JPEG
#include <jpeglib.h>
#endif
#ifdef GLOWTOOL_HAVE_WEBP
#include <webp/encode.h>
#endif

#include "make_seeds.h"

enum { SIDE = 5, MOST = 1 << 14, DATA_HEAD = 12, IMAGE_HEAD = 2 };

/* The picture, then a table of labels by names of files, one of which it has: its descriptor. */
static void write_labelled(const char *name, uint8_t *input, size_t size) {
  static const char table[] = "file,label\n3,a\n4,b\n5,c\n6,a\n7,b\n";
  char labelled[64];
  snprintf(labelled, sizeof labelled, "%.50s-labels", name);
  memcpy(input + size, table, sizeof table - 1);
  input[9] = 1;
  input[10] = sizeof table - 1;
  seed_write("data", labelled, input, size + sizeof table - 1);
  input[9] = input[10] = 0;
}

static void write_picture(const char *name, const void *bytes, size_t size, bool in_data) {
  static uint8_t input[DATA_HEAD + MOST + 64];
  if (size > MOST)
    return;
  memcpy(input + DATA_HEAD, bytes, size);
  seed_write("image", name, input + DATA_HEAD - IMAGE_HEAD, size + IMAGE_HEAD);
  if (in_data)
    seed_write("data", name, input, size + DATA_HEAD);
  if (in_data)
    write_labelled(name, input, size + DATA_HEAD);
}

/* ---- PNG ------------------------------------------------------------------------------------- */

typedef struct sink {
  uint8_t bytes[MOST];
  size_t size;
} sink;

static void put_bytes(png_structp png, png_bytep bytes, size_t size) {
  sink *s = png_get_io_ptr(png);
  if (size > MOST - s->size)
    png_error(png, "too large");
  memcpy(s->bytes + s->size, bytes, size);
  s->size += size;
}

static void put_nothing(png_structp png) {
  (void)png;
}

/* What some kinds have besides pixels. */
static void set_extras(png_structp png, png_infop info, int type, int depth) {
  png_color palette[4] = {{0, 0, 0}, {255, 0, 0}, {1, 2, 3}, {9, 99, 200}};
  png_byte alpha[2] = {0, 128};
  png_color_16 clear = {0, 1, 0, 1, 1};
#ifdef PNG_eXIf_SUPPORTED
  png_byte exif[] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 18, 0,
                     3,   0,   0, 0,  1, 0, 6, 0, 0, 0, 0, 0,  0};
  if (depth == 8)
    png_set_eXIf_1(png, info, sizeof exif, exif);
#endif
  if (type == PNG_COLOR_TYPE_PALETTE)
    png_set_PLTE(png, info, palette, depth == 1 ? 2 : 4);
  if (type == PNG_COLOR_TYPE_PALETTE)
    png_set_tRNS(png, info, alpha, 2, NULL);
  else if (!(type & PNG_COLOR_MASK_ALPHA))
    png_set_tRNS(png, info, NULL, 0, &clear);
}

static void png_seed(int type, int depth, int interlace) {
  static sink out;
  char name[64];
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct(png);
  out.size = 0;
  if (setjmp(png_jmpbuf(png)) == 0) {
    png_set_write_fn(png, &out, put_bytes, put_nothing);
    png_set_IHDR(png, info, SIDE, SIDE - 1, depth, type, interlace, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    set_extras(png, info, type, depth);
    png_write_info(png, info);
    for (int pass = png_set_interlace_handling(png); pass > 0; pass--)
      for (int y = 0; y < SIDE - 1; y++) {
        uint8_t row[SIDE * 8];
        for (size_t i = 0; i < sizeof row; i++) {
          row[i] = (uint8_t)(i * 37 + (size_t)y * 11);
          if (type == PNG_COLOR_TYPE_PALETTE && depth > 2) /* it has four colours */
            row[i] &= depth == 8 ? 3 : 0x33;
        }
        png_write_row(png, row);
      }
    png_write_end(png, info);
    snprintf(name, sizeof name, "png-%d-%d-%d", type, depth, interlace);
    write_picture(name, out.bytes, out.size, depth == 8 && !interlace);
  }
  png_destroy_write_struct(&png, &info);
}

static void png_seeds(void) {
  static const int types[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_PALETTE, PNG_COLOR_TYPE_RGB,
                              PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB_ALPHA};
  for (int depth = 1; depth <= 16; depth *= 2)
    for (int t = 0; t < 5; t++) {
      bool small =
          types[t] == PNG_COLOR_TYPE_GRAY || (types[t] == PNG_COLOR_TYPE_PALETTE && depth < 16);
      if (depth < 8 && !small)
        continue;
      if (types[t] == PNG_COLOR_TYPE_PALETTE && depth == 16)
        continue;
      png_seed(types[t], depth, PNG_INTERLACE_NONE);
      png_seed(types[t], depth, PNG_INTERLACE_ADAM7);
    }
}

/* ---- JPEG ------------------------------------------------------------------------------------ */

#ifdef GLOWTOOL_HAVE_JPEG
static void jpeg_seed(const char *name, int parts, J_COLOR_SPACE space, bool progressive) {
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr errors;
  unsigned char *out = NULL;
  unsigned long size = 0;
  static const unsigned char exif[] = {'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1,
                                       1,   18,  0,   3,   0, 0, 0,   1,   0, 8,  0, 0, 0, 0, 0, 0};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &out, &size);
  jpeg.image_width = 9;
  jpeg.image_height = 17;
  jpeg.input_components = parts;
  jpeg.in_color_space = space;
  jpeg_set_defaults(&jpeg);
  if (progressive)
    jpeg_simple_progression(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif, sizeof exif);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPLE line[9 * 4];
    JSAMPROW row = line;
    for (size_t i = 0; i < sizeof line; i++)
      line[i] = (JSAMPLE)(i * 7 + jpeg.next_scanline * 5);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  write_picture(name, out, size, parts == 3 && !progressive);
  free(out);
}

static void jpeg_seeds(void) {
  jpeg_seed("jpeg-grey", 1, JCS_GRAYSCALE, false);
  jpeg_seed("jpeg-colour", 3, JCS_RGB, false);
  jpeg_seed("jpeg-progressive", 3, JCS_RGB, true);
  jpeg_seed("jpeg-cmyk", 4, JCS_CMYK, false);
}
#else
static void jpeg_seeds(void) {}
#endif

/* ---- WebP ------------------------------------------------------------------------------------ */

#ifdef GLOWTOOL_HAVE_WEBP
static void webp_seeds(void) {
  uint8_t pixels[SIDE * SIDE * 4], *out = NULL;
  for (size_t i = 0; i < sizeof pixels; i++)
    pixels[i] = (uint8_t)(i * 31);
  size_t size = WebPEncodeLosslessRGBA(pixels, SIDE, SIDE, SIDE * 4, &out);
  write_picture("webp-lossless", out, size, true);
  WebPFree(out);
  size = WebPEncodeRGBA(pixels, SIDE, SIDE, SIDE * 4, 50.0f, &out);
  write_picture("webp-alpha", out, size, false);
  WebPFree(out);
  size = WebPEncodeRGB(pixels, SIDE, SIDE, SIDE * 3, 50.0f, &out);
  write_picture("webp-lossy", out, size, false);
  WebPFree(out);
}
#else
static void webp_seeds(void) {}
#endif

void picture_seeds(void) {
  png_seeds();
  jpeg_seeds();
  webp_seeds();
}
