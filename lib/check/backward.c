/* Backward as a function: gives the same after other calls, for samples alone, without the input,
 * and for any number of workers; the last also for forward and inverse.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check/check.h"

/* What backward is given: all parts of the objective, for samples from `first` on. */
static glow_layer_gradient given(const glow__check *c, const glow__outputs *out, int64_t first) {
  glow_layer_gradient g = {.struct_size = sizeof g};
  if (c->node->out_size) {
    g.y = out->y;
    g.dy = c->arrays[CHECK_DY] + first * c->node->out_size;
  }
  g.x = c->arrays[CHECK_X] + first * c->dims;
  g.d_logdet = c->doubles[CHECK_D_LOGDET] + first;
  g.d_logprior = c->doubles[CHECK_D_LOGPRIOR] + first;
  g.d_latents = c->node->latent_size ? c->arrays[CHECK_DZ] + first * c->dims : NULL;
  return g;
}

/* Reports the first parameter whose gradients differ by more than tolerance (1 + |b|). */
static bool same_gradients(glow__check *c, const char *when, const float *a, const float *b,
                           double tolerance) {
  for (int32_t t = 0; t < c->node->tensors; t++) {
    const glow__tensor *tensor = &c->model->tensors[c->node->first_tensor + t];
    for (int64_t i = tensor->offset; tensor->trainable && i < tensor->offset + tensor->elements;
         i++) {
      double difference = fabs((double)a[i] - (double)b[i]);
      if (difference <= tolerance * (1 + fabs((double)b[i])))
        continue;
      glow__check_fault(c, "gradient of '%s'[%lld] differs %s: %.6g instead of %.6g",
                        tensor->name + strlen(c->node->name) + 1, (long long)(i - tensor->offset),
                        when, (double)a[i], (double)b[i]);
      return false;
    }
  }
  return true;
}

static float *zeroed(glow__check *c, int32_t which) {
  return memset(c->gradients[which], 0, (size_t)c->node->parameters * sizeof(float));
}

static bool backward_forward(glow__check *c, int64_t first, int64_t samples, float *saved,
                             glow__outputs *out) {
  *out = glow__check_outputs(c, false);
  return glow__check_forward(c, c->arrays[CHECK_X] + first * c->dims, first, samples,
                             GLOW_LATENTS_RAW, saved, out);
}

/* ---- the same after other calls -------------------------------------------------------------- */

static bool is_a_function(glow__check *c) {
  glow__grid grid = glow__grid_x(c, c->samples);
  glow__outputs out, other;
  if (!backward_forward(c, 0, c->samples, c->saved, &out))
    return false;
  glow_layer_gradient g = given(c, &out, 0);
  g.dx = glow__check_fresh(c, CHECK_DX);
  if (!glow__check_backward(c, &g, out.z, 0, c->samples, c->saved, true, zeroed(c, 0)) ||
      !backward_forward(c, 0, c->samples, c->saved, &out))
    return false;
  other = glow__check_outputs(c, true);
  bool of_batch = c->of_batch; /* because another batch has other statistics */
  c->of_batch = false;
  bool fine =
      glow__check_forward(c, c->arrays[CHECK_X2], 0, c->samples, GLOW_LATENTS_RAW, NULL, &other);
  c->of_batch = of_batch;
  if (!fine)
    return false;
  g = given(c, &out, 0);
  g.dx = glow__check_fresh(c, CHECK_DX2);
  return glow__check_backward(c, &g, out.z, 0, c->samples, c->saved, true, zeroed(c, 1)) &&
         glow__check_same(c,
                          "dx after the forward of another batch differs (what backward needs "
                          "belongs in stored regions)",
                          &grid, c->arrays[CHECK_DX2], c->arrays[CHECK_DX], 0) &&
         same_gradients(c,
                        "after the forward of another batch (what backward needs belongs in "
                        "stored regions)",
                        c->gradients[1], c->gradients[0], 0);
}

/* ---- samples alone --------------------------------------------------------------------------- */

