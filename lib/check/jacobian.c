/* Log-det and log-prior against the numerical Jacobian of forward, x -> (y, latents).
 *
 * A column is a difference of float32 results: with central differences D(h), the combination
 * (4 D(h) - D(2h)) / 3 has an error of h^4, so that h can be large against rounding (Richardson).
 * Log-dets are better the smaller the step while the layer has kinks (ReLU), and worse by
 * rounding; a step that agrees is found among three. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "check/check.h"

#define LOG_2PI 1.8378770664093454836

/* log|det| of a [n, n], by elimination with partial pivoting; -infinity if it is singular. */
static double log_abs_det(double *a, int64_t n) {
  double sum = 0;
  for (int64_t k = 0; k < n; k++) {
    int64_t best = k;
    for (int64_t i = k + 1; i < n; i++)
      if (fabs(a[i * n + k]) > fabs(a[best * n + k]))
        best = i;
    for (int64_t j = k; j < n; j++) {
      double t = a[k * n + j];
      a[k * n + j] = a[best * n + j];
      a[best * n + j] = t;
    }
    if (a[k * n + k] == 0)
      return -INFINITY;
    sum += log(fabs(a[k * n + k]));
    for (int64_t i = k + 1; i < n; i++) {
      double factor = a[i * n + k] / a[k * n + k];
      for (int64_t j = k; factor != 0 && j < n; j++)
        a[i * n + j] -= factor * a[k * n + j];
    }
  }
  return sum;
}

/* Forward of the sample x with element j moved by h; adds weight times the results, y and then
 * latents, to column j. */
static bool add_column(glow__check *c, int64_t n, int64_t j, float h, double weight, int32_t form) {
  float *x = c->arrays[CHECK_WORK];
  const float *base = c->arrays[CHECK_X] + n * c->dims;
  glow__outputs out = glow__check_outputs(c, true);
  memcpy(x, base, (size_t)c->dims * sizeof *x);
  x[j] = base[j] + h;
  if (!glow__check_forward(c, x, n, 1, form, NULL, &out))
    return false;
  weight /= (double)x[j] - (double)base[j]; /* the step as it was rounded */
  for (int64_t i = 0; i < c->node->out_size; i++)
    c->jacobian[i * c->dims + j] += weight * (double)out.y[i];
  for (int64_t i = 0; i < c->node->latent_size; i++)
    c->jacobian[(c->node->out_size + i) * c->dims + j] += weight * (double)out.z[i];
  return true;
}

/* log|det| of the Jacobian of sample n. (4 D(h) - D(2h)) / 3 of D(h) = (f(h) - f(-h)) / 2h. */
static bool numerical(glow__check *c, int64_t n, float h, int32_t form, double *out) {
  memset(c->jacobian, 0, (size_t)(c->dims * c->dims) * sizeof *c->jacobian);
  for (int64_t j = 0; j < c->dims; j++)
    if (!add_column(c, n, j, h, 4.0 / 6, form) || !add_column(c, n, j, -h, 4.0 / 6, form) ||
        !add_column(c, n, j, 2 * h, -1.0 / 6, form) || !add_column(c, n, j, -2 * h, -1.0 / 6, form))
      return false;
  *out = log_abs_det(c->jacobian, c->dims);
  return true;
}

/* The numerical value that is nearest to `given`. */
static bool nearest(glow__check *c, int64_t n, int32_t form, double given, double enough,
                    double *best) {
  static const float steps[] = {0x1p-5f, 0x1p-7f, 0x1p-9f};
  *best = INFINITY;
  for (int i = 0; i < 3 && !(fabs(*best - given) <= enough); i++) {
    double value;
    /* so that parts of the results that do not move are subtracted exactly */
    if (!numerical(c, n, steps[i], form, &value))
      return false;
    if (!(fabs(*best - given) <= fabs(value - given)))
      *best = value;
  }
  return true;
}

static const char *logdet_hint(double given, double numerical, double pixels) {
  if (isinf(numerical))
    return " (the Jacobian is singular: forward loses something)";
  if (fabs(given + numerical) <= 1e-2 * fabs(numerical))
    return " (wrong sign?)";
  if (pixels > 1 && fabs(given * pixels - numerical) <= 1e-2 * fabs(numerical))
    return " (a factor H W is missing?)";
  if (fabs(given) <= 1e-6)
    return " (nothing was added?)";
  return "";
}

void glow__check_logdets(glow__check *c) {
  double enough = c->o.logdet * (double)c->dims;
  double pixels = (double)(c->node->in.height * c->node->in.width);
  glow__outputs out = glow__check_outputs(c, false);
  if (!glow__check_forward(c, c->arrays[CHECK_X], 0, c->samples, GLOW_LATENTS_RAW, NULL, &out))
    return;
  for (int64_t n = 0; n < c->samples; n++) {
    double best;
    if (!nearest(c, n, GLOW_LATENTS_RAW, out.logdet[n], enough / 10, &best))
      return;
    if (fabs(best - out.logdet[n]) <= enough)
      continue;
    glow__check_fault(c, "sample %lld: %.6g from forward, %.6g from the numerical Jacobian%s",
                      (long long)n, out.logdet[n], best, logdet_hint(out.logdet[n], best, pixels));
    return;
  }
}

/* Whitened latents e are standard normal, or standard logistic, if the layer's prior is right. So
 * log p(z | y) = log p(e) + log|det de/dz|, where the last is the difference of the log-dets of
 * x -> (y, e) and x -> (y, z). */
void glow__check_logpriors(glow__check *c) {
  double enough = c->o.logdet * (double)c->dims;
  glow__outputs out = glow__check_outputs(c, false);
  double *logdet = c->doubles[CHECK_SUM], *logprior = c->doubles[CHECK_SUM2];
  if (!c->node->latent_size)
    return;
  if (!glow__check_forward(c, c->arrays[CHECK_X], 0, c->samples, GLOW_LATENTS_RAW, NULL, &out))
    return;
  for (int64_t n = 0; n < c->samples; n++) {
    logdet[n] = out.logdet[n];
    logprior[n] = out.logprior[n];
  }
  out = glow__check_outputs(c, false);
  if (!glow__check_forward(c, c->arrays[CHECK_X], 0, c->samples, GLOW_LATENTS_WHITENED, NULL, &out))
    return;
  for (int64_t n = 0; n < c->samples; n++) {
    double normal = 0, logistic = 0, with_normal, with_logistic;
    for (int64_t i = 0; i < c->node->latent_size; i++) {
      double e = (double)out.z[n * c->dims + i];
      normal += -0.5 * (e * e + LOG_2PI);
      logistic += -fabs(e) - 2 * log1p(exp(-fabs(e)));
    }
    if (!nearest(c, n, GLOW_LATENTS_WHITENED, logprior[n] + logdet[n] - normal, enough / 10,
                 &with_normal))
      return;
    if (fabs(normal + with_normal - logdet[n] - logprior[n]) <= enough)
      continue;
    if (!nearest(c, n, GLOW_LATENTS_WHITENED, logprior[n] + logdet[n] - logistic, enough / 10,
                 &with_logistic))
      return;
    if (fabs(logistic + with_logistic - logdet[n] - logprior[n]) <= enough)
      continue;
    glow__check_fault(c,
                      "sample %lld: %.6g from forward, %.6g from the whitened latents and their "
                      "Jacobian, assuming a standard normal",
                      (long long)n, logprior[n], normal + with_normal - logdet[n]);
    return;
  }
}
