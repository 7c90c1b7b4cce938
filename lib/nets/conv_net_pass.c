/* Glow's network, forward and backward, up to the products (conv_net_float.c, conv_net_bfloat16.c).
 * Forward: strips of pixels go through all three products while they are in the cache, then the
 * shifted sum of the last convolution. Backward, with g the gradient of out (notation of
 * conv_net.h):
 *
 *   g3 = g exp(3 l3);  d b3 = sum g3;  d l3 = 3 sum g out
 *   T  = gather(g3, -1)                       gradient of the taps, [pixels, 9 out]
 *   g2 = (T W3) where h2 > 0;  d l2 = sum g2 h2;  d b2 = sum g2 exp(l2);  d2 = g2 exp(l2)
 *   g1 = (d2 W2) where h1 > 0;  likewise d1
 *   dx = sum(d1 W1, -1)
 *   d W3 = T' h2,  d W2 = d2' h1,  d W1 = d1' gather(x)
 *   d e1 = d1,  d e3 = g3                     summed over the pixels of each kind at the border
 *
 * Data gradients are computed by strips of pixels, weight gradients by tiles of weights over all
 * pixels, which needs no private copies of large gradients. Both go through the pixels in blocks,
 * so that the gradients between them stay in the last-level cache.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "nets/conv_net.h"

glow__conv_run glow__conv_run_of(const glow__conv_net *net, const glow_call *call, const float *x,
                                 int64_t stride) {
  int64_t pixels = glow_call_sample_count(call) * net->image;
  return (glow__conv_run){.net = net,
                          .call = call,
                          .math = glow_context_math(glow_call_context(call)),
                          .x = glow__pixel_input_join(&net->input, call, x, stride),
                          .pixels = pixels,
                          .last = pixels};
}

glow_epilogue glow__conv_norm(const glow__conv_run *run, int32_t bias, const float *scale) {
  return (glow_epilogue){.bias = glow_call_tensor(run->call, bias), .scale = scale, .relu = 1};
}

/* ---- the border ------------------------------------------------------------------------------ */

void glow__conv_border_fill(const glow__conv_run *run, int64_t first, int64_t last, float *rows,
                            glow_layout layout) {
  const glow__conv_net *net = run->net;
  const float *table = glow__conv_scales_of(net, run->call).border1;
  int64_t n = net->hidden, panel = glow__panel_columns(run->math);
  for (int64_t j = 0; j < n; j += panel, rows += layout.panel)
    glow__border_fill(net->height, net->width, n, n - j < panel ? n - j : panel, table + j, first,
                      last, rows, layout.row);
}

void glow__conv_border_sums(const glow__conv_run *run, int64_t n, const float *d,
                            glow_layout layout, int64_t first, int64_t last, float *sum) {
  const glow__conv_net *net = run->net;
  int64_t panel = glow__panel_columns(run->math);
  if (!net->options.border)
    return;
  memset(sum, 0, (size_t)(GLOW_BORDER_KINDS * n) * sizeof *sum);
  for (int64_t j = 0; j < n; j += panel, d += layout.panel)
    glow__border_sums(net->height, net->width, n, n - j < panel ? n - j : panel, d, layout.row,
                      first, last, sum + j);
}

/* ---- forward --------------------------------------------------------------------------------- */

/* Pixels for whose taps adding up is worth a task: 4096 taps or more, 2 us. */
static int64_t conv_net_pass_sum_pixels(int64_t channels) {
  int64_t pixels = 8;
  while (pixels < GLOW_STRIP && pixels * 9 * channels < 4096)
    pixels *= 2;
  return pixels;
}

static uint32_t conv_net_pass_pieces(int64_t pixels, int64_t size) {
  return (uint32_t)((pixels + size - 1) / size);
}

/* out = (sum of taps + e3 + b3) exp(3 l3) for some pixels, which may be in several samples. */
static void sum_pixels(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_run *run = arg;
  const glow__conv_net *net = run->net;
  const float *taps = glow_call_scratch(run->call, net->taps);
  const float *bias = glow_call_tensor(run->call, net->b3);
  glow__conv_scales scales = glow__conv_scales_of(net, run->call);
  const float *scale = scales.s3;
  int64_t size = conv_net_pass_sum_pixels(net->out), first = (int64_t)task * size;
  int64_t last = run->pixels - first < size ? run->pixels : first + size;
  (void)worker;
  memset(run->out + first * net->out, 0, (size_t)((last - first) * net->out) * sizeof(float));
  glow__strip_sum(run->math, net->height, net->width, net->out, taps, 1, first, last, run->out,
                  net->out);
  if (net->options.border)
    glow__border_add(net->height, net->width, net->out, scales.border3, first, last,
                     run->out + first * net->out);
  for (int64_t p = first; p < last; p++)
    for (int64_t o = 0; o < net->out; o++)
      run->out[p * net->out + o] = (run->out[p * net->out + o] + bias[o]) * scale[o];
}

