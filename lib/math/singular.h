/* Singular values of a square matrix. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_SINGULAR_H
#define GLOW_LIB_SINGULAR_H

#include <stdint.h>

/* The largest singular value of a [n,n], row-major, which is overwritten, divided by the smallest:
 * its condition number. Infinite if the matrix is singular or not finite. */
double glow__condition_number(int64_t n, double *a);

#endif
