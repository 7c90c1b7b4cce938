/* What the importers write: weights taken apart by their layout; zero convolutions of zeros, and
 * linear layers of one-hot vectors, folded into tables. Everything is in double and rounded once.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/import.h"

/* ---- into the model -------------------------------------------------------------------------- */

static glow_status find_target(glow__import *im, const char *target, int32_t type, int64_t count,
                               void **out) {
  char name[2 * GLOW_IMPORT_NAME];
  snprintf(name, sizeof name, "%s%s", im->to, target);
  return glow__import_find(im->model, &im->next, name, type, count, out);
}

glow_status glow__import_write(glow__import *im, const char *target, const double *values,
                               int64_t count) {
  void *found = NULL;
  GLOW_TRY(find_target(im, target, GLOW_TYPE_F32, count, &found));
  float *to = found;
  for (int64_t i = 0; i < count; i++) {
    to[i] = (float)values[i];
    if (!isfinite(to[i]))
      return glow_error(GLOW_E_FORMAT, "'%s%s': element %lld becomes %g, too large for float32",
                        im->to, target, (long long)i, values[i]);
  }
  return GLOW_OK;
}

glow_status glow__import_write_integers(glow__import *im, const char *target, const int32_t *values,
                                        int64_t count) {
  void *found = NULL;
  GLOW_TRY(find_target(im, target, GLOW_TYPE_I32, count, &found));
  memcpy(found, values, (size_t)count * sizeof *values);
  return GLOW_OK;
}

glow_status glow__import_write_reverse(glow__import *im, int64_t channels) {
  void *found = NULL;
  if (!im->model)
    return GLOW_OK;
  GLOW_TRY(find_target(im, "permute.index", GLOW_TYPE_I32, channels, &found));
  int32_t *index = found;
  for (int64_t c = 0; c < channels; c++)
    index[c] = (int32_t)(channels - 1 - c);
  return GLOW_OK;
}

/* ---- layouts --------------------------------------------------------------------------------- */

glow__import_layout glow__import_vector(int64_t count, int32_t order, double factor) {
  return (glow__import_layout){
      .out = count, .in = 1, .taps = 1, .count = 1, .order = order, .factor = factor};
}

/* Our halves are (shift or mean, raw or log-sd), one after the other. */
static int64_t in_file(const glow__import_layout *l, int64_t o) {
  int64_t half = l->out / 2;
  switch (l->order) {
  case GLOW_ORDER_INTERLEAVED: return o < half ? 2 * o : 2 * (o - half) + 1;
  case GLOW_ORDER_SWAPPED: return o < half ? o + half : o - half;
  default: return o;
  }
}

static double element(const glow__import_layout *l, const double *values, int64_t o, int64_t i,
                      int64_t t) {
  return l->factor *
         values[l->inputs_first ? (t * l->in + i) * l->out + o : (o * l->in + i) * l->taps + t];
}

static void import_convert_take(const glow__import_layout *l, const double *values, double *to) {
  for (int64_t o = 0; o < l->out; o++)
    for (int64_t i = 0; i < l->count; i++)
      for (int64_t t = 0; t < l->taps; t++) {
        double value = element(l, values, in_file(l, o), l->first + i, t);
        if (l->sum)
          to[o * l->taps + t] += value;
        else
          to[(o * l->count + i) * l->taps + t] = value;
      }
}

static int64_t taken(const glow__import_layout *l) {
  return l->out * (l->sum ? 1 : l->count) * l->taps;
}

/* The sizes are those of a tensor in the file and of parts of it, so their products do not
 * overflow. */
glow_status glow__import_take(glow__import *im, const char *name, int32_t rank, const int64_t *dims,
                              const glow__import_layout *layout, double **out) {
  double *values = NULL;
  *out = NULL;
  GLOW_TRY(glow__import_read(im, name, rank, dims, &values));
  if (!values)
    return GLOW_OK;
  *out = glow_allocate(im->context, (size_t)taken(layout) * sizeof **out);
  if (*out)
    import_convert_take(layout, values, *out);
  glow_release(im->context, values);
  return *out ? GLOW_OK : GLOW_E_MEMORY;
}

glow_status glow__import_copy(glow__import *im, const char *name, int32_t rank, const int64_t *dims,
                              const glow__import_layout *layout, const char *target) {
  double *values = NULL;
  GLOW_TRY(glow__import_take(im, name, rank, dims, layout, &values));
  if (!values)
    return GLOW_OK;
  glow_status status = glow__import_write(im, target, values, taken(layout));
  glow_release(im->context, values);
  return status;
}

/* ---- top prior ------------------------------------------------------------------------------- */

/* Sum over the taps of a 3x3 convolution that are outside at pixel (y, x). */
static double import_convert_outside(const double *taps, const glow_shape *shape, int64_t y,
                                     int64_t x) {
  double sum = 0;
  for (int64_t t = 0; t < 9; t++) {
    int64_t row = y + t / 3 - 1, column = x + t % 3 - 1;
    if (row < 0 || row >= shape->height || column < 0 || column >= shape->width)
      sum += taps[t];
  }
  return sum;
}

