/* Products with vector types: one source for all instruction sets. It ends with fill_products. The
 * file that includes this defines
 *   SIMD_WIDTH    floats in a vector
 *   SIMD_VECTORS  vectors in a panel
 *   SIMD_ROWS     rows of the largest tile
 * and is compiled with -ffp-contract=fast, so that acc += a * b is one fused multiply-add.
 *
 * A tile keeps rows x vectors sums in registers; for each k it broadcasts one element of each row
 * of A and multiplies it with the panel's row k. The chain of additions of an element is k = 0, 1,
 * ... whatever the tile, so a row's result does not depend on the rows beside it.
 * SPDX-License-Identifier: MIT */

#include <stdbool.h>

#include "math/simd.h"
#include "math/transpose_simd.h"

/* ---- packing --------------------------------------------------------------------------------- */

/* Rows that are contiguous (cs 1): copies. */
INLINE void pack_rows(int64_t k, int64_t width, const float *b, int64_t rs, float *to) {
  for (int64_t i = 0; i < k; i++, to += PANEL, b += rs) {
    for (int64_t j = 0; j < width; j++)
      to[j] = b[j];
    for (int64_t j = width; j < PANEL; j++)
      to[j] = 0.0f;
  }
}

/* Contiguous columns (rs 1), as many as a panel has, in squares that are transposed. */
INLINE void pack_squares(int64_t k, const float *b, int64_t cs, float *to) {
  for (int64_t i = 0; i + SIMD_WIDTH <= k; i += SIMD_WIDTH)
    for (int64_t j = 0; j < PANEL; j += SIMD_WIDTH) {
      vec square[SIMD_WIDTH];
      UNROLL
      for (int64_t l = 0; l < SIMD_WIDTH; l++) {
        const float *column = b + (j + l) * cs + i;
        prefetch(column, AHEAD * SIMD_WIDTH * (int64_t)sizeof *column);
        square[l] = *(const vec_unaligned *)column;
      }
      transpose(square);
      UNROLL
      for (int64_t l = 0; l < SIMD_WIDTH; l++)
        *(vec *)(void *)(to + (i + l) * PANEL + j) = square[l];
    }
}

/* Any columns, in blocks of rows, so that lines are read whole. */
INLINE void pack_columns(int64_t k, int64_t width, const float *b, int64_t rs, int64_t cs,
                         float *to) {
  enum { BLOCK = 16 };
  for (int64_t i0 = 0; i0 < k; i0 += BLOCK) {
    int64_t i1 = i0 + BLOCK < k ? i0 + BLOCK : k;
    for (int64_t j = 0; j < width; j++)
      for (int64_t i = i0; i < i1; i++)
        to[i * PANEL + j] = b[i * rs + j * cs];
    for (int64_t i = i0; i < i1; i++)
      for (int64_t j = width; j < PANEL; j++)
        to[i * PANEL + j] = 0.0f;
  }
}

/* The rows that are left over of the squares go one by one. */
INLINE void pack_whole_columns(int64_t k, const float *b, int64_t cs, float *to) {
  int64_t whole = k - k % SIMD_WIDTH;
  pack_squares(whole, b, cs, to);
  pack_columns(k - whole, PANEL, b + whole, 1, cs, to + whole * PANEL);
}

static void pack(int64_t k, int64_t n, const float *b, int64_t rs, int64_t cs, float *packed,
                 int64_t first, int64_t last) {
  for (int64_t panel = first; panel < last; panel++) {
    int64_t width = n - panel * PANEL < PANEL ? n - panel * PANEL : PANEL;
    const float *from = b + panel * PANEL * cs;
    float *to = packed + panel * k * PANEL;
    if (cs == 1 && width == PANEL)
      pack_rows(k, PANEL, from, rs, to);
    else if (cs == 1)
      pack_rows(k, width, from, rs, to);
    else if (rs == 1 && width == PANEL)
      pack_whole_columns(k, from, cs, to);
    else
      pack_columns(k, width, from, rs, cs, to);
  }
}

