/* Calls of the layer's functions as the model makes them, in one block, with all memory filled with
 * a NaN of its own beforehand: what is read before it is written shows in the results, and what is
 * written beyond an end shows in the guard there. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "check/check.h"

/* NaNs that no arithmetic makes; two of them are one as a double. One for arrays that a call writes
 * and one for regions, so that what was not written can be told from what came from unwritten
 * scratch. */
static const uint32_t of_array = 0x7ffda5a5, of_region = 0x7ff9a5a5;

static void call_fill(float *at, int64_t floats, uint32_t pattern) {
  for (int64_t i = 0; i < floats; i++)
    memcpy(at + i, &pattern, sizeof pattern);
}

static bool holds(const float *at, uint32_t pattern) {
  return memcmp(at, &pattern, sizeof pattern) == 0;
}

static bool untouched(const float *at) {
  return holds(at, of_array);
}

static int64_t array_floats(const glow__check *c) {
  return c->span * c->dims;
}

float *glow__check_fresh(glow__check *c, int32_t array) {
  call_fill(c->arrays[array] - GLOW_CHECK_GUARD, array_floats(c) + 2 * GLOW_CHECK_GUARD, of_array);
  return c->arrays[array];
}

glow__outputs glow__check_outputs(glow__check *c, bool second) {
  return (glow__outputs){glow__check_fresh(c, second ? CHECK_Y2 : CHECK_Y),
                         glow__check_fresh(c, second ? CHECK_Z2 : CHECK_Z),
                         c->doubles[second ? CHECK_LOGDET2 : CHECK_LOGDET],
                         c->doubles[second ? CHECK_LOGPRIOR2 : CHECK_LOGPRIOR]};
}

/* ---- what was written ------------------------------------------------------------------------ */

/* For an array of the check's own: nothing may be written before it, nor behind `floats`. */
static bool guards(glow__check *c, const char *function, const char *what, const float *array,
                   int64_t floats) {
  for (int64_t i = 1; i <= GLOW_CHECK_GUARD; i++)
    if (!untouched(array - i)) {
      glow__check_fault(c, "%s writes %lld floats before %s", function, (long long)i, what);
      return false;
    }
  for (int64_t i = floats; i < array_floats(c) + GLOW_CHECK_GUARD; i++)
    if (!untouched(array + i)) {
      glow__check_fault(c, "%s writes beyond %s: %lld floats behind its end", function, what,
                        (long long)(i - floats));
      return false;
    }
  return true;
}

/* Why a result is not finite: a stored region that forward did not fill, or other memory. */
static const char *why_not_finite(const glow__check *c, const char *function) {
  for (int32_t id = 0; strcmp(function, "backward") == 0 && id < c->declared[2].count; id++) {
    int64_t at = glow__region_offset(&c->node->stored, id, c->ws->plan.batch, true);
    if (holds(c->saved + at, of_region))
      return " (a stored region that forward did not fill?)";
  }
  return " (memory read before it was written?)";
}

bool glow__check_written(glow__check *c, const char *function, const char *what, const float *array,
                         const glow__grid *grid) {
  int64_t size = grid->shape.height ? glow_shape_size(&grid->shape) : 0;
  for (int64_t n = 0; n < grid->samples; n++) {
    for (int64_t i = 0; i < grid->stride; i++) {
      const float *at = array + n * grid->stride + i;
      if (i < size && untouched(at))
        glow__check_fault(c, "%s does not write %s at %s", function, what,
                          glow__check_place(&grid->shape, n, i).text);
      else if (i < size && !isfinite(*at))
        glow__check_fault(c, "%s: %s is %g at %s%s", function, what, (double)*at,
                          glow__check_place(&grid->shape, n, i).text, why_not_finite(c, function));
      else if (i >= size && !untouched(at))
        glow__check_fault(c, "%s writes beyond %s of sample %lld: %lld floats behind its end",
                          function, what, (long long)n, (long long)(i - size));
      else
        continue;
      return false;
    }
  }
  return guards(c, function, what, array, grid->samples * grid->stride);
}

