/* Densities of the top latents of one sample. If its class k is known: Gaussian or logistic,
 * independent for each element. If not, all K classes are equally likely:
 *
 *   log p(z) = log 1/K sum_k p(z|k);  d log p = sum_k r_k d log p(z|k),  r_k = p(z|k) / (K p(z))
 *
 * computed with the largest log p(z|k) factored out of the sum. SPDX-License-Identifier: MIT */
#include "layers/prior.h"

#include <math.h>
#include <string.h>

#include "layers/density.h"

const float *glow__prior_mean_logs(const glow__prior *p, const glow_call *call, int32_t class) {
  float *mean_logs = glow_call_worker_scratch(call, p->mean_logs, 0);
  int64_t period = p->period;
  memset(mean_logs, 0, 2 * (size_t)period * sizeof *mean_logs);
  if (p->o.learned) {
    memcpy(mean_logs, glow_call_tensor(call, p->mean), (size_t)period * sizeof *mean_logs);
    memcpy(mean_logs + period, glow_call_tensor(call, p->logs), (size_t)period * sizeof *mean_logs);
  }
  if (p->o.classes) {
    int64_t row = class * p->channels;
    const float *mean = (const float *)glow_call_tensor(call, p->class_mean) + row;
    const float *logs = (const float *)glow_call_tensor(call, p->class_logs) + row;
    for (int64_t i = 0; i < period; i++) {
      mean_logs[i] += mean[i % p->channels];
      mean_logs[period + i] += logs[i % p->channels];
    }
  }
  return mean_logs;
}

double glow__prior_log_density(const glow__prior *p, const glow_call *call, int32_t class,
                               const float *z) {
  const float *mean = glow__prior_mean_logs(p, call, class), *logs = mean + p->period;
  double density = 0;
  for (int64_t i = 0; i < p->size; i++) {
    int64_t at = i % p->period;
    density += glow__log_density(p->o.density, glow__whiten(z[i], mean[at], logs[at]), logs[at]);
  }
  return density;
}

/* Writes p(z|k), divided by the largest of them, to share [classes], and returns the sum; *top is
 * the logarithm of the largest. */
static double prior_shares(const glow__prior *p, const glow_call *call, const float *z,
                           double *share, double *top) {
  double sum = 0;
  *top = -INFINITY;
  for (int32_t k = 0; k < p->o.classes; k++) {
    share[k] = glow__prior_log_density(p, call, k, z);
    *top = share[k] > *top || isnan(share[k]) ? share[k] : *top;
  }
  for (int32_t k = 0; k < p->o.classes; k++) {
    share[k] = exp(share[k] - *top);
    sum += share[k];
  }
  return sum;
}

static double *prior_share_of(const glow__prior *p, const glow_call *call) {
  return (double *)(void *)glow_call_worker_scratch(call, p->share, 0);
}

double glow__prior_log_mixture(const glow__prior *p, const glow_call *call, const float *z) {
  double top, sum = prior_shares(p, call, z, prior_share_of(p, call), &top);
  return top + log(sum / (double)p->o.classes);
}

static void prior_add_gradient(const glow_call *call, int32_t tensor, int64_t at, float value) {
  float *gradient = tensor >= 0 ? glow_call_gradient(call, tensor) : NULL;
  if (gradient)
    gradient[at] += value;
}

/* What all pixels of channel c share; row: where the class's channels are. */
static void prior_add_row(const glow__prior *p, const glow_call *call, int64_t row, int64_t c,
                          double d_mean, double d_logs) {
  if (!p->o.spatial) {
    prior_add_gradient(call, p->mean, c, (float)d_mean);
    prior_add_gradient(call, p->logs, c, (float)d_logs);
  }
  prior_add_gradient(call, p->class_mean, row + c, (float)d_mean);
  prior_add_gradient(call, p->class_logs, row + c, (float)d_logs);
}

/* With e = (z - m)/sd, its score s, and weight w of the log-density:
 * dz = -w s / sd;  dm = w s / sd;  d logs = w (s e - 1). */
void glow__prior_density_gradient(const glow__prior *p, const glow_call *call, int32_t class,
                                  double weight, const float *z, float *dz) {
  const float *mean = glow__prior_mean_logs(p, call, class), *logs = mean + p->period;
  int64_t row = class * p->channels;
  for (int64_t c = 0; c < p->channels; c++) {
    double d_mean = 0, d_logs = 0;
    for (int64_t i = c; i < p->size; i += p->channels) {
      int64_t at = p->o.spatial ? i : c;
      double e = (double)glow__whiten(z[i], mean[at], logs[at]);
      double score = glow__density_score(p->o.density, e);
      double dm = weight * score * (double)expf(-logs[at]), ds = weight * (score * e - 1.0);
      d_mean += dm;
      d_logs += ds;
      dz[i] -= (float)dm;
      if (p->o.spatial) {
        prior_add_gradient(call, p->mean, i, (float)dm);
        prior_add_gradient(call, p->logs, i, (float)ds);
      }
    }
    prior_add_row(p, call, row, c, d_mean, d_logs);
  }
}

/* d mean = dz;  d logs = dz (z - mean);  d e = dz scale */
void glow__prior_unwhiten_gradient(const glow__prior *p, const glow_call *call, int32_t class,
                                   const float *z, const float *dz, float *d_e) {
  const float *mean = glow__prior_mean_logs(p, call, class), *logs = mean + p->period;
  int64_t row = class * p->channels;
  for (int64_t c = 0; c < p->channels; c++) {
    double d_mean = 0, d_logs = 0;
    for (int64_t i = c; i < p->size; i += p->channels) {
      int64_t at = p->o.spatial ? i : c;
      double dm = (double)dz[i], ds = dm * ((double)z[i] - (double)mean[at]);
      d_mean += dm;
      d_logs += ds;
      if (d_e)
        d_e[i] = dz[i] * expf(logs[at]);
      if (p->o.spatial) {
        prior_add_gradient(call, p->mean, i, (float)dm);
        prior_add_gradient(call, p->logs, i, (float)ds);
      }
    }
    prior_add_row(p, call, row, c, d_mean, d_logs);
  }
}

void glow__prior_mixture_gradient(const glow__prior *p, const glow_call *call, double weight,
                                  const float *z, float *dz) {
  double *share = prior_share_of(p, call), top, sum = prior_shares(p, call, z, share, &top);
  for (int32_t k = 0; k < p->o.classes; k++)
    if (share[k] != 0.0) /* with many classes, most are too far away */
      glow__prior_density_gradient(p, call, k, weight * (share[k] / sum), z, dz);
}
