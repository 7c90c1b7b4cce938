/* Glow's network with products of float32: a strip of pixels forward, and back. Activations and
 * their gradients are written in panels, so that they need no packing to be factors of the next
 * product. SPDX-License-Identifier: MIT */
#include "nets/conv_net.h"

/* ---- memory ---------------------------------------------------------------------------------- */

static int64_t float_packed(const glow_context *context, int64_t k, int64_t n) {
  return glow_math_packed_floats(glow_context_math(context), k, n);
}

static int64_t float_panels(const glow_context *context, int64_t n) {
  return glow_math_panel_count(glow_context_math(context), n);
}

static void float_pack(const glow_context *context, int64_t k, int64_t n, const float *b,
                       int64_t rs, int64_t cs, float *packed, int64_t first, int64_t last) {
  glow_math_pack(glow_context_math(context), k, n, b, rs, cs, packed, first, last);
}

static void float_unpack(const glow_context *context, int64_t k, int64_t n, const float *packed,
                         float *to, int64_t first, int64_t last) {
  const glow_layout layout = glow_math_panels(glow_context_math(context), k, n);
  for (int64_t j = first; j < last; j++) {
    const float *column = packed + j / layout.width * layout.panel + j % layout.width;
    for (int64_t i = 0; i < k; i++)
      to[j * k + i] = column[i * layout.row];
  }
}

static glow_status float_declare(glow__conv_net *net, glow_setup *setup) {
  int64_t row = float_packed(glow_setup_context(setup), 1, net->hidden);
  int64_t strip = GLOW_STRIP * (9 * glow__conv_wide(net) + 2 * row);
  GLOW_TRY(glow_setup_worker_scratch(setup, strip, &net->strip));
  GLOW_TRY(glow_setup_stored(setup, 0, net->image * row, &net->h1));
  return glow_setup_stored(setup, 0, net->image * row, &net->h2);
}

static glow_status float_declare_backward(glow__conv_net *net, glow_setup *setup) {
  const glow_context *context = glow_setup_context(setup);
  const int64_t left[] = {9 * net->in, net->hidden, 9 * net->out};
  for (int i = 0; i < 3; i++)
    GLOW_TRY(glow_setup_backward_scratch(setup, 0, net->image * float_packed(context, 1, left[i]),
                                         &net->left[i]));
  return glow_setup_backward_scratch(setup, 0, net->image * float_packed(context, 1, net->hidden),
                                     &net->d1);
}

/* Rows of a strip. Activations are in the stored regions if the pass has them, otherwise in the
 * worker's memory. */
typedef struct strip {
  int64_t first, rows;
  float *gathered;    /* [rows, 9 in] or [rows, 9 out] */
  float *h1, *h2;     /* [rows, hidden] */
  glow_layout hidden; /* of h1, h2 and their gradients: panels, as packed */
} strip;

static strip conv_net_float_strip_at(const glow__conv_run *run, uint32_t task, uint32_t worker) {
  const glow__conv_net *net = run->net;
  strip s = {.first = (int64_t)task * GLOW_STRIP};
  s.rows = glow__strip_end(s.first, run->pixels) - s.first;
  s.hidden = glow_math_panels(run->math, s.rows, net->hidden);
  s.gathered = glow_call_worker_scratch(run->call, net->strip, worker);
  s.h1 = glow_call_stored(run->call, net->h1);
  s.h2 = glow_call_stored(run->call, net->h2);
  int64_t row = glow_math_packed_floats(run->math, 1, net->hidden);
  if (s.h1) {
    s.h1 += s.first * row;
    s.h2 += s.first * row;
  } else {
    s.h1 = s.gathered + GLOW_STRIP * 9 * glow__conv_wide(net);
    s.h2 = s.h1 + GLOW_STRIP * row;
  }
  return s;
}

/* ---- forward --------------------------------------------------------------------------------- */

