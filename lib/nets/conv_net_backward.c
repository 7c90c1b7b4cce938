/* Glow's network, backward. With g the gradient of out (notation of conv_net.h):
 *
 *   g3 = g exp(3 l3);  d b3 = sum g3;  d l3 = 3 sum g out
 *   T  = gather(g3, -1)                       gradient of the taps, [pixels, 9 out]
 *   g2 = (T W3) where h2 > 0;  d l2 = sum g2 h2;  d b2 = sum g2 exp(l2);  d2 = g2 exp(l2)
 *   g1 = (d2 W2) where h1 > 0;  likewise d1
 *   dx = sum(d1 W1, -1)
 *   d W3 = T' h2,  d W2 = d2' h1,  d W1 = d1' gather(x)
 *   d e1 = d1,  d e3 = g3                     summed over the pixels of each kind at the border
 *
 * Data gradients by strips of pixels, weight gradients by blocks of weights over all pixels, which
 * needs no private copies of large gradients. SPDX-License-Identifier: MIT */
#include <string.h>

#include "math/kernels.h"
#include "nets/conv_net16.h"
#include "nets/strips.h"

static glow__conv_sums sums_at(const glow__conv_net *net, float *partial) {
  int64_t hidden = net->hidden;
  float *last = partial + 4 * hidden, *border = last + 2 * net->out;
  return (glow__conv_sums){.b1 = partial,
                           .l1 = partial + hidden,
                           .b2 = partial + 2 * hidden,
                           .l2 = partial + 3 * hidden,
                           .b3 = last,
                           .l3 = last + net->out,
                           .e1 = border,
                           .e3 = border + GLOW_BORDER_KINDS * hidden};
}

glow__conv_sums glow__conv_net_strip_sums(const glow__conv_run *run, uint32_t task) {
  float *partial = glow_call_scratch(run->call, run->net->partial);
  return sums_at(run->net, partial + (int64_t)task * glow__conv_net_partial(run->net));
}

void glow__conv_net_border_sums(const glow__conv_run *run, int64_t n, const float *d,
                                glow_layout layout, int64_t first, int64_t last, float *sum) {
  const glow__conv_net *net = run->net;
  int64_t panel = run->kernels->panel;
  if (!net->edge)
    return;
  memset(sum, 0, (size_t)(GLOW_BORDER_KINDS * n) * sizeof *sum);
  for (int64_t j = 0; j < n; j += panel, d += layout.panel)
    glow__border_sums(net->height, net->width, n, n - j < panel ? n - j : panel, d, layout.row,
                      first, last, sum + j);
}

/* dout becomes g3; sums of b3, l3 and e3. */
static void last_layer(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_back *b = arg;
  const glow__conv_net *net = b->run.net;
  const float *scale = glow__conv_net_scales_of(net, b->run.call).s3;
  glow__conv_sums s = glow__conv_net_strip_sums(&b->run, task);
  int64_t first = (int64_t)task * GLOW_STRIP;
  int64_t last = first + GLOW_STRIP < b->run.pixels ? first + GLOW_STRIP : b->run.pixels;
  (void)worker;
  memset(s.b3, 0, 2 * (size_t)net->out * sizeof(float));
  for (int64_t p = first; p < last; p++)
    for (int64_t o = 0; o < net->out; o++) {
      float *g = &b->dout[p * net->out + o];
      s.l3[o] += 3.0f * *g * b->out[p * net->out + o];
      *g *= scale[o];
      s.b3[o] += *g;
    }
  glow__conv_net_border_sums(&b->run, net->out, b->dout + first * net->out,
                             glow__in_rows(b->run.kernels, net->out), first, last, s.e3);
}

/* Rows [rows, k] of a times packed weights. */
static void product(const glow__conv_run *run, int64_t rows, int64_t n, int64_t k, const float *a,
                    glow_layout a_layout, int32_t packed, float *c, glow_layout c_layout) {
  const glow_epilogue none = {0};
  run->kernels->gemm(rows, n, k, a, a_layout, glow_call_scratch(run->call, packed), c, c_layout, 0,
                     glow__panels(run->kernels, n), &none);
}

/* A factor [pixels, n] of a weight gradient, from a strip's first pixel on. */
static float *strip_of(const glow__conv_run *run, float *factor, int64_t n, int64_t first) {
  return factor + first * glow__packed_size(run->kernels, 1, n);
}

/* The taps of x, in the worker's memory, and packed in a factor. */
static void gather(const glow__conv_run *run, const glow__conv_strip *strip, int64_t channels,
                   const float *x, int64_t stride, int32_t sign, int32_t factor) {
  int64_t taps = 9 * channels;
  float *packed = strip_of(run, glow_call_scratch(run->call, factor), taps, strip->first);
  glow__strip_gather(run->kernels->passes, run->net->height, run->net->width, channels, x, stride,
                     sign, strip->first, strip->first + strip->rows, strip->gathered);
  run->kernels->pack(strip->rows, taps, strip->gathered, taps, 1, packed, 0,
                     glow__panels(run->kernels, taps));
}

