/* Convolutions of <glow/sys/math.h>: products of gathered taps with the weights.
 *
 *   y  = gather(x, +1) B     B [(t, i), o]       dx = gather(dy, -1) B'    B' [(t, o), i]
 *   dw = gather(x, +1)' dy   [(t, i), o], by blocks of rows (t, i), over all pixels
 *
 * where 1x1 convolutions use the pixels themselves instead of gathered taps.
 * SPDX-License-Identifier: MIT */
#include "math/conv.h"

#include <string.h>

#include "math/strips.h"

/* ---- sizes ----------------------------------------------------------------------------------- */

glow_status glow_conv_check(const glow_conv *conv) {
  const int64_t limit = (int64_t)1 << 24;
  int64_t floats = 0;
  if (!conv)
    return glow_error(GLOW_E_ARGUMENT, "the conv is NULL");
  if (conv->size != 1 && conv->size != 3)
    return glow_error(GLOW_E_ARGUMENT, "a conv of size %lld; it must be 1 or 3",
                      (long long)conv->size);
  const int64_t sides[] = {conv->height, conv->width, conv->in, conv->out};
  static const char *const names[] = {"height", "width", "in", "out"};
  for (int i = 0; i < 4; i++)
    if (sides[i] < 1 || sides[i] > limit)
      return glow_error(GLOW_E_SHAPE, "a conv whose %s is %lld; it must be 1 to %lld", names[i],
                        (long long)sides[i], (long long)limit);
  if (!glow_size_multiply(conv->height * conv->width,
                          64 * 9 * (conv->in > conv->out ? conv->in : conv->out), &floats))
    return glow_error(GLOW_E_LIMIT,
                      "a conv of %lld to %lld channels on %lld x %lld pixels is too "
                      "large",
                      (long long)conv->in, (long long)conv->out, (long long)conv->height,
                      (long long)conv->width);
  return GLOW_OK;
}

int64_t glow_conv_weight_floats(const glow_conv *conv) {
  return glow__conv_taps(conv) * conv->in * conv->out;
}

/* ---- packed weights -------------------------------------------------------------------------- */

int64_t glow_conv_packed_floats(const glow_math *math, const glow_conv *conv, int32_t transposed) {
  int64_t from = transposed ? conv->out : conv->in, to = transposed ? conv->in : conv->out;
  return glow_math_packed_floats(math, glow__conv_taps(conv) * from, to);
}

void glow_conv_pack(const glow_math *math, const glow_conv *conv, int32_t transposed,
                    const float *w, float *room, float *packed) {
  int64_t in = conv->in, out = conv->out, taps = glow__conv_taps(conv);
  int64_t from = transposed ? out : in, to = transposed ? in : out;
  int64_t from_step = transposed ? in * taps : taps, to_step = transposed ? taps : in * taps;
  for (int64_t t = 0; t < taps; t++)
    for (int64_t j = 0; j < from; j++)
      for (int64_t k = 0; k < to; k++)
        room[(t * from + j) * to + k] = w[j * from_step + k * to_step + t];
  glow_math_pack(math, taps * from, to, room, to, 1, packed, 0, glow_math_panel_count(math, to));
}

/* ---- ranges of pixels ------------------------------------------------------------------------ */

int64_t glow_conv_room_floats(const glow_conv *conv, int64_t pixels) {
  return conv->size == 1 ? 0 : pixels * 9 * (conv->in > conv->out ? conv->in : conv->out);
}

/* Left factor of the product for pixels [first, last): gathered taps, or the pixels themselves. */
static const float *rows_of(const glow_math *math, const glow_conv *conv, const float *x,
                            int64_t channels, int64_t *stride, int32_t sign, int64_t first,
                            int64_t last, float *room) {
  if (conv->size == 1)
    return x + first * *stride;
  glow__strip_gather(math, conv->height, conv->width, channels, x, *stride, sign, first, last,
                     room);
  *stride = 9 * channels;
  return room;
}

/* What forward and the data gradient have in common: a map from `from` channels to `to`. */
static void range_product(const glow_math *math, const glow_conv *conv, const float *packed,
                          int64_t first, int64_t last, int32_t sign, int64_t from, const float *x,
                          int64_t x_stride, int64_t to, float *y, int64_t y_stride,
                          const glow_epilogue *epilogue, float *room) {
  const glow_epilogue none = {0};
  const float *rows = rows_of(math, conv, x, from, &x_stride, sign, first, last, room);
  glow_math_multiply(math, last - first, to, glow__conv_taps(conv) * from, rows,
                     glow_math_rows(math, x_stride), packed, y + first * y_stride,
                     glow_math_rows(math, y_stride), 0, glow_math_panel_count(math, to),
                     epilogue ? epilogue : &none);
}

void glow_conv_forward(const glow_math *math, const glow_conv *conv, const float *packed,
                       int64_t first, int64_t last, const float *x, int64_t x_stride, float *y,
                       int64_t y_stride, const glow_epilogue *epilogue, float *room) {
  range_product(math, conv, packed, first, last, 1, conv->in, x, x_stride, conv->out, y, y_stride,
                epilogue, room);
}

