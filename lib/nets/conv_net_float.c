/* Glow's network with products of float32. Activations and their gradients are written in panels,
 * strip by strip, so that they need no packing to be factors of the next product.
 *
 * Forward, many pixels go through all three products strip by strip, in memory of the worker. Few
 * pixels have too few strips for many threads: they go through one product after the other in tiles
 * (math/tiles.h), and so does everything in backward, where gradients are shared in any case.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "nets/conv_net.h"

/* Most pixels that go through one product after the other, and the least strip of the others; most
 * pixels of a block in backward: at width 512 its activations and gradients are 9 MB. */
enum { FEW_PIXELS = 1024, LEAST_STRIP = 32, BLOCK_PIXELS = 1024 };

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
  GLOW_TRY(glow_setup_scratch(setup, 2 * FEW_PIXELS * row, 0, &net->shared));
  GLOW_TRY(glow_setup_stored(setup, 0, net->image * row, &net->h1));
  return glow_setup_stored(setup, 0, net->image * row, &net->h2);
}

/* A matrix [pixels, n] of a block. */
static glow_status declare_block(const glow__conv_net *net, glow_setup *setup, int64_t n,
                                 int32_t *id) {
  int64_t row = float_packed(glow_setup_context(setup), 1, n);
  return glow_setup_block_scratch(setup, net->image * row, BLOCK_PIXELS * row, id);
}

static glow_status float_declare_backward(glow__conv_net *net, glow_setup *setup) {
  const int64_t left[] = {9 * net->in, net->hidden};
  for (int i = 0; i < 2; i++)
    GLOW_TRY(declare_block(net, setup, left[i], &net->left[i]));
  net->left[2] = net->taps; /* forward's are not needed any more */
  return declare_block(net, setup, net->hidden, &net->d1);
}

/* Pixels of one strip, all of them or some rows. */
typedef struct strip {
  int64_t first, rows;
  float *gathered;    /* [rows, 9 in] or [rows, 9 out], the worker's */
  float *h1, *h2;     /* [rows, hidden] */
  glow_layout hidden; /* of h1, h2 and their gradients: panels, as packed */
} strip;

/* A run of the net, and its activations where tasks share them: in the stored regions if the pass
 * has them, else NULL, or in scratch. */
typedef struct float_run {
  const glow__conv_run *run;
  glow__tiles tiles;
  float *h1, *h2;
} float_run;

static float_run float_run_of(const glow__conv_run *run) {
  const glow__conv_net *net = run->net;
  return (float_run){.run = run,
                     .h1 = glow_call_stored(run->call, net->h1),
                     .h2 = glow_call_stored(run->call, net->h2)};
}

/* Where the strip of pixel `first` begins and how many pixels it has. */
static int64_t strip_of(const glow__conv_run *run, int64_t first, int64_t *rows) {
  int64_t begin = first / GLOW_STRIP * GLOW_STRIP;
  *rows = glow__strip_end(begin, run->pixels) - begin;
  return begin;
}

/* A matrix [pixels, n] in strips of panels, which begins with pixel `start`: its place from pixel
 * `first` on, up to the end of the strip. */
static float *panels_from(const glow__conv_run *run, float *matrix, int64_t start, int64_t n,
                          int64_t first, glow_layout *layout) {
  int64_t rows, begin = strip_of(run, first, &rows);
  *layout = glow_math_panels(run->math, rows, n);
  return matrix + (begin - start) * glow_math_packed_floats(run->math, 1, n) +
         (first - begin) * layout->row;
}

/* One that has all pixels, ... */
static float *panels_at(const glow__conv_run *run, float *matrix, int64_t n, int64_t first,
                        glow_layout *layout) {
  return panels_from(run, matrix, 0, n, first, layout);
}

/* ... and one in scratch that has those of the block at work. */
static float *block_at(const glow__conv_run *run, int32_t region, int64_t n, int64_t first,
                       glow_layout *layout) {
  return panels_from(run, glow_call_scratch(run->call, region), run->first, n, first, layout);
}

