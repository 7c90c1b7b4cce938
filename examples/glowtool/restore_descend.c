/* Adam (Kingma and Ba 2015) to latents that explain what was observed. For the most probable ones
 * the centre is 0, the mode of p0, from where it begins. The rate falls as a cosine. A step to
 * latents without a finite image is not taken, and that image goes on with half the rate.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "restore.h"

static const double beta1 = 0.9, beta2 = 0.99, epsilon = 1e-8;

/* Down to a hundredth of the first. */
static double rate_at(const restore_plan *p, int64_t step) {
  double t = (double)(step - 1) / (double)p->steps;
  return p->rate * (0.01 + 0.99 * 0.5 * (1.0 + cos(M_PI * t)));
}

/* About the centre. */
static double slope_at(const restorer *r, int64_t k) {
  double own = energy_prior_slope(r->energy, r->here.z[k]);
  double about = energy_prior_slope(r->energy, r->here.z[k] - r->centre[k]);
  return restore_slope(r, &r->here, k) - own + about;
}

/* Row i of r->next: a step from r->here. */
static void adam(restorer *r, int64_t i, int64_t step) {
  int64_t dims = r->energy->dims;
  double c1 = 1.0 - pow(beta1, (double)step), c2 = 1.0 - pow(beta2, (double)step);
  double rate = r->sizes[i] * rate_at(r->plan, step);
  for (int64_t k = i * dims; k < (i + 1) * dims; k++) {
    double g = slope_at(r, k);
    double m = beta1 * (double)r->m[k] + (1.0 - beta1) * g;
    double v = beta2 * (double)r->v[k] + (1.0 - beta2) * g * g;
    r->m[k] = (float)m;
    r->v[k] = (float)v;
    r->next.z[k] = (float)((double)r->here.z[k] - rate * (m / c1) / (sqrt(v / c2) + epsilon));
  }
}

static int descend_step(restorer *r, int64_t step) {
  for (int64_t i = 0; i < r->count; i++)
    adam(r, i, step);
  int code = restore_look(r, &r->next);
  for (int64_t i = 0; i < r->count && code == TOOL_FINE; i++)
    if (isfinite(r->next.misfits[i]))
      restore_move(r, i);
    else
      r->sizes[i] *= 0.5;
  return code;
}

/* At the centre; at 0 where that has no finite image. */
static int begin(restorer *r) {
  size_t row = (size_t)r->energy->dims;
  memcpy(r->next.z, r->centre, (size_t)r->count * row * sizeof *r->centre);
  int code = restore_look(r, &r->next);
  bool again = false;
  for (int64_t i = 0; i < r->count && code == TOOL_FINE; i++)
    if (!isfinite(r->next.misfits[i])) {
      memset(r->next.z + (size_t)i * row, 0, row * sizeof *r->next.z);
      again = true;
    }
  return again && code == TOOL_FINE ? restore_look(r, &r->next) : code;
}

int restore_descend(restorer *r, int64_t told) {
  size_t all = (size_t)(r->count * r->energy->dims);
  memset(r->m, 0, all * sizeof *r->m);
  memset(r->v, 0, all * sizeof *r->v);
  int code = begin(r);
  for (int64_t i = 0; i < r->count && code == TOOL_FINE; i++) {
    r->sizes[i] = 1.0;
    restore_move(r, i);
  }
  for (int64_t step = 1; step <= r->plan->steps && code == TOOL_FINE; step++) {
    code = descend_step(r, step);
    if (code == TOOL_FINE)
      code = restore_tell(r, told + step);
  }
  return code;
}