/* Tolerances of float32 sums in another order. */
static bool alone(glow__check *c) {
  glow__grid one = glow__grid_x(c, 1);
  float *sum = zeroed(c, 1);
  char when[120];
  for (int64_t n = 0; n < c->samples; n++) {
    glow__outputs out;
    if (!backward_forward(c, n, 1, c->saved, &out))
      return false;
    glow_layer_gradient g = given(c, &out, n);
    g.dx = glow__check_fresh(c, CHECK_DX2);
    one.first = n;
    snprintf(when, sizeof when, "dx of sample %lld alone differs from that in a batch",
             (long long)n);
    if (!glow__check_backward(c, &g, out.z, n, 1, c->saved, true, sum) ||
        !glow__check_same(c, when, &one, g.dx, c->arrays[CHECK_DX] + n * c->dims, 1e-4))
      return false;
  }
  snprintf(when, sizeof when, "between a call on %lld samples and %lld calls on one",
           (long long)c->samples, (long long)c->samples);
  return same_gradients(c, when, c->gradients[0], sum, 1e-3);
}

/* ---- without the input ----------------------------------------------------------------------- */

/* The reconstructed input is only as good as its round trip, and the gradients depend on it. */
static void backward_reconstructed(glow__check *c) {
  glow__grid grid = glow__grid_x(c, c->samples);
  double tolerance = 10 * c->o.round_trip;
  glow__outputs out;
  if (!(c->node->layer->ops.flags & GLOW_LAYER_RECONSTRUCTS) ||
      !backward_forward(c, 0, c->samples, NULL, &out))
    return;
  glow_layer_gradient g = given(c, &out, 0);
  g.x = NULL;
  g.x_out = glow__check_fresh(c, CHECK_BACK);
  g.dx = glow__check_fresh(c, CHECK_DX2);
  if (!glow__check_backward(c, &g, out.z, 0, c->samples, c->saved, false, zeroed(c, 1)) ||
      !glow__check_same(c, "without x: x_out differs from x", &grid, g.x_out, c->arrays[CHECK_X],
                        c->o.round_trip) ||
      !glow__check_same(c, "without x: dx differs from that with x", &grid, g.dx,
                        c->arrays[CHECK_DX], tolerance))
    return;
  same_gradients(c, "without x", c->gradients[1], c->gradients[0], tolerance);
}

/* ---- without gradients of parameters --------------------------------------------------------- */

static void inputs_only(glow__check *c) {
  glow__grid grid = glow__grid_x(c, c->samples);
  glow__outputs out;
  if (!(glow__layer_flags(c->node->layer) & GLOW_LAYER_SKIPS_GRADIENTS) ||
      !backward_forward(c, 0, c->samples, c->saved, &out))
    return;
  glow_layer_gradient g = given(c, &out, 0);
  g.dx = glow__check_fresh(c, CHECK_DX2);
  if (glow__check_backward(c, &g, out.z, 0, c->samples, c->saved, true, NULL))
    glow__check_same(c, "dx without gradients of parameters differs from that with them", &grid,
                     g.dx, c->arrays[CHECK_DX], 0);
}

void glow__check_backwards(glow__check *c) {
  c->of_batch = c->model->observed_count > 0;
  if (is_a_function(c) && (c->of_batch || alone(c))) {
    backward_reconstructed(c);
    inputs_only(c);
  }
  c->of_batch = false;
}

/* ---- threads --------------------------------------------------------------------------------- */

/* Everything on the wide batch, as the model runs it, into the first or the second set of
 * arrays. */