static strip strip_at(const float_run *f, int64_t first, int64_t last, uint32_t worker) {
  const glow__conv_run *run = f->run;
  const glow__conv_net *net = run->net;
  strip s = {.first = first, .rows = last - first};
  s.gathered = glow_call_worker_scratch(run->call, net->strip, worker);
  if (f->h1) {
    s.h1 = panels_at(run, f->h1, net->hidden, first, &s.hidden);
    s.h2 = panels_at(run, f->h2, net->hidden, first, &s.hidden);
  } else {
    s.hidden = glow_math_panels(run->math, s.rows, net->hidden);
    s.h1 = s.gathered + GLOW_STRIP * 9 * glow__conv_wide(net);
    s.h2 = s.h1 + GLOW_STRIP * glow_math_packed_floats(run->math, 1, net->hidden);
  }
  return s;
}

/* ---- products -------------------------------------------------------------------------------- */

/* Panels of columns, from `first` up to `last`. */
typedef struct panels {
  int64_t first, last;
} panels;

static panels all_panels(const glow__conv_run *run, int64_t n) {
  return (panels){0, glow_math_panel_count(run->math, n)};
}

static panels panels_of(const glow__conv_run *run, const glow__tile *at) {
  return (panels){at->column / glow__panel_columns(run->math),
                  glow_math_panel_count(run->math, at->column_end)};
}

/* Tiles of a product. least_rows: GLOW_STRIP, where sums are taken of whole strips; least_columns:
 * 0, or more than the products need. */
static glow__tiles float_tiles(const glow__conv_run *run, int64_t n, int64_t k, int64_t least_rows,
                               int64_t least_columns) {
  glow__tile_limits limits = {GLOW_STRIP, least_rows, glow__panel_columns(run->math)};
  while (limits.least_columns < 32 || limits.least_columns < least_columns)
    limits.least_columns *= 2;
  return glow__tiles_of(run->last - run->first, n, k, &limits);
}

/* Rows are counted from the first pixel of the block. */
static glow__tile tile_of(const float_run *f, uint32_t task) {
  glow__tile at = glow__tile_at(&f->tiles, task);
  at.row += f->run->first;
  at.row_end += f->run->first;
  return at;
}

static void run_tiles(float_run *f, glow__tiles tiles, glow_task_fn fn) {
  f->tiles = tiles;
  glow_call_run(f->run->call, glow__tile_count(&tiles), fn, f);
}

/* ---- forward --------------------------------------------------------------------------------- */

/* h1 from x; or a1 in its place if finish is not set. With the border all panels. */
static void conv_net_float_first_layer(const glow__conv_run *run, const strip *s, panels p,
                                       bool finish) {
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
                     s->hidden, p.first, p.last, &norm);
}

/* h2 from h1, or a2. */
static void conv_net_float_second_layer(const glow__conv_run *run, const strip *s, panels p,
                                        bool finish) {
  const glow__conv_net *net = run->net;
  const float *scale = glow__conv_scales_of(net, run->call).s2;
  glow_epilogue norm = finish ? glow__conv_norm(run, net->b2, scale) : (glow_epilogue){0};
  glow_math_multiply(run->math, s->rows, net->hidden, net->hidden, s->h1, s->hidden,
                     glow__conv_weights(run, 1), s->h2, s->hidden, p.first, p.last, &norm);
}

static void conv_net_float_third_layer(const glow__conv_run *run, const strip *s, panels p) {
  const glow_epilogue none = {0};
  int64_t taps = 9 * run->net->out;
  glow_math_multiply(run->math, s->rows, taps, run->net->hidden, s->h2, s->hidden,
                     glow__conv_weights(run, 2),
                     glow_call_scratch(run->call, run->net->taps) + s->first * taps,
                     glow_math_rows(run->math, taps), p.first, p.last, &none);
}

static void forward_strip(void *arg, uint32_t task, uint32_t worker) {
  const float_run *f = arg;
  const glow__tile at = tile_of(f, task);
  strip s = strip_at(f, at.row, at.row_end, worker);
  conv_net_float_first_layer(f->run, &s, all_panels(f->run, f->run->net->hidden), true);
  conv_net_float_second_layer(f->run, &s, all_panels(f->run, f->run->net->hidden), true);
  conv_net_float_third_layer(f->run, &s, all_panels(f->run, 9 * f->run->net->out));
}