/* ---- the end of a product -------------------------------------------------------------------- */

/* What a tile needs besides its factors: its place, its row stride, its first column, and the
 * number of columns from there on. */
typedef struct destination {
  float *to;
  int64_t row, j, width;
  const glow_epilogue *end;
  uintptr_t next;      /* address of what is read later: a line of it is asked for in each step, */
  uintptr_t next_step; /* so many bytes further each time, or 0 where it has been asked for */
} destination;

/* A tile of whole vectors, from registers. The kind of end is a constant at each call, and bias and
 * scale are loaded once for all rows. norm: (. + bias) scale, if there is one, and ReLU. */
INLINE void store_whole(int64_t rows, const vec (*sums)[SIMD_VECTORS], const destination *p,
                        bool accumulate, bool biased, bool norm) {
  UNROLL
  for (int64_t v = 0; v < SIMD_VECTORS; v++) {
    int64_t at = v * SIMD_WIDTH;
    vec bias = biased ? *(const vec_unaligned *)(p->end->bias + p->j + at) : (vec){0};
    vec scale = (vec){0} + 1.0f;
    if (norm && p->end->scale)
      scale = *(const vec_unaligned *)(p->end->scale + p->j + at);
    float *to = p->to + at;
    UNROLL
    for (int64_t r = 0; r < rows; r++, to += p->row) {
      vec value = accumulate ? sums[r][v] + *(const vec_unaligned *)to : sums[r][v];
      value = biased ? value + bias : value;
      *(vec_unaligned *)to = norm ? rectify(value * scale) : value;
    }
  }
}

/* Any other end, from memory. At the right end of the rows a vector may have only some of its
 * columns; nothing beside them is touched. */
NOINLINE void store_any(int64_t rows, const vec (*sums)[SIMD_VECTORS], const destination *p) {
  const glow_epilogue *e = p->end;
  for (int64_t v = 0; v * SIMD_WIDTH < p->width && v < SIMD_VECTORS; v++) {
    int64_t at = v * SIMD_WIDTH, width = p->width - at;
    vec bias = load_columns(e->bias, p->j + at, width);
    vec scale = load_columns(e->scale, p->j + at, width);
    float *to = p->to + at;
    for (int64_t r = 0; r < rows; r++, to += p->row)
      store_part(to, finish(sums[r][v], to, bias, scale, width, e), width);
  }
}

INLINE void store_from_memory(int64_t rows, const vec (*sums)[SIMD_VECTORS], const destination *p) {
  tile_sums in_memory;
  copy_sums(rows, sums, in_memory);
  store_any(rows, in_memory, p);
}

/* A case for each of the four ends that the products of nets have, and one for any other. */
INLINE void store_tile(int64_t rows, const vec (*sums)[SIMD_VECTORS], const destination *p) {
  const glow_epilogue *e = p->end;
  bool whole = p->width >= PANEL, plain = !e->bias && !e->scale && !e->relu;
  if (whole && plain && e->accumulate) {
    store_whole(rows, sums, p, true, false, false);
  } else if (whole && plain) {
    store_whole(rows, sums, p, false, false, false);
  } else if (whole && e->bias && e->relu && !e->accumulate) {
    store_whole(rows, sums, p, false, true, true);
  } else if (whole && e->bias && !e->scale && !e->accumulate) {
    store_whole(rows, sums, p, false, true, false);
  } else {
    store_from_memory(rows, sums, p);
  }
}

/* What has been computed with fewer vectors than a panel has is not whole. */
INLINE void store_vectors(int64_t rows, int64_t vectors, const vec (*sums)[SIMD_VECTORS],
                          const destination *p) {
  if (vectors == SIMD_VECTORS)
    store_tile(rows, sums, p);
  else
    store_from_memory(rows, sums, p);
}

/* ---- products -------------------------------------------------------------------------------- */