static void data_gradient(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_back *b = arg;
  const glow__conv_run *run = &b->run;
  const glow__conv_net *net = run->net;
  const glow_call *call = run->call;
  int64_t taps_in = 9 * net->in, taps_out = 9 * net->out, hidden = net->hidden;
  glow__conv_net_scales scales = glow__conv_net_scales_of(net, call);
  glow__conv_strip strip = glow__conv_net_strip(run, task, worker);
  glow__conv_sums s = glow__conv_net_strip_sums(run, task);
  glow_layout in = glow__in_rows(run->kernels, taps_in);
  glow_layout out = glow__in_rows(run->kernels, taps_out);
  float *d2 = strip_of(run, glow_call_scratch(call, net->left[1]), hidden, strip.first);
  float *d1 = strip_of(run, glow_call_scratch(call, net->d1), hidden, strip.first);
  gather(run, &strip, net->out, b->dout, net->out, -1, net->left[2]);
  product(run, strip.rows, hidden, taps_out, strip.gathered, out, net->back[2], d2, strip.hidden);
  run->kernels->norm_back(strip.rows, hidden, strip.h2, scales.s2, d2, strip.hidden, s.b2, s.l2);
  product(run, strip.rows, hidden, hidden, d2, strip.hidden, net->back[1], d1, strip.hidden);
  run->kernels->norm_back(strip.rows, hidden, strip.h1, scales.s1, d1, strip.hidden, s.b1, s.l1);
  glow__conv_net_border_sums(run, hidden, d1, strip.hidden, strip.first, strip.first + strip.rows,
                             s.e1);
  product(run, strip.rows, taps_in, hidden, d1, strip.hidden, net->back[0],
          glow_call_scratch(call, net->d_gathered) + strip.first * taps_in, in);
  gather(run, &strip, net->in, run->x, run->stride, 1, net->left[0]);
}

static void input_gradient(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_back *b = arg;
  const glow__conv_net *net = b->run.net;
  const float *d = glow_call_scratch(b->run.call, net->d_gathered);
  (void)worker;
  b->run.kernels->passes->sum3x3(net->height, net->width, net->in,
                                 d + (int64_t)task * net->image * 9 * net->in, -1, 0, net->image,
                                 b->dx + (int64_t)task * net->image * b->dx_stride, b->dx_stride);
}

/* ---- weights --------------------------------------------------------------------------------- */

/* Columns [column, column + columns) of a weight gradient C [m, hidden] += L' R over all pixels:
 * that of W1, W2 or W3 (layer 0, 1, 2). */
typedef struct weight_columns {
  int32_t layer;
  int64_t m, column, columns;
  float *c;
} weight_columns;

static void accumulate(const glow__conv_run *run, const weight_columns *w, float *left,
                       float *right) {
  const glow__kernels *kernels = run->kernels;
  const glow_epilogue add = {.accumulate = 1};
  int64_t hidden = run->net->hidden, from = w->column / kernels->panel;
  int64_t to = glow__panels(kernels, w->column + w->columns);
  for (int64_t p = 0; p < run->pixels; p += GLOW_STRIP) {
    int64_t rows = run->pixels - p < GLOW_STRIP ? run->pixels - p : GLOW_STRIP;
    kernels->gemm_transposed(w->m, hidden, rows, strip_of(run, left, w->m, p),
                             glow__in_panels(kernels, rows, w->m), strip_of(run, right, hidden, p),
                             w->c, glow__in_rows(kernels, hidden), from, to, &add);
  }
}

static void accumulate16(const glow__conv_run *run, const weight_columns *w, const void *left,
                         const void *right, uint32_t worker) {
  void *packed = glow_call_worker_scratch(run->call, run->net->weight_block, worker);
  glow__conv_net16_accumulate(run, w->m, left, right, w->column, w->columns, packed,
                              w->c + w->column, run->net->hidden);
}

static void weight_product(const glow__conv_run *run, const weight_columns *w, uint32_t worker) {
  const glow__conv_net *net = run->net;
  const glow_call *call = run->call;
  float *left = glow_call_scratch(call, net->left[w->layer]);
  float *const right[] = {glow_call_scratch(call, net->d1), glow_call_stored(call, net->h1),
                          glow_call_stored(call, net->h2)};
  if (run->kernels16)
    accumulate16(run, w, left, right[w->layer], worker);
  else
    accumulate(run, w, left, right[w->layer]);
}

/* The gradient of W1 or W3 in order of taps, where the weights in this order were packed from; its
 * columns are added in the weights' own order then. */
