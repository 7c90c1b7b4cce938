/* Forward and inverse: what they write and what they add to; that they are functions of their
 * inputs; and that they undo each other. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check/check.h"

/* Float32 sums in another order, as a product of matrices may add them for another batch. */
static const double rounding = 1e-5;

static size_t bytes(const glow__check *c, int64_t samples) {
  return (size_t)(samples * c->dims) * sizeof(float);
}

/* Outputs against those of reference. */
static bool same_outputs(glow__check *c, const char *when, const glow__outputs *a,
                         const glow__outputs *b, int64_t first, int64_t samples, double tolerance) {
  glow__grid y = glow__grid_y(c, samples), z = glow__grid_z(c, samples);
  y.first = z.first = first;
  char what[160];
  snprintf(what, sizeof what, "y %s", when);
  if (!glow__check_same(c, what, &y, a->y, b->y, tolerance))
    return false;
  snprintf(what, sizeof what, "latents %s", when);
  if (!glow__check_same(c, what, &z, a->z, b->z, tolerance))
    return false;
  snprintf(what, sizeof what, "log-det %s", when);
  if (!glow__check_same_sums(c, what, samples, a->logdet, b->logdet, tolerance))
    return false;
  snprintf(what, sizeof what, "log-prior %s", when);
  return glow__check_same_sums(c, what, samples, a->logprior, b->logprior, tolerance);
}

/* Compares a sum that began at `start` with one that began at 0. */
static void added(glow__check *c, const char *what, const double *a, const double *b,
                  double start) {
  for (int64_t n = 0; n < c->samples; n++) {
    if (fabs(a[n] - b[n] - start) <= 1e-9 * (1 + fabs(b[n])))
      continue;
    if (fabs(a[n] - b[n]) <= 1e-9 * (1 + fabs(b[n])))
      glow__check_fault(c,
                        "%s is overwritten, not added to: sample %lld: %.6g, with 0 there before "
                        "and with %g",
                        what, (long long)n, b[n], start);
    else
      glow__check_fault(c,
                        "%s is not added to what was there: sample %lld: %.6g with 0 there "
                        "before, %.6g with %g",
                        what, (long long)n, b[n], a[n], start);
    return;
  }
}

/* ---- forward --------------------------------------------------------------------------------- */

static void forward_adds(glow__check *c, const glow__outputs *reference) {
  glow__outputs out = glow__check_outputs(c, true);
  c->start = 3;
  if (glow__check_forward(c, c->arrays[CHECK_X], 0, c->samples, GLOW_LATENTS_RAW, NULL, &out)) {
    added(c, "the log-det", out.logdet, reference->logdet, c->start);
    added(c, "the log-prior", out.logprior, reference->logprior, c->start);
  }
  c->start = 0;
}

/* The same again after another batch, and when activations are stored. */
static void forward_is_a_function(glow__check *c, const glow__outputs *reference) {
  glow__outputs out = glow__check_outputs(c, true);
  if (!glow__check_forward(c, c->arrays[CHECK_X2], 0, c->samples, GLOW_LATENTS_RAW, NULL, &out))
    return;
  out = glow__check_outputs(c, true);
  if (!glow__check_forward(c, c->arrays[CHECK_X], 0, c->samples, GLOW_LATENTS_RAW, NULL, &out) ||
      !same_outputs(
          c, "of the same x after another call differs (state that is not a declared tensor?)",
          &out, reference, 0, c->samples, 0))
    return;
  out = glow__check_outputs(c, true);
  if (glow__check_forward(c, c->arrays[CHECK_X], 0, c->samples, GLOW_LATENTS_RAW, c->saved, &out))
    same_outputs(c, "differs when activations are stored", &out, reference, 0, c->samples, 0);
}

static void forward_alone(glow__check *c, const glow__outputs *reference) {
  for (int64_t n = 0; n < c->samples; n++) {
    glow__outputs out = glow__check_outputs(c, true);
    const glow__outputs want = {reference->y + n * c->node->out_size, reference->z + n * c->dims,
                                reference->logdet + n, reference->logprior + n};
    char when[100];
    snprintf(when, sizeof when, "of sample %lld alone differs from that in a batch of %lld",
             (long long)n, (long long)c->samples);
    if (!glow__check_forward(c, c->arrays[CHECK_X] + n * c->dims, n, 1, GLOW_LATENTS_RAW, NULL,
                             &out) ||
        !same_outputs(c, when, &out, &want, n, 1, rounding))
      return;
  }
}

