/* What a layer or net finds out about itself: for the function `diagnose` of its table, which
 * glow_workspace_diagnose calls (<glow/diagnose.h>).
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_FINDINGS_H
#define GLOW_SYS_FINDINGS_H

#include <glow/sys/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Collects the findings of one layer. */
typedef struct glow_findings glow_findings;

/* A matrix [size, size], by rows, that a part of each sample is multiplied by. What is found is its
 * condition number, the largest singular value divided by the smallest (infinite for a singular
 * matrix); of several matrices, the largest. The singular values are computed in double by
 * one-sided Jacobi rotations, which takes about 25 size^3 multiply-adds, and memory for a copy from
 * the context. */
GLOW_API glow_status glow_findings_matrix(glow_findings *findings, int64_t size,
                                          const double *matrix);
/* A factor, of any sign, that an element is multiplied by; or the slope of the function that it
 * goes through; or, where a layer has a density of latents, a standard deviation of it. The least
 * and the largest are kept. NaN is passed over. */
GLOW_API void glow_findings_scale(glow_findings *findings, double scale);
/* The ReLU units of this net (or of this layer without its nets), numbered as it likes. *active
 * [units] is 0 at first, and kept from one call of `diagnose` to the next: set to 1 those units
 * that are above 0 anywhere in a sample of this call. Units that stay 0 are dead. `units` must be
 * the same in each call. */
GLOW_API glow_status glow_findings_units(glow_findings *findings, int64_t units,
                                         unsigned char **active);

#ifdef __cplusplus
}
#endif
#endif
