/* Equations with a symmetric, positive definite matrix: M = L L' (Golub and Van Loan, Matrix
 * Computations, 4.2). SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_CHOLESKY_H
#define GLOWTOOL_CHOLESKY_H

#include <stdbool.h>
#include <stdint.h>

/* Replaces the lower half of the matrix [n, n] by L. False: it is not positive definite. */
bool cholesky_factor(double *matrix, int64_t n);
/* Replaces b [n] by M^-1 b. */
void cholesky_solve(const double *factor, int64_t n, double *b);

#endif