/* Prefetches lines that would come late: those of a panel that is longer than the first-level cache
 * ... */
INLINE void ask_for_panel(const float *panel) {
  UNROLL
  for (int64_t j = 0; j < PANEL; j += LINE)
    prefetch(panel, (AHEAD_PANEL * PANEL + j) * (int64_t)sizeof *panel);
}

/* ... and those down the columns of A, where each step needs a line far from the last. Lines of
 * this tile come from the second-level cache, and not too early: lines at a stride of 2 KiB share a
 * few sets of the first level and would drive each other out. Lines of the next tile come from
 * wherever they are into the second level. */
INLINE void ask_for_column(const float *a, int64_t rows, int64_t row) {
  prefetch(a + rows - 1, AHEAD * row * (int64_t)sizeof *a);
  prefetch_second_level(a, (2 * rows - 1) * (int64_t)sizeof *a);
}

/* ... and the next panel, which comes from memory where a product has few rows for its weights. A
 * step of AVX2 has few multiply-adds to hide this behind. */
enum { ASK_FOR_NEXT = SIMD_WIDTH >= 16 };
INLINE void ask_for_next(uintptr_t *next, uintptr_t step) {
  if (ASK_FOR_NEXT)
    prefetch_second_level((const void *)*next, 0);
  *next += step;
}

/* `rows` and `vectors` are constants at each call, so that the sums stay in registers. */
INLINE void multiply_add(int64_t rows, int64_t vectors, tile_sums sums, const float *const *groups,
                         int64_t stride, const float *panel) {
  const vec *b = (const vec *)(const void *)panel;
  UNROLL
  for (int64_t r = 0; r < rows; r++)
    UNROLL
  for (int64_t v = 0; v < vectors; v++)
    sums[r][v] += ROW(groups, r, stride) * b[v];
}

/* Rows of A: a whole row in one piece, or panel after panel, which are `step` apart. */
INLINE void tile_of_rows(int64_t rows, int64_t vectors, int64_t k, const float *a, int64_t row,
                         int64_t step, const float *panel, const destination *p) {
  int64_t run = step == PANEL ? k : PANEL;
  tile_sums sums;
  const float *groups[GROUPS];
  uintptr_t next = p->next, next_step = p->next_step;
  POINT_AT_GROUPS(groups, rows, a, row)
  clear_sums(rows, sums);
  for (int64_t left = k; left > 0; left -= run) {
    if (left > run) {
      UNROLL
      for (int64_t r = 0; r < rows; r++)
        prefetch(&ROW(groups, r, row), step * (int64_t)sizeof *a);
    }
    for (int64_t i = left < run ? left : run; i > 0; i--, panel += PANEL) {
      ask_for_panel(panel);
      ask_for_next(&next, next_step);
      multiply_add(rows, vectors, sums, groups, row, panel);
      ADVANCE_GROUPS(groups, rows, 1)
    }
    ADVANCE_GROUPS(groups, rows, step - PANEL)
  }
  store_vectors(rows, vectors, sums, p);
}

/* Columns of A, neighbours of a. */
INLINE void tile_of_columns(int64_t rows, int64_t vectors, int64_t k, const float *a, int64_t row,
                            const float *panel, const destination *p) {
  tile_sums sums;
  const float *groups[GROUPS];
  POINT_AT_GROUPS(groups, rows, a, 1)
  clear_sums(rows, sums);
  for (int64_t i = k; i > 0; i--, panel += PANEL) {
    ask_for_column(groups[0], rows, row);
    multiply_add(rows, vectors, sums, groups, 1, panel);
    ADVANCE_GROUPS(groups, rows, row)
  }
  store_vectors(rows, vectors, sums, p);
}

/* Functions of their own, so that the inner loop of each has all registers to itself. The last
 * panel of a matrix often has few columns; where half of its vectors have none, only the others are
 * computed. */
