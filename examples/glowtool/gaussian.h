/* Linear restorations: with x normally distributed, of the mean m and the covariance S of other
 * images, and y = A x + noise of deviation s, the mean of x given y is
 *
 *   m + S A' (A S A' + s^2 I)^-1 (y - A m)
 *
 * It is also the most probable x. With the whole of S no linear restoration is better on such
 * images. With its diagonal alone pixels are apart: what is hidden becomes the mean image.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_GAUSSIAN_H
#define GLOWTOOL_GAUSSIAN_H

#include "data.h"
#include "observation.h"

enum { GAUSSIAN_MOST_DIMS = 4096 }; /* elements of an image: its matrices have as many squared */

/* What is taken of S. */
typedef enum gaussian_form { GAUSSIAN_DIAGONAL, GAUSSIAN_WHOLE } gaussian_form;

typedef struct gaussian {
  const observation *observation;
  double *mean;   /* [dims]: m */
  double *gain;   /* [dims, count]: S A' */
  double *factor; /* [count, count]: of A S A' + s^2 I, by Cholesky */
  double *seen;   /* [count]: A m */
} gaussian;

/* The images of the set are those that m and S are taken from. Returns an exit code;
 * gaussian_close is due in any case. */
int gaussian_open(gaussian *g, const observation *o, const sample_set *set, double deviation,
                  gaussian_form form);
/* Restores x from y. room: [count]. */
void gaussian_restore(const gaussian *g, const float *y, double *room, float *x);
void gaussian_close(gaussian *g);

#endif