/* Behind the declared end of each region. */
static bool region_guards(glow__check *c, const char *function, const char *kind,
                          const glow__regions *laid_out, const glow__regions *declared,
                          const float *base, int64_t capacity, int64_t samples, bool training) {
  for (int32_t id = 0; base && id < declared->count; id++) {
    const glow__region *r = &declared->at[id];
    if (r->backward && !training)
      continue;
    int64_t from = glow__region_offset(laid_out, id, capacity, training);
    int64_t end = glow__region_offset(laid_out, id + 1, capacity, training);
    for (int64_t i = from + r->fixed + r->per_sample * samples; i < end; i++)
      if (!holds(base + i, of_region)) {
        glow__check_fault(c,
                          "%s writes beyond its %s region %d, which was declared with %lld + "
                          "%lld floats a sample, on %lld samples: %lld floats behind its end",
                          function, kind, id, (long long)r->fixed, (long long)r->per_sample,
                          (long long)samples,
                          (long long)(i - from - r->fixed - r->per_sample * samples));
        return false;
      }
  }
  return true;
}

static bool finite_sums(glow__check *c, const char *function, const char *what,
                        const double *values, int64_t samples) {
  for (int64_t n = 0; n < samples; n++)
    if (!isfinite(values[n])) {
      glow__check_fault(c, "%s: %s of sample %lld is %g", function, what, (long long)n, values[n]);
      return false;
    }
  return true;
}

/* ---- a call ---------------------------------------------------------------------------------- */

/* The call of a single block, by worker 0, if the layer is run by samples. */
static void call_begin(glow__check *c, int64_t first, int64_t samples, int32_t form, float *z,
                       glow_call *call) {
  const glow__plan *plan = &c->ws->plan;
  int64_t own = 0, floats = 0;
  glow__call_begin(c->ws, c->node, samples, c->labels + first, form, z, call);
  glow__call_skip(call, first);
  if (c->of_batch)
    call->statistics = GLOW_STATISTICS_BATCH;
  if (!glow__by_tasks(c->node)) {
    glow__regions_size(&c->node->worker, 0, true, &own);
    call->scratch = call->worker_scratch + own;
    call->packed = NULL;
  } else {
    glow__regions_size(&c->node->scratch, call->capacity, true, &floats);
    call_fill(call->scratch, floats, of_region);
  }
  call_fill(call->worker_scratch, plan->worker_stride,
            of_region); /* worker 0: these calls are serial */
  c->allocations = 0;
}

static bool call_end(glow__check *c, const char *function, const glow_call *call) {
  if (c->allocations)
    glow__check_fault(c, "%s allocates memory: passes may only use what configure declared",
                      function);
  bool fine = !c->allocations;
  fine = region_guards(c, function, "scratch", &c->node->scratch, &c->declared[0], call->scratch,
                       call->capacity, call->samples, call->training) &&
         fine;
  fine = region_guards(c, function, "worker", &c->node->worker, &c->declared[1],
                       call->worker_scratch, 0, 0, true) &&
         fine;
  return region_guards(c, function, "saved", &c->node->stored, &c->declared[2], call->stored,
                       call->stored_capacity, call->samples, true) &&
         fine;
}

static void fill_saved(const glow__check *c, float *saved) {
  int64_t floats = 0;
  glow__regions_size(&c->node->stored, c->ws->plan.batch, true, &floats);
  call_fill(saved, floats, of_region);
}

/* The call alone, whatever its results are. */
static bool forward_call(glow__check *c, const float *x, int64_t first, int64_t samples,
                         int32_t form, float *saved, const glow__outputs *out) {
  const glow__node *node = c->node;
  glow_call call;
  call_begin(c, first, samples, form, out->z, &call);
  call.stored = saved;
  if (saved)
    fill_saved(c, saved);
  for (int64_t n = 0; n < samples; n++)
    out->logdet[n] = out->logprior[n] = c->start;
  node->layer->ops.forward(node->layer->self, &call, x, node->out_size ? out->y : NULL, out->logdet,
                           out->logprior);
  return call_end(c, "forward", &call);
}

bool glow__check_forward(glow__check *c, const float *x, int64_t first, int64_t samples,
                         int32_t form, float *saved, const glow__outputs *out) {
  glow__grid y = glow__grid_y(c, samples), z = glow__grid_z(c, samples);
  return forward_call(c, x, first, samples, form, saved, out) &&
         (!c->node->out_size || glow__check_written(c, "forward", "y", out->y, &y)) &&
         glow__check_written(c, "forward", "the latents", out->z, &z) &&
         finite_sums(c, "forward", "the log-det", out->logdet, samples) &&
         finite_sums(c, "forward", "the log-prior", out->logprior, samples);
}

bool glow__check_forward_any(glow__check *c, const float *x, const glow__outputs *out) {
  return forward_call(c, x, 0, c->samples, GLOW_LATENTS_RAW, NULL, out);
}

/* What earlier calls said of samples does not count. */
void glow__check_none_failed(glow__check *c) {
  c->ws->failure.failed = false;
  for (int64_t n = 0; n < c->ws->plan.batch; n++)
    c->ws->statuses[n] = GLOW_OK;
}

