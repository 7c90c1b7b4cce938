/* The border indicator of 3x3 convolutions. SPDX-License-Identifier: MIT */
#include "math/border.h"

#include <string.h>

static int64_t kind_on_axis(int64_t at, int64_t size) {
  return at == 0 ? 0 : at == size - 1 ? 2 : 1;
}

/* Does tap k of 0, 1, 2 along an axis lie outside, for pixels of this kind? */
static int outside_on_axis(int64_t kind, int64_t tap, int64_t size) {
  return (tap == 0 && kind == 0) || (tap == 2 && (kind == 2 || size == 1));
}

static int outside(int64_t height, int64_t width, int64_t kind, int64_t tap) {
  return outside_on_axis(kind / 3, tap / 3, height) || outside_on_axis(kind % 3, tap % 3, width);
}

/* Runs through the pixels of a batch. */
typedef struct walk {
  int64_t height, width, row, column;
} walk;

static walk start(int64_t height, int64_t width, int64_t pixel) {
  int64_t in_image = pixel % (height * width);
  return (walk){height, width, in_image / width, in_image % width};
}

static int64_t next_kind(walk *w) {
  int64_t kind = 3 * kind_on_axis(w->row, w->height) + kind_on_axis(w->column, w->width);
  if (++w->column == w->width) {
    w->column = 0;
    if (++w->row == w->height)
      w->row = 0;
  }
  return kind;
}

void glow__border_table(int64_t height, int64_t width, int64_t n, const float *edge, float *table) {
  memset(table, 0, (size_t)(GLOW_BORDER_KINDS * n) * sizeof *table);
  for (int64_t i = 0; i < GLOW_BORDER_KINDS * 9; i++) {
    int64_t kind = i / 9, t = i % 9;
    if (outside(height, width, kind, t))
      for (int64_t o = 0; o < n; o++)
        table[kind * n + o] += edge[o * 9 + t];
  }
}

void glow__border_fill(int64_t height, int64_t width, int64_t n, int64_t columns,
                       const float *table, int64_t first, int64_t last, float *rows,
                       int64_t stride) {
  walk w = start(height, width, first);
  for (int64_t p = first; p < last; p++, rows += stride)
    memcpy(rows, table + next_kind(&w) * n, (size_t)columns * sizeof *rows);
}

void glow__border_add(int64_t height, int64_t width, int64_t n, const float *table, int64_t first,
                      int64_t last, float *rows) {
  walk w = start(height, width, first);
  for (int64_t p = first; p < last; p++, rows += n) {
    int64_t kind = next_kind(&w);
    for (int64_t o = 0; kind != GLOW_BORDER_INNER && o < n; o++)
      rows[o] += table[kind * n + o];
  }
}

void glow__border_sums(int64_t height, int64_t width, int64_t n, int64_t columns, const float *rows,
                       int64_t stride, int64_t first, int64_t last, float *sums) {
  walk w = start(height, width, first);
  for (int64_t p = first; p < last; p++, rows += stride) {
    int64_t kind = next_kind(&w);
    for (int64_t o = 0; kind != GLOW_BORDER_INNER && o < columns; o++)
      sums[kind * n + o] += rows[o];
  }
}

void glow__border_gradient(int64_t height, int64_t width, int64_t n, const double *sums,
                           float *d_edge) {
  for (int64_t o = 0; o < n; o++)
    for (int64_t t = 0; t < 9; t++) {
      double sum = 0;
      for (int64_t kind = 0; kind < GLOW_BORDER_KINDS; kind++)
        if (outside(height, width, kind, t))
          sum += sums[kind * n + o];
      d_edge[o * 9 + t] += (float)sum;
    }
}