static void run_all(glow__check *c, bool second) {
  glow_call call;
  glow__outputs out = glow__check_outputs(c, second);
  float *back = glow__check_fresh(c, second ? CHECK_WORK : CHECK_BACK);
  double *logdet = c->doubles[second ? CHECK_SUM2 : CHECK_SUM];
  size_t doubles = (size_t)c->wide * sizeof(double);
  memset(out.logdet, 0, doubles);
  memset(out.logprior, 0, doubles);
  memset(logdet, 0, doubles);
  glow__call_begin(c->ws, c->node, c->wide, c->labels, GLOW_LATENTS_RAW, out.z, &call);
  call.stored = c->saved;
  bool of_batch = c->model->observed_count > 0;
  if (of_batch)
    call.statistics = GLOW_STATISTICS_BATCH;
  glow__node_forward(&call, c->arrays[CHECK_X], c->node->out_size ? out.y : NULL, out.logdet,
                     out.logprior);
  if (of_batch)
    call.statistics = GLOW_STATISTICS_OBSERVED;
  call.stored_valid = true;
  call.gradients = zeroed(c, second);
  glow_layer_gradient g = given(c, &out, 0);
  g.dx = glow__check_fresh(c, second ? CHECK_DX2 : CHECK_DX);
  glow__node_backward(&call, &g, c->ws->memory + c->ws->plan.block_gradients,
                      c->ws->plan.block_stride);
  call.statistics = GLOW_STATISTICS_RUNNING;
  call.gradients = NULL;
  call.stored = NULL;
  call.stored_valid = false;
  glow__check_none_failed(c);
  glow__node_inverse(&call, g.y, back, logdet, NULL);
}

static void backward_compare(glow__check *c, const char *when) {
  glow__grid x = glow__grid_x(c, c->wide), y = glow__grid_y(c, c->wide),
             z = glow__grid_z(c, c->wide);
  const struct {
    const char *what;
    const glow__grid *grid;
    int32_t one, other;
  } arrays[] = {{"y", &y, CHECK_Y2, CHECK_Y},
                {"latents", &z, CHECK_Z2, CHECK_Z},
                {"x of inverse", &x, CHECK_WORK, CHECK_BACK},
                {"dx", &x, CHECK_DX2, CHECK_DX}};
  const struct {
    const char *what;
    int32_t one, other;
  } sums[] = {{"log-det", CHECK_LOGDET2, CHECK_LOGDET},
              {"log-prior", CHECK_LOGPRIOR2, CHECK_LOGPRIOR},
              {"log-det of inverse", CHECK_SUM2, CHECK_SUM}};
  char what[200];
  for (int i = 0; i < 4; i++) {
    snprintf(what, sizeof what, "%s differs %s", arrays[i].what, when);
    if (!glow__check_same(c, what, arrays[i].grid, c->arrays[arrays[i].one],
                          c->arrays[arrays[i].other], 0))
      return;
  }
  for (int i = 0; i < 3; i++) {
    snprintf(what, sizeof what, "%s differs %s", sums[i].what, when);
    if (!glow__check_same_sums(c, what, c->wide, c->doubles[sums[i].one], c->doubles[sums[i].other],
                               0))
      return;
  }
  same_gradients(c, when, c->gradients[1], c->gradients[0], 0);
}

/* The last task first, and on three workers: what can be tested of threads without any. */
static void run_backwards(void *payload, glow_task_fn fn, void *arg, uint32_t tasks) {
  (void)payload;
  for (uint32_t t = tasks; t-- > 0;)
    fn(arg, t, t % 3);
}

static void with_threads(glow__check *c, const glow_executor *serial) {
  enum { THREADS = 4, ROUNDS = 2 };
  glow_pool *pool = NULL;
  if (glow_pool_create(&c->shadow.allocator, THREADS, &pool) != GLOW_OK)
    return; /* no threads on this system */
  c->shadow.executor = (glow_executor)GLOW_EXECUTOR_INIT;
  glow_pool_executor(pool, &c->shadow.executor);
  for (int round = 0; round < ROUNDS && !glow__check_over(c); round++) {
    run_all(c, true);
    backward_compare(c, "on four threads (memory that blocks or tasks share?)");
  }
  c->shadow.executor = *serial;
  glow_pool_destroy(&pool);
}

void glow__check_threads(glow__check *c) {
  glow_executor serial = c->shadow.executor;
  int32_t before = c->faults;
  c->span = c->wide;
  run_all(c, false);
  c->shadow.executor = (glow_executor){sizeof serial, 3, 0, run_backwards, NULL};
  run_all(c, true);
  c->shadow.executor = serial;
  backward_compare(c, "when tasks run in another order, on three workers");
  if (c->faults == before)
    with_threads(c, &serial);
  c->span = c->samples;
}
