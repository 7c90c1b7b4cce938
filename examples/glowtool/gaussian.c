/* Mean and covariance of images, and the linear restoration. SPDX-License-Identifier: MIT */
#include "gaussian.h"

#include <stdlib.h>
#include <string.h>

#include "cholesky.h"
#include "pixel_values.h"
#include "sample_source.h"

enum { BLOCK = 32 }; /* images that the covariance takes in at a time */

/* ---- moments --------------------------------------------------------------------------------- */

typedef struct moments {
  const sample_set *set;
  int64_t dims;
  gaussian_form form;
  double *mean, *covariance; /* [dims], [dims, dims]: the upper half is summed up */
  float *x;                  /* [BLOCK, dims] */
} moments;

static int read_block(const moments *m, int64_t first, int64_t count) {
  return read_values(m->set, first, count, m->x, NULL);
}

static void add_mean(moments *m, int64_t count) {
  for (int64_t n = 0; n < count; n++)
    for (int64_t i = 0; i < m->dims; i++)
      m->mean[i] += (double)m->x[n * m->dims + i];
}

/* About the mean, so that there is no cancellation. */
static void add_products(moments *m, int64_t count) {
  int64_t dims = m->dims;
  for (int64_t n = 0; n < count; n++)
    for (int64_t i = 0; i < dims; i++)
      m->x[n * dims + i] -= (float)m->mean[i];
  for (int64_t i = 0; i < dims; i++)
    for (int64_t n = 0; n < count; n++) {
      double left = (double)m->x[n * dims + i];
      int64_t end = m->form == GAUSSIAN_WHOLE ? dims : i + 1;
      for (int64_t j = i; left != 0.0 && j < end; j++)
        m->covariance[i * dims + j] += left * (double)m->x[n * dims + j];
    }
}

static int add_all(moments *m, void (*add)(moments *m, int64_t count)) {
  int code = TOOL_FINE;
  for (int64_t first = 0; first < m->set->count && code == TOOL_FINE; first += BLOCK) {
    int64_t count = m->set->count - first < BLOCK ? m->set->count - first : BLOCK;
    code = read_block(m, first, count);
    if (code == TOOL_FINE)
      add(m, count);
  }
  return code;
}

/* Divides by the number of images, and fills the lower half. */
static void finish_covariance(moments *m) {
  double share = 1.0 / (double)m->set->count;
  for (int64_t i = 0; i < m->dims; i++)
    for (int64_t j = i; j < m->dims; j++)
      m->covariance[j * m->dims + i] = m->covariance[i * m->dims + j] *= share;
}

static int take_moments(moments *m) {
  int code = add_all(m, add_mean);
  for (int64_t i = 0; i < m->dims; i++)
    m->mean[i] /= (double)m->set->count;
  if (code == TOOL_FINE)
    code = add_all(m, add_products);
  if (code == TOOL_FINE)
    finish_covariance(m);
  return code;
}

/* ---- the matrices ---------------------------------------------------------------------------- */

/* rows [count, dims] of doubles, each taken through A. */
static void apply_rows(const observation *o, const double *rows, int64_t count, float *room,
                       double *out) {
  float *y = room + o->dims;
  for (int64_t r = 0; r < count; r++) {
    for (int64_t i = 0; i < o->dims; i++)
      room[i] = (float)rows[r * o->dims + i];
    observation_apply(o, room, y);
    for (int64_t k = 0; k < o->count; k++)
      out[r * o->count + k] = (double)y[k];
  }
}

static void transpose(const double *from, int64_t rows, int64_t columns, double *to) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c++)
      to[c * rows + r] = from[r * columns + c];
}

/* gain = S A', whose transpose's rows taken through A are A S A'. turned: [count, dims]. */
static int make_matrices(gaussian *g, const double *covariance, double deviation, double *turned,
                         float *room) {
  const observation *o = g->observation;
  apply_rows(o, covariance, o->dims, room, g->gain);
  transpose(g->gain, o->dims, o->count, turned);
  apply_rows(o, turned, o->count, room, g->factor);
  apply_rows(o, g->mean, 1, room, g->seen);
  for (int64_t k = 0; k < o->count; k++)
    g->factor[k * o->count + k] += deviation * deviation;
  if (cholesky_factor(g->factor, o->count))
    return TOOL_FINE;
  return complain(
      "--fit: the covariance of these images cannot be inverted: use more of them, or a "
      "larger --deviation");
}

static double *new_doubles(int64_t count) {
  return calloc((size_t)count, sizeof(double));
}

static int fit(gaussian *g, const sample_set *set, double deviation, gaussian_form form) {
  const observation *o = g->observation;
  int64_t dims = o->dims;
  double *turned = new_doubles(o->count * dims);
  moments m = {set,
               dims,
               form,
               g->mean,
               new_doubles(dims * dims),
               malloc(BLOCK * (size_t)dims * sizeof *m.x)};
  float *room = malloc((size_t)(dims + o->count) * sizeof *room);
  int code = TOOL_FAILED;
  if (m.covariance && m.x && room && turned)
    code = take_moments(&m);
  else
    complain("out of memory for the covariance of %lld elements", (long long)dims);
  if (code == TOOL_FINE)
    code = make_matrices(g, m.covariance, deviation, turned, room);
  free(m.covariance);
  free(m.x);
  free(turned);
  free(room);
  return code;
}

/* ---- the whole ------------------------------------------------------------------------------- */

int gaussian_open(gaussian *g, const observation *o, const sample_set *set, double deviation,
                  gaussian_form form) {
  *g = (gaussian){.observation = o};
  if (o->dims > GAUSSIAN_MOST_DIMS)
    return complain("--fit: images of %lld elements are too large for a covariance; at most %d are "
                    "taken",
                    (long long)o->dims, GAUSSIAN_MOST_DIMS);
  if (set->count < 2)
    return complain("--fit: a covariance needs two images or more");
  g->mean = new_doubles(o->dims);
  g->gain = new_doubles(o->dims * o->count);
  g->factor = new_doubles(o->count * o->count);
  g->seen = new_doubles(o->count);
  if (g->mean && g->gain && g->factor && g->seen)
    return fit(g, set, deviation, form);
  complain("out of memory for the covariance of %lld elements", (long long)o->dims);
  return TOOL_FAILED;
}

void gaussian_restore(const gaussian *g, const float *y, double *room, float *x) {
  const observation *o = g->observation;
  for (int64_t k = 0; k < o->count; k++)
    room[k] = (double)y[k] - g->seen[k];
  cholesky_solve(g->factor, o->count, room);
  for (int64_t i = 0; i < o->dims; i++) {
    double sum = g->mean[i];
    for (int64_t k = 0; k < o->count; k++)
      sum += g->gain[i * o->count + k] * room[k];
    x[i] = (float)sum;
  }
}

void gaussian_close(gaussian *g) {
  free(g->mean);
  free(g->gain);
  free(g->factor);
  free(g->seen);
  *g = (gaussian){.observation = NULL};
}
