/* The top prior's classifier: logit_k = bias_k + sum_c weight[k, c] m_c, where m_c is the mean of
 * channel c of the top latents over the pixels. Kingma and Dhariwal 2018, code.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/prior.h"

/* m [channels] of one sample, in worker scratch. */
static double *prior_pool(const glow__prior *p, const glow_call *call, const float *z) {
  double *mean = (double *)(void *)glow_call_worker_scratch(call, p->pooled, 0);
  memset(mean, 0, (size_t)p->channels * sizeof *mean);
  for (int64_t i = 0; i < p->size; i++)
    mean[i % p->channels] += (double)z[i];
  for (int64_t c = 0; c < p->channels; c++)
    mean[c] /= (double)p->pixels;
  return mean;
}

void glow__prior_logits(const void *self, const glow_call *call, const float *x, float *logits) {
  const glow__prior *p = self;
  const float *weight = glow_call_tensor(call, p->weight), *bias = glow_call_tensor(call, p->bias);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    const double *mean = prior_pool(p, call, x + n * p->size);
    for (int64_t k = 0; k < p->o.classes; k++) {
      double sum = (double)bias[k];
      for (int64_t c = 0; c < p->channels; c++)
        sum += (double)weight[k * p->channels + c] * mean[c];
      logits[n * p->o.classes + k] = (float)sum;
    }
  }
}

/* dW_kc = d_k m_c;  db_k = d_k;  dx = sum_k d_k W_kc / pixels, the same for all pixels. */
static void prior_sample_backward(const glow__prior *p, const glow_call *call, const float *x,
                                  const float *d_logits, float *dx) {
  const float *weight = glow_call_tensor(call, p->weight);
  float *d_weight = glow_call_gradient(call, p->weight),
        *d_bias = glow_call_gradient(call, p->bias);
  double *mean = prior_pool(p, call, x);
  for (int64_t k = 0; d_bias && k < p->o.classes; k++) {
    d_bias[k] += d_logits[k];
    for (int64_t c = 0; c < p->channels; c++)
      d_weight[k * p->channels + c] += (float)((double)d_logits[k] * mean[c]);
  }
  memset(mean, 0, (size_t)p->channels * sizeof *mean); /* from here on, its gradient */
  for (int64_t k = 0; k < p->o.classes; k++)
    for (int64_t c = 0; c < p->channels; c++)
      mean[c] += (double)d_logits[k] * (double)weight[k * p->channels + c];
  for (int64_t i = 0; i < p->size; i++)
    dx[i] += (float)(mean[i % p->channels] / (double)p->pixels);
}

void glow__prior_logits_backward(const void *self, const glow_call *call, const float *x,
                                 const float *d_logits, float *dx) {
  const glow__prior *p = self;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    prior_sample_backward(p, call, x + n * p->size, d_logits + n * p->o.classes, dx + n * p->size);
}
