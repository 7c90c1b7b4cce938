/* Gradients of every tensor and of the input, through each part of what forward makes, against
 * differences of forward.
 *
 * * A difference suffers from float32 if its step is small, and from curvature and the kinks of
 * ReLU if it is large; at a kink the slopes of the two sides differ, and either one is a gradient.
 * So the nearest of several differences is taken: a gradient that is wrong is wrong for all of
 * them.
 * What does not agree is tried again on other inputs, where there are other kinks.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check/check.h"

enum { THROUGH_Y, THROUGH_LATENTS, THROUGH_LOGDET, THROUGH_LOGPRIOR, THROUGH_LOGITS, PARTS };
static const char *const part_names[PARTS] = {"y", "the latents", "the log-det", "the log-prior",
                                              "the logits"};
enum { ELEMENTS = 32, SOME = 16, DIRECTIONS = 2, ATTEMPTS = 4 };

/* sum <dy, y>, and so on. */
static double value_of(const glow__check *c, int32_t part, const glow__outputs *out) {
  double sum = 0;
  for (int64_t n = 0; n < c->samples; n++) {
    for (int64_t i = 0; part == THROUGH_Y && i < c->node->out_size; i++) {
      int64_t at = n * c->node->out_size + i;
      sum += (double)c->arrays[CHECK_DY][at] * (double)out->y[at];
    }
    for (int64_t i = 0; part == THROUGH_LATENTS && i < c->node->latent_size; i++)
      sum += (double)c->arrays[CHECK_DZ][n * c->dims + i] * (double)out->z[n * c->dims + i];
    if (part == THROUGH_LOGDET)
      sum += c->doubles[CHECK_D_LOGDET][n] * out->logdet[n];
    if (part == THROUGH_LOGPRIOR)
      sum += c->doubles[CHECK_D_LOGPRIOR][n] * out->logprior[n];
  }
  return sum;
}

/* sum <d_logits, logits>; NaN after a fault. */
static double value_of_logits(glow__check *c, const float *x) {
  double sum = 0;
  if (!glow__check_logits_call(c, x, 0, c->samples, 0))
    return NAN;
  for (int64_t i = 0; i < c->samples * c->node->logits; i++)
    sum += (double)c->logits[2][i] * (double)c->logits[0][i];
  return sum;
}

/* Into dx, which is added to: starting from 1 it must become 1 more than from 0, except for
 * roundings at 2^-24 of each part that is added; 1e-4 is a thousand of them. */
static bool backward_of_logits(glow__check *c, int32_t dx, float *gradients) {
  float *d = glow__check_fresh(c, dx);
  int64_t count = c->samples * c->dims;
  memset(d, 0, (size_t)count * sizeof *d);
  if (!glow__check_logits_backward(c, c->arrays[CHECK_X], c->logits[2], d, gradients))
    return false;
  float *more = c->arrays[CHECK_WORK], *other = c->gradients[gradients == c->gradients[0]];
  glow__check_fresh(c, CHECK_WORK);
  for (int64_t i = 0; i < count; i++)
    more[i] = 1;
  memset(other, 0, (size_t)c->node->parameters * sizeof *other);
  if (!glow__check_logits_backward(c, c->arrays[CHECK_X], c->logits[2], more, other))
    return false;
  for (int64_t i = 0; i < count; i++)
    if (fabs((double)more[i] - 1 - (double)d[i]) > 1e-4 * (1 + fabs((double)d[i]))) {
      glow__check_fault(c,
                        "logits_backward does not add to dx: at %s it gives %.6g to 0, %.6g to 1",
                        glow__check_place(&c->node->in, i / c->dims, i % c->dims).text,
                        (double)d[i], (double)more[i]);
      return false;
    }
  return true;
}

