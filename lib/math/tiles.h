/* Tiles: how a product is cut into tasks, by rows and by columns of the result. The cut depends on
 * shapes alone, so results do not depend on threads; and an element's sum is whole in one task, so
 * they do not depend on the cut either.
 *
 * The cost model: with ENOUGH tasks, threads that run them share the work evenly; a task of fewer
 * than LEAST multiply-adds, 3 us of a core, is not worth handing out; and what a tile reads,
 * k (rows + columns) floats, is least for its work where it is square. So a tile is halved along
 * its longer side until there are enough of them or they would be too small.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_TILES_H
#define GLOW_LIB_TILES_H

#include <stdint.h>

enum {
  GLOW_TILES_ENOUGH = 128,
  GLOW_TILE_LEAST = 1 << 18 /* multiply-adds */
};

/* Powers of two. */
typedef struct glow__tile_limits {
  int64_t most_rows, least_rows, least_columns;
} glow__tile_limits;

typedef struct glow__tiles {
  int64_t rows, columns; /* of the result */
  int64_t height, width; /* of a tile */
} glow__tiles;

/* Of a product [rows, columns] with sums of k products. */
glow__tiles glow__tiles_of(int64_t rows, int64_t columns, int64_t k,
                           const glow__tile_limits *limits);

static inline int64_t glow__tiles_down(const glow__tiles *t) {
  return (t->rows - 1) / t->height + 1;
}
static inline int64_t glow__tiles_across(const glow__tiles *t) {
  return (t->columns - 1) / t->width + 1;
}
static inline uint32_t glow__tile_count(const glow__tiles *t) {
  return (uint32_t)(glow__tiles_down(t) * glow__tiles_across(t));
}

/* Rows [row, row_end) and columns [column, column_end). */
typedef struct glow__tile {
  int64_t row, row_end, column, column_end;
} glow__tile;

/* A thread gets tasks that follow each other, so these share what is larger: tiles of the same rows
 * follow each other if there are more rows than columns, else tiles of the same columns. Then a
 * thread reads the smaller factor whole, but only its part of the larger one. */
glow__tile glow__tile_at(const glow__tiles *t, uint32_t task);

#endif
