/* Sums and pictures. SPDX-License-Identifier: MIT */
#include "restore_report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "picture.h"
#include "pixel_values.h"

/* ---- signal-to-noise ------------------------------------------------------------------------- */

static const double least_error = 1e-10; /* 100 dB: no difference between pictures is smaller */

static double mean_error(const observation *o, const float *original, const float *x) {
  double sum = 0.0;
  int64_t count = 0;
  for (int64_t i = 0; i < o->dims; i++)
    if (!o->hidden || o->hidden[i]) {
      double error = (double)x[i] - (double)original[i];
      sum += error * error;
      count++;
    }
  return sum / (double)count;
}

void signal_add(signal_to_noise *s, const observation *o, const float *original, const float *x) {
  double error = fmax(mean_error(o, original, x), least_error), ratio = -10.0 * log10(error);
  s->images++;
  s->sum += ratio;
  s->squares += ratio * ratio;
  s->error += error;
}

double signal_mean(const signal_to_noise *s) {
  return s->images ? s->sum / (double)s->images : (double)NAN;
}

double signal_standard_error(const signal_to_noise *s) {
  double n = (double)s->images, mean = signal_mean(s);
  return s->images > 1 ? sqrt(fmax(0.0, s->squares / n - mean * mean) / (n - 1.0)) : (double)NAN;
}

double signal_of_mean(const signal_to_noise *s) {
  return s->images ? -10.0 * log10(s->error / (double)s->images) : (double)NAN;
}

/* ---- the picture ----------------------------------------------------------------------------- */

int restore_picture_open(restore_picture *p, int64_t rows, int64_t columns, int64_t dims) {
  *p = (restore_picture){.rows = rows, .columns = columns, .dims = dims};
  p->pixels = malloc((size_t)(rows * columns) * (size_t)dims);
  if (p->pixels)
    return TOOL_FINE;
  complain("out of memory for a picture of %lld rows", (long long)rows);
  return TOOL_FAILED;
}

void restore_picture_close(restore_picture *p) {
  free(p->pixels);
  p->pixels = NULL;
}

void restore_picture_put(restore_picture *p, int64_t column, const float *x) {
  if (p->used == p->rows)
    return;
  values_to_pixels(x, p->dims, p->pixels + (p->used * p->columns + column) * p->dims);
  p->used += column == p->columns - 1;
}

int restore_picture_write(const restore_picture *p, const char *path, const glow_shape *shape) {
  char error[1024] = "";
  if (picture_write_grid(path, p->used * p->columns, shape->height, shape->width, shape->channels,
                         p->columns, p->pixels, error, sizeof error))
    return TOOL_FINE;
  return complain_failure(error, errno);
}
