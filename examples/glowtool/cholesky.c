/* Cholesky's factors, row by row. SPDX-License-Identifier: MIT */
#include "cholesky.h"

#include <math.h>

/* Sums in four parts, which a compiler keeps in one vector. */
static double dot(const double *a, const double *b, int64_t n) {
  double sum[4] = {0.0, 0.0, 0.0, 0.0};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int k = 0; k < 4; k++)
      sum[k] += a[i + k] * b[i + k];
  for (; i < n; i++)
    sum[0] += a[i] * b[i];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

bool cholesky_factor(double *matrix, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double *row = matrix + i * n;
    for (int64_t j = 0; j < i; j++)
      row[j] = (row[j] - dot(row, matrix + j * n, j)) / matrix[j * n + j];
    double square = row[i] - dot(row, row, i);
    if (!(square > 0.0) || !isfinite(square))
      return false;
    row[i] = sqrt(square);
  }
  return true;
}

void cholesky_solve(const double *factor, int64_t n, double *b) {
  for (int64_t i = 0; i < n; i++)
    b[i] = (b[i] - dot(factor + i * n, b, i)) / factor[i * n + i];
  for (int64_t i = n - 1; i >= 0; i--) {
    b[i] /= factor[i * n + i];
    for (int64_t j = 0; j < i; j++)
      b[j] -= factor[i * n + j] * b[i];
  }
}