/* The call alone. What it says of samples that it has no inverse of is in the workspace. */
static glow_status inverse_call(glow__check *c, const glow__outputs *in, int64_t first,
                                int64_t samples, int32_t form, float *x, double *logdet,
                                double *logprior, bool *fine) {
  const glow__node *node = c->node;
  glow_call call;
  call_begin(c, first, samples, form, in->z, &call);
  for (int64_t n = 0; n < samples; n++)
    logdet[n] = c->start;
  for (int64_t n = 0; logprior && n < samples; n++)
    logprior[n] = c->start;
  glow__check_none_failed(c);
  glow_status status = node->layer->ops.inverse(node->layer->self, &call,
                                                node->out_size ? in->y : NULL, x, logdet, logprior);
  *fine = call_end(c, "inverse", &call);
  return status;
}

bool glow__check_inverse_any(glow__check *c, const glow__outputs *in, float *x, double *logdet) {
  bool fine = false;
  glow_status status = inverse_call(c, in, 0, c->samples, GLOW_LATENTS_RAW, x, logdet, NULL, &fine);
  if (status != GLOW_OK)
    glow__check_fault(c, "inverse ends the pass because of one sample: %s (glow_call_fail?)",
                      glow_last_error());
  return fine && status == GLOW_OK;
}

bool glow__check_inverse(glow__check *c, const glow__outputs *in, int64_t first, int64_t samples,
                         int32_t form, float *x, double *logdet, double *logprior) {
  glow__grid grid = glow__grid_x(c, samples);
  bool fine = false;
  glow_status status = inverse_call(c, in, first, samples, form, x, logdet, logprior, &fine);
  if (status == GLOW_OK)
    status = glow__outcome_refuse(c->ws);
  if (status != GLOW_OK) {
    glow__check_fault(c, "inverse fails on what forward gave: %s", glow_last_error());
    return false;
  }
  return fine && glow__check_written(c, "inverse", "x", x, &grid) &&
         finite_sums(c, "inverse", "the log-det", logdet, samples) &&
         (!logprior || finite_sums(c, "inverse", "the log-prior", logprior, samples));
}

/* The call of a function that adds gradients of tensors. */
static void with_gradients(glow__check *c, int64_t samples, float *gradients, glow_call *call) {
  call->gradients = gradients;
  call->gradient_first = c->node->first_parameter;
  call->d_condition = c->vectors[3];
  memset(c->vectors[3], 0, (size_t)(samples * c->model->condition_size) * sizeof(float));
  if (!gradients)
    return;
  call_fill(gradients - GLOW_CHECK_GUARD, GLOW_CHECK_GUARD, of_array);
  call_fill(gradients + c->node->parameters, GLOW_CHECK_GUARD, of_array);
}

static bool finite_gradients(glow__check *c, const float *gradients) {
  const glow__node *node = c->node;
  for (int32_t t = 0; t < node->tensors; t++) {
    const glow__tensor *tensor = &c->model->tensors[node->first_tensor + t];
    for (int64_t i = 0; tensor->trainable && i < tensor->elements; i++)
      if (!isfinite(gradients[tensor->offset + i])) {
        glow__check_fault(c, "backward: gradient of '%s'[%lld] is %g%s",
                          tensor->name + strlen(node->name) + 1, (long long)i,
                          (double)gradients[tensor->offset + i], why_not_finite(c, "backward"));
        return false;
      }
  }
  for (int64_t i = 0; i < GLOW_CHECK_GUARD; i++)
    if (!untouched(gradients - 1 - i) || !untouched(gradients + node->parameters + i)) {
      glow__check_fault(c, "backward writes beyond the gradients of its tensors");
      return false;
    }
  return true;
}

bool glow__check_backward(glow__check *c, const glow_layer_gradient *gradient, float *z,
                          int64_t first, int64_t samples, float *saved, bool valid,
                          float *gradients) {
  const glow__node *node = c->node;
  glow__grid grid = glow__grid_x(c, samples);
  glow_layer_gradient g = *gradient;
  glow_call call;
  g.struct_size = sizeof g;
  call_begin(c, first, samples, GLOW_LATENTS_RAW, z, &call);
  if (c->of_batch)
    call.statistics = GLOW_STATISTICS_OBSERVED;
  call.stored = saved;
  call.stored_valid = valid;
  if (!valid)
    fill_saved(c, saved);
  with_gradients(c, samples, gradients, &call);
  node->layer->ops.backward(node->layer->self, &call, &g);
  return call_end(c, "backward", &call) && glow__check_written(c, "backward", "dx", g.dx, &grid) &&
         (g.x || glow__check_written(c, "backward", "x_out", g.x_out, &grid)) &&
         (!gradients || finite_gradients(c, gradients));
}

