/* glowtool's data and pictures: each format that is read, each way in which a file can be wrong,
 * resizing by area, generated pictures, grids and charts. Files are made in a temporary folder.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef GLOWTOOL_HAVE_JPEG
#include <jpeglib.h>
#endif
#ifdef GLOWTOOL_HAVE_ZLIB
#include <zlib.h>
#endif

#include <cmocka.h>

#include "../../examples/glowtool/data.h"
#include "../../examples/glowtool/picture.h"
#include "../../examples/glowtool/resize.h"
#include "../support/temp_folder.h"

static char error[1024];

#define PIXELS(set) ((const uint8_t *)(set).samples)

static const char *put(const char *name, const void *data, size_t size) {
  const char *path = temp_path(name);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
  return path;
}

static data_options options(const char *format, int64_t size, int64_t channels) {
  return (data_options){.format = format, .width = size, .height = size, .channels = channels};
}

static sample_set load(const char *path, data_options o) {
  sample_set set;
  if (!data_open(&path, 1, &o, &set, error, sizeof error))
    fail_msg("%s", error);
  return set;
}

static void refuse(const char *path, data_options o, const char *words) {
  sample_set set;
  if (data_open(&path, 1, &o, &set, error, sizeof error))
    fail_msg("%s was not refused; expected '%s'", path, words);
  if (!strstr(error, words))
    fail_msg("message '%s' lacks '%s'", error, words);
  assert_null(set.samples);
  assert_null(set.labels);
  assert_null(set.sources);
}

/* ---- CIFAR-10 -------------------------------------------------------------------------------- */

static void test_cifar(void **state) {
  static unsigned char records[2 * 3073];
  (void)state;
  for (int i = 0; i < 2 * 3073; i++)
    records[i] = (unsigned char)(i * 7);
  records[0] = 3;
  records[3073] = 9;
  sample_set set = load(put("a.bin", records, sizeof records), options("auto", 0, 0));
  assert_int_equal(set.count, 2);
  assert_int_equal(set.height, 32);
  assert_int_equal(set.channels, 3);
  assert_int_equal(set.classes, 10);
  assert_int_equal(set.labels[0], 3);
  assert_int_equal(set.labels[1], 9);
  for (int p = 0; p < 1024; p++)
    for (int c = 0; c < 3; c++)
      assert_int_equal(PIXELS(set)[(1024 + p) * 3 + c], records[3073 + 1 + c * 1024 + p]);
  data_free(&set);
  refuse(put("b.bin", records, 5000), options("cifar10", 0, 0), "truncated");
  refuse(put("c.bin", "", 0), options("cifar10", 0, 0), "empty");
  refuse(put("d.bin", records, sizeof records), options("cifar10", 64, 0),
         "2 of 2 images are smaller than the 64 x 64 that is needed (the first: ");
  records[3073] = 10;
  refuse(put("e.bin", records, sizeof records), options("cifar10", 0, 0), "label 10 of record 1");
}

/* ---- MNIST ----------------------------------------------------------------------------------- */

static size_t idx(unsigned char *to, unsigned magic, unsigned count, unsigned side, size_t data) {
  const unsigned words[] = {magic, count, side, side};
  size_t header = magic == 0x803 ? 16 : 8;
  for (size_t i = 0; i < header; i++)
    to[i] = (unsigned char)(words[i / 4] >> (24 - 8 * (i % 4)));
  for (size_t i = 0; i < data; i++)
    to[header + i] = (unsigned char)(i % 10);
  return header + data;
}

