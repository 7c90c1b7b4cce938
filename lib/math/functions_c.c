/* Functions over arrays by the C library, in double precision: the definition of each.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stddef.h>

#include "math/functions.h"

static void exp_array(int64_t n, const float *x, float *y) {
  for (int64_t i = 0; i < n; i++)
    y[i] = (float)exp((double)x[i]);
}

static void log_array(int64_t n, const float *x, float *y) {
  for (int64_t i = 0; i < n; i++)
    y[i] = (float)log((double)x[i]);
}

static void tanh_array(int64_t n, const float *x, float *y) {
  for (int64_t i = 0; i < n; i++)
    y[i] = (float)tanh((double)x[i]);
}

static void softplus_array(int64_t n, const float *x, float *y) {
  for (int64_t i = 0; i < n; i++) {
    double v = (double)x[i];
    y[i] = (float)((v > 0 ? v : 0) + log1p(exp(-fabs(v))));
  }
}

/* With e = exp(-|x|), which does not overflow. */
static void sigmoid_array(int64_t n, const float *x, float *y, float *complement, float *log_y) {
  for (int64_t i = 0; i < n; i++) {
    double v = (double)x[i], e = exp(-fabs(v)), large = 1 / (1 + e), small = e / (1 + e);
    if (complement)
      complement[i] = (float)(v >= 0 ? small : large);
    if (log_y)
      log_y[i] = (float)((v >= 0 ? 0 : v) - log1p(e));
    y[i] = (float)(v >= 0 ? large : small);
  }
}

void glow__functions_fill_c(glow__functions *functions) {
  functions->exp = exp_array;
  functions->log = log_array;
  functions->tanh = tanh_array;
  functions->softplus = softplus_array;
  functions->sigmoid = sigmoid_array;
}
