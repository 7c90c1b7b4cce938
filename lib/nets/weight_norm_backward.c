/* Weight normalisation: gradients of the parameters. With D the gradient of w and n = |v|:
 *   d gain = (v . D) / n,  d v = gain / n (D - v (v . D) / n^2),  d bias = sum dy
 * D [(t, i), o] = sum over pixels of tap t, input i of h times dy, by blocks of rows (t, i).
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "nets/weight_norm.h"

/* Rows (t, i) of a task, and pixels packed at a time. */
enum { ROWS = 64, PIXELS = 256 };

typedef struct back_run {
  const glow__wn_run *run;
  const float *h, *dy;
  int64_t stride;
  float *d; /* D */
  int32_t worker;
} back_run;

int64_t glow__wn_conv_gradient_room(const glow__wn_conv *c) {
  return c->taps * c->in * c->out;
}

int64_t glow__wn_conv_gradient_worker(const glow__wn_conv *c, const glow_math *math) {
  return glow_math_packed_floats(math, PIXELS, c->out) + PIXELS * ROWS + 2 * c->out;
}

/* Columns [row, row + rows) of the gathered h for pixels [first, last). */
static void gather(const glow__wn_conv *c, const float *h, int64_t stride, int64_t first,
                   int64_t last, int64_t row, int64_t rows, float *out) {
  int64_t image = c->height * c->width;
  for (int64_t p = first; p < last; p++) {
    int64_t at = p % image, y = at / c->width, x = at % c->width;
    for (int64_t j = row; j < row + rows;) {
      int64_t t = j / c->in, i = j % c->in, count = c->in - i;
      int64_t r = c->taps == 1 ? y : y + t / 3 - 1, s = c->taps == 1 ? x : x + t % 3 - 1;
      if (count > row + rows - j)
        count = row + rows - j;
      if (r < 0 || r >= c->height || s < 0 || s >= c->width)
        memset(out, 0, (size_t)count * sizeof *out);
      else
        memcpy(out, h + (p - at + r * c->width + s) * stride + i, (size_t)count * sizeof *out);
      out += count;
      j += count;
    }
  }
}

static void bias_gradient(const back_run *b, double *sums) {
  const glow__wn_conv *c = b->run->conv;
  float *g = c->bias < 0 ? NULL : glow_call_gradient(b->run->call, c->bias);
  if (!g)
    return;
  memset(sums, 0, (size_t)c->out * sizeof *sums);
  for (int64_t p = 0; p < b->run->pixels; p++)
    for (int64_t o = 0; o < c->out; o++)
      sums[o] += (double)b->dy[p * c->out + o];
  for (int64_t o = 0; o < c->out; o++)
    g[o] += (float)sums[o];
}

/* Task 0: the bias; the others: blocks of rows of D. */
static void block_task(void *arg, uint32_t task, uint32_t worker) {
  const back_run *b = arg;
  const glow__wn_conv *c = b->run->conv;
  const glow_math *math = b->run->math;
  int64_t all = c->taps * c->in, row = ((int64_t)task - 1) * ROWS;
  int64_t rows = all - row < ROWS ? all - row : ROWS, panels = glow_math_panel_count(math, c->out);
  float *packed = glow_call_worker_scratch(b->run->call, b->worker, worker);
  float *gathered = packed + glow_math_packed_floats(math, PIXELS, c->out);
  if (task == 0) {
    bias_gradient(b, (double *)(void *)packed);
    return;
  }
  for (int64_t p = 0; p < b->run->pixels; p += PIXELS) {
    int64_t last = b->run->pixels - p < PIXELS ? b->run->pixels : p + PIXELS;
    const glow_epilogue end = {.accumulate = p > 0};
    gather(c, b->h, b->stride, p, last, row, rows, gathered);
    glow_math_pack(math, last - p, c->out, b->dy + p * c->out, c->out, 1, packed, 0, panels);
    glow_math_multiply_transposed(math, rows, c->out, last - p, gathered,
                                  glow_math_rows(math, rows), packed, b->d + row * c->out,
                                  glow_math_rows(math, c->out), 0, panels, &end);
  }
}

/* From D to v and gain, for one output. */
static void output_task(void *arg, uint32_t o, uint32_t worker) {
  const back_run *b = arg;
  const glow__wn_conv *c = b->run->conv;
  int64_t in = c->in, taps = c->taps;
  const float *v = (const float *)glow_call_tensor(b->run->call, c->v) + o * in * taps;
  const float *gain = c->gain < 0 ? NULL : glow_call_tensor(b->run->call, c->gain);
  float *dv = glow_call_gradient(b->run->call, c->v) + o * in * taps;
  double inverse = (double)b->run->derived[c->inverse + o], along = 0;
  double factor = inverse * (gain ? (double)gain[o] : 1.0);
  (void)worker;
#define D(i, t) (double)b->d[((t)*in + (i)) * c->out + o]
  for (int64_t i = 0; c->normalised && i < in; i++)
    for (int64_t t = 0; t < taps; t++)
      along += (double)v[i * taps + t] * D(i, t);
  if (gain)
    glow_call_gradient(b->run->call, c->gain)[o] += (float)(along * inverse);
  along *= inverse * inverse;
  for (int64_t i = 0; i < in; i++)
    for (int64_t t = 0; t < taps; t++)
      dv[i * taps + t] += (float)(factor * (D(i, t) - (double)v[i * taps + t] * along));
#undef D
}

void glow__wn_conv_gradients(const glow__wn_run *run, const float *h, int64_t stride,
                             const float *dy, float *scratch, int32_t worker) {
  const glow__wn_conv *c = run->conv;
  back_run b = {run, h, dy, stride, scratch, worker};
  uint32_t blocks = (uint32_t)((c->taps * c->in + ROWS - 1) / ROWS);
  glow_call_run(run->call, blocks + 1, block_task, &b);
  glow_call_run(run->call, (uint32_t)c->out, output_task, &b);
}
