/* Densities in the plane that can be drawn from and whose value is known everywhere, so that what a
 * model has learnt can be measured: moons, rings, checkerboard. SPDX-License-Identifier: MIT */
#ifndef DENSITY2D_SETS_H
#define DENSITY2D_SETS_H

#include <glow/rng.h>

typedef struct plane_set {
  const char *name;
  /* `count` points (x, y) into out. */
  glow_status (*draw)(glow_rng *rng, int64_t count, float *out);
  /* Log-density at a point, in nats; -infinity where there is nothing. */
  double (*log_density)(double x, double y);
} plane_set;

/* Ends with a name of NULL. All lie within [-4, 4] x [-4, 4]. */
extern const plane_set plane_sets[];

#endif
