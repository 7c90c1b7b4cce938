/* The best linear restoration: with x normally distributed, of the mean m and the covariance S of
 * other images, and y = A x + noise of deviation s, the mean of x given y is
 *
 *   m + S A' (A S A' + s^2 I)^-1 (y - A m)
 *
 * It is also the most probable x. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_GAUSSIAN_H
#define GLOWTOOL_GAUSSIAN_H

#include "data.h"
#include "observation.h"

enum { GAUSSIAN_MOST_DIMS = 4096 }; /* elements of an image: its matrices have as many squared */

typedef struct gaussian {
  const observation *observation;
  double *mean;   /* [dims]: m */
  double *gain;   /* [dims, count]: S A' */
  double *factor; /* [count, count]: of A S A' + s^2 I, by Cholesky */
  double *seen;   /* [count]: A m */
} gaussian;

/* The images of the set are those that m and S are taken from. Returns an exit code;
 * gaussian_close is due in any case. */
int gaussian_open(gaussian *g, const observation *o, const sample_set *set, double deviation);
/* Restores x from y. room: [count]. */
void gaussian_restore(const gaussian *g, const float *y, double *room, float *x);
void gaussian_close(gaussian *g);

#endif
