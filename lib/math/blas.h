/* The BLAS library behind the kernels "cblas": loaded when a context asks for them, never linked. A
 * library that is linked is loaded with every program, and OpenBLAS starts its threads as it is
 * loaded. SPDX-License-Identifier: MIT */
#ifndef GLOW_MATH_BLAS_H
#define GLOW_MATH_BLAS_H

#include <glow/base.h>

/* cblas_sgemm. Its enumerations are passed as int; sizes are int in the libraries that are used. */
enum { GLOW_BLAS_ROWS = 101, GLOW_BLAS_AS_IS = 111, GLOW_BLAS_TRANSPOSED = 112 };
typedef void (*glow__sgemm)(int order, int transposed_a, int transposed_b, int m, int n, int k,
                            float alpha, const float *a, int lda, const float *b, int ldb,
                            float beta, float *c, int ldc);

/* Loads the library of this name and finds cblas_sgemm in it. *library is a reference for dlclose.
 * The library itself stays until the process ends: its threads may not have ended by the time of
 * dlclose, and would run on in memory that is gone. GLOW_E_UNSUPPORTED names the library. */
glow_status glow__blas_open(const char *name, void **library, glow__sgemm *sgemm);

#endif
