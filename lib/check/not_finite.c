/* Samples that are not finite: they change nothing of the others, in forward, inverse and logits,
 * and a NaN that goes in comes out. The model relies on both to give each sample a result of its
 * own, and to find those that have none (docs/conventions.md, "Numbers that are not finite").
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check/check.h"

/* What one sample is made of: all of its elements, or a single one. An infinity may end as a finite
 * number, as sigmoid(x) does. */
typedef struct spoiler {
  float value;
  bool whole, stays;
  const char *text;
} spoiler;

static const spoiler spoilers[] = {{NAN, true, true, "NaN"},
                                   {INFINITY, true, false, "infinite"},
                                   {NAN, false, true, "NaN at one element"}};

/* Puts it into sample n of x [samples, size]. */
static void spoil(const spoiler *s, int64_t n, int64_t size, float *x) {
  int64_t only = (7 * n + 3) % (size ? size : 1); /* another one in each sample */
  for (int64_t i = 0; i < size; i++)
    if (s->whole || i == only)
      x[n * size + i] = s->value;
}

static bool same_row(const float *a, const float *b, int64_t n, int64_t stride, int64_t size) {
  return memcmp(a + n * stride, b + n * stride, (size_t)size * sizeof *a) == 0;
}

static bool finite_row(const float *x, int64_t n, int64_t stride, int64_t size) {
  return glow__finite_floats(x + n * stride, size);
}

/* Reports what a spoiled sample n has done to sample m. */
static bool spoiled(glow__check *c, const char *function, const char *where, const spoiler *s,
                    int64_t n, int64_t m) {
  glow__check_fault(c,
                    "%s gives other results for sample %lld while %s of sample %lld is %s: samples "
                    "must not mix",
                    function, (long long)m, where, (long long)n, s->text);
  return false;
}

static bool lost(glow__check *c, const char *function, const char *where, const spoiler *s,
                 int64_t n) {
  glow__check_fault(c,
                    "%s: all results of sample %lld are finite, although %s of it is %s (a "
                    "comparison that NaN fails?)",
                    function, (long long)n, where, s->text);
  return false;
}

/* ---- forward --------------------------------------------------------------------------------- */

static bool forward_same(const glow__check *c, const glow__outputs *a, const glow__outputs *b,
                         int64_t m) {
  const glow__node *node = c->node;
  return same_row(a->y, b->y, m, node->out_size, node->out_size) &&
         same_row(a->z, b->z, m, c->dims, node->latent_size) && a->logdet[m] == b->logdet[m] &&
         a->logprior[m] == b->logprior[m];
}

static bool forward_finite(const glow__check *c, const glow__outputs *out, int64_t n) {
  const glow__node *node = c->node;
  return finite_row(out->y, n, node->out_size, node->out_size) &&
         finite_row(out->z, n, c->dims, node->latent_size) && isfinite(out->logdet[n]) &&
         isfinite(out->logprior[n]);
}

/* x, or the condition if that is what was spoiled. */
static bool forward_beside(glow__check *c, const glow__outputs *reference, const float *x,
                           const char *where, const spoiler *s, int64_t n) {
  glow__outputs out = glow__check_outputs(c, true);
  if (!glow__check_forward_any(c, x, &out))
    return false;
  for (int64_t m = 0; m < c->samples; m++)
    if (m != n && !forward_same(c, &out, reference, m))
      return spoiled(c, "forward", where, s, n, m);
  return s->stays && forward_finite(c, &out, n) ? lost(c, "forward", where, s, n) : true;
}

/* ---- inverse --------------------------------------------------------------------------------- */

static bool inverse_beside(glow__check *c, const glow__outputs *in, const float *x,
                           const double *logdet, const char *where, const spoiler *s, int64_t n) {
  float *back = glow__check_fresh(c, CHECK_WORK2);
  double *sum = c->doubles[CHECK_SUM2];
  if (!glow__check_inverse_any(c, in, back, sum))
    return false;
  for (int64_t m = 0; m < c->samples; m++)
    if (m != n && (c->ws->statuses[m] != GLOW_OK || sum[m] != logdet[m] ||
                   !same_row(back, x, m, c->dims, c->dims)))
      return spoiled(c, "inverse", where, s, n, m);
  bool finite =
      c->ws->statuses[n] == GLOW_OK && isfinite(sum[n]) && finite_row(back, n, c->dims, c->dims);
  return s->stays && finite ? lost(c, "inverse", where, s, n) : true;
}