/* Forward, and backward of one part into dx and gradients, which are added to. */
static bool backward_of(glow__check *c, int32_t part, int32_t dx, float *gradients) {
  if (part == THROUGH_LOGITS)
    return backward_of_logits(c, dx, gradients);
  glow__outputs out = glow__check_outputs(c, false);
  if (!glow__check_forward(c, c->arrays[CHECK_X], 0, c->samples, GLOW_LATENTS_RAW, c->saved, &out))
    return false;
  float *zero = c->arrays[CHECK_WORK];
  memset(zero, 0, (size_t)(c->samples * c->dims) * sizeof *zero);
  bool more = c->node->out_size > 0;
  glow_layer_gradient g = {.y = more ? out.y : NULL, .x = c->arrays[CHECK_X]};
  g.dy = !more ? NULL : part == THROUGH_Y ? c->arrays[CHECK_DY] : zero;
  g.dx = glow__check_fresh(c, dx);
  g.d_logdet = c->doubles[part == THROUGH_LOGDET ? CHECK_D_LOGDET : CHECK_ZERO];
  g.d_logprior = c->doubles[part == THROUGH_LOGPRIOR ? CHECK_D_LOGPRIOR : CHECK_ZERO];
  g.d_latents = part == THROUGH_LATENTS ? c->arrays[CHECK_DZ] : NULL;
  return glow__check_backward(c, &g, out.z, 0, c->samples, c->saved, true, gradients);
}

/* ---- differences ----------------------------------------------------------------------------- */

/* `values`, the parameters of a tensor, the input, or the condition, moved along a direction. */
enum { PARAMETERS, INPUT, VECTORS };
typedef struct probe {
  glow__check *c;
  int32_t part;
  int32_t kind;
  float *values;
  const float *base, *direction;
  int64_t count;
} probe;

/* NaN if the layer cannot be run there. */
static double moved(const probe *p, double step) {
  glow__check *c = p->c;
  double value = NAN;
  for (int64_t i = 0; i < p->count; i++)
    p->values[i] = (float)(p->base[i] + step * p->direction[i]);
  if (p->kind != PARAMETERS || glow__node_prepare(c->model, c->node) == GLOW_OK) {
    glow__outputs out = glow__check_outputs(c, true);
    const float *x = p->kind == INPUT ? p->values : c->arrays[CHECK_X];
    if (p->part == THROUGH_LOGITS)
      value = value_of_logits(c, x);
    else if (glow__check_forward(c, x, 0, c->samples, GLOW_LATENTS_RAW, NULL, &out))
      value = value_of(c, p->part, &out);
  }
  memcpy(p->values, p->base, (size_t)p->count * sizeof *p->values);
  return value;
}

static void nearer(double slope, double expected, double *best) {
  if (!(fabs(*best - expected) <= fabs(slope - expected)))
    *best = slope;
}

/* The slope that is nearest to the expected one; and an ordinary one, to report. */
static double nearest_slope(const probe *p, double expected, double enough, double *ordinary) {
  static const double steps[] = {0x1p-7, 0x1p-9, 0x1p-5, 0x1p-11};
  double best = NAN, here = moved(p, 0);
  for (int i = 0; i < 4 && !(fabs(best - expected) <= enough); i++) {
    double right = moved(p, steps[i]), left = moved(p, -steps[i]);
    double central = (right - left) / (2 * steps[i]);
    if (i == 0)
      *ordinary = central;
    nearer(central, expected, &best);
    nearer((right - here) / steps[i], expected, &best);
    nearer((here - left) / steps[i], expected, &best);
  }
  return best;
}

static double root_mean_square(const float *v, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++)
    sum += (double)v[i] * (double)v[i];
  return sqrt(sum / (double)(count ? count : 1));
}

static const char *slope_hint(double gradient, double slope, double enough) {
  if (fabs(slope) <= enough)
    return " (forward does not depend on it?)";
  if (gradient == 0)
    return " (nothing was added?)";
  if (fabs(gradient + slope) <= 5e-2 * fabs(slope))
    return " (wrong sign?)";
  return "";
}

/* ---- one tensor, or the input ---------------------------------------------------------------- */