void glow__check_forwards(glow__check *c) {
  glow__grid grid = glow__grid_x(c, c->samples);
  float *x = c->arrays[CHECK_X];
  memcpy(c->arrays[CHECK_WORK], x, bytes(c, c->samples));
  glow__outputs reference = glow__check_outputs(c, false);
  if (!glow__check_forward(c, x, 0, c->samples, GLOW_LATENTS_RAW, NULL, &reference))
    return;
  if (!glow__check_same(c, "forward changes its input", &grid, x, c->arrays[CHECK_WORK], 0)) {
    memcpy(x, c->arrays[CHECK_WORK], bytes(c, c->samples));
    return;
  }
  forward_adds(c, &reference);
  forward_is_a_function(c, &reference);
  forward_alone(c, &reference);
}

/* ---- inverse --------------------------------------------------------------------------------- */

/* x -> y -> x. */
static bool data_and_back(glow__check *c, int32_t form) {
  bool raw = form == GLOW_LATENTS_RAW;
  glow__grid grid = glow__grid_x(c, c->samples);
  glow__outputs out = glow__check_outputs(c, false);
  double *logdet = c->doubles[CHECK_SUM], *logprior = c->doubles[CHECK_LOGPRIOR2];
  if (!glow__check_forward(c, c->arrays[CHECK_X], 0, c->samples, form, NULL, &out))
    return false;
  float *back = glow__check_fresh(c, CHECK_BACK);
  if (!glow__check_inverse(c, &out, 0, c->samples, form, back, logdet, logprior) ||
      !glow__check_same(c,
                        raw ? "inverse(forward(x)) differs from x"
                            : "with whitened latents inverse(forward(x)) differs from x",
                        &grid, back, c->arrays[CHECK_X], c->o.round_trip))
    return false;
  for (int64_t n = 0; n < c->samples; n++)
    c->doubles[CHECK_SUM2][n] = -out.logdet[n];
  return glow__check_same_sums(c, "the inverse's log-det is not minus forward's", c->samples,
                               logdet, c->doubles[CHECK_SUM2], 1e-5) &&
         glow__check_same_sums(c, "the inverse's log-prior is not forward's", c->samples, logprior,
                               out.logprior, 1e-5);
}

/* y -> x -> y, from outputs halfway between those of two inputs: in the range of the layer, but not
 * given by forward. */
static bool outputs_and_back(glow__check *c) {
  glow__grid y = glow__grid_y(c, c->samples), z = glow__grid_z(c, c->samples);
  glow__outputs a = glow__check_outputs(c, false), b = glow__check_outputs(c, true);
  if (!glow__check_forward(c, c->arrays[CHECK_X], 0, c->samples, GLOW_LATENTS_RAW, NULL, &a) ||
      !glow__check_forward(c, c->arrays[CHECK_X2], 0, c->samples, GLOW_LATENTS_RAW, NULL, &b))
    return false;
  for (int64_t i = 0; i < c->samples * c->node->out_size; i++)
    a.y[i] = 0.5f * (a.y[i] + b.y[i]);
  for (int64_t n = 0; n < c->samples; n++)
    for (int64_t i = 0; i < c->node->latent_size; i++)
      a.z[n * c->dims + i] = 0.5f * (a.z[n * c->dims + i] + b.z[n * c->dims + i]);
  float *x = glow__check_fresh(c, CHECK_BACK);
  if (!glow__check_inverse(c, &a, 0, c->samples, GLOW_LATENTS_RAW, x, c->doubles[CHECK_SUM], NULL))
    return false;
  b = glow__check_outputs(c, true);
  return glow__check_forward(c, x, 0, c->samples, GLOW_LATENTS_RAW, NULL, &b) &&
         glow__check_same(c, "forward(inverse(y)) differs from y", &y, b.y, a.y, c->o.round_trip) &&
         glow__check_same(c, "forward(inverse(y)) differs from the latents", &z, b.z, a.z,
                          c->o.round_trip);
}

