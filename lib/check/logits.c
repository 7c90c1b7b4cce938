/* Logits as a function of the input alone: the same in other memory and for samples alone, and the
 * input stays as it was. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "check/check.h"

/* 1e-5: for samples alone, products may be cut differently; sums of hundreds of terms round at
 * 2^-24 each. */
static bool same(glow__check *c, const char *when, int64_t sample, const float *a, const float *b) {
  for (int64_t k = 0; k < c->node->logits; k++)
    if (fabs((double)a[k] - (double)b[k]) > 1e-5 * (1 + fabs((double)b[k]))) {
      glow__check_fault(c, "%s: element %lld of sample %lld is %.6g instead of %.6g", when,
                        (long long)k, (long long)sample, (double)a[k], (double)b[k]);
      return false;
    }
  return true;
}

void glow__check_logits(glow__check *c) {
  const float *x = c->arrays[CHECK_X];
  int64_t logits = c->node->logits, numbers = c->samples * c->dims;
  if (!logits)
    return;
  memcpy(c->arrays[CHECK_WORK2], x, (size_t)numbers * sizeof *x);
  if (!glow__check_logits_call(c, x, 0, c->samples, 0))
    return;
  if (memcmp(c->arrays[CHECK_WORK2], x, (size_t)numbers * sizeof *x) != 0) {
    glow__check_fault(c, "logits changes its input");
    return;
  }
  for (int64_t n = 0; n < c->samples; n++)
    if (!glow__check_logits_call(c, x + n * c->dims, n, 1, 1) ||
        !same(c, "logits of a sample alone", n, c->logits[1], c->logits[0] + n * logits))
      return;
}
