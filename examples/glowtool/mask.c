/* Quarters, rectangles and pictures. SPDX-License-Identifier: MIT */
#include "mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sample_source.h"

enum { BLACK = 128 }; /* below it */

static void hide(const glow_shape *shape, int64_t x, int64_t y, int64_t width, int64_t height,
                 bool *hidden) {
  for (int64_t row = y; row < y + height; row++)
    for (int64_t column = x; column < x + width; column++)
      hidden[row * shape->width + column] = true;
}

/* Is it the name of a quarter? */
static bool hide_quarter(const char *text, const glow_shape *shape, bool *hidden) {
  static const struct {
    const char *name;
    int64_t x, y; /* in quarters of the sides */
  } quarters[] = {{"upper-left", 0, 0},
                  {"upper-right", 2, 0},
                  {"lower-left", 0, 2},
                  {"lower-right", 2, 2},
                  {"middle", 1, 1}};
  int64_t width = shape->width, height = shape->height;
  for (size_t i = 0; i < sizeof quarters / sizeof *quarters; i++)
    if (strcmp(text, quarters[i].name) == 0) {
      hide(shape, quarters[i].x * width / 4, quarters[i].y * height / 4, width / 2, height / 2,
           hidden);
      return true;
    }
  return false;
}

static int hide_rectangle(const char *text, const glow_shape *shape, const int64_t r[4],
                          bool *hidden) {
  if (r[0] < 0 || r[1] < 0 || r[2] < 1 || r[3] < 1 || r[0] > shape->width - r[2] ||
      r[1] > shape->height - r[3])
    return complain("--mask: '%s' is not inside the model's images, %lld x %lld", text,
                    (long long)shape->width, (long long)shape->height);
  hide(shape, r[0], r[1], r[2], r[3], hidden);
  return TOOL_FINE;
}

/* Made as large as the model's images. */
static int hide_picture(const char *path, const glow_shape *shape, bool *hidden) {
  const option_list paths = {&path, 1}, none = {NULL, 0};
  const data_options form = {.as = DATA_IMAGES,
                             .width = shape->width,
                             .height = shape->height,
                             .channels = 1,
                             .upsample = true,
                             .limit = 1};
  sample_set set;
  int code = open_samples(&paths, &none, &form, &set);
  if (code != TOOL_FINE)
    return code;
  int64_t pixels = shape->width * shape->height;
  uint8_t *values = calloc((size_t)pixels, 1);
  code = TOOL_FAILED;
  if (!values)
    complain("out of memory for a mask");
  else if (set.floats)
    code = complain("--mask: %s is no picture", path);
  else
    code = read_samples(&set, 0, 1, values, NULL);
  for (int64_t i = 0; code == TOOL_FINE && i < pixels; i++)
    hidden[i] = values[i] < BLACK;
  free(values);
  data_free(&set);
  return code;
}

int mask_read(const char *text, const glow_shape *shape, bool *hidden) {
  long long r[4];
  int end = 0;
  memset(hidden, 0, (size_t)(shape->width * shape->height) * sizeof *hidden);
  if (hide_quarter(text, shape, hidden))
    return TOOL_FINE;
  if (sscanf(text, "%lld,%lld,%lldx%lld%n", &r[0], &r[1], &r[2], &r[3], &end) == 4 && !text[end])
    return hide_rectangle(text, shape, (const int64_t[]){r[0], r[1], r[2], r[3]}, hidden);
  if (access(text, R_OK) == 0)
    return hide_picture(text, shape, hidden);
  return complain("--mask: '%s' is not upper-left, upper-right, lower-left, lower-right, middle, a "
                  "rectangle X,Y,WxH, or a picture that can be read",
                  text);
}