void glow_conv_data_gradient(const glow_math *math, const glow_conv *conv, const float *packed,
                             int64_t first, int64_t last, const float *dy, int64_t dy_stride,
                             float *dx, int64_t dx_stride, const glow_epilogue *epilogue,
                             float *room) {
  range_product(math, conv, packed, first, last, -1, conv->out, dy, dy_stride, conv->in, dx,
                dx_stride, epilogue, room);
}

/* ---- gradients of weights and bias ----------------------------------------------------------- */

/* Number of rows (t, i) in a part, and of pixels that are packed at a time. */
enum { ROWS = 64, PIXELS = 256 };

int64_t glow_conv_gradient_parts(const glow_conv *conv) {
  return 1 + (glow__conv_taps(conv) * conv->in + ROWS - 1) / ROWS;
}

glow__conv_rows glow__conv_part(const glow_conv *conv, int64_t part) {
  int64_t all = glow__conv_taps(conv) * conv->in, first = (part - 1) * ROWS;
  return (glow__conv_rows){first, all - first < ROWS ? all - first : ROWS};
}

/* Scratch: packed dy, or sums in double; gathered x; rows of D. */
static int64_t packed_floats(const glow_math *math, const glow_conv *conv) {
  int64_t packed = glow_math_packed_floats(math, PIXELS, conv->out), sums = 2 * conv->out;
  return packed > sums ? packed : sums;
}

int64_t glow_conv_gradient_room_floats(const glow_math *math, const glow_conv *conv) {
  return packed_floats(math, conv) + PIXELS * ROWS + ROWS * conv->out;
}

/* Columns `rows` of the gathered x for pixels [first, last). */
static void gather_columns(const glow__conv_sum *sum, int64_t first, int64_t last,
                           glow__conv_rows rows, float *out) {
  const glow_conv *c = sum->conv;
  int64_t image = c->height * c->width, end = rows.first + rows.rows;
  for (int64_t p = first; p < last; p++) {
    int64_t at = p % image, y = at / c->width, x = at % c->width;
    for (int64_t j = rows.first; j < end;) {
      int64_t t = j / c->in, i = j % c->in, count = c->in - i;
      int64_t r = c->size == 1 ? y : y + t / 3 - 1, s = c->size == 1 ? x : x + t % 3 - 1;
      if (count > end - j)
        count = end - j;
      if (r < 0 || r >= c->height || s < 0 || s >= c->width)
        memset(out, 0, (size_t)count * sizeof *out);
      else
        memcpy(out, sum->x + (p - at + r * c->width + s) * sum->x_stride + i,
               (size_t)count * sizeof *out);
      out += count;
      j += count;
    }
  }
}

void glow__conv_bias_gradient(const glow__conv_sum *sum, float *dbias, float *room) {
  int64_t out = sum->conv->out;
  double *sums = (double *)(void *)room;
  memset(sums, 0, (size_t)out * sizeof *sums);
  for (int64_t p = 0; p < sum->pixels; p++)
    for (int64_t o = 0; o < out; o++)
      sums[o] += (double)sum->dy[p * sum->dy_stride + o];
  for (int64_t o = 0; o < out; o++)
    dbias[o] += (float)sums[o];
}

void glow__conv_rows_gradient(const glow__conv_sum *sum, glow__conv_rows rows, float *d,
                              float *room) {
  const glow_math *math = sum->math;
  int64_t out = sum->conv->out, panels = glow_math_panel_count(math, out);
  float *packed = room, *gathered = room + packed_floats(math, sum->conv);
  for (int64_t p = 0; p < sum->pixels; p += PIXELS) {
    int64_t last = sum->pixels - p < PIXELS ? sum->pixels : p + PIXELS;
    const glow_epilogue end = {.accumulate = p > 0};
    gather_columns(sum, p, last, rows, gathered);
    glow_math_pack(math, last - p, out, sum->dy + p * sum->dy_stride, sum->dy_stride, 1, packed, 0,
                   panels);
    glow_math_multiply_transposed(math, rows.rows, out, last - p, gathered,
                                  glow_math_rows(math, rows.rows), packed, d,
                                  glow_math_rows(math, out), 0, panels, &end);
  }
}

void glow_conv_weight_gradient(const glow_math *math, const glow_conv *conv, int64_t part,
                               int64_t pixels, const float *x, int64_t x_stride, const float *dy,
                               int64_t dy_stride, float *dw, float *dbias, float *room) {
  const glow__conv_sum sum = {math, conv, pixels, x, dy, x_stride, dy_stride};
  const glow__conv_rows rows = glow__conv_part(conv, part);
  int64_t in = conv->in, out = conv->out, taps = glow__conv_taps(conv);
  float *d = room + packed_floats(math, conv) + PIXELS * ROWS;
  if (pixels < 1)
    return;
  if (part == 0) {
    if (dbias)
      glow__conv_bias_gradient(&sum, dbias, room);
    return;
  }
  glow__conv_rows_gradient(&sum, rows, d, room);
  for (int64_t j = 0; j < rows.rows; j++) {
    int64_t t = (rows.first + j) / in, i = (rows.first + j) % in;
    for (int64_t o = 0; o < out; o++)
      dw[(o * in + i) * taps + t] += d[j * out + o];
  }
}