static float *tap_columns(const glow__conv_run *run, int32_t by_tap, const weight_columns *w) {
  float *c = glow_call_scratch(run->call, by_tap);
  for (int64_t i = 0; i < w->m; i++)
    memset(c + i * run->net->hidden + w->column, 0, (size_t)w->columns * sizeof *c);
  return c;
}

static void second_weights(const glow__conv_run *run, weight_columns *w, uint32_t worker) {
  w->layer = 1;
  w->m = run->net->hidden;
  w->c = glow_call_gradient(run->call, run->net->w2);
  weight_product(run, w, worker);
}

static void third_weights(const glow__conv_run *run, weight_columns *w, uint32_t worker) {
  const glow__conv_net *net = run->net;
  w->layer = 2;
  w->m = 9 * net->out;
  w->c = tap_columns(run, net->by_tap3, w);
  weight_product(run, w, worker);
  glow__taps_add(net->out, w->columns, w->c + w->column, net->hidden,
                 glow_call_gradient(run->call, net->w3) + w->column * 9, net->hidden * 9, 9);
}

static void first_weights(const glow__conv_run *run, weight_columns *w, uint32_t worker) {
  const glow__conv_net *net = run->net;
  w->layer = 0;
  w->m = 9 * net->in;
  w->c = tap_columns(run, net->by_tap1, w);
  weight_product(run, w, worker);
  glow__taps_add(net->in, w->columns, w->c + w->column, net->hidden,
                 glow_call_gradient(run->call, net->w1) + w->column * 9 * net->in, 9, 9 * net->in);
}

/* Task t: columns (t/3) of the gradient of W2, W3, W1 (the largest first). */
static void weight_gradient(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_back *b = arg;
  const glow__conv_run *run = &b->run;
  int64_t hidden = run->net->hidden;
  int64_t blocks = (hidden + GLOW_WEIGHT_COLUMNS - 1) / GLOW_WEIGHT_COLUMNS;
  weight_columns w = {.column = task % blocks * GLOW_WEIGHT_COLUMNS};
  w.columns = hidden - w.column < GLOW_WEIGHT_COLUMNS ? hidden - w.column : GLOW_WEIGHT_COLUMNS;
  if (task < blocks)
    second_weights(run, &w, worker);
  else if (task < 2 * blocks)
    third_weights(run, &w, worker);
  else
    first_weights(run, &w, worker);
}

static void add_vector(const glow_call *call, int32_t tensor, int64_t count, const double *sum) {
  float *g = tensor < 0 ? NULL : glow_call_gradient(call, tensor);
  for (int64_t i = 0; g && i < count; i++)
    g[i] += (float)sum[i];
}

static void vector_gradients(const glow__conv_run *run, int64_t strips) {
  const glow__conv_net *net = run->net;
  const glow_call *call = run->call;
  int64_t hidden = net->hidden;
  double *total = (double *)(void *)glow_call_scratch(call, net->sums);
  glow__strip_total(strips, glow__conv_net_partial(net), glow_call_scratch(call, net->partial),
                    total);
  add_vector(call, net->b1, hidden, total);
  add_vector(call, net->l1, hidden, total + hidden);
  add_vector(call, net->b2, hidden, total + 2 * hidden);
  add_vector(call, net->l2, hidden, total + 3 * hidden);
  add_vector(call, net->b3, net->out, total + 4 * hidden);
  add_vector(call, net->l3, net->out, total + 4 * hidden + net->out);
  if (net->edge) {
    const double *border = total + 4 * hidden + 2 * net->out;
    glow__border_gradient(net->height, net->width, hidden, border,
                          glow_call_gradient(call, net->e1));
    glow__border_gradient(net->height, net->width, net->out, border + GLOW_BORDER_KINDS * hidden,
                          glow_call_gradient(call, net->e3));
  }
}

void glow__conv_net_backward(const void *self, const glow_call *call, const float *x,
                             int64_t stride, const float *out, float *dout, float *dx,
                             int64_t dx_stride) {
  const glow__conv_net *net = self;
  glow__conv_back b = {.run = glow__conv_net_run(net, call, x, stride, NULL),
                       .dout = dout,
                       .out = out,
                       .dx = dx,
                       .dx_stride = dx_stride};
  uint32_t strips = (uint32_t)glow__strip_count(b.run.pixels);
  uint32_t blocks = (uint32_t)((net->hidden + GLOW_WEIGHT_COLUMNS - 1) / GLOW_WEIGHT_COLUMNS);
  glow__conv_net_pack_back(&b.run);
  glow_call_run(call, strips, last_layer, &b);
  glow_call_run(call, strips, b.run.kernels16 ? glow__conv_net16_data_gradient : data_gradient, &b);
  glow_call_run(call, (uint32_t)glow_call_sample_count(call), input_gradient, &b);
  glow_call_run(call, 3 * blocks, weight_gradient, &b);
  vector_gradients(&b.run, strips);
}
