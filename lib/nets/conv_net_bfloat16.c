/* Glow's network with products of bfloat16 (math/kernels16.h): a strip of pixels forward, and back.
 * Matrices of products are bfloat16, sums float32:
 *
 *   forward    gathered x, h1, h2 and the weights are rounded; taps, sums, borders and out are not
 *   backward   the gradients of taps, d2 and d1 are rounded, for data and weights alike; sums for
 *              biases and logs, and dx, are not
 *
 * Rows of n elements take glow__even(n) places. What weight gradients read as A', with pixels for
 * k, is put into pairs of pixels while it is in the cache. SPDX-License-Identifier: MIT */
#include "math/kernels16.h"
#include "nets/conv_net.h"

/* Pixels that a weight gradient packs at a time, for so many columns; and those of a block in
 * backward. */
enum { WEIGHT_PIXELS = 256, WEIGHT_COLUMNS = 128, BLOCK_PIXELS = 4096 };

static const glow__kernels16 *conv_net_bfloat16_kernels_of(const glow__conv_run *run) {
  return glow__context_kernels16(glow_call_context(run->call));
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int64_t bfloat16_packed(const glow_context *context, int64_t k, int64_t n) {
  return glow__packed16(glow__context_kernels16(context), k, n);
}

static int64_t bfloat16_panels(const glow_context *context, int64_t n) {
  return glow__panels16(glow__context_kernels16(context), n);
}

static void bfloat16_pack(const glow_context *context, int64_t k, int64_t n, const float *b,
                          int64_t rs, int64_t cs, float *packed, int64_t first, int64_t last) {
  glow__context_kernels16(context)->pack(k, n, b, rs, cs, (glow__pair *)(void *)packed, first,
                                         last);
}

static void bfloat16_unpack(const glow_context *context, int64_t k, int64_t n, const float *packed,
                            float *to, int64_t first, int64_t last) {
  const int64_t panel = glow__context_kernels16(context)->panel, pairs = glow__pairs(k);
  for (int64_t j = first; j < last; j++) {
    const glow__pair *column =
        (const glow__pair *)(const void *)packed + j / panel * pairs * panel + j % panel;
    for (int64_t i = 0; i < k; i++)
      to[j * k + i] = glow__widen16((uint16_t)(column[i / 2 * panel] >> i % 2 * 16));
  }
  (void)n;
}

static glow_status bfloat16_declare(glow__conv_net *net, glow_setup *setup) {
  int64_t wide = 9 * glow__conv_wide(net), row = glow__pairs(net->hidden);
  int64_t strip = GLOW_STRIP * (wide + glow__pairs(wide) + 2 * row + net->hidden);
  GLOW_TRY(glow_setup_worker_scratch(setup, strip, &net->strip));
  GLOW_TRY(glow_setup_stored(setup, 0, net->image * row, &net->h1));
  return glow_setup_stored(setup, 0, net->image * row, &net->h2);
}

/* A factor of a block: floats of a pair of pixels. */
static glow_status declare_block(const glow__conv_net *net, glow_setup *setup, int64_t pair,
                                 int32_t *id) {
  return glow_setup_block_scratch(setup, glow__pairs(net->image) * pair,
                                  glow__pairs(BLOCK_PIXELS) * pair, id);
}

static glow_status bfloat16_declare_backward(glow__conv_net *net, glow_setup *setup) {
  int64_t panels = bfloat16_packed(glow_setup_context(setup), WEIGHT_PIXELS, WEIGHT_COLUMNS);
  GLOW_TRY(declare_block(net, setup, 9 * net->in, &net->left[0]));
  GLOW_TRY(declare_block(net, setup, net->hidden, &net->left[1]));
  net->left[2] = net->taps;
  GLOW_TRY(declare_block(net, setup, glow__even(net->hidden), &net->d1));
  return glow_setup_worker_scratch(setup, panels, &net->weight_panels);
}

/* A strip of pixels, and a worker's memory for it. */
typedef struct strip {
  int64_t first, rows;
  float *wide;        /* [rows, 9 in] or [rows, 9 out], gathered */
  uint16_t *wide16;   /* the same, rounded */
  uint16_t *h1, *h2;  /* [rows, hidden], of this strip; in the stored regions if forward stores */
  uint16_t *gradient; /* [rows, hidden] */
  float *sums;        /* [rows, hidden], a product before it is rounded */
} strip;

static strip conv_net_bfloat16_strip_at(const glow__conv_run *run, uint32_t task, uint32_t worker) {
  const glow__conv_net *net = run->net;
  int64_t row = glow__even(net->hidden), wide = 9 * glow__conv_wide(net);
  strip s = {.first = (int64_t)task * GLOW_STRIP};
  uint16_t *h1 = (uint16_t *)(void *)glow_call_stored(run->call, net->h1);
  uint16_t *h2 = (uint16_t *)(void *)glow_call_stored(run->call, net->h2);
  s.rows = glow__strip_end(s.first, run->pixels) - s.first;
  s.sums = glow_call_worker_scratch(run->call, net->strip, worker);
  s.wide = s.sums + GLOW_STRIP * net->hidden;
  s.wide16 = (uint16_t *)(void *)(s.wide + GLOW_STRIP * wide);
  s.gradient = s.wide16 + GLOW_STRIP * glow__even(wide);
  s.h1 =
      h1 ? h1 + s.first * row : s.gradient; /* free: a pass that stores nothing has no gradients */
  s.h2 = h2 ? h2 + s.first * row : s.gradient + GLOW_STRIP * row;
  return s;
}

/* c [m, n] = epilogue(a [m, k] B), B packed. */
static void conv_net_bfloat16_product(const glow__conv_run *run, int64_t m, int64_t n, int64_t k,
                                      const uint16_t *a, const float *packed, float *c,
                                      const glow__epilogue16 *epilogue) {
  const glow__kernels16 *kernels = conv_net_bfloat16_kernels_of(run);
  const glow__pair *b = (const glow__pair *)(const void *)packed;
  int64_t pairs = glow__pairs(k);
  kernels->gemm(m, n, pairs, (const glow__pair *)(const void *)a, pairs, 1, b, c, n, 0,
                glow__panels16(kernels, n), epilogue);
}

/* ---- forward --------------------------------------------------------------------------------- */

/* h1; or W1 gather(x) in sums if finish is not set. */
static void conv_net_bfloat16_first_layer(const glow__conv_run *run, const strip *s, bool finish) {
  const glow__conv_net *net = run->net;
  glow__conv_scales scales = glow__conv_scales_of(net, run->call);
  glow__epilogue16 norm = {{0}, NULL};
  if (finish)
    norm = (glow__epilogue16){glow__conv_norm(run, net->b1, scales.s1), s->h1};
  glow__strip_gather(run->math, net->height, net->width, net->in, run->x.at, run->x.stride, 1,
                     s->first, s->first + s->rows, s->wide);
  conv_net_bfloat16_kernels_of(run)->round(s->rows, 9 * net->in, s->wide, s->wide16);
  if (net->options.border) { /* the product is added to the border's part, before the norm */
    glow__conv_border_fill(run, s->first, s->first + s->rows, s->sums,
                           glow_math_rows(run->math, net->hidden));
    norm.end.accumulate = 1;
  }
  conv_net_bfloat16_product(run, s->rows, net->hidden, 9 * net->in, s->wide16,
                            glow__conv_weights(run, 0), s->sums, &norm);
}

/* h2; or W2 h1 in sums. */
static void conv_net_bfloat16_second_layer(const glow__conv_run *run, const strip *s, bool finish) {
  const glow__conv_net *net = run->net;
  const float *scale = glow__conv_scales_of(net, run->call).s2;
  glow__epilogue16 norm = {{0}, NULL};
  if (finish)
    norm = (glow__epilogue16){glow__conv_norm(run, net->b2, scale), s->h2};
  conv_net_bfloat16_product(run, s->rows, net->hidden, net->hidden, s->h1,
                            glow__conv_weights(run, 1), s->sums, &norm);
}

static void bfloat16_forward_strip(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_run *run = arg;
  const glow__conv_net *net = run->net;
  const glow__epilogue16 none = {{0}, NULL};
  strip s = conv_net_bfloat16_strip_at(run, task, worker);
  float *taps = glow_call_scratch(run->call, net->taps) + s.first * 9 * net->out;
  conv_net_bfloat16_first_layer(run, &s, true);
  conv_net_bfloat16_second_layer(run, &s, true);
  conv_net_bfloat16_product(run, s.rows, 9 * net->out, net->hidden, s.h2,
                            glow__conv_weights(run, 2), taps, &none);
}

static void bfloat16_forward(const glow__conv_run *run) {
  glow_call_run(run->call, (uint32_t)glow__strip_count(run->pixels), bfloat16_forward_strip,
                (void *)(uintptr_t)run);
}

/* Above 0: neither 0, nor with a sign, nor NaN. */
static void bfloat16_mark(int64_t hidden, int64_t rows, const uint16_t *h, unsigned char *active) {
  for (int64_t r = 0; r < rows; r++, h += glow__even(hidden))
    for (int64_t j = 0; j < hidden; j++)
      active[j] |= h[j] > 0 && h[j] <= 0x7f80;
}

static void bfloat16_mark_active(const glow__conv_run *run, unsigned char *active) {
  int64_t hidden = run->net->hidden;
  for (uint32_t task = 0; task < (uint32_t)glow__strip_count(run->pixels); task++) {
    strip s = conv_net_bfloat16_strip_at(run, task, 0);
    bfloat16_mark(hidden, s.rows, s.h1, active);
    bfloat16_mark(hidden, s.rows, s.h2, active + hidden);
  }
}

static const float *bfloat16_before_norm(const glow__conv_run *run, uint32_t task, uint32_t worker,
                                         int32_t round) {
  strip s = conv_net_bfloat16_strip_at(run, task, worker);
  conv_net_bfloat16_first_layer(run, &s, round > 0);
  if (round > 0)
    conv_net_bfloat16_second_layer(run, &s, false);
  return s.sums;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Factors have only the pixels of the block. */
static glow__pair *pairs_at(const glow__conv_run *run, int32_t region, int64_t pixel, int64_t n) {
  return (glow__pair *)(void *)glow_call_scratch(run->call, region) + (pixel - run->first) / 2 * n;
}

static uint16_t *d1_at(const glow__conv_run *run, int64_t pixel) {
  return (uint16_t *)(void *)glow_call_scratch(run->call, run->net->d1) +
         (pixel - run->first) * glow__even(run->net->hidden);
}

/* Rows of taps gathered from the channels of x: rounded in s->wide16, and zipped in a region. */
static void conv_net_bfloat16_gather(const glow__conv_run *run, const strip *s, int64_t channels,
                                     const float *x, int64_t stride, int32_t sign, int32_t region) {
  const glow__kernels16 *kernels = conv_net_bfloat16_kernels_of(run);
  int64_t taps = 9 * channels;
  glow__strip_gather(run->math, run->net->height, run->net->width, channels, x, stride, sign,
                     s->first, s->first + s->rows, s->wide);
  kernels->round(s->rows, taps, s->wide, s->wide16);
  if (run->inputs_only)
    return;
  kernels->zip(s->rows, taps, s->wide16, glow__even(taps), pairs_at(run, region, s->first, taps),
               taps);
}

static void bfloat16_backward_strip(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_run *run = arg;
  const glow__conv_net *net = run->net;
  const glow_call *call = run->call;
  const glow__kernels16 *kernels = conv_net_bfloat16_kernels_of(run);
  const glow__epilogue16 none = {{0}, NULL};
  int64_t taps_in = 9 * net->in, taps_out = 9 * net->out, hidden = net->hidden;
  glow__conv_scales scales = glow__conv_scales_of(net, call);
  uint32_t number = task + (uint32_t)(run->first / GLOW_STRIP);
  strip s = conv_net_bfloat16_strip_at(run, number, worker);
  glow__conv_sums sums = glow__conv_strip_sums(run, number);
  uint16_t *d1 = d1_at(run, s.first);
  conv_net_bfloat16_gather(run, &s, net->out, run->dout, net->out, -1, net->left[2]);
  conv_net_bfloat16_product(run, s.rows, hidden, taps_out, s.wide16,
                            glow_call_scratch(call, net->back[2]), s.sums, &none);
  kernels->norm_back(s.rows, hidden, s.h2, scales.s2, s.sums, sums.b2, sums.l2, s.gradient,
                     pairs_at(run, net->left[1], s.first, hidden));
  conv_net_bfloat16_product(run, s.rows, hidden, hidden, s.gradient,
                            glow_call_scratch(call, net->back[1]), s.sums, &none);
  kernels->norm_back(s.rows, hidden, s.h1, scales.s1, s.sums, sums.b1, sums.l1, d1, NULL);
  glow__conv_border_sums(run, hidden, s.sums, glow_math_rows(run->math, hidden), s.first,
                         s.first + s.rows, sums.e1);
  conv_net_bfloat16_product(run, s.rows, taps_in, hidden, d1, glow_call_scratch(call, net->back[0]),
                            glow_call_scratch(call, net->d_gathered) + s.first * taps_in, &none);
  if (!run->inputs_only)
    conv_net_bfloat16_gather(run, &s, net->in, run->x.at, run->x.stride, 1, net->left[0]);
}

static void bfloat16_backward(const glow__conv_run *run) {
  glow_call_run(run->call, (uint32_t)glow__strip_count(run->last - run->first),
                bfloat16_backward_strip, (void *)(uintptr_t)run);
}

/* A zipped [pairs(pixels), m], B [pixels, hidden]. */
static void bfloat16_weight_gradient(const glow__conv_run *run, const glow__conv_tile *w,
                                     uint32_t worker) {
  const glow__conv_net *net = run->net;
  const glow_call *call = run->call;
  const glow__kernels16 *kernels = conv_net_bfloat16_kernels_of(run);
  const glow__epilogue16 add = {.end.accumulate = 1};
  const void *stored = glow_call_stored(call, w->layer == 1 ? net->h1 : net->h2);
  void *packed = glow_call_worker_scratch(call, net->weight_panels, worker);
  int64_t row = glow__even(net->hidden), columns = w->at.column_end - w->at.column;
  for (int64_t p = run->first; p < run->last; p += WEIGHT_PIXELS) {
    int64_t rows = run->last - p < WEIGHT_PIXELS ? run->last - p : WEIGHT_PIXELS;
    const uint16_t *right = w->layer == 0 ? d1_at(run, p) : (const uint16_t *)stored + p * row;
    glow__zip_panels(kernels, rows, columns, right + w->at.column, row, packed);
    kernels->gemm(w->at.row_end - w->at.row, columns, glow__pairs(rows),
                  pairs_at(run, net->left[w->layer], p, w->m) + w->at.row, 1, w->m, packed,
                  w->c + w->at.row * net->hidden + w->at.column, net->hidden, 0,
                  glow__panels16(kernels, columns), &add);
  }
}

const glow__conv_products glow__conv_bfloat16 = {
    .packed_floats = bfloat16_packed,
    .panel_count = bfloat16_panels,
    .pack = bfloat16_pack,
    .unpack = bfloat16_unpack,
    .declare = bfloat16_declare,
    .declare_backward = bfloat16_declare_backward,
    .forward = bfloat16_forward,
    .backward = bfloat16_backward,
    .block_pixels = BLOCK_PIXELS,
    .weight_rows = INT64_MAX, /* packing the columns again for each block of rows would cost more */
    .weight_columns = WEIGHT_COLUMNS,
    .weight_gradient = bfloat16_weight_gradient,
    .mark_active = bfloat16_mark_active,
    .before_norm = bfloat16_before_norm,
};
