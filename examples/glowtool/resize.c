/* Resizing by area, separably: each row, then over the rows. Output i of `size` covers
 * [i side, (i + 1) side) of the input, and pixel p covers [p size, (p + 1) size), in units of
 * 1 / size of a pixel; so all areas are whole numbers. SPDX-License-Identifier: MIT */
#include "resize.h"

#include <stdlib.h>
#include <string.h>

/* round(a b / c), at least 1 and at most `most` */
static int64_t part(int64_t a, int64_t b, int64_t c, int64_t most) {
  int64_t value = (2 * a * b + c) / (2 * c);
  return value < 1 ? 1 : value > most ? most : value;
}

resize_window resize_middle(int64_t height, int64_t width, int64_t to_height, int64_t to_width) {
  bool tall = height * to_width > width * to_height;
  int64_t rows = tall ? part(width, to_height, to_width, height) : height;
  int64_t columns = tall ? width : part(height, to_width, to_height, width);
  return (resize_window){(height - rows) / 2, (width - columns) / 2, rows, columns};
}

bool resize_open(resize *r, const resize_window *window, int64_t channels, int64_t to_height,
                 int64_t to_width) {
  size_t count = (size_t)(to_width * channels);
  *r = (resize){.window = *window,
                .channels = channels,
                .to_height = to_height,
                .to_width = to_width,
                .row = -1};
  r->line = malloc(count * sizeof *r->line);
  r->sums = calloc(count, sizeof *r->sums);
  return r->line && r->sums;
}

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b) {
  return a > b ? a : b;
}

void resize_put(resize *r, const uint8_t *row) {
  const resize_window *w = &r->window;
  int64_t channels = r->channels, side = w->columns, size = r->to_width, y = r->next++;
  if (y < w->top || y >= w->top + w->rows)
    return;
  r->row = y - w->top;
  row += w->left * channels;
  memset(r->line, 0, (size_t)(size * channels) * sizeof *r->line);
  for (int64_t i = 0; i < size; i++) {
    uint32_t *to = r->line + i * channels;
    int64_t begin = i * side, end = begin + side;
    for (int64_t p = begin / size; p * size < end; p++) {
      uint32_t area = (uint32_t)(least(end, (p + 1) * size) - most(begin, p * size));
      for (int64_t c = 0; c < channels; c++)
        to[c] += area * row[p * channels + c];
    }
  }
}

static void finish_row(resize *r, uint8_t *to) {
  uint64_t area = (uint64_t)(r->window.rows * r->window.columns);
  int64_t count = r->to_width * r->channels;
  for (int64_t i = 0; i < count; i++)
    to[i] = (uint8_t)((2 * r->sums[i] + area) / (2 * area));
  memset(r->sums, 0, (size_t)count * sizeof *r->sums);
  r->done++;
}

bool resize_take(resize *r, uint8_t *to) {
  int64_t side = r->window.rows, size = r->to_height, count = r->to_width * r->channels;
  if (r->row < 0 || r->done == size)
    return false;
  int64_t begin = most(r->done * side, r->row * size);
  int64_t end = least((r->done + 1) * side, (r->row + 1) * size);
  for (int64_t i = 0; end > begin && i < count; i++)
    r->sums[i] += (uint64_t)(end - begin) * r->line[i];
  if ((r->done + 1) * side <= (r->row + 1) * size) {
    finish_row(r, to);
    return true;
  }
  r->row = -1;
  return false;
}

void resize_close(resize *r) {
  free(r->line);
  free(r->sums);
  *r = (resize){.row = -1};
}

bool resize_crop(const uint8_t *from, int64_t height, int64_t width, int64_t channels,
                 int64_t to_height, int64_t to_width, uint8_t *to) {
  resize r;
  resize_window window = resize_middle(height, width, to_height, to_width);
  bool ok = resize_open(&r, &window, channels, to_height, to_width);
  for (int64_t y = 0; ok && y < height; y++) {
    resize_put(&r, from + y * width * channels);
    while (resize_take(&r, to))
      to += to_width * channels;
  }
  resize_close(&r);
  return ok;
}