static void test_mnist(void **state) {
  unsigned char bytes[600];
  char labels[256];
  data_options o = options("auto", 0, 0);
  (void)state;
  snprintf(labels, sizeof labels, "%s", put("labels", bytes, idx(bytes, 0x801, 5, 0, 5)));
  const char *const label_files[] = {labels};
  o.labels = label_files;
  o.label_files = 1;
  sample_set set = load(put("images", bytes, idx(bytes, 0x803, 5, 6, 180)), o);
  assert_int_equal(set.count, 5);
  assert_int_equal(set.width, 6);
  assert_int_equal(set.channels, 1);
  assert_int_equal(set.labels[4], 4);
  assert_int_equal(PIXELS(set)[179], 9);
  data_free(&set);
#ifdef GLOWTOOL_HAVE_ZLIB
  gzFile file = gzopen(temp_path("images.gz"), "wb");
  size_t size = idx(bytes, 0x803, 5, 6, 180);
  assert_int_equal(gzwrite(file, bytes, (unsigned)size), size);
  assert_int_equal(gzclose(file), Z_OK);
  set = load(temp_path("images.gz"), o);
  assert_int_equal(set.count, 5);
  data_free(&set);
  assert_int_equal(truncate(temp_path("images.gz"), 30), 0);
  refuse(temp_path("images.gz"), o, "gzip");
#endif
  data_options plain = options("mnist", 0, 0);
  refuse(put("x", bytes, idx(bytes, 0x803, 5, 6, 179)), plain, "truncated");
  refuse(put("x", bytes, idx(bytes, 0x803, 5, 6, 181)), plain, "1 bytes too many");
  refuse(put("x", bytes, idx(bytes, 0x803, 0, 6, 0)), plain, "no images");
  refuse(put("x", bytes, idx(bytes, 0x803, 5, 0, 0)), plain, "0 x 0");
  refuse(put("x", bytes, idx(bytes, 0x803, 0xffffffff, 4000, 9)), plain, "truncated");
  refuse(put("x", bytes, idx(bytes, 0x801, 5, 0, 5)), plain, "not an IDX file");
  snprintf(labels, sizeof labels, "%s", put("four", bytes, idx(bytes, 0x801, 4, 0, 4)));
  refuse(put("x", bytes, idx(bytes, 0x803, 5, 6, 180)), o, "4 labels for 5 images");
  idx(bytes, 0x801, 5, 0, 5);
  bytes[10] = 12; /* as of EMNIST, which has more classes than digits */
  snprintf(labels, sizeof labels, "%s", put("large", bytes, 13));
  idx(bytes, 0x803, 5, 6, 180);
  set = load(put("x", bytes, 196), o);
  assert_int_equal(set.classes, 13);
  assert_int_equal(set.labels[2], 12);
  data_free(&set);
}

/* ---- raw records ----------------------------------------------------------------------------- */

static void test_raw(void **state) {
  const unsigned char planes[24] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
                                    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  (void)state;
  sample_set set = load(put("raw", planes, 24), options("raw:3x2x2", 0, 0));
  assert_int_equal(set.count, 2);
  assert_int_equal(PIXELS(set)[0], 0);
  assert_int_equal(PIXELS(set)[1], 4);
  assert_int_equal(PIXELS(set)[2], 8);
  assert_int_equal(PIXELS(set)[3], 1);
  data_free(&set);
  refuse(put("raw", planes, 23), options("raw:3x2x2", 0, 0), "whole number of records");
  refuse(put("raw", planes, 24), options("raw:3x2", 0, 0), "is not raw:");
  refuse(put("raw", planes, 24), options("raw:0x2x2", 0, 0), "is not raw:");
  refuse(put("raw", planes, 24), options("auto", 0, 0), "--format");
  refuse(temp_path("missing"), options("raw:3x2x2", 0, 0), "No such file");
  refuse(temp_folder, options("raw:3x2x2", 0, 0), "a folder; --format raw:3x2x2 reads files");
  refuse(temp_path("missing"), options("nonsense", 0, 0), "'nonsense'");
}

/* ---- PNG and JPEG ---------------------------------------------------------------------------- */

static const char *put_png(const char *name, int64_t width, int64_t height, int64_t channels) {
  unsigned char pixels[40 * 40 * 3];
  const char *path = temp_path(name);
  for (int64_t i = 0; i < width * height * channels; i++)
    pixels[i] = (unsigned char)(i * 5);
  if (!picture_write_png(path, width, height, channels, pixels, error, sizeof error))
    fail_msg("%s", error);
  return path;
}

static void test_png(void **state) {
  char bytes[4096];
  (void)state;
  sample_set set = load(put_png("a.png", 5, 4, 3), options("auto", 0, 0));
  assert_int_equal(set.height, 4);
  assert_int_equal(set.width, 5);
  for (int i = 0; i < 60; i++)
    assert_int_equal(PIXELS(set)[i], (unsigned char)(i * 5));
  data_free(&set);
  set = load(put_png("grey.png", 5, 4, 1), options("images", 4, 3));
  assert_int_equal(set.height, 4);
  assert_int_equal(set.width, 4);
  assert_int_equal(set.channels, 3);
  assert_int_equal(PIXELS(set)[0], PIXELS(set)[2]);
  data_free(&set);
  refuse(temp_path("grey.png"), options("images", 8, 0), "grey.png, 5 x 4); --upsample");
  set = load(temp_path("a.png"), options("images", 0, 1));
  assert_int_equal(set.channels, 1); /* 0.299 * 5 i + 0.587 * 5 (i + 1) + 0.114 * 5 (i + 2) */
  assert_int_equal(PIXELS(set)[0], 4);
  assert_int_equal(PIXELS(set)[1], 19);
  data_free(&set);
  FILE *file = fopen(temp_path("a.png"), "rb");
  size_t size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  refuse(put("cut.png", bytes, size - 30), options("images", 0, 0), "PNG");
  refuse(put("head.png", bytes, 20), options("images", 0, 0), "PNG");
  refuse(put("text.png", "hello", 5), options("images", 0, 0), "not a PNG, JPEG or WebP image");
}