void glow__conv_net_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                            float *out) {
  const glow__conv_net *net = self;
  glow__conv_run run = glow__conv_run_of(net, call, x, stride);
  run.out = out;
  glow__conv_pack(&run);
  net->products->forward(&run);
  glow_call_run(call, conv_net_pass_pieces(run.pixels, conv_net_pass_sum_pixels(net->out)),
                sum_pixels, &run);
}

/* ---- diagnosis ------------------------------------------------------------------------------- */

glow_status glow__conv_net_diagnose(const void *self, const glow_call *call,
                                    glow_findings *findings) {
  const glow__conv_net *net = self;
  unsigned char *active;
  const glow__conv_run run = {.net = net,
                              .call = call,
                              .math = glow_context_math(glow_call_context(call)),
                              .pixels = glow_call_sample_count(call) * net->image};
  GLOW_TRY(glow_findings_units(findings, 2 * net->hidden, &active));
  net->products->mark_active(&run, active);
  return GLOW_OK;
}

/* ---- backward: data -------------------------------------------------------------------------- */

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

glow__conv_sums glow__conv_strip_sums(const glow__conv_run *run, uint32_t task) {
  float *partial = glow_call_scratch(run->call, run->net->partial);
  return sums_at(run->net, partial + (int64_t)task * glow__conv_partial(run->net));
}

/* dout becomes g3; adds up b3, l3 and e3. */
static void conv_net_pass_last_layer(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_run *run = arg;
  const glow__conv_net *net = run->net;
  const float *scale = glow__conv_scales_of(net, run->call).s3;
  glow__conv_sums s = glow__conv_strip_sums(run, task);
  int64_t first = (int64_t)task * GLOW_STRIP, last = glow__strip_end(first, run->pixels);
  (void)worker;
  memset(s.b3, 0, 2 * (size_t)net->out * sizeof(float));
  for (int64_t p = first; p < last; p++)
    for (int64_t o = 0; o < net->out; o++) {
      float *g = &run->dout[p * net->out + o];
      s.l3[o] += 3.0f * *g * run->out[p * net->out + o];
      *g *= scale[o];
      s.b3[o] += *g;
    }
  glow__conv_border_sums(run, net->out, run->dout + first * net->out,
                         glow_math_rows(run->math, net->out), first, last, s.e3);
}

/* The gradient of some pixels of x. */
static void input_gradient(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_run *run = arg;
  const glow__conv_net *net = run->net;
  int64_t size = conv_net_pass_sum_pixels(net->in), first = (int64_t)task * size;
  (void)worker;
  glow__strip_sum(run->math, net->height, net->width, net->in,
                  glow_call_scratch(run->call, net->d_gathered), -1, first,
                  run->pixels - first < size ? run->pixels : first + size, run->dx.at,
                  run->dx.stride);
}

/* ---- backward: weights ----------------------------------------------------------------------- */

static bool is_first_block(const glow__conv_run *run) {
  return run->first == 0;
}

static bool is_last_block(const glow__conv_run *run) {
  return run->last == run->pixels;
}

/* The gradient of W1 or W3 in order of taps, as the weights were packed from that order: 0 before
 * the first block; after the last one it is added in the weights' own order. */
static float *tap_tile(const glow__conv_run *run, int32_t by_tap, const glow__tile *at) {
  float *c = glow_call_scratch(run->call, by_tap);
  if (!is_first_block(run))
    return c;
  for (int64_t i = at->row; i < at->row_end; i++)
    memset(c + i * run->net->hidden + at->column, 0,
           (size_t)(at->column_end - at->column) * sizeof *c);
  return c;
}

/* channels: of the side that has taps. Element (i, j, t) of the gradient g: see glow__taps_add. */
static void taps_weights(const glow__conv_run *run, glow__conv_tile *w, int32_t by_tap,
                         int64_t channels, float *g, int64_t i_stride, int64_t j_stride,
                         uint32_t worker) {
  const glow__tile *at = &w->at;
  w->c = tap_tile(run, by_tap, at);
  run->net->products->weight_gradient(run, w, worker);
  if (is_last_block(run))
    glow__taps_add(channels, at->column_end - at->column, at->row, at->row_end, w->c + at->column,
                   run->net->hidden, g + at->column * j_stride, i_stride, j_stride);
}

static void weight_tile(const glow__conv_run *run, glow__conv_tile *w, uint32_t worker) {
  const glow__conv_net *net = run->net;
  const glow_call *call = run->call;
  if (w->layer == 0) {
    taps_weights(run, w, net->by_tap1, net->in, glow_call_gradient(call, net->w1), 9, 9 * net->in,
                 worker);
  } else if (w->layer == 2) {
    taps_weights(run, w, net->by_tap3, net->out, glow_call_gradient(call, net->w3), net->hidden * 9,
                 9, worker);
  } else {
    w->c = glow_call_gradient(call, net->w2);
    net->products->weight_gradient(run, w, worker);
  }
}

