/* What the kit says about a fault. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "check/check.h"

void glow__check_fault(glow__check *c, const char *format, ...) {
  enum { MOST = 8 }; /* of one check: later ones mostly repeat it */
  char text[800];
  va_list arguments;
  if (glow__check_over(c) || c->in_step++ >= MOST)
    return;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (!c->faults++)
    snprintf(c->first, sizeof c->first, "%s: %s", c->name, text);
  if (c->o.report)
    c->o.report(c->name, text, c->o.payload);
}

glow__place glow__check_place(const glow_shape *shape, int64_t n, int64_t i) {
  glow__place place;
  int64_t channel = i % shape->channels, pixel = i / shape->channels;
  if (shape->height * shape->width == 1)
    snprintf(place.text, sizeof place.text, "sample %lld, channel %lld", (long long)n,
             (long long)channel);
  else
    snprintf(place.text, sizeof place.text, "sample %lld, row %lld, column %lld, channel %lld",
             (long long)n, (long long)(pixel / shape->width), (long long)(pixel % shape->width),
             (long long)channel);
  return place;
}

static bool near(double a, double b, double tolerance) {
  return tolerance > 0 ? fabs(a - b) <= tolerance * (1 + fabs(b)) : a == b;
}

bool glow__check_same(glow__check *c, const char *what, const glow__grid *grid, const float *a,
                      const float *b, double tolerance) {
  int64_t size = grid->shape.height ? glow_shape_size(&grid->shape) : 0;
  for (int64_t n = 0; n < grid->samples; n++)
    for (int64_t i = 0; i < size; i++) {
      double one = (double)a[n * grid->stride + i], other = (double)b[n * grid->stride + i];
      if (near(one, other, tolerance))
        continue;
      glow__check_fault(c, "%s by %.3g at %s: %.6g instead of %.6g", what, fabs(one - other),
                        glow__check_place(&grid->shape, grid->first + n, i).text, one, other);
      return false;
    }
  return true;
}

bool glow__check_same_sums(glow__check *c, const char *what, int64_t samples, const double *a,
                           const double *b, double tolerance) {
  for (int64_t n = 0; n < samples; n++)
    if (!near(a[n], b[n], tolerance)) {
      glow__check_fault(c, "%s: sample %lld: %.6g instead of %.6g", what, (long long)n, a[n], b[n]);
      return false;
    }
  return true;
}
