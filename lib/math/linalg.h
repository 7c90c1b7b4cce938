/* Small dense linear algebra in double: for the 1x1 convolutions. Row-major n x n. No allocation:
 * callers bring the memory. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_LINALG_H
#define GLOW_LIB_LINALG_H

#include <stdbool.h>
#include <stdint.h>

/* LU with partial pivoting, in place: row i of P A is row perm[i] of A; unit lower and upper
 * triangle in a. *sign: that of the permutation. False if a pivot is 0 or not finite. */
bool glow__lu_factor(int64_t n, double *a, int32_t *perm, double *sign);
/* log|det| and its sign from the factors. */
double glow__lu_logdet(int64_t n, const double *lu, double perm_sign, double *sign);
/* inverse [n,n] from the factors. */
void glow__lu_inverse(int64_t n, const double *lu, const int32_t *perm, double *inverse);
/* Makes the rows of a an orthonormal basis: modified Gram-Schmidt, twice. If a is random normal,
 * the result is uniform (Haar) among orthogonal matrices. False if a row vanishes. */
bool glow__orthonormalise(int64_t n, double *a);

#endif