/* Leaves y and latents as they are, adds to the log-det, and gives the same twice and alone. */
static void inverse_is_a_function(glow__check *c) {
  glow__grid x = glow__grid_x(c, c->samples), one = glow__grid_x(c, 1);
  glow__grid y = glow__grid_y(c, c->samples), z = glow__grid_z(c, c->samples);
  glow__outputs out = glow__check_outputs(c, false), copy = glow__check_outputs(c, true);
  double *logdet = c->doubles[CHECK_SUM], *other = c->doubles[CHECK_SUM2];
  double *logprior = c->doubles[CHECK_LOGPRIOR], *more = c->doubles[CHECK_LOGPRIOR2];
  float *back = glow__check_fresh(c, CHECK_BACK), *again = glow__check_fresh(c, CHECK_WORK);
  if (!glow__check_forward(c, c->arrays[CHECK_X], 0, c->samples, GLOW_LATENTS_RAW, NULL, &out) ||
      !glow__check_forward(c, c->arrays[CHECK_X], 0, c->samples, GLOW_LATENTS_RAW, NULL, &copy) ||
      !glow__check_inverse(c, &out, 0, c->samples, GLOW_LATENTS_RAW, back, logdet, logprior) ||
      !glow__check_same(c, "inverse changes y", &y, out.y, copy.y, 0) ||
      !glow__check_same(c, "inverse changes the latents", &z, out.z, copy.z, 0))
    return;
  c->start = 3;
  bool fine = glow__check_inverse(c, &out, 0, c->samples, GLOW_LATENTS_RAW, again, other, more);
  c->start = 0;
  if (!fine ||
      !glow__check_same(c, "inverse of the same y differs at the second call", &x, again, back, 0))
    return;
  added(c, "the inverse's log-det", other, logdet, 3);
  added(c, "the inverse's log-prior", more, logprior, 3);
  for (int64_t n = 0; n < c->samples; n++) {
    const glow__outputs in = {out.y + n * c->node->out_size, out.z + n * c->dims, NULL, NULL};
    again = glow__check_fresh(c, CHECK_WORK);
    one.first = n;
    if (!glow__check_inverse(c, &in, n, 1, GLOW_LATENTS_RAW, again, other, NULL) ||
        !glow__check_same(c, "inverse of a sample alone differs from that in a batch", &one, again,
                          back + n * c->dims, rounding))
      return;
  }
}

void glow__check_inverses(glow__check *c) {
  if (!data_and_back(c, GLOW_LATENTS_RAW) ||
      (c->node->latent_size && !data_and_back(c, GLOW_LATENTS_WHITENED)) || !outputs_and_back(c))
    return;
  inverse_is_a_function(c);
}

/* ---- in place -------------------------------------------------------------------------------- */

void glow__check_in_place(glow__check *c) {
  if (!(c->node->layer->ops.flags & GLOW_LAYER_IN_PLACE) || c->node->out_size != c->dims)
    return;
  glow__grid grid = glow__grid_x(c, c->samples);
  glow__outputs reference = glow__check_outputs(c, false), out = glow__check_outputs(c, true);
  if (!glow__check_forward(c, c->arrays[CHECK_X], 0, c->samples, GLOW_LATENTS_RAW, NULL,
                           &reference))
    return;
  memcpy(out.y, c->arrays[CHECK_X], bytes(c, c->samples));
  if (!glow__check_forward(c, out.y, 0, c->samples, GLOW_LATENTS_RAW, NULL, &out) ||
      !same_outputs(c, "of forward over its input differs", &out, &reference, 0, c->samples, 0))
    return;
  float *x = glow__check_fresh(c, CHECK_BACK);
  if (!glow__check_inverse(c, &reference, 0, c->samples, GLOW_LATENTS_RAW, x, c->doubles[CHECK_SUM],
                           NULL))
    return;
  float *over = glow__check_fresh(c, CHECK_Y2);
  memcpy(over, reference.y, bytes(c, c->samples));
  const glow__outputs in = {over, reference.z, NULL, NULL};
  if (glow__check_inverse(c, &in, 0, c->samples, GLOW_LATENTS_RAW, over, c->doubles[CHECK_SUM],
                          NULL))
    glow__check_same(c, "x of inverse over y differs", &grid, over, x, 0);
}
