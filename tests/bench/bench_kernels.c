/* Speed of the kernels on the products of Glow's networks, on one core: GFLOP/s and the fraction of
 * the core's fused-multiply-add peak, which is measured beside each case so that both see the same
 * clock. Each figure is the best of several short runs: other programs only make a run slower.
 *
 *   bench_kernels [provider or "all"] [milliseconds for each case, default 100]
 *
 * Then the same products in bfloat16, which AVX512-BF16 can do twice as fast as the peak of
 * float32.
 *
 * SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "math/kernels16.h"

/* ---- cases ---------------------------------------------------------------------------------- */

/* C [m, n] = A [m, k] B, or A' B, accumulating, for a weight gradient: then A is in panels. */
typedef struct shape {
  const char *what;
  int64_t m, n, k;
  int transposed;
  int a_in_panels, c_in_panels; /* of float32 */
} shape;

static const shape shapes[] = {
    {"1x1 conv", 128, 512, 512, 0, 1, 1},
    {"conv1, 6 channels", 128, 512, 54, 0, 0, 1},
    {"conv1, 12 channels", 128, 512, 108, 0, 0, 1},
    {"conv1, 24 channels", 128, 512, 216, 0, 0, 1},
    {"conv1, 48 channels", 128, 512, 432, 0, 0, 1},
    {"conv3, 12 channels", 128, 108, 512, 0, 1, 0},
    {"conv3, 24 channels", 128, 216, 512, 0, 1, 0},
    {"conv3, 48 channels", 128, 432, 512, 0, 1, 0},
    {"invconv, 12 channels", 128, 12, 12, 0, 0, 0},
    {"invconv, 24 channels", 128, 24, 24, 0, 0, 0},
    {"invconv, 48 channels", 128, 48, 48, 0, 0, 0},
    {"one row", 1, 512, 512, 0, 0, 0},
    {"weights of 1x1, a strip", 512, 128, 128, 1, 1, 0},
    {"weights of conv1, a strip", 54, 128, 128, 1, 1, 0},
    {"weights of conv3, a strip", 108, 128, 128, 1, 1, 0},
    {"weights, many pixels", 512, 512, 4096, 1, 1, 0},
    {"the same from rows", 512, 512, 4096, 1, 0, 0},
};

static float *floats(int64_t count, int fill) {
  size_t bytes = ((size_t)count * sizeof(float) + 63) / 64 * 64;
  float *memory = aligned_alloc(64, bytes);
  if (!memory)
    exit(1);
  for (int64_t i = 0; i < count; i++)
    memory[i] = fill ? (float)(rand() % 2001 - 1000) * 1e-3f : 0.0f;
  return memory;
}

static double larger(double a, double b) {
  return a > b ? a : b;
}

/* ---- a product in float32 or bfloat16 -------------------------------------------------------- */

typedef struct product {
  const shape *s;
  const glow__kernels *kernels;     /* or NULL: */
  const glow__kernels16 *kernels16; /* whose arrays of pairs lie in those of floats */
  float *a, *b, *c, *packed, *bias, *scale, *rounded;
} product;

/* Floats of a matrix in any layout. */
static int64_t room(const glow__kernels *kernels, int64_t k, int64_t n) {
  return kernels ? glow__packed_size(kernels, k, n) : k * n;
}

static product new_product(const shape *s, const glow__kernels *kernels,
                           const glow__kernels16 *kernels16) {
  int64_t packed = kernels16 ? glow__packed16(kernels16, s->k, s->n) : room(kernels, s->k, s->n);
  return (product){
      .s = s,
      .kernels = kernels,
      .kernels16 = kernels16,
      .a =
          floats(s->transposed ? room(kernels, s->k, s->m) : room(kernels, s->m, s->k), !kernels16),
      .b = floats(s->k * s->n, 1),
      .c = floats(room(kernels, s->m, s->n), 0),
      .packed = floats(packed, 0),
      .bias = floats(s->n, 1),
      .scale = floats(s->n, 1),
      .rounded = floats(s->m * s->n, 0)};
}

static void free_product(const product *p) {
  float *const arrays[] = {p->a, p->b, p->c, p->packed, p->bias, p->scale, p->rounded};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    free(arrays[i]);
}

static void pack(const product *p) {
  const shape *s = p->s;
  if (p->kernels16)
    p->kernels16->pack(s->k, s->n, p->b, 1, s->k, (glow__pair *)(void *)p->packed, 0,
                       glow__panels16(p->kernels16, s->n));
  else
    p->kernels->pack(s->k, s->n, p->b, s->n, 1, p->packed, 0, glow__panels(p->kernels, s->n));
}