static void forward_first(void *arg, uint32_t task, uint32_t worker) {
  const float_run *f = arg;
  const glow__tile at = tile_of(f, task);
  strip s = strip_at(f, at.row, at.row_end, worker);
  conv_net_float_first_layer(f->run, &s, panels_of(f->run, &at), true);
}

static void forward_second(void *arg, uint32_t task, uint32_t worker) {
  const float_run *f = arg;
  const glow__tile at = tile_of(f, task);
  strip s = strip_at(f, at.row, at.row_end, worker);
  conv_net_float_second_layer(f->run, &s, panels_of(f->run, &at), true);
}

static void forward_third(void *arg, uint32_t task, uint32_t worker) {
  const float_run *f = arg;
  const glow__tile at = tile_of(f, task);
  strip s = strip_at(f, at.row, at.row_end, worker);
  conv_net_float_third_layer(f->run, &s, panels_of(f->run, &at));
}

/* Tiles of the first product gather their rows themselves, those of other columns again: so columns
 * are cut only where there are few rows, and into wide tiles. The border fills whole rows. */
static glow__tiles first_tiles(const glow__conv_run *run) {
  const glow__conv_net *net = run->net;
  int64_t taps = 9 * net->in;
  glow__tiles whole = float_tiles(run, net->hidden, taps, 16, net->hidden);
  if (net->options.border || glow__tile_count(&whole) >= GLOW_TILES_ENOUGH / 4)
    return whole;
  return float_tiles(run, net->hidden, taps, 16, 128);
}

static void forward_by_layers(float_run *f) {
  const glow__conv_run *run = f->run;
  const glow__conv_net *net = run->net;
  run_tiles(f, first_tiles(run), forward_first);
  run_tiles(f, float_tiles(run, net->hidden, net->hidden, 16, 0), forward_second);
  run_tiles(f, float_tiles(run, 9 * net->out, net->hidden, 16, 0), forward_third);
}

static void float_forward(const glow__conv_run *run) {
  const glow__conv_net *net = run->net;
  float_run f = float_run_of(run);
  if (run->pixels > FEW_PIXELS) {
    const glow__tile_limits limits = {GLOW_STRIP, LEAST_STRIP, net->hidden};
    run_tiles(&f, glow__tiles_of(run->pixels, net->hidden, net->hidden, &limits), forward_strip);
    return;
  }
  if (!f.h1) {
    f.h1 = glow_call_scratch(run->call, net->shared);
    f.h2 = f.h1 + FEW_PIXELS * glow_math_packed_floats(run->math, 1, net->hidden);
  }
  forward_by_layers(&f);
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
  const float_run f = float_run_of(run);
  int64_t hidden = run->net->hidden;
  for (int64_t first = 0; first < run->pixels; first += GLOW_STRIP) {
    strip s = strip_at(&f, first, glow__strip_end(first, run->pixels), 0);
    float_mark(hidden, s.rows, s.h1, s.hidden, active);
    float_mark(hidden, s.rows, s.h2, s.hidden, active + hidden);
  }
}

