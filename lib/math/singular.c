/* Singular values by one-sided Jacobi rotations of the rows: two rows p, q with
 *   alpha = p p', beta = q q', gamma = p q'
 * become orthogonal by the rotation with zeta = (beta - alpha) / (2 gamma),
 * t = sign(zeta) / (|zeta| + sqrt(1 + zeta^2)), cosine 1 / sqrt(1 + t^2), sine t times that. Once
 * all pairs are orthogonal, the norms of the rows are the singular values. Small ones come out with
 * a small relative error too, which is what a condition number is about. Golub and Van Loan, Matrix
 * Computations, 8.6.3. SPDX-License-Identifier: MIT */
#include "math/singular.h"

#include <math.h>
#include <stdbool.h>

/* A cosine between two rows below this is taken for orthogonal. Rotations converge quadratically,
 * in 6 to 10 sweeps over all pairs; 60 is far beyond what is ever needed. */
#define ORTHOGONAL 1e-14
enum { MOST_SWEEPS = 60 };

/* Four chains of additions, so that they do not wait for each other. */
static double singular_dot(int64_t n, const double *a, const double *b) {
  double sums[4] = {0, 0, 0, 0};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int j = 0; j < 4; j++)
      sums[j] += a[i + j] * b[i + j];
  for (; i < n; i++)
    sums[0] += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/* False: they were orthogonal. */
static bool singular_rotate(int64_t n, double *p, double *q) {
  double alpha = singular_dot(n, p, p), beta = singular_dot(n, q, q);
  double gamma = singular_dot(n, p, q);
  if (!(fabs(gamma) > ORTHOGONAL * sqrt(alpha) * sqrt(beta)))
    return false;
  double zeta = (beta - alpha) / (2.0 * gamma);
  double t = (zeta < 0 ? -1.0 : 1.0) / (fabs(zeta) + hypot(1.0, zeta));
  double cosine = 1.0 / sqrt(1.0 + t * t), sine = cosine * t;
  for (int64_t i = 0; i < n; i++) {
    double value = p[i];
    p[i] = cosine * value - sine * q[i];
    q[i] = sine * value + cosine * q[i];
  }
  return true;
}

/* The largest absolute element becomes 1, so that squares neither overflow nor vanish. False: all
 * are 0, or one is not finite. */
static bool singular_scale(int64_t n, double *a) {
  double largest = 0;
  for (int64_t i = 0; i < n * n; i++) {
    if (!isfinite(a[i]))
      return false;
    largest = fmax(largest, fabs(a[i]));
  }
  for (int64_t i = 0; i < n * n && largest > 0; i++)
    a[i] /= largest;
  return largest > 0;
}

double glow__condition_number(int64_t n, double *a) {
  double least = INFINITY, largest = 0;
  bool rotated = true;
  if (!singular_scale(n, a))
    return INFINITY;
  for (int32_t sweep = 0; rotated && sweep < MOST_SWEEPS; sweep++) {
    rotated = false;
    for (int64_t p = 0; p < n; p++)
      for (int64_t q = p + 1; q < n; q++)
        rotated |= singular_rotate(n, a + p * n, a + q * n);
  }
  for (int64_t p = 0; p < n; p++) {
    double norm = sqrt(singular_dot(n, a + p * n, a + p * n));
    least = fmin(least, norm);
    largest = fmax(largest, norm);
  }
  return least > 0 ? largest / least : INFINITY;
}