enum { NARROW = (SIMD_VECTORS + 1) / 2 };
#define TILE_FUNCTIONS_OF(name, rows, vectors)                                                     \
  NOINLINE void rows_##name(int64_t k, const float *a, int64_t row, int64_t step,                  \
                            const float *panel, const destination *p) {                            \
    tile_of_rows(rows, vectors, k, a, row, step, panel, p);                                        \
  }                                                                                                \
  NOINLINE void columns_##name(int64_t k, const float *a, int64_t row, const float *panel,         \
                               const destination *p) {                                             \
    tile_of_columns(rows, vectors, k, a, row, panel, p);                                           \
  }
#define TILE_FUNCTIONS(size, rows)                                                                 \
  TILE_FUNCTIONS_OF(size, rows, SIMD_VECTORS)                                                      \
  TILE_FUNCTIONS_OF(narrow_##size, rows, NARROW)
EACH_TILE_SIZE(TILE_FUNCTIONS)

/* A single row has few sums, and each of them waits for its last multiply-add; so several panels
 * are taken at a time, panels[k, PANEL] one after the other. */
enum { ABREAST = 4 };
NOINLINE void row_abreast(int64_t k, const float *a, glow_layout layout, const float *panels,
                          float *to, int64_t step, int64_t n, int64_t j,
                          const glow_epilogue *epilogue) {
  int64_t run = layout.panel == PANEL ? k : PANEL;
  vec sums[ABREAST][SIMD_VECTORS] = {0};
  const float *b = panels;
  for (int64_t left = k; left > 0; left -= run, a += layout.panel)
    for (int64_t i = 0; i < (left < run ? left : run); i++, b += PANEL)
      UNROLL
  for (int64_t p = 0; p < ABREAST; p++)
    UNROLL
  for (int64_t v = 0; v < SIMD_VECTORS; v++)
    sums[p][v] += a[i] * *(const vec *)(const void *)(b + p * k * PANEL + v * SIMD_WIDTH);
  UNROLL
  for (int64_t p = 0; p < ABREAST; p++, to += step, j += PANEL)
    store_tile(1, &sums[p], &(destination){to, 0, j, n - j, epilogue, 0, 0});
}

/* Tile 0, 1, ... of a panel asks for k lines of the next one, as long as there are any. */
INLINE void ask_in_tile(destination *p, int64_t k, const float *panel, int64_t tile) {
  bool any = tile < PANEL / LINE;
  p->next = (uintptr_t)panel + (any ? (uintptr_t)(tile * k * LINE) * sizeof *panel : 0);
  p->next_step = any ? LINE * sizeof *panel : 0;
}

static void gemm(const glow__kernels *kernels, int64_t m, int64_t n, int64_t k, const float *a,
                 glow_layout a_layout, const float *packed, float *c, glow_layout c_layout,
                 int64_t first, int64_t last, const glow_epilogue *epilogue) {
  (void)kernels;
  for (; m == 1 && last - first >= ABREAST; first += ABREAST)
    row_abreast(k, a, a_layout, packed + first * PANEL * k, c + first * c_layout.panel,
                c_layout.panel, n, first * PANEL, epilogue);
  for (int64_t panel = first; panel < last; panel++) {
    int64_t j = panel * PANEL;
    const float *here = packed + j * k, *next = here + k * PANEL;
    destination p = {c + panel * c_layout.panel, c_layout.row, j, n - j, epilogue, 0, 0};
    int64_t tile = 0;
#define TILE_OF(name, rows, i)                                                                     \
  do {                                                                                             \
    ask_in_tile(&p, k, next, tile++);                                                              \
    rows_##name(k, a + (i)*a_layout.row, a_layout.row, a_layout.panel, here, &p);                  \
    p.to += (rows)*c_layout.row;                                                                   \
  } while (0)
#define TILE(size, rows, i) TILE_OF(size, rows, i)
#define NARROW_TILE(size, rows, i) TILE_OF(narrow_##size, rows, i)
    if (p.width > NARROW * SIMD_WIDTH)
      EACH_TILE(m, TILE);
    else
      EACH_TILE(m, NARROW_TILE);
#undef TILE_OF
  }
}

/* Panel after panel of A, each of which stays in the first-level cache while the panels of B go by.
 * */
static void gemm_transposed(const glow__kernels *kernels, int64_t m, int64_t n, int64_t k,
                            const float *a, glow_layout a_layout, const float *packed, float *c,
                            glow_layout c_layout, int64_t first, int64_t last,
                            const glow_epilogue *epilogue) {
  (void)kernels;
  for (int64_t top = 0; top < m; top += PANEL, a += a_layout.panel, c += PANEL * c_layout.row)
    for (int64_t panel = first; panel < last; panel++) {
      int64_t j = panel * PANEL, height = m - top < PANEL ? m - top : PANEL;
      destination p = {c + panel * c_layout.panel, c_layout.row, j, n - j, epilogue, 0, 0};
#define TILE_OF(name, rows, i)                                                                     \
  do {                                                                                             \
    columns_##name(k, a + (i), a_layout.row, packed + j * k, &p);                                  \
    p.to += (rows)*c_layout.row;                                                                   \
  } while (0)
      if (p.width > NARROW * SIMD_WIDTH)
        EACH_TILE(height, TILE);
      else
        EACH_TILE(height, NARROW_TILE);
#undef TILE_OF
#undef TILE
#undef NARROW_TILE
    }
}

/* ---- back through a norm --------------------------------------------------------------------- */

INLINE void norm_panel(int64_t rows, const float *h, const float *scale, float *d, int64_t row,
                       float *sum_bias, float *sum_scale) {
  vec bias[SIMD_VECTORS] = {0}, factor[SIMD_VECTORS] = {0};
  for (int64_t i = 0; i < rows; i++, h += row, d += row)
    UNROLL
  for (int64_t v = 0; v < SIMD_VECTORS; v++) {
    vec activation = *(const vec_unaligned *)(h + v * SIMD_WIDTH);
    vec_unaligned *place = (vec_unaligned *)(d + v * SIMD_WIDTH);
    vec g = (vec)((mask)*place & (mask)(activation > 0.0f));
    factor[v] += g * activation;
    g *= *(const vec_unaligned *)(scale + v * SIMD_WIDTH);
    bias[v] += g;
    *place = g;
  }
  for (int64_t v = 0; v < SIMD_VECTORS; v++) {
    *(vec_unaligned *)(sum_bias + v * SIMD_WIDTH) = bias[v];
    *(vec_unaligned *)(sum_scale + v * SIMD_WIDTH) = factor[v];
  }
}

static void norm_column(int64_t rows, const float *h, float scale, float *d, int64_t row,
                        float *sum_bias, float *sum_scale) {
  *sum_bias = *sum_scale = 0.0f;
  for (int64_t i = 0; i < rows * row; i += row) {
    float g = h[i] > 0.0f ? d[i] : 0.0f;
    *sum_scale += g * h[i];
    d[i] = g * scale;
    *sum_bias += d[i];
  }
}

static void norm_back(int64_t rows, int64_t n, const float *h, const float *scale, float *d,
                      glow_layout layout, float *sum_bias, float *sum_scale) {
  int64_t j = 0;
  for (; j + PANEL <= n; j += PANEL, h += layout.panel, d += layout.panel)
    norm_panel(rows, h, scale + j, d, layout.row, sum_bias + j, sum_scale + j);
  for (int64_t i = 0; j < n; i++, j++)
    norm_column(rows, h + i, scale[j], d + i, layout.row, sum_bias + j, sum_scale + j);
}

/* ---- the table ------------------------------------------------------------------------------- */

static void fill_products(glow__kernels *kernels) {
  kernels->panel = PANEL;
  kernels->whole_rows = 0;
  kernels->pack = pack;
  kernels->gemm = gemm;
  kernels->gemm_transposed = gemm_transposed;
  kernels->norm_back = norm_back;
}
