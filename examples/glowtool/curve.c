/* A growing list of points. SPDX-License-Identifier: MIT */
#include "curve.h"

#include <stdlib.h>
#include <string.h>

bool curve_add(curve *c, double x, double y) {
  if (c->count == c->room) {
    int64_t room = c->room ? 2 * c->room : 64;
    double *xs = realloc(c->x, (size_t)room * sizeof *xs);
    if (xs)
      c->x = xs;
    double *ys = realloc(c->y, (size_t)room * sizeof *ys);
    if (ys)
      c->y = ys;
    if (!xs || !ys)
      return false;
    c->room = room;
  }
  c->x[c->count] = x;
  c->y[c->count++] = y;
  return true;
}

void curve_cut(curve *c, double x) {
  while (c->count && c->x[c->count - 1] > x)
    c->count--;
}

void curve_free(curve *c) {
  free(c->x);
  free(c->y);
  memset(c, 0, sizeof *c);
}