/* h1 from x; or a1 in its place if finish is not set. */
static void conv_net_float_first_layer(const glow__conv_run *run, const strip *s, bool finish) {
  const glow__conv_net *net = run->net;
  glow__conv_scales scales = glow__conv_scales_of(net, run->call);
  glow_epilogue norm = finish ? glow__conv_norm(run, net->b1, scales.s1) : (glow_epilogue){0};
  glow__strip_gather(run->math, net->height, net->width, net->in, run->x.at, run->x.stride, 1,
                     s->first, s->first + s->rows, s->gathered);
  if (net->options.border) { /* the product is added to the border's part, before the norm */
    glow__conv_border_fill(run, s->first, s->first + s->rows, s->h1, s->hidden);
    norm.accumulate = 1;
  }
  glow_math_multiply(run->math, s->rows, net->hidden, 9 * net->in, s->gathered,
                     glow_math_rows(run->math, 9 * net->in), glow__conv_weights(run, 0), s->h1,
                     s->hidden, 0, glow_math_panel_count(run->math, net->hidden), &norm);
}

/* h2 from h1, or a2. */
static void conv_net_float_second_layer(const glow__conv_run *run, const strip *s, bool finish) {
  const glow__conv_net *net = run->net;
  const float *scale = glow__conv_scales_of(net, run->call).s2;
  glow_epilogue norm = finish ? glow__conv_norm(run, net->b2, scale) : (glow_epilogue){0};
  glow_math_multiply(run->math, s->rows, net->hidden, net->hidden, s->h1, s->hidden,
                     glow__conv_weights(run, 1), s->h2, s->hidden, 0,
                     glow_math_panel_count(run->math, net->hidden), &norm);
}

static void float_forward(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_run *run = arg;
  const glow__conv_net *net = run->net;
  const glow_epilogue none = {0};
  strip s = conv_net_float_strip_at(run, task, worker);
  int64_t taps = 9 * net->out;
  conv_net_float_first_layer(run, &s, true);
  conv_net_float_second_layer(run, &s, true);
  glow_math_multiply(
      run->math, s.rows, taps, net->hidden, s.h2, s.hidden, glow__conv_weights(run, 2),
      glow_call_scratch(run->call, net->taps) + s.first * taps, glow_math_rows(run->math, taps), 0,
      glow_math_panel_count(run->math, taps), &none);
}

static void float_mark(int64_t hidden, int64_t rows, const float *h, glow_layout layout,
                       unsigned char *active) {
  for (int64_t first = 0; first < hidden; first += layout.width, h += layout.panel) {
    int64_t columns = hidden - first < layout.width ? hidden - first : layout.width;
    for (int64_t r = 0; r < rows; r++)
      for (int64_t j = 0; j < columns; j++)
        active[first + j] |= h[r * layout.row + j] > 0.0f;
  }
}

static void float_mark_active(const glow__conv_run *run, unsigned char *active) {
  int64_t hidden = run->net->hidden;
  for (uint32_t task = 0; task < (uint32_t)glow__strip_count(run->pixels); task++) {
    strip s = conv_net_float_strip_at(run, task, 0);
    float_mark(hidden, s.rows, s.h1, s.hidden, active);
    float_mark(hidden, s.rows, s.h2, s.hidden, active + hidden);
  }
}