static void multiply16(const product *p) {
  const shape *s = p->s;
  int64_t k = glow__pairs(s->k), rs = s->transposed ? 1 : k, cs = s->transposed ? s->m : 1;
  const glow__epilogue16 norm = {{p->bias, p->scale, 1, 0}, (uint16_t *)(void *)p->rounded};
  const glow__epilogue16 add = {{.accumulate = 1}, NULL};
  p->kernels16->gemm(s->m, s->n, k, (const glow__pair *)(const void *)p->a, rs, cs,
                     (const glow__pair *)(const void *)p->packed, p->c, s->n, 0,
                     glow__panels16(p->kernels16, s->n), s->transposed ? &add : &norm);
}

static glow_layout layout_of(const glow__kernels *kernels, int in_panels, int64_t k, int64_t n) {
  return in_panels ? glow__in_panels(kernels, k, n) : glow__in_rows(kernels, n);
}

static void multiply32(const product *p) {
  const shape *s = p->s;
  const glow__kernels *kernels = p->kernels;
  const glow_epilogue norm = {p->bias, p->scale, 1, 0}, add = {.accumulate = 1};
  int64_t panels = glow__panels(kernels, s->n);
  glow_layout c = layout_of(kernels, s->c_in_panels, s->m, s->n);
  if (s->transposed)
    kernels->gemm_transposed(s->m, s->n, s->k, p->a, layout_of(kernels, s->a_in_panels, s->k, s->m),
                             p->packed, p->c, c, 0, panels, &add);
  else
    kernels->gemm(s->m, s->n, s->k, p->a, layout_of(kernels, s->a_in_panels, s->m, s->k), p->packed,
                  p->c, c, 0, panels, &norm);
}

static void multiply(const product *p) {
  if (p->kernels16)
    multiply16(p);
  else
    multiply32(p);
}

/* Prints a line: best GFLOP/s, beside the best peak seen in the same interval. */
static void bench(const product *p, double seconds) {
  const shape *s = p->s;
  const char *name = p->kernels16 ? p->kernels16->name : p->kernels->name;
  double flops = 2.0 * (double)s->m * (double)s->n * (double)s->k, best = 0, peak = 0;
  int64_t times = (int64_t)(5e7 / flops) + 1; /* about a millisecond */
  double end = bench_now() + seconds, packing = 0;
  do {
    double begin = bench_now();
    pack(p);
    packing = larger(packing, (double)(s->k * s->n) * 4e-9 / (bench_now() - begin));
    begin = bench_now();
    for (int64_t i = 0; i < times; i++)
      multiply(p);
    best = larger(best, flops * (double)times * 1e-9 / (bench_now() - begin));
    peak = larger(peak, bench_peak(name, 100000));
  } while (bench_now() < end);
  printf("%s%-10s %-25s m %4d n %4d k %4d  %7.1f GFLOP/s  %5.1f %% of %.1f   pack %5.2f GB/s\n",
         p->kernels16 ? "bfloat16, " : "", name, s->what, (int)s->m, (int)s->n, (int)s->k, best,
         100 * best / peak, peak, packing);
  fflush(stdout);
}

/* All shapes. */
static void bench_all(const glow__kernels *kernels, const glow__kernels16 *kernels16,
                      double seconds) {
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    product p = new_product(&shapes[i], kernels, kernels16);
    bench(&p, seconds);
    free_product(&p);
  }
}

int main(int argc, char **argv) {
  const char *only = argc > 1 && strcmp(argv[1], "all") != 0 ? argv[1] : NULL;
  double seconds = argc > 2 ? atof(argv[2]) * 1e-3 : 0.1;
  if (only && !glow__kernels_find(only)) {
    fprintf(stderr, "bench_kernels: no kernels '%s' here\n", only);
    return 1;
  }
  for (uint32_t i = 0; glow__kernels_at(i); i++)
    if (!only || glow__kernels_at(i) == glow__kernels_find(only))
      bench_all(glow__kernels_at(i), NULL, seconds);
  for (uint32_t i = 0; glow__kernels16_at(i); i++)
    if (!only || strncmp(glow__kernels16_at(i)->name, only, strlen(only)) == 0)
      bench_all(NULL, glow__kernels16_at(i), seconds);
  return 0;
}