static void test_folder(void **state) {
  char inner[256];
  (void)state;
  snprintf(inner, sizeof inner, "%s", temp_path("pictures"));
  assert_int_equal(mkdir(inner, 0700), 0);
  refuse(inner, options("auto", 0, 0), "an empty folder");
  put_png("pictures/b.png", 8, 8, 3);
  put_png("pictures/a.png", 6, 6, 3);
  refuse(inner, options("auto", 0, 0), "--size");
  sample_set set = load(inner, options("auto", 6, 0));
  assert_int_equal(set.count, 2);
  assert_int_equal(PIXELS(set)[1], 5); /* a.png comes first and is as it was */
  data_free(&set);
}

#ifdef GLOWTOOL_HAVE_JPEG
static const char *put_jpeg(const char *name, int components, J_COLOR_SPACE space) {
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr errors;
  unsigned char row[16 * 4];
  JSAMPROW rows[] = {row};
  const char *path = temp_path(name);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  memset(row, 100, sizeof row);
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_stdio_dest(&jpeg, file);
  jpeg.image_width = jpeg.image_height = 16;
  jpeg.input_components = components;
  jpeg.in_color_space = space;
  jpeg_set_defaults(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  for (int i = 0; i < 16; i++)
    jpeg_write_scanlines(&jpeg, rows, 1);
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  fclose(file);
  return path;
}
#endif

static void test_jpeg(void **state) {
  (void)state;
#ifdef GLOWTOOL_HAVE_JPEG
  struct stat info;
  sample_set set = load(put_jpeg("a.jpg", 3, JCS_RGB), options("auto", 8, 0));
  assert_int_equal(set.channels, 3);
  assert_true(abs((int)PIXELS(set)[0] - 100) <= 2); /* JPEG's own loss */
  data_free(&set);
  set = load(put_jpeg("g.jpg", 1, JCS_GRAYSCALE), options("auto", 0, 0));
  assert_int_equal(set.channels, 1);
  data_free(&set);
  assert_int_equal(stat(temp_path("a.jpg"), &info), 0);
  assert_int_equal(truncate(temp_path("a.jpg"), info.st_size - 20), 0);
  refuse(temp_path("a.jpg"), options("auto", 0, 0), "damaged or truncated JPEG");
#else
  print_message("this build reads no JPEG\n");
  skip();
#endif
}

/* ---- resizing and generated pictures --------------------------------------------------------- */

static void test_resize(void **state) {
  const unsigned char x[] = {0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150};
  const unsigned char wide[] = {9, 0,   100, 9,
                                9, 200, 44,  9}; /* 2 x 4, of which the middle counts */
  unsigned char out[9];
  (void)state;
  assert_true(resize_crop(x, 4, 4, 1, 2, 2, out));
  const unsigned char halves[] = {25, 45, 105, 125};
  assert_memory_equal(out, halves, 4);
  assert_true(resize_crop(wide, 2, 4, 1, 1, 1, out));
  assert_int_equal(out[0], 86);
  assert_true(resize_crop(x, 4, 4, 1, 3, 3, out)); /* a pixel is 4/3 wide: (0*1 + 10/3) * 3/4 ... */
  for (int i = 0; i < 9; i++) {
    double sum = 0, area = 0;
    for (int p = 0; p < 16; p++) {
      double across = fmin(p % 4 + 1, (i % 3 + 1) * 4.0 / 3) - fmax(p % 4, (i % 3) * 4.0 / 3);
      double down = fmin(p / 4 + 1, (i / 3 + 1) * 4.0 / 3) - fmax(p / 4, (i / 3) * 4.0 / 3);
      double part = fmax(across, 0) * fmax(down, 0);
      sum += part * x[p];
      area += part;
    }
    assert_true(fabs(out[i] - sum / area) <= 0.5 + 1e-9);
  }
}

static void test_shapes(void **state) {
  unsigned char a[16 * 16 * 3], b[16 * 16 * 3];
  data_options o = options("shapes", 16, 0);
  sample_set set;
  (void)state;
  shapes_draw(1, 5, 16, a);
  shapes_draw(1, 5, 16, b);
  assert_memory_equal(a, b, sizeof a);
  shapes_draw(1, 6, 16, b);
  assert_memory_not_equal(a, b, sizeof a);
  shapes_draw(2, 5, 16, b);
  assert_memory_not_equal(a, b, sizeof a);
  o.limit = 6;
  o.seed = 1;
  assert_true(data_open(NULL, 0, &o, &set, error, sizeof error));
  assert_int_equal(set.count, 6);
  assert_memory_equal(PIXELS(set) + 5 * sizeof a, a, sizeof a);
  data_free(&set);
  o.channels = 1;
  assert_false(data_open(NULL, 0, &o, &set, error, sizeof error));
}

/* ---- pictures -------------------------------------------------------------------------------- */

static void test_grid(void **state) {
  unsigned char pixels[3 * 2 * 2 * 3];
  (void)state;
  for (size_t i = 0; i < sizeof pixels; i++)
    pixels[i] = (unsigned char)(i * 6);
  assert_true(
      picture_write_grid(temp_path("grid.png"), 3, 2, 2, 3, 2, pixels, error, sizeof error));
  sample_set set = load(temp_path("grid.png"), options("images", 0, 0));
  int64_t factor = 32, step = 2 * factor + 2; /* enlarged to 64 pixels, gaps of 2 */
  assert_int_equal(set.width, 2 * step + 2);
  assert_int_equal(set.height, 2 * step + 2);
  for (int i = 0; i < 3; i++)
    for (int p = 0; p < 4; p++)
      for (int c = 0; c < 3; c++) {
        int64_t y = 2 + i / 2 * step + p / 2 * factor + factor - 1;
        int64_t x = 2 + i % 2 * step + p % 2 * factor;
        assert_int_equal(PIXELS(set)[(y * set.width + x) * 3 + c], pixels[(i * 4 + p) * 3 + c]);
      }
  data_free(&set);
}

static void test_chart(void **state) {
  const double x[] = {0, 1, 2, 3}, y[] = {3, 2, NAN, 1};
  const picture_series series[] = {{"one", 4, x, y}, {"two", 1, x, y}, {"none", 0, x, y}};
  (void)state;
  assert_true(
      picture_write_chart(temp_path("c.png"), "t", "x", "y", series, 3, error, sizeof error));
  sample_set set = load(temp_path("c.png"), options("images", 0, 0));
  assert_int_equal(set.width, 900);
  int64_t dark = 0;
  for (int64_t i = 0; i < set.width * set.height; i++)
    dark += PIXELS(set)[3 * i] < 100;
  assert_true(dark > 2000); /* axes alone have more dots */
  data_free(&set);
}

static void test_pictures_that_fail(void **state) {
  const unsigned char pixel[3] = {1, 2, 3};
  (void)state;
  assert_false(picture_write_png(temp_path("no/where.png"), 1, 1, 3, pixel, error, sizeof error));
  assert_non_null(strstr(error, "no/where.png"));
  assert_false(picture_write_png("/dev/full", 1, 1, 3, pixel, error, sizeof error));
  assert_false(picture_write_png(temp_path("x.png"), 0, 1, 3, pixel, error, sizeof error));
  assert_false(picture_write_grid(temp_path("x.png"), 0, 1, 1, 3, 1, pixel, error, sizeof error));
  assert_int_not_equal(access(temp_path("x.png"), F_OK), 0);
}

static int set_up(void **state) {
  (void)state;
  return temp_folder_make(NULL) ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  return temp_folder_remove() ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_cifar),
      cmocka_unit_test(test_mnist),
      cmocka_unit_test(test_raw),
      cmocka_unit_test(test_png),
      cmocka_unit_test(test_folder),
      cmocka_unit_test(test_jpeg),
      cmocka_unit_test(test_resize),
      cmocka_unit_test(test_shapes),
      cmocka_unit_test(test_grid),
      cmocka_unit_test(test_chart),
      cmocka_unit_test(test_pictures_that_fail),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
