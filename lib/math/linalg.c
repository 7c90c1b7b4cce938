/* Small dense linear algebra in double. SPDX-License-Identifier: MIT */
#include "math/linalg.h"

#include <math.h>

static int64_t largest_in_column(int64_t n, const double *a, int64_t k) {
  int64_t best = k;
  for (int64_t i = k + 1; i < n; i++)
    if (fabs(a[i * n + k]) > fabs(a[best * n + k]))
      best = i;
  return best;
}

static void swap_rows(int64_t n, double *a, int64_t i, int64_t k) {
  for (int64_t j = 0; j < n; j++) {
    double value = a[i * n + j];
    a[i * n + j] = a[k * n + j];
    a[k * n + j] = value;
  }
}

bool glow__lu_factor(int64_t n, double *a, int32_t *perm, double *sign) {
  *sign = 1.0;
  for (int64_t i = 0; i < n; i++)
    perm[i] = (int32_t)i;
  for (int64_t k = 0; k < n; k++) {
    int64_t best = largest_in_column(n, a, k);
    double pivot = a[best * n + k];
    if (pivot == 0.0 || !isfinite(pivot))
      return false;
    if (best != k) {
      int32_t kept = perm[best];
      swap_rows(n, a, best, k);
      perm[best] = perm[k];
      perm[k] = kept;
      *sign = -*sign;
    }
    for (int64_t i = k + 1; i < n; i++) {
      double factor = a[i * n + k] /= pivot;
      for (int64_t j = k + 1; j < n; j++)
        a[i * n + j] -= factor * a[k * n + j];
    }
  }
  return true;
}

double glow__lu_logdet(int64_t n, const double *lu, double perm_sign, double *sign) {
  double sum = 0.0;
  *sign = perm_sign;
  for (int64_t i = 0; i < n; i++) {
    sum += log(fabs(lu[i * n + i]));
    if (lu[i * n + i] < 0.0)
      *sign = -*sign;
  }
  return sum;
}

static void subtract_row(int64_t n, double factor, const double *from, double *to) {
  for (int64_t c = 0; c < n; c++)
    to[c] -= factor * from[c];
}

/* Solves L U X = P, by whole rows of X, which compilers turn into vector code. */
void glow__lu_inverse(int64_t n, const double *lu, const int32_t *perm, double *inverse) {
  for (int64_t i = 0; i < n; i++) {
    for (int64_t c = 0; c < n; c++)
      inverse[i * n + c] = perm[i] == c ? 1.0 : 0.0;
    for (int64_t j = 0; j < i; j++)
      subtract_row(n, lu[i * n + j], inverse + j * n, inverse + i * n);
  }
  for (int64_t i = n - 1; i >= 0; i--) {
    for (int64_t j = i + 1; j < n; j++)
      subtract_row(n, lu[i * n + j], inverse + j * n, inverse + i * n);
    for (int64_t c = 0; c < n; c++)
      inverse[i * n + c] /= lu[i * n + i];
  }
}

static double dot(int64_t n, const double *a, const double *b) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}

/* Makes a row orthogonal to the rows before it, and of length 1. False if less than 1e-10 of it is
 * left: then it was a combination of them. */
static bool orthogonalise_row(int64_t n, double *a, int64_t i) {
  double *row = a + i * n, before = sqrt(dot(n, row, row));
  for (int64_t j = 0; j < i; j++) {
    double part = dot(n, row, a + j * n);
    for (int64_t k = 0; k < n; k++)
      row[k] -= part * a[j * n + k];
  }
  double norm = sqrt(dot(n, row, row));
  if (!(norm > 1e-10 * before) || !isfinite(norm))
    return false;
  for (int64_t k = 0; k < n; k++)
    row[k] /= norm;
  return true;
}

/* Twice is enough for orthogonality to working precision (Giraud et al., 2005). */
bool glow__orthonormalise(int64_t n, double *a) {
  for (int64_t i = 0; i < 2 * n; i++)
    if (!orthogonalise_row(n, a, i / 2))
      return false;
  return true;
}