bool glow__check_inverse_backward(glow__check *c, const glow__outputs *in, float *x,
                                  glow_layer_inverse_gradient *g, float *saved, float *gradients) {
  const glow__node *node = c->node;
  glow__grid y = glow__grid_y(c, c->samples), z = glow__grid_z(c, c->samples);
  double *logdet = c->doubles[CHECK_SUM];
  glow_call call;
  call_begin(c, 0, c->samples, GLOW_LATENTS_RAW, in->z, &call);
  fill_saved(c, saved);
  call.stored = saved;
  memset(logdet, 0, (size_t)c->samples * sizeof *logdet);
  glow__check_none_failed(c);
  if (node->layer->ops.inverse(node->layer->self, &call, node->out_size ? in->y : NULL, x, logdet,
                               NULL) != GLOW_OK) {
    glow__check_fault(c, "inverse fails on what forward gave: %s", glow_last_error());
    return false;
  }
  call.stored_valid = true;
  with_gradients(c, c->samples, gradients, &call);
  g->struct_size = sizeof *g;
  g->x = x;
  g->y = node->out_size ? in->y : NULL;
  node->layer->ops.inverse_backward(node->layer->self, &call, g);
  return call_end(c, "inverse_backward", &call) &&
         (!node->out_size || glow__check_written(c, "inverse_backward", "dy", g->dy, &y)) &&
         (!node->latent_size ||
          glow__check_written(c, "inverse_backward", "d_latents", g->d_latents, &z)) &&
         finite_gradients(c, gradients);
}

bool glow__check_logits_any(glow__check *c, const float *x, int64_t first, int64_t samples,
                            int32_t set) {
  const glow__node *node = c->node;
  float *logits = c->logits[set];
  glow_call call;
  call_fill(logits - GLOW_CHECK_GUARD, c->wide * node->logits + 2 * GLOW_CHECK_GUARD, of_array);
  call_begin(c, first, samples, GLOW_LATENTS_RAW, NULL, &call);
  call.labels = NULL; /* logits do not depend on them */
  node->layer->ops.logits(node->layer->self, &call, x, logits);
  return call_end(c, "logits", &call);
}

bool glow__check_logits_call(glow__check *c, const float *x, int64_t first, int64_t samples,
                             int32_t set) {
  const glow__node *node = c->node;
  int64_t floats = samples * node->logits;
  float *logits = c->logits[set];
  if (!glow__check_logits_any(c, x, first, samples, set))
    return false;
  for (int64_t i = 0; i < floats; i++)
    if (!isfinite(logits[i])) {
      glow__check_fault(c, "logits: element %lld of sample %lld is %s",
                        (long long)(i % node->logits), (long long)(i / node->logits),
                        untouched(logits + i) ? "not written" : "not finite");
      return false;
    }
  for (int64_t i = 1; i <= GLOW_CHECK_GUARD; i++)
    if (!untouched(logits - i) || !untouched(logits + floats + i - 1)) {
      glow__check_fault(c, "logits writes beyond its %lld elements", (long long)floats);
      return false;
    }
  return true;
}

bool glow__check_logits_backward(glow__check *c, const float *x, const float *d_logits, float *dx,
                                 float *gradients) {
  const glow__node *node = c->node;
  glow__grid grid = glow__grid_x(c, c->samples);
  glow_call call;
  call_begin(c, 0, c->samples, GLOW_LATENTS_RAW, NULL, &call);
  call.labels = NULL;
  call.gradients = gradients;
  call.gradient_first = node->first_parameter;
  call_fill(gradients - GLOW_CHECK_GUARD, GLOW_CHECK_GUARD, of_array);
  call_fill(gradients + node->parameters, GLOW_CHECK_GUARD, of_array);
  node->layer->ops.logits_backward(node->layer->self, &call, x, d_logits, dx);
  return call_end(c, "logits_backward", &call) &&
         glow__check_written(c, "logits_backward", "dx", dx, &grid) &&
         finite_gradients(c, gradients);
}

bool glow__check_prepare(glow__check *c, const float *parameters) {
  memcpy(c->model->parameters, parameters, (size_t)c->model->parameter_count * sizeof(float));
  return glow__node_prepare(c->model, c->node) == GLOW_OK;
}
