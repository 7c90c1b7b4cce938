/* The table of math kernels. Plain C fills every slot, and defines what it means; a provider, which
 * is a vector instruction set or CBLAS, then overrides the slots that it has. A context fills its
 * own table when it is created. tests/checkkernels compares each slot of each provider with plain
 * C.
 *
 * The order of accumulation is fixed for each output element (k = 0, 1, ... in one chain),
 * whatever the position of the element in the matrix and the other sizes; so a sample gives the
 * same bits alone or in a batch. (CBLAS does not promise this.) SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_KERNELS_H
#define GLOW_LIB_KERNELS_H

#include <glow/context.h>
#include <glow/sys/math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "math/blas.h"
#include "math/functions.h"
#include "math/pointwise.h"
#include "math/spline.h"

/* Ends element (., j): from its sum, and what was in its place before. */
static inline float glow__finish(float v, float before, int64_t j, const glow_epilogue *e) {
  if (e->accumulate)
    v += before;
  if (e->bias)
    v += e->bias[j];
  if (e->scale)
    v *= e->scale[j];
  return e->relu && v < 0.0f ? 0.0f : v;
}

typedef struct glow__kernels glow__kernels;
struct glow__kernels {
  const char *name; /* of the provider */

  /* Of "cblas", otherwise NULL: */
  void *library; /* a reference to the library that has sgemm */
  glow__sgemm sgemm;

  /* The form of a packed matrix, which pack, gemm and gemm_transposed agree on: a provider that
   * overrides one of these overrides all. */
  int64_t panel;      /* columns in one panel */
  int32_t whole_rows; /* 1: stored by rows, not panel after panel */

  /* From here to the end everything is a slot. */

  /* Packs panels [first, last) of B [k, n], element (i, j) at b[i*rs + j*cs]. The buffer has
   * glow__packed_size(kernels, k, n) floats, aligned to 64 bytes. */
  void (*pack)(int64_t k, int64_t n, const float *b, int64_t rs, int64_t cs, float *packed,
               int64_t first, int64_t last);
  /* C [m, n] = epilogue(A B), where A is [m, k] and B packed. Only columns of panels [first, last)
   * are computed; c, bias and scale point at column 0. */
  void (*gemm)(const glow__kernels *kernels, int64_t m, int64_t n, int64_t k, const float *a,
               glow_layout a_layout, const float *packed, float *c, glow_layout c_layout,
               int64_t first, int64_t last, const glow_epilogue *epilogue);
  /* The same with A', where A is [k, m]. */
  void (*gemm_transposed)(const glow__kernels *kernels, int64_t m, int64_t n, int64_t k,
                          const float *a, glow_layout a_layout, const float *packed, float *c,
                          glow_layout c_layout, int64_t first, int64_t last,
                          const glow_epilogue *epilogue);
  /* Back through h = relu((a + bias) scale). d [rows, n], laid out like h, is the gradient of h:
   *   g = d where h > 0, else 0;  sum_scale = sum g h;  d = g scale;  sum_bias = sum d */
  void (*norm_back)(int64_t rows, int64_t n, const float *h, const float *scale, float *d,
                    glow_layout layout, float *sum_bias, float *sum_scale);
  glow__functions functions; /* over arrays */
  glow__pointwise pointwise; /* over activations */
  glow__splines splines;     /* over arrays of splines */
};

static inline int64_t glow__panels(const glow__kernels *kernels, int64_t n) {
  return (n + kernels->panel - 1) / kernels->panel;
}
static inline int64_t glow__packed_size(const glow__kernels *kernels, int64_t k, int64_t n) {
  return glow__panels(kernels, n) * kernels->panel * k;
}

/* Rows of `stride` floats. */
static inline glow_layout glow__in_rows(const glow__kernels *kernels, int64_t stride) {
  return (glow_layout){stride, kernels->panel, kernels->panel};
}
/* A packed matrix [k, n]. A product can write its output in this form, which the next product then
 * reads as its packed factor or as A. Activations and gradients of wide layers are in it, and need
 * no other packing. */
static inline glow_layout glow__in_panels(const glow__kernels *kernels, int64_t k, int64_t n) {
  if (kernels->whole_rows)
    return glow__in_rows(kernels, glow__packed_size(kernels, 1, n));
  return (glow_layout){kernels->panel, k * kernels->panel, kernels->panel};
}

/* The table behind <glow/sys/math.h>, for nets and layers of this library that need more than that
 * header offers. */
const glow__kernels *glow__math_kernels(const glow_math *math);

/* What each provider does to a table: C fills all slots, the others override those that they have.
 * */
void glow__kernels_fill_c(glow__kernels *kernels);
void glow__kernels_fill_avx2(glow__kernels *kernels);
void glow__kernels_fill_avx512(glow__kernels *kernels);
void glow__kernels_fill_neon(glow__kernels *kernels);
void glow__kernels_fill_cblas(glow__kernels *kernels); /* after its library was loaded */

/* Can this CPU run this provider? "avx512bf16" and "amx" are providers, too (math/kernels16.h). */
bool glow__kernels_cpu_has(const char *name);

/* Name of the provider for a wanted name. NULL or "auto" is the best usable one, but never CBLAS,
 * which does not promise the same bits for a row in any batch. The result is NULL if the name is
 * unknown or the provider not usable. What is usable is told by glow__kernels_cpu_has, or by a test
 * in its place. */
const char *glow__kernels_choose(const char *wanted, bool (*usable)(const char *name));

/* Fills the table from the provider of this name. GLOW_E_UNSUPPORTED if it is unknown or not
 * usable, or its library cannot be loaded. */
glow_status glow__kernels_fill(glow__kernels *kernels, const char *name);

/* Sets context->kernels, and with `bfloat16` context->kernels16, by the name that a user gave, or
 * NULL. GLOW_E_UNSUPPORTED if this build and CPU have no such provider, or its library is not
 * there. */
glow_status glow__kernels_create(glow_context *context, const char *name, bool bfloat16);

#endif