/* y and latents, of which those of sample n are spoiled: in the second set of outputs. A single
 * element is one of y, if there is any. */
static glow__outputs spoil_outputs(const glow__check *c, const glow__outputs *out, const spoiler *s,
                                   int64_t n) {
  const glow__node *node = c->node;
  glow__outputs to = {c->arrays[CHECK_Y2], c->arrays[CHECK_Z2], NULL, NULL};
  size_t bytes = (size_t)(c->samples * c->dims) * sizeof(float);
  memcpy(to.y, out->y, bytes);
  memcpy(to.z, out->z, bytes);
  if (node->out_size)
    spoil(s, n, node->out_size, to.y);
  for (int64_t i = 0; i < node->latent_size; i++)
    if (s->whole || (!node->out_size && i == 0))
      to.z[n * c->dims + i] = s->value;
  return to;
}

/* ---- logits ---------------------------------------------------------------------------------- */

/* Logits need not read every element, so that only a sample which is NaN throughout must show. */
static bool logits_beside(glow__check *c, const float *x, const spoiler *s, int64_t n) {
  int64_t logits = c->node->logits;
  if (!logits)
    return true;
  if (!glow__check_logits_any(c, x, 0, c->samples, 1))
    return false;
  for (int64_t m = 0; m < c->samples; m++)
    if (m != n && !same_row(c->logits[1], c->logits[0], m, logits, logits))
      return spoiled(c, "logits", "x", s, n, m);
  bool shows = s->stays && s->whole;
  return shows && finite_row(c->logits[1], n, logits, logits) ? lost(c, "logits", "x", s, n) : true;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* What all samples give while they are finite. */
typedef struct reference {
  glow__outputs out;
  float *x; /* of inverse */
  double *logdet;
} reference;

static bool make_reference(glow__check *c, reference *r) {
  const float *x = c->arrays[CHECK_X];
  r->out = glow__check_outputs(c, false);
  r->x = glow__check_fresh(c, CHECK_BACK);
  r->logdet = c->doubles[CHECK_SUM];
  return glow__check_forward(c, x, 0, c->samples, GLOW_LATENTS_RAW, NULL, &r->out) &&
         glow__check_inverse(c, &r->out, 0, c->samples, GLOW_LATENTS_RAW, r->x, r->logdet, NULL) &&
         (!c->node->logits || glow__check_logits_call(c, x, 0, c->samples, 0));
}

static bool with_input(glow__check *c, const reference *r, const spoiler *s, int64_t n) {
  float *x = c->arrays[CHECK_WORK];
  memcpy(x, c->arrays[CHECK_X], (size_t)(c->samples * c->dims) * sizeof *x);
  spoil(s, n, c->dims, x);
  if (!forward_beside(c, &r->out, x, "x", s, n) || !logits_beside(c, x, s, n))
    return false;
  glow__outputs in = spoil_outputs(c, &r->out, s, n);
  return inverse_beside(c, &in, r->x, r->logdet, c->node->out_size ? "y" : "the latents", s, n);
}

/* A condition need not be of effect, so nothing is asked of the sample itself. */
static bool with_condition(glow__check *c, const reference *r, const spoiler *s, int64_t n) {
  int64_t size = c->model->condition_size;
  size_t bytes = (size_t)(c->samples * size) * sizeof(float);
  spoiler beside = *s;
  beside.stays = false;
  memcpy(c->vectors[1], c->vectors[0], bytes);
  spoil(s, n, size, c->vectors[0]);
  bool fine = forward_beside(c, &r->out, c->arrays[CHECK_X], "the condition", &beside, n) &&
              inverse_beside(c, &r->out, r->x, r->logdet, "the condition", &beside, n);
  memcpy(c->vectors[0], c->vectors[1], bytes);
  return fine;
}

void glow__check_not_finite(glow__check *c) {
  reference r;
  if (!make_reference(c, &r))
    return;
  for (size_t i = 0; i < sizeof spoilers / sizeof *spoilers; i++)
    for (int64_t n = 0; n < c->samples; n++)
      if (!with_input(c, &r, &spoilers[i], n) ||
          (c->model->condition_size && !with_condition(c, &r, &spoilers[i], n)))
        return;
}
