/* Glow's network with products of bfloat16, backward (formulas: conv_net_backward.c). What weight
 * gradients take as A', with pixels for k, is laid out in pairs of pixels while it is in the cache.
 * SPDX-License-Identifier: MIT */
#include "nets/conv_net16.h"
#include "nets/strips.h"

static glow__pair *pairs_at(const glow__conv_run *run, int32_t region, int64_t pixel, int64_t n) {
  return (glow__pair *)(void *)glow_call_scratch(run->call, region) + pixel / 2 * n;
}

/* Rows of taps gathered from the channels of x: rounded in s->wide16 and zipped in a region. */
static void gather(const glow__conv_run *run, const glow__conv_strip16 *s, int64_t channels,
                   const float *x, int64_t stride, int32_t sign, int32_t region) {
  const glow__kernels16 *kernels = run->kernels16;
  int64_t taps = 9 * channels;
  glow__strip_gather(run->kernels->passes, run->net->height, run->net->width, channels, x, stride,
                     sign, s->first, s->first + s->rows, s->wide);
  kernels->round(s->rows, taps, s->wide, s->wide16);
  kernels->zip(s->rows, taps, s->wide16, glow__even(taps), pairs_at(run, region, s->first, taps),
               taps);
}

void glow__conv_net16_data_gradient(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_back *b = arg;
  const glow__conv_run *run = &b->run;
  const glow__conv_net *net = run->net;
  const glow__kernels16 *kernels = run->kernels16;
  const glow__epilogue16 none = {{0}, NULL};
  int64_t taps_in = 9 * net->in, taps_out = 9 * net->out, hidden = net->hidden;
  glow__conv_net_scales scales = glow__conv_net_scales_of(net, run->call);
  glow__conv_strip16 s = glow__conv_net16_strip(run, task, worker);
  glow__conv_sums sums = glow__conv_net_strip_sums(run, task);
  uint16_t *d1 = (uint16_t *)(void *)glow_call_scratch(run->call, net->d1);
  d1 += s.first * glow__even(hidden);
  gather(run, &s, net->out, b->dout, net->out, -1, net->left[2]);
  glow__conv_net16_product(run, s.rows, hidden, taps_out, s.wide16,
                           glow_call_scratch(run->call, net->back[2]), s.sums, &none);
  kernels->norm_back(s.rows, hidden, s.h2, scales.s2, s.sums, sums.b2, sums.l2, s.gradient,
                     pairs_at(run, net->left[1], s.first, hidden));
  glow__conv_net16_product(run, s.rows, hidden, hidden, s.gradient,
                           glow_call_scratch(run->call, net->back[1]), s.sums, &none);
  kernels->norm_back(s.rows, hidden, s.h1, scales.s1, s.sums, sums.b1, sums.l1, d1, NULL);
  glow__conv_net_border_sums(run, hidden, s.sums, glow__in_rows(run->kernels, hidden), s.first,
                             s.first + s.rows, sums.e1);
  glow__conv_net16_product(
      run, s.rows, taps_in, hidden, d1, glow_call_scratch(run->call, net->back[0]),
      glow_call_scratch(run->call, net->d_gathered) + s.first * taps_in, &none);
  gather(run, &s, net->in, run->x, run->stride, 1, net->left[0]);
}

void glow__conv_net16_accumulate(const glow__conv_run *run, int64_t m, const glow__pair *a,
                                 const uint16_t *b, int64_t column, int64_t columns,
                                 glow__pair *packed, float *c, int64_t ldc) {
  const glow__kernels16 *kernels = run->kernels16;
  const glow__epilogue16 add = {.end.accumulate = 1};
  int64_t row = glow__even(run->net->hidden);
  for (int64_t p = 0; p < run->pixels; p += GLOW_WEIGHT_PIXELS) {
    int64_t rows = run->pixels - p < GLOW_WEIGHT_PIXELS ? run->pixels - p : GLOW_WEIGHT_PIXELS;
    glow__zip_panels(kernels, rows, columns, b + p * row + column, row, packed);
    kernels->gemm(m, columns, glow__pairs(rows), a + p / 2 * m, 1, m, packed, c, ldc, 0,
                  glow__panels16(kernels, columns), &add);
  }
}
