/* A growing list of points, for the picture of the loss. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_CURVE_H
#define GLOWTOOL_CURVE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct curve {
  int64_t count, room;
  double *x, *y;
} curve;

/* False when there is no memory; the curve is then as before. */
bool curve_add(curve *c, double x, double y);
/* Drops the last points, those beyond x. */
void curve_cut(curve *c, double x);
/* Leaves an empty one. */
void curve_free(curve *c);

#endif
