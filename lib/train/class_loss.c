/* Cross-entropy of a classifier's logits with labels, in bits:
 *   loss = (log sum_k exp(l_k) - l_label) / log 2;  d l_k = (softmax_k - [k = label]) / log 2
 * Samples with label -1 do not count. SPDX-License-Identifier: MIT */
#include <math.h>

#include "train/train.h"

static const double log_2 = 0.69314718055994530942;

static int64_t largest(const float *logits, int64_t classes) {
  int64_t best = 0;
  for (int64_t k = 1; k < classes; k++)
    if (logits[k] > logits[best])
      best = k;
  return best;
}

bool glow__cross_entropy(const float *logits, const int32_t *labels, const double *shares,
                         int64_t count, int64_t classes, double weight, float *d_logits,
                         glow__class_sums *sums) {
  for (int64_t n = 0; n < count; n++, logits += classes, d_logits += classes) {
    int64_t best = largest(logits, classes);
    double top = (double)logits[best], sum = 0.0;
    for (int64_t k = 0; k < classes; k++) {
      sum += exp((double)logits[k] - top);
      d_logits[k] = 0.0f;
    }
    if (!isfinite(sum))
      return false;
    if (labels[n] < 0)
      continue;
    for (int64_t k = 0; k < classes; k++)
      d_logits[k] = (float)(shares[n] * weight / log_2 *
                            (exp((double)logits[k] - top) / sum - (k == labels[n] ? 1.0 : 0.0)));
    sums->loss += shares[n] * (top + log(sum) - (double)logits[labels[n]]) / log_2;
    sums->right += best == labels[n] ? shares[n] : 0.0;
  }
  return true;
}

double glow__class_loss(const float *logits, int64_t classes, int32_t label, double *right) {
  int64_t best = largest(logits, classes);
  double top = (double)logits[best], sum = 0.0;
  for (int64_t k = 0; k < classes; k++)
    sum += exp((double)logits[k] - top);
  *right = best == label ? 1.0 : 0.0;
  return (top + log(sum) - (double)logits[label]) / log_2;
}