static const float *float_before_norm(const glow__conv_run *run, uint32_t task, uint32_t worker,
                                      int32_t round) {
  const float_run f = {.run = run};
  const panels all = all_panels(run, run->net->hidden);
  int64_t first = (int64_t)task * GLOW_STRIP;
  strip s = strip_at(&f, first, glow__strip_end(first, run->pixels), worker);
  s.hidden = glow_math_rows(run->math, run->net->hidden);
  conv_net_float_first_layer(run, &s, all, round > 0);
  if (round > 0)
    conv_net_float_second_layer(run, &s, all, false);
  return round > 0 ? s.h2 : s.h1;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Rows [rows, n] into panels, the last of which is filled up with zeros. */
static void to_panels(int64_t rows, int64_t n, const float *from, float *to, glow_layout layout) {
  for (int64_t j = 0; j < n; j += layout.width, to += layout.panel) {
    int64_t columns = n - j < layout.width ? n - j : layout.width;
    for (int64_t r = 0; r < rows; r++) {
      memcpy(to + r * layout.row, from + r * n + j, (size_t)columns * sizeof *to);
      memset(to + r * layout.row + columns, 0, (size_t)(layout.width - columns) * sizeof *to);
    }
  }
}

/* Gathered taps, packed in factor i of the weight gradients. */
static void gather_factor(const float_run *f, const glow__tile *at, uint32_t worker,
                          int64_t channels, const float *x, int64_t stride, int32_t sign,
                          int32_t i) {
  const glow__conv_run *run = f->run;
  strip s = strip_at(f, at->row, at->row_end, worker);
  glow_layout layout;
  float *to = block_at(run, run->net->left[i], 9 * channels, s.first, &layout);
  glow__strip_gather(run->math, run->net->height, run->net->width, channels, x, stride, sign,
                     at->row, at->row_end, s.gathered);
  to_panels(s.rows, 9 * channels, s.gathered, to, layout);
}

/* T, of which the columns are left out; and the taps of x, if the tiles have a second column. */
static void gather_both(void *arg, uint32_t task, uint32_t worker) {
  const float_run *f = arg;
  const glow__conv_run *run = f->run;
  const glow__conv_net *net = run->net;
  const glow__tile at = tile_of(f, task);
  if (at.column == 0)
    gather_factor(f, &at, worker, net->out, run->dout, net->out, -1, 2);
  else
    gather_factor(f, &at, worker, net->in, run->x.at, run->x.stride, 1, 0);
}

/* d [pixels, hidden] = A B, A [pixels, k], at a tile of whole strips; then back through the norm
 * behind h. */
typedef struct back_product {
  int64_t k;
  int32_t a, d; /* scratch */
  float *h;
  int32_t packed;
  const float *scale;
} back_product;

static void back_to_norm(const float_run *f, const back_product *b, const glow__tile *at,
                         float *sum_bias, float *sum_scale) {
  const glow__conv_run *run = f->run;
  const glow_epilogue none = {0};
  int64_t hidden = run->net->hidden, rows = at->row_end - at->row;
  panels p = panels_of(run, at);
  glow_layout from, layout;
  const float *a = block_at(run, b->a, b->k, at->row, &from);
  float *d = block_at(run, b->d, hidden, at->row, &layout);
  const float *h = panels_at(run, b->h, hidden, at->row, &layout) + p.first * layout.panel;
  glow_math_multiply(run->math, rows, hidden, b->k, a, from,
                     glow_call_scratch(run->call, b->packed), d, layout, p.first, p.last, &none);
  glow_math_relu_backward(run->math, rows, at->column_end - at->column, h, b->scale + at->column,
                          d + p.first * layout.panel, layout, sum_bias + at->column,
                          sum_scale + at->column);
}

static uint32_t strip_number(const glow__tile *at) {
  return (uint32_t)(at->row / GLOW_STRIP);
}

/* d2 from T */
static void back_second(void *arg, uint32_t task, uint32_t worker) {
  const float_run *f = arg;
  const glow__conv_net *net = f->run->net;
  const glow_call *call = f->run->call;
  const glow__tile at = tile_of(f, task);
  glow__conv_sums sums = glow__conv_strip_sums(f->run, strip_number(&at));
  const back_product b = {9 * net->out, net->left[2], net->left[1],
                          f->h2,        net->back[2], glow__conv_scales_of(net, call).s2};
  (void)worker;
  back_to_norm(f, &b, &at, sums.b2, sums.l2);
}

/* d1 from d2 */
static void back_first(void *arg, uint32_t task, uint32_t worker) {
  const float_run *f = arg;
  const glow__conv_run *run = f->run;
  const glow__conv_net *net = run->net;
  const glow_call *call = run->call;
  const glow__tile at = tile_of(f, task);
  glow__conv_sums sums = glow__conv_strip_sums(run, strip_number(&at));
  const back_product b = {net->hidden, net->left[1], net->d1,
                          f->h1,       net->back[1], glow__conv_scales_of(net, call).s1};
  glow_layout layout;
  (void)worker;
  back_to_norm(f, &b, &at, sums.b1, sums.l1);
  glow__conv_border_sums(run, net->hidden, block_at(run, b.d, net->hidden, at.row, &layout), layout,
                         at.row, at.row_end, sums.e1);
}

static void float_backward(const glow__conv_run *run) {
  const glow__conv_net *net = run->net;
  float_run f = float_run_of(run);
  const glow__tiles gather = {run->last - run->first, run->inputs_only ? 1 : 2, LEAST_STRIP, 1};
  int64_t border = net->options.border ? net->hidden : 0; /* its sums are of whole rows */
  run_tiles(&f, gather, gather_both);
  run_tiles(&f, float_tiles(run, net->hidden, 9 * net->out, GLOW_STRIP, 0), back_second);
  run_tiles(&f, float_tiles(run, net->hidden, net->hidden, GLOW_STRIP, border), back_first);
}

static glow__tiles input_tiles(const glow__conv_run *run) {
  return float_tiles(run, 9 * run->net->in, run->net->hidden, 16, 0);
}

static uint32_t float_input_tasks(const glow__conv_run *run) {
  const glow__tiles tiles = input_tiles(run);
  return glow__tile_count(&tiles);
}

static void float_input_task(const glow__conv_run *run, uint32_t task) {
  const glow__conv_net *net = run->net;
  const glow_epilogue none = {0};
  const float_run f = {.run = run, .tiles = input_tiles(run)};
  const glow__tile at = tile_of(&f, task);
  panels p = panels_of(run, &at);
  int64_t taps = 9 * net->in;
  glow_layout layout;
  const float *d1 = block_at(run, net->d1, net->hidden, at.row, &layout);
  glow_math_multiply(run->math, at.row_end - at.row, taps, net->hidden, d1, layout,
                     glow_call_scratch(run->call, net->back[0]),
                     glow_call_scratch(run->call, net->d_gathered) + at.row * taps,
                     glow_math_rows(run->math, taps), p.first, p.last, &none);
}

/* The right factor of the gradient of W1, W2 or W3. */
static const float *right_at(const glow__conv_run *run, int32_t layer, int64_t first,
                             glow_layout *layout) {
  const glow__conv_net *net = run->net;
  if (layer == 0)
    return block_at(run, net->d1, net->hidden, first, layout);
  return panels_at(run, glow_call_stored(run->call, layer == 1 ? net->h1 : net->h2), net->hidden,
                   first, layout);
}

static void float_weight_gradient(const glow__conv_run *run, const glow__conv_tile *w,
                                  uint32_t worker) {
  const glow__conv_net *net = run->net;
  const glow_epilogue add = {.accumulate = 1};
  const panels p = panels_of(run, &w->at);
  int64_t panel = glow__panel_columns(run->math);
  glow_layout layout, right;
  (void)worker;
  for (int64_t first = run->first; first < run->last; first += GLOW_STRIP) {
    int64_t rows = glow__strip_end(first, run->last) - first;
    const float *left = block_at(run, net->left[w->layer], w->m, first, &layout);
    glow_math_multiply_transposed(run->math, w->at.row_end - w->at.row, net->hidden, rows,
                                  left + w->at.row / panel * layout.panel + w->at.row % panel,
                                  layout, right_at(run, w->layer, first, &right),
                                  w->c + w->at.row * net->hidden,
                                  glow_math_rows(run->math, net->hidden), p.first, p.last, &add);
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
    .input_tasks = float_input_tasks,
    .input_task = float_input_task,
    .block_pixels = BLOCK_PIXELS,
    .weight_rows = 32,    /* whole panels of every provider, or halves */
    .weight_columns = 64, /* whole panels */
    .weight_gradient = float_weight_gradient,
    .mark_active = float_mark_active,
    .before_norm = float_before_norm,
};
