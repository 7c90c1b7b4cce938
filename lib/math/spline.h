/* Monotone rational-quadratic splines with linear tails. Durkan et al. 2019, "Neural Spline Flows",
 * section 3.1; Gregory and Delbourgo 1982.
 *
 * From [-B, B] onto itself in K bins, the identity outside. Bin k has its left knot at (x_k, y_k),
 * width w, height h, and derivatives d_k, d_{k+1} at its knots; the derivatives at -B and B are 1.
 * With t = (x - x_k) / w and s = h / w:
 *
 *   N = h (s t^2 + d_k t (1-t))        D = s + (d_{k+1} + d_k - 2 s) t (1-t)
 *   M = d_{k+1} t^2 + 2 s t (1-t) + d_k (1-t)^2
 *   y = y_k + N / D                    dy/dx = s^2 M / D^2
 *
 * A spline is made from 3K-1 unbounded floats: K for the widths, K for the heights, K-1 for the
 * inner derivatives,
 *   w = 2B (m_w + (1 - K m_w) softmax(u))     likewise h     d = m_d + softplus(u + c),
 * where c is such that u = 0 gives d = 1: all zeros are the identity.
 *
 * Everything is computed in double. In float32 a knot would be off by up to 2^-25 B, which in a bin
 * of the least width, 2B / 1000, is 1e-5 of t; and a log-slope would be off by as much.
 *
 * Whole arrays of splines are in the table of kernels (glow__splines); spline.c defines them one by
 * one, and spline_simd.h computes one in each lane of a vector. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_SPLINE_H
#define GLOW_LIB_SPLINE_H

#include <stdint.h>

#define GLOW_SPLINE_MOST_BINS 64

typedef struct glow__spline {
  int32_t bins;
  double bound;                                 /* B */
  double min_width, min_height, min_derivative; /* m_w, m_h, m_d */
  double growth;                                /* exp(c) = exp(1 - m_d) - 1 */
} glow__spline;

glow__spline glow__spline_of(int32_t bins, double bound, double min_width, double min_height,
                             double min_derivative);

static inline int64_t glow__spline_numbers(const glow__spline *spline) {
  return 3 * (int64_t)spline->bins - 1;
}

/* ---- arrays of splines ----------------------------------------------------------------------- */

/* n splines that differ in their raw parameters, raw [n, 3K-1]. A spline's results do not depend on
 * its place or on n. x and y may be the same. */
typedef struct glow__splines {
  /* y from x, and x from y. log_slope: log dy/dx at that place, for both. */
  void (*forward)(const glow__spline *spline, int64_t n, const float *raw, const float *x, float *y,
                  double *log_slope);
  void (*inverse)(const glow__spline *spline, int64_t n, const float *raw, const float *y, float *x,
                  double *log_slope);
  /* Gradient of dy * y + d_log * log dy/dx: dx, and, unless it is NULL, d_raw [n, 3K-1]. */
  void (*gradient)(const glow__spline *spline, int64_t n, const float *raw, const float *x,
                   const float *dy, const double *d_log, float *dx, float *d_raw);
  /* Gradient of dx * x + d_log * log dy/dx, where x is the inverse of y: dy, and d_raw. With
   *
   *   v = -(dx + d_log d(log dy/dx)/dx) / (dy/dx),
   *
   * dy = -v, and d_raw is that of v * y + d_log * log dy/dx at x: differentiate x = inverse(y). dx
   * and dy may be the same. */
  void (*inverse_gradient)(const glow__spline *spline, int64_t n, const float *raw, const float *x,
                           const float *dx, const double *d_log, float *dy, float *d_raw);
} glow__splines;

void glow__splines_fill_c(glow__splines *splines);

/* ---- one spline ------------------------------------------------------------------------------ */

/* A spline's knots, and what its gradient needs besides them. */
typedef struct glow__knots {
  double x[GLOW_SPLINE_MOST_BINS + 1], y[GLOW_SPLINE_MOST_BINS + 1], d[GLOW_SPLINE_MOST_BINS + 1];
  double width_share[GLOW_SPLINE_MOST_BINS], height_share[GLOW_SPLINE_MOST_BINS]; /* softmax */
} glow__knots;

void glow__spline_knots(const glow__spline *spline, const float *raw, glow__knots *knots);
/* As in glow__splines, without rounding. */
double glow__spline_forward(const glow__spline *spline, const glow__knots *knots, double x,
                            double *log_slope);
double glow__spline_inverse(const glow__spline *spline, const glow__knots *knots, double y,
                            double *log_slope);
/* Returns dx. */
double glow__spline_gradient(const glow__spline *spline, const float *raw, const glow__knots *knots,
                             double x, double dy, double d_log, float *d_raw);

#endif
