/* Grids of images. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"

enum { GAP = 2, SHOWN = 64, BACKGROUND = 255 }; /* images are enlarged to about SHOWN pixels */

typedef struct grid {
  int64_t height, width, channels, factor;
  int64_t total_width;
  uint8_t *pixels;
} grid;

static void place(const grid *g, const uint8_t *image, int64_t top, int64_t left) {
  for (int64_t y = 0; y < g->height * g->factor; y++)
    for (int64_t x = 0; x < g->width * g->factor; x++) {
      const uint8_t *from = image + ((y / g->factor) * g->width + x / g->factor) * g->channels;
      memcpy(g->pixels + ((top + y) * g->total_width + left + x) * g->channels, from,
             (size_t)g->channels);
    }
}

bool picture_write_grid(const char *path, int64_t count, int64_t height, int64_t width,
                        int64_t channels, int64_t columns, const uint8_t *pixels, char *error,
                        size_t error_size) {
  if (count < 1 || columns < 1) {
    snprintf(error, error_size, "cannot write '%s': no images", path);
    return false;
  }
  int64_t larger = height > width ? height : width, rows = (count + columns - 1) / columns;
  grid g = {height, width, channels, larger < SHOWN ? (SHOWN + larger - 1) / larger : 1, 0, NULL};
  int64_t step_x = width * g.factor + GAP, step_y = height * g.factor + GAP;
  int64_t total_height = rows * step_y + GAP;
  g.total_width = columns * step_x + GAP;
  size_t size = (size_t)(g.total_width * total_height * channels);
  g.pixels = malloc(size);
  if (!g.pixels) {
    snprintf(error, error_size, "cannot write '%s': out of memory", path);
    return false;
  }
  memset(g.pixels, BACKGROUND, size);
  for (int64_t i = 0; i < count; i++)
    place(&g, pixels + i * height * width * channels, GAP + i / columns * step_y,
          GAP + i % columns * step_x);
  bool ok =
      picture_write_png(path, g.total_width, total_height, channels, g.pixels, error, error_size);
  free(g.pixels);
  return ok;
}