/* Channels [first, first + C) of h, at each pixel if there is a border. */
static void top_half(const glow_shape *top, int64_t first, const double *border, const double *bias,
                     const double *logs, double *to) {
  int64_t pixels = border ? top->height * top->width : 1;
  for (int64_t p = 0; p < pixels; p++)
    for (int64_t c = 0; c < top->channels; c++) {
      int64_t o = first + c;
      double sum = bias[o];
      if (border)
        sum += import_convert_outside(border + o * 9, top, p / top->width, p % top->width);
      to[p * top->channels + c] = sum * exp(3.0 * logs[o]);
    }
}

static glow_status write_top(glow__import *im, int64_t channels, const double *border,
                             const double *bias, const double *logs) {
  const glow_shape *input = &im->plan.input;
  glow_shape top = {input->height >> im->plan.levels, input->width >> im->plan.levels, channels};
  int64_t count = channels * (border ? top.height * top.width : 1);
  double *half = glow_allocate(im->context, (size_t)count * sizeof *half);
  if (!half)
    return GLOW_E_MEMORY;
  top_half(&top, 0, border, bias, logs, half);
  glow_status status = glow__import_write(im, "mean", half, count);
  if (status == GLOW_OK) {
    top_half(&top, channels, border, bias, logs, half);
    status = glow__import_write(im, "logs", half, count);
  }
  glow_release(im->context, half);
  return status;
}

static glow_status import_convert_read_tensor(glow__import *im, const glow__import_tensor *tensor,
                                              double **out) {
  return glow__import_read(im, tensor->name, tensor->rank, tensor->dims, out);
}

glow_status glow__import_top_prior(glow__import *im, int64_t channels,
                                   const glow__import_tensor *border,
                                   const glow__import_layout *border_layout,
                                   const glow__import_tensor *bias,
                                   const glow__import_tensor *logs) {
  double *e = NULL, *b = NULL, *l = NULL;
  glow_status status =
      border ? glow__import_take(im, border->name, border->rank, border->dims, border_layout, &e)
             : GLOW_OK;
  if (status == GLOW_OK)
    status = import_convert_read_tensor(im, bias, &b);
  if (status == GLOW_OK)
    status = import_convert_read_tensor(im, logs, &l);
  if (status == GLOW_OK && l)
    status = write_top(im, channels, e, b, l);
  glow_release(im->context, e);
  glow_release(im->context, b);
  glow_release(im->context, l);
  return status;
}

/* ---- linear layers of classes ---------------------------------------------------------------- */

/* Reads all three and multiplies weights [out, in] and bias [out] by exp(3 logs). */
static glow_status read_linear(glow__import *im, const glow__import_linear *linear, int64_t out,
                               int64_t in, double **weight, double **bias) {
  glow__import_layout layout = {.out = out,
                                .in = in,
                                .taps = 1,
                                .count = in,
                                .inputs_first = linear->inputs_first,
                                .factor = 1};
  double *logs = NULL;
  GLOW_TRY(glow__import_take(im, linear->weight.name, linear->weight.rank, linear->weight.dims,
                             &layout, weight));
  GLOW_TRY(import_convert_read_tensor(im, &linear->bias, bias));
  GLOW_TRY(import_convert_read_tensor(im, &linear->logs, &logs));
  for (int64_t o = 0; logs && o < out; o++) {
    double scale = exp(3.0 * logs[o]);
    (*bias)[o] *= scale;
    for (int64_t i = 0; i < in; i++)
      (*weight)[o * in + i] *= scale;
  }
  glow_release(im->context, logs);
  return GLOW_OK;
}

/* rows [classes, C] of channels [first, first + C) of the layer's output. */
static void fill_rows(int64_t classes, int64_t channels, int64_t first, const double *weight,
                      const double *bias, double *rows) {
  for (int64_t k = 0; k < classes; k++)
    for (int64_t c = 0; c < channels; c++)
      rows[k * channels + c] = weight[(first + c) * classes + k] + bias[first + c];
}

static glow_status write_rows(glow__import *im, int64_t channels, const double *weight,
                              const double *bias) {
  int64_t classes = im->plan.classes;
  double *rows = glow_allocate(im->context, (size_t)(classes * channels) * sizeof *rows);
  if (!rows)
    return GLOW_E_MEMORY;
  fill_rows(classes, channels, 0, weight, bias, rows);
  glow_status status = glow__import_write(im, "class_mean", rows, classes * channels);
  if (status == GLOW_OK) {
    fill_rows(classes, channels, channels, weight, bias, rows);
    status = glow__import_write(im, "class_logs", rows, classes * channels);
  }
  glow_release(im->context, rows);
  return status;
}

glow_status glow__import_class_rows(glow__import *im, int64_t channels,
                                    const glow__import_linear *linear) {
  double *weight = NULL, *bias = NULL;
  glow_status status = read_linear(im, linear, 2 * channels, im->plan.classes, &weight, &bias);
  if (status == GLOW_OK && weight)
    status = write_rows(im, channels, weight, bias);
  glow_release(im->context, weight);
  glow_release(im->context, bias);
  return status;
}

glow_status glow__import_classifier(glow__import *im, int64_t channels,
                                    const glow__import_linear *linear) {
  double *weight = NULL, *bias = NULL;
  int64_t classes = im->plan.classes;
  glow_status status = read_linear(im, linear, classes, channels, &weight, &bias);
  if (status == GLOW_OK && weight)
    status = glow__import_write(im, "class_weight", weight, classes * channels);
  if (status == GLOW_OK && bias)
    status = glow__import_write(im, "class_bias", bias, classes);
  glow_release(im->context, weight);
  glow_release(im->context, bias);
  return status;
}