/* Tiles of the gradient of W1, W2 or W3 (layer 0, 1, 2), a matrix [m, hidden]. */
static glow__tiles weight_tiles(const glow__conv_net *net, int32_t layer) {
  const int64_t rows[] = {9 * net->in, net->hidden, 9 * net->out};
  return (glow__tiles){rows[layer], net->hidden, net->products->weight_rows,
                       net->products->weight_columns};
}

/* ---- backward: vectors ----------------------------------------------------------------------- */

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
  glow__strip_total(strips, glow__conv_partial(net), glow_call_scratch(call, net->partial), total);
  add_vector(call, net->b1, hidden, total);
  add_vector(call, net->l1, hidden, total + hidden);
  add_vector(call, net->b2, hidden, total + 2 * hidden);
  add_vector(call, net->l2, hidden, total + 3 * hidden);
  add_vector(call, net->b3, net->out, total + 4 * hidden);
  add_vector(call, net->l3, net->out, total + 4 * hidden + net->out);
  if (net->options.border) {
    const double *border = total + 4 * hidden + 2 * net->out;
    glow__border_gradient(net->height, net->width, hidden, border,
                          glow_call_gradient(call, net->e1));
    glow__border_gradient(net->height, net->width, net->out, border + GLOW_BORDER_KINDS * hidden,
                          glow_call_gradient(call, net->e3));
  }
}

/* ---- backward: a block of pixels ------------------------------------------------------------- */

/* What is left when d1 is there, the longest tasks first: after the last block the gradients of
 * vectors; tiles of the gradients of W3, W2 and W1; and what is left for the gradient of gather(x).
 */
typedef struct block_end {
  const glow__conv_run *run;
  uint32_t vectors, weights[3], inputs; /* tasks; weights: by layer */
} block_end;

static block_end block_end_of(const glow__conv_run *run) {
  const glow__conv_products *products = run->net->products;
  block_end e = {.run = run};
  e.vectors = is_last_block(run) && !run->inputs_only;
  for (int32_t i = 0; i < 3 && !run->inputs_only; i++) {
    const glow__tiles tiles = weight_tiles(run->net, i);
    e.weights[i] = glow__tile_count(&tiles);
  }
  e.inputs = products->input_tasks ? products->input_tasks(run) : 0;
  return e;
}

static void conv_net_pass_end(void *arg, uint32_t task, uint32_t worker) {
  const block_end *e = arg;
  const glow__conv_run *run = e->run;
  if (task < e->vectors) {
    vector_gradients(run, glow__strip_count(run->pixels));
    return;
  }
  task -= e->vectors;
  for (int32_t i = 2; i >= 0; task -= e->weights[i--])
    if (task < e->weights[i]) {
      const glow__tiles tiles = weight_tiles(run->net, i);
      glow__conv_tile tile = {i, tiles.rows, glow__tile_at(&tiles, task), NULL};
      weight_tile(run, &tile, worker);
      return;
    }
  run->net->products->input_task(run, task);
}

static void back_block(glow__conv_run *run) {
  int64_t most = run->net->products->block_pixels;
  run->last = run->pixels - run->first < most ? run->pixels : run->first + most;
  run->net->products->backward(run);
  block_end e = block_end_of(run);
  uint32_t tasks = e.vectors + e.weights[0] + e.weights[1] + e.weights[2] + e.inputs;
  if (tasks > 0)
    glow_call_run(run->call, tasks, conv_net_pass_end, &e);
}

void glow__conv_net_backward(const void *self, const glow_call *call, const float *x,
                             int64_t stride, const float *out, float *dout, float *dx,
                             int64_t dx_stride) {
  const glow__conv_net *net = self;
  glow__conv_run run = glow__conv_run_of(net, call, x, stride);
  uint32_t strips = (uint32_t)glow__strip_count(run.pixels);
  run.out = (float *)(uintptr_t)out;
  run.dout = dout;
  run.dx = glow__pixel_input_gradient(&net->input, call, dx, dx_stride);
  run.inputs_only = !glow_call_gradient(call, net->b1);
  glow__conv_pack_back(&run);
  glow_call_run(call, strips, conv_net_pass_last_layer, &run);
  for (; run.first < run.pixels; run.first = run.last)
    back_block(&run);
  glow_call_run(call, conv_net_pass_pieces(run.pixels, conv_net_pass_sum_pixels(net->in)),
                input_gradient, &run);
  glow__pixel_input_split(&net->input, call, dx, dx_stride);
}
