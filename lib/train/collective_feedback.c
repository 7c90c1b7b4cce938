/* Gradients as bfloat16, with error feedback (Seide et al., "1-bit stochastic gradient descent and
 * its application to data-parallel distributed training of speech DNNs", 2014). With gradient g of
 * a step and e, what rounding has left out so far,
 *
 *   q = bfloat16(g + e);   e <- g + e - q;
 *
 * and q is what is summed: over steps nothing is lost. (What an engine rounds when it adds is.) e
 * moves once the step is made. SPDX-License-Identifier: MIT */
#include <string.h>

#include "math/kernels16.h"
#include "train/collective.h"

void glow__feedback_round(const glow__feedback *f, const glow__bucket *b, const float *gradients) {
  for (int64_t i = b->first; i < b->first + b->count; i++) {
    float whole = gradients[i] + f->left[i];
    f->rounded[i] = glow__round16(whole);
    f->next[i] = whole - glow__widen16(f->rounded[i]);
  }
}

void glow__feedback_take(const glow__feedback *f, const glow__bucket *b, float *gradients) {
  for (int64_t i = b->first; i < b->first + b->count; i++)
    gradients[i] = glow__widen16(f->rounded[i]);
}

void glow__feedback_commit(const glow__feedback *f, const glow__bucket *b) {
  memcpy(f->left + b->first, f->next + b->first, (size_t)b->count * sizeof *f->left);
}
