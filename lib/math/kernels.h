/* The table of math kernels: one per provider (plain C, vector instruction sets, CBLAS), chosen
 * once per context. kernels_c.c is the meaning of each entry and the tests' oracle.
 *
 * Order of accumulation is fixed for each output element (k = 0, 1, ... in one chain), whatever the
 * position of the element in the matrix and the other sizes; so a sample gives the same bits alone
 * or in a batch. (CBLAS does not promise this.) SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_KERNELS_H
#define GLOW_LIB_KERNELS_H

#include <glow/sys/math.h>
#include <stddef.h>
#include <stdint.h>

#include "math/functions.h"
#include "math/passes.h"

/* Element (., j): its sum, and what stood in its place. */
static inline float glow__finish(float v, float before, int64_t j, const glow_epilogue *e) {
  if (e->accumulate)
    v += before;
  if (e->bias)
    v += e->bias[j];
  if (e->scale)
    v *= e->scale[j];
  return e->relu && v < 0.0f ? 0.0f : v;
}

typedef struct glow__kernels {
  const char *name;
  int64_t panel;      /* columns in one panel of a packed matrix */
  int32_t whole_rows; /* a packed matrix consists of rows, not of one panel after the other */

  /* Packs panels [first, last) of B [k, n], element (i, j) at b[i*rs + j*cs]. The buffer has
   * glow__packed_size(kernels, k, n) floats, aligned to 64 bytes. */
  void (*pack)(int64_t k, int64_t n, const float *b, int64_t rs, int64_t cs, float *packed,
               int64_t first, int64_t last);
  /* C [m, n] = epilogue(A B), where A is [m, k] and B packed. Only columns of panels [first, last)
   * are computed; c, bias and scale point at column 0. */
  void (*gemm)(int64_t m, int64_t n, int64_t k, const float *a, glow_layout a_layout,
               const float *packed, float *c, glow_layout c_layout, int64_t first, int64_t last,
               const glow_epilogue *epilogue);
  /* The same with A', where A is [k, m]. */
  void (*gemm_transposed)(int64_t m, int64_t n, int64_t k, const float *a, glow_layout a_layout,
                          const float *packed, float *c, glow_layout c_layout, int64_t first,
                          int64_t last, const glow_epilogue *epilogue);
  /* Back through h = relu((a + bias) scale). d [rows, n], laid out like h, is the gradient of h:
   *   g = d where h > 0, else 0;  sum_scale = sum g h;  d = g scale;  sum_bias = sum d */
  void (*norm_back)(int64_t rows, int64_t n, const float *h, const float *scale, float *d,
                    glow_layout layout, float *sum_bias, float *sum_scale);
  const glow__functions *functions; /* over arrays */
  const glow__passes *passes;       /* over activations */
} glow__kernels;

static inline int64_t glow__panels(const glow__kernels *kernels, int64_t n) {
  return (n + kernels->panel - 1) / kernels->panel;
}
static inline int64_t glow__packed_size(const glow__kernels *kernels, int64_t k, int64_t n) {
  return glow__panels(kernels, n) * kernels->panel * k;
}

/* Rows of `stride` floats. */
static inline glow_layout glow__in_rows(const glow__kernels *kernels, int64_t stride) {
  return (glow_layout){stride, kernels->panel};
}
/* A packed matrix [k, n]. What one product writes like this can be a packed factor, or A, of the
 * next: activations and gradients of wide layers are so, and need no packing of their own. */
static inline glow_layout glow__in_panels(const glow__kernels *kernels, int64_t k, int64_t n) {
  return kernels->whole_rows ? glow__in_rows(kernels, glow__packed_size(kernels, 1, n))
                             : (glow_layout){kernels->panel, k * kernels->panel};
}

/* The table behind the door of <glow/sys/math.h>, for nets and layers of this library that need more
 * than the door has. */
const glow__kernels *glow__math_kernels(const glow_math *math);

/* Providers that this build has; each *_usable tells whether the CPU can run it. */
extern const glow__kernels glow__kernels_c;
#ifdef GLOW_HAVE_X86_KERNELS
extern const glow__kernels glow__kernels_avx2;
extern const glow__kernels glow__kernels_avx512;
#endif
#ifdef GLOW_HAVE_NEON_KERNELS
extern const glow__kernels glow__kernels_neon;
#endif
#ifdef GLOW_HAVE_CBLAS
extern const glow__kernels glow__kernels_cblas;
#endif

/* index-th usable provider, best first, NULL past the end. "cblas" and "c" come last. */
const glow__kernels *glow__kernels_at(uint32_t index);
/* By name; NULL or "auto": the best; unknown or not usable: NULL. */
const glow__kernels *glow__kernels_find(const char *name);

#endif
