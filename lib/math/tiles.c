/* Tiles of a product. SPDX-License-Identifier: MIT */
#include "math/tiles.h"

#include <stdbool.h>

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* Multiply-adds of a whole tile. */
static int64_t tile_work(const glow__tiles *t, int64_t k) {
  return least(t->height, t->rows) * least(t->width, t->columns) * k;
}

/* Halves the longer side, or the one that can be halved. */
static bool halve(glow__tiles *t, const glow__tile_limits *limits) {
  bool low = t->height <= limits->least_rows, narrow = t->width <= limits->least_columns;
  if (!narrow && (low || t->width > t->height))
    t->width /= 2;
  else if (!low)
    t->height /= 2;
  return !narrow || !low;
}

glow__tiles glow__tiles_of(int64_t rows, int64_t columns, int64_t k,
                           const glow__tile_limits *limits) {
  glow__tiles t = {rows, columns, limits->least_rows, limits->least_columns};
  while (t.height < limits->most_rows && t.height < rows)
    t.height *= 2;
  while (t.width < columns)
    t.width *= 2;
  while (glow__tile_count(&t) < GLOW_TILES_ENOUGH && tile_work(&t, k) > GLOW_TILE_LEAST)
    if (!halve(&t, limits))
      break;
  return t;
}

glow__tile glow__tile_at(const glow__tiles *t, uint32_t task) {
  int64_t down = glow__tiles_down(t), across = glow__tiles_across(t);
  bool tall = t->rows > t->columns;
  int64_t row = (tall ? task / across : task % down) * t->height;
  int64_t column = (tall ? task % across : task / down) * t->width;
  return (glow__tile){row, least(row + t->height, t->rows), column,
                      least(column + t->width, t->columns)};
}