static const float *float_before_norm(const glow__conv_run *run, uint32_t task, uint32_t worker,
                                      int32_t round) {
  strip s = conv_net_float_strip_at(run, task, worker);
  s.hidden = glow_math_rows(run->math, run->net->hidden);
  conv_net_float_first_layer(run, &s, round > 0);
  if (round > 0)
    conv_net_float_second_layer(run, &s, false);
  return round > 0 ? s.h2 : s.h1;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Rows [rows, k] of a times packed weights. */
static void conv_net_float_product(const glow__conv_run *run, int64_t rows, int64_t n, int64_t k,
                                   const float *a, glow_layout a_layout, int32_t packed, float *c,
                                   glow_layout c_layout) {
  const glow_epilogue none = {0};
  glow_math_multiply(run->math, rows, n, k, a, a_layout, glow_call_scratch(run->call, packed), c,
                     c_layout, 0, glow_math_panel_count(run->math, n), &none);
}

/* A factor [pixels, n] of a weight gradient, from a strip's first pixel on. */
static float *factor_at(const glow__conv_run *run, float *factor, int64_t n, int64_t first) {
  return factor + first * glow_math_packed_floats(run->math, 1, n);
}

/* The taps of x: in the worker's memory, and packed in a factor of a weight gradient. */
static void conv_net_float_gather(const glow__conv_run *run, const strip *s, int64_t channels,
                                  const float *x, int64_t stride, int32_t sign, int32_t factor) {
  int64_t taps = 9 * channels;
  float *packed = factor_at(run, glow_call_scratch(run->call, factor), taps, s->first);
  glow__strip_gather(run->math, run->net->height, run->net->width, channels, x, stride, sign,
                     s->first, s->first + s->rows, s->gathered);
  if (run->inputs_only)
    return;
  glow_math_pack(run->math, s->rows, taps, s->gathered, taps, 1, packed, 0,
                 glow_math_panel_count(run->math, taps));
}

static void float_backward(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_run *run = arg;
  const glow__conv_net *net = run->net;
  const glow_call *call = run->call;
  int64_t taps_in = 9 * net->in, taps_out = 9 * net->out, hidden = net->hidden;
  glow__conv_scales scales = glow__conv_scales_of(net, call);
  strip s = conv_net_float_strip_at(run, task, worker);
  glow__conv_sums sums = glow__conv_strip_sums(run, task);
  glow_layout in = glow_math_rows(run->math, taps_in), out = glow_math_rows(run->math, taps_out);
  float *d2 = factor_at(run, glow_call_scratch(call, net->left[1]), hidden, s.first);
  float *d1 = factor_at(run, glow_call_scratch(call, net->d1), hidden, s.first);
  conv_net_float_gather(run, &s, net->out, run->dout, net->out, -1, net->left[2]);
  conv_net_float_product(run, s.rows, hidden, taps_out, s.gathered, out, net->back[2], d2,
                         s.hidden);
  glow_math_relu_backward(run->math, s.rows, hidden, s.h2, scales.s2, d2, s.hidden, sums.b2,
                          sums.l2);
  conv_net_float_product(run, s.rows, hidden, hidden, d2, s.hidden, net->back[1], d1, s.hidden);
  glow_math_relu_backward(run->math, s.rows, hidden, s.h1, scales.s1, d1, s.hidden, sums.b1,
                          sums.l1);
  glow__conv_border_sums(run, hidden, d1, s.hidden, s.first, s.first + s.rows, sums.e1);
  conv_net_float_product(run, s.rows, taps_in, hidden, d1, s.hidden, net->back[0],
                         glow_call_scratch(call, net->d_gathered) + s.first * taps_in, in);
  if (!run->inputs_only)
    conv_net_float_gather(run, &s, net->in, run->x.at, run->x.stride, 1, net->left[0]);
}

static void float_weight_gradient(const glow__conv_run *run, const glow__conv_columns *w,
                                  uint32_t worker) {
  const glow__conv_net *net = run->net;
  const glow_epilogue add = {.accumulate = 1};
  float *left = glow_call_scratch(run->call, net->left[w->layer]);
  float *const rights[] = {glow_call_scratch(run->call, net->d1),
                           glow_call_stored(run->call, net->h1),
                           glow_call_stored(run->call, net->h2)};
  float *right = rights[w->layer];
  int64_t hidden = net->hidden, from = w->column / glow__panel_columns(run->math);
  int64_t to = glow_math_panel_count(run->math, w->column + w->columns);
  (void)worker;
  for (int64_t p = 0; p < run->pixels; p += GLOW_STRIP) {
    int64_t rows = glow__strip_end(p, run->pixels) - p;
    glow_math_multiply_transposed(run->math, w->m, hidden, rows, factor_at(run, left, w->m, p),
                                  glow_math_panels(run->math, rows, w->m),
                                  factor_at(run, right, hidden, p), w->c,
                                  glow_math_rows(run->math, hidden), from, to, &add);
  }
}

const glow__conv_products glow__conv_float = {
    .packed_floats = float_packed,
    .panel_count = float_panels,
    .pack = float_pack,
    .unpack = float_unpack,
    .declare = float_declare,
    .declare_backward = float_declare_backward,
    .forward = float_forward,
    .backward = float_backward,
    .weight_gradient = float_weight_gradient,
    .mark_active = float_mark_active,
    .before_norm = float_before_norm,
};