/* Name of element i: "[3]", "[1, 2]". */
static void element_text(const glow__tensor *tensor, int64_t i, char *text, size_t size) {
  int64_t index[GLOW_MAX_RANK];
  size_t used = 0;
  for (int32_t d = tensor->rank - 1; d >= 0; d--) {
    index[d] = i % tensor->dims[d];
    i /= tensor->dims[d];
  }
  for (int32_t d = 0; d < tensor->rank && used < size; d++)
    used +=
        (size_t)snprintf(text + used, size - used, "%s%lld", d ? ", " : "[", (long long)index[d]);
  if (used < size)
    snprintf(text + used, size - used, "]");
}

static void report(const probe *p, const glow__tensor *tensor, int64_t element, double gradient,
                   double slope, double enough) {
  const glow__check *c = p->c;
  char what[300], index[60] = "";
  if (tensor) {
    if (element >= 0)
      element_text(tensor, element, index, sizeof index);
    snprintf(what, sizeof what, "'%.200s'%s", tensor->name + strlen(c->node->name) + 1, index);
  } else if (p->kind == VECTORS) {
    if (element >= 0)
      snprintf(index, sizeof index, " of sample %lld at %lld",
               (long long)(element / c->model->condition_size),
               (long long)(element % c->model->condition_size));
    snprintf(what, sizeof what, "the condition%s", index);
  } else if (element >= 0) {
    glow__place place = glow__check_place(&c->node->in, element / c->dims, element % c->dims);
    snprintf(what, sizeof what, "x at %s", place.text);
  } else {
    snprintf(what, sizeof what, "x");
  }
  glow__check_fault(p->c,
                    "gradient of %s through %s%s: %.6g from backward, %.6g from differences%s",
                    what, part_names[p->part], element < 0 ? ", along a random direction" : "",
                    gradient, slope, slope_hint(gradient, slope, enough));
}

/* Single elements, all if there are few, and random directions. False: one does not agree; that is
 * reported in the last attempt. */
static bool gradients_compare(const probe *given, const glow__tensor *tensor, const float *g,
                              double typical, float *direction, bool last) {
  probe p = *given;
  glow__check *c = p.c;
  bool all = p.count <= ELEMENTS;
  int64_t elements = all ? p.count : SOME;
  double scale = root_mean_square(g, p.count) + 0.05 * typical;
  p.direction = direction;
  for (int64_t t = 0; t < elements + DIRECTIONS; t++) {
    int64_t element = -1;
    double expected = 0, unit = 0;
    memset(direction, 0, (size_t)p.count * sizeof *direction);
    if (t < elements) {
      float u;
      glow_random_uniform(c->o.seed, GLOW_STREAM_USER, c->drawn++, &u, 1);
      element = all ? t : (int64_t)(u * (float)p.count) % p.count;
      direction[element] = 1;
    } else {
      glow_random_normal(c->o.seed, GLOW_STREAM_USER, c->drawn, direction, p.count);
      c->drawn += (uint64_t)p.count;
      for (int64_t i = 0; i < p.count; i++)
        direction[i] *= (float)(1 / sqrt((double)p.count));
    }
    for (int64_t i = 0; i < p.count; i++) {
      expected += (double)g[i] * (double)direction[i];
      unit += (double)direction[i] * (double)direction[i];
    }
    double enough = c->o.gradient * (scale * sqrt(unit) + fabs(expected) + 1e-3);
    double ordinary = 0, nearest = nearest_slope(&p, expected, enough, &ordinary);
    if (fabs(nearest - expected) <= enough || glow__check_over(c))
      continue;
    if (last)
      report(&p, tensor, element, expected, ordinary, enough);
    return false;
  }
  return true;
}

/* ---- one part -------------------------------------------------------------------------------- */

static const glow__tensor *tensor_at(const glow__check *c, int32_t t) {
  return &c->model->tensors[c->node->first_tensor + t];
}

/* Compares gradients that began at 1 with those that began at 0. */
static void check_added(glow__check *c, int32_t part, const float *g) {
  float *more = c->gradients[1];
  for (int64_t i = 0; i < c->node->parameters; i++)
    more[i] = 1;
  if (!backward_of(c, part, CHECK_DX2, more))
    return;
  for (int32_t t = 0; t < c->node->tensors; t++) {
    const glow__tensor *tensor = tensor_at(c, t);
    for (int64_t i = 0; tensor->trainable && i < tensor->elements; i++) {
      double a = (double)more[tensor->offset + i], b = (double)g[tensor->offset + i];
      char index[60];
      if (fabs(a - 1 - b) <= 1e-4 * (1 + fabs(b)))
        continue;
      element_text(tensor, i, index, sizeof index);
      glow__check_fault(c, "gradient of '%s'%s is %s: %.6g with 0 there before, %.6g with 1",
                        tensor->name + strlen(c->node->name) + 1, index,
                        fabs(a - b) <= 1e-4 * (1 + fabs(b)) ? "overwritten, not added to"
                                                            : "not added to what was there",
                        b, a);
      return;
    }
  }
}

/* Number t of what has gradients: a tensor, then the input, then the condition. */
static bool compare_one(glow__check *c, int32_t part, int32_t t, double typical, bool last) {
  const float *g = c->gradients[0];
  if (t < c->node->tensors) {
    const glow__tensor *tensor = tensor_at(c, t);
    const probe p = {c,
                     part,
                     PARAMETERS,
                     c->model->parameters + tensor->offset,
                     c->base + tensor->offset,
                     NULL,
                     tensor->elements};
    bool fine = !tensor->trainable ||
                gradients_compare(&p, tensor, g + tensor->offset, typical, c->gradients[1], last);
    glow__check_prepare(c, c->base);
    return fine;
  }
  bool input = t == c->node->tensors;
  float *values = input ? c->arrays[CHECK_X] : c->vectors[0];
  float *base = input ? c->arrays[CHECK_BACK] : c->vectors[1];
  int64_t count = c->samples * (input ? c->dims : c->model->condition_size);
  memcpy(base, values, (size_t)count * sizeof *base);
  const probe p = {c, part, input ? INPUT : VECTORS, values, base, NULL, count};
  return !count || gradients_compare(&p, NULL, input ? c->arrays[CHECK_DX] : c->vectors[3], 0,
                                     input ? c->arrays[CHECK_WORK2] : c->vectors[2], last);
}

/* Compares what is suspect, the same elements at each attempt. Returns how much still is. */
static int32_t compare_suspects(glow__check *c, int32_t part, bool last) {
  double typical = root_mean_square(c->gradients[0], c->node->parameters);
  int32_t left = 0;
  for (int32_t t = 0; t < c->node->tensors + 2; t++) {
    if (!c->suspects[t])
      continue;
    c->drawn = (uint64_t)(part + 1) << 56 | (uint64_t)t << 32;
    c->suspects[t] = !compare_one(c, part, t, typical, last);
    left += c->suspects[t];
  }
  return left;
}

static void check_part(glow__check *c, int32_t part) {
  float *g = c->gradients[0];
  for (int32_t t = 0; t < c->node->tensors + 2; t++)
    c->suspects[t] = 1;
  for (int32_t attempt = 0; attempt < ATTEMPTS; attempt++) {
    memset(g, 0, (size_t)c->node->parameters * sizeof *g);
    if (!backward_of(c, part, CHECK_DX, g))
      return;
    if (attempt == 0)
      check_added(c, part, g);
    if (!compare_suspects(c, part, attempt == ATTEMPTS - 1) || glow__check_over(c))
      return;
    glow__check_draw_inputs(c, (uint64_t)attempt + 1);
  }
}

void glow__check_gradients(glow__check *c) {
  c->of_batch = c->model->observed_count > 0;
  for (int32_t part = 0; part < PARTS && !glow__check_over(c); part++) {
    bool of_latents = part == THROUGH_LATENTS || part == THROUGH_LOGPRIOR;
    bool has = of_latents               ? c->node->latent_size > 0
               : part == THROUGH_LOGITS ? c->node->logits > 0
                                        : c->node->out_size > 0 || part == THROUGH_LOGDET;
    if (has)
      check_part(c, part);
  }
  c->of_batch = false;
}
