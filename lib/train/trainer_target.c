/* One step towards a target p, on samples x of the model q itself.
 *
 * Reverse KL (Rezende and Mohamed, "Variational inference with normalizing flows", 2015): the
 * gradient of E_q[log q(x) - log p(x)] through the samples x = f^-1(z), whose latents z do not
 * depend on the parameters. With n samples that is weight 1 / n for log q(x) and dx = -grad log
 * p(x) / n in glow_workspace_inverse_backward.
 *
 * Forward KL (Müller et al., "Neural importance sampling", 2019): the gradient of E_p[-log q(x)],
 * estimated by sum_n w_n (-log q(x_n)) / sum_n w_n with fixed w = p / q and x. The sum of the
 * weights is known only at the end, so all is kept relative to the largest weight so far, as the
 * weights themselves are (importance.h): when a larger one comes, the gradients so far are made
 * smaller. So a sample is drawn once, and no memory grows with their number. On several ranks the
 * largest weight of all is known only once all have finished, so sums of gradients begin then, and
 * nothing hides them.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include <glow/sys/math.h>

#include "host/outcome.h"
#include "train/importance.h"
#include "train/target.h"
#include "train/trainer.h"

/* What a step is given, and what it adds up over its micro-batches. */
typedef struct target_step {
  const glow_target *target;
  int64_t count;       /* samples that this rank draws */
  glow__joined joined; /* and those that all ranks draw */
  glow__weights weights;
  double loss;  /* forward KL: relative to the largest weight */
  double drift; /* the largest */
  glow_importance estimate;
} target_step;

typedef glow_status (*target_part_fn)(glow_trainer *t, target_step *s, int64_t first,
                                      int64_t count);

/* The text is of the first sample that is not finite alone: the others have no results here. */
static glow_status target_outcome(const glow_trainer *t, glow_status status) {
  return status == GLOW_E_NUMERIC ? glow__outcome_refuse(t->workspace) : status;
}

/* Samples of their own for training: those that a caller draws with the same seed are others. */
static uint64_t target_seed(const glow_trainer *t) {
  return glow_random_derive(t->options.seed, GLOW_STREAM_SAMPLE);
}

/* Draws samples `first` and on of the step into t->x, with log q in t->log_prob, and weighs
 * them. */
static glow_status target_draw(glow_trainer *t, target_step *s, int64_t first, int64_t count,
                               float *gradient) {
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  int64_t failed;
  o.seed = target_seed(t);
  o.first = t->position / (uint64_t)t->dims + (uint64_t)(s->joined.first + first);
  o.labels = s->target->labels ? s->target->labels + first : NULL;
  o.log_q = t->log_prob;
  o.store = gradient != NULL;
  GLOW_TRY(
      glow__conditions_lend(s->target->condition, s->target->condition_count, first, t->workspace));
  GLOW_TRY(target_outcome(t, glow_workspace_sample(t->workspace, count, &o, t->x)));
  GLOW_TRY(glow__target_density(s->target, t->x, first, count, t->dims, t->log_p, gradient));
  return glow__weights_add_samples(&s->weights, t->log_p, t->log_prob, first, count, &failed);
}

/* ---- reverse KL ------------------------------------------------------------------------------ */

static glow_status reverse_check(const glow_trainer *t, int64_t first, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (t->log_p[i] == -INFINITY)
      return glow_error(GLOW_E_NUMERIC,
                        "log p of sample %lld is -INFINITY, where reverse KL is infinite: the "
                        "target must not be 0 where the model samples",
                        (long long)(first + i));
  for (int64_t i = 0; i < count * t->dims; i++)
    if (!isfinite(t->dx[i]))
      return glow_error(GLOW_E_NUMERIC,
                        "element %lld of the gradient of log p at sample %lld is not finite",
                        (long long)(i % t->dims), (long long)(first + i / t->dims));
  return GLOW_OK;
}

static glow_status reverse_part(glow_trainer *t, target_step *s, int64_t first, int64_t count) {
  glow_inverse_backward_options o = GLOW_INVERSE_BACKWARD_OPTIONS_INIT;
  const double each = 1.0 / (double)s->joined.count;
  GLOW_TRY(target_draw(t, s, first, count, t->dx));
  GLOW_TRY(reverse_check(t, first, count));
  for (int64_t i = 0; i < count; i++) {
    s->loss += each * (t->log_prob[i] - t->log_p[i]);
    t->weight[i] = each;
  }
  for (int64_t i = 0; i < count * t->dims; i++)
    t->dx[i] = (float)(-each * (double)t->dx[i]);
  o.dx = t->dx;
  o.weight = t->weight;
  if (first + count == s->count)
    glow__trainer_sum_begin(t, true);
  return glow_workspace_inverse_backward(t->workspace, &o);
}

/* ---- forward KL ------------------------------------------------------------------------------ */

/* Weights of a micro-batch, and their part of the loss. Makes what was there relative to a larger
 * weight, if one has come: `before` was the largest. */
static void forward_weigh(glow_trainer *t, target_step *s, double before, int64_t count) {
  const double top = s->weights.top;
  if (top > before) {
    s->loss *= exp(before - top);
    glow__flat_scale(&t->flat, glow_workspace_gradients(t->workspace), (float)exp(before - top));
  }
  for (int64_t i = 0; i < count; i++) {
    double log_weight = t->log_p[i] - t->log_prob[i];
    t->weight[i] = log_weight == -INFINITY ? 0.0 : -exp(log_weight - top);
    s->loss += t->weight[i] * t->log_prob[i];
  }
}

static glow_status forward_part(glow_trainer *t, target_step *s, int64_t first, int64_t count) {
  glow_forward_options forward = GLOW_FORWARD_OPTIONS_INIT;
  glow_backward_options backward = GLOW_BACKWARD_OPTIONS_INIT;
  glow_workspace_info info = GLOW_WORKSPACE_INFO_INIT;
  double before = s->weights.top;
  GLOW_TRY(target_draw(t, s, first, count, NULL));
  forward_weigh(t, s, before, count);
  forward.labels = s->target->labels ? s->target->labels + first : NULL;
  forward.running_averages = 1;
  GLOW_TRY(target_outcome(t, glow_workspace_forward(t->workspace, t->x, count, &forward)));
  backward.weight = t->weight;
  glow_status status = glow_workspace_backward(t->workspace, &backward);
  GLOW_TRY(glow_workspace_get_info(t->workspace, &info));
  s->drift = fmax(s->drift, info.drift);
  return status;
}

/* Divides by the sum of all weights. top: the largest of this rank's, which its gradients are
 * relative to. */
static glow_status forward_conclude(glow_trainer *t, target_step *s, double top) {
  double factor = 1.0 / ((double)s->weights.count * s->weights.mean);
  s->loss *= factor;
  factor *= exp(top - s->weights.top);
  glow__flat_scale(&t->flat, glow_workspace_gradients(t->workspace), (float)factor);
  return glow__trainer_sum_end(t, true);
}

/* ---- the step -------------------------------------------------------------------------------- */

static glow_status target_parts(glow_trainer *t, target_step *s, target_part_fn part) {
  const int64_t most = t->options.micro_batch;
  s->weights = glow__weights_none();
  s->loss = 0.0;
  GLOW_TRY(glow_workspace_zero_gradients(t->workspace));
  for (int64_t first = 0; first < s->count; first += most) {
    glow__workspace_set_base(t->workspace, first); /* errors name samples of the whole step */
    glow_status status = part(t, s, first, s->count - first < most ? s->count - first : most);
    glow__workspace_set_base(t->workspace, 0);
    GLOW_TRY(status);
  }
  return GLOW_OK;
}

/* Adds up what the ranks have told: losses of forward KL relative to the largest weight. */
static void target_join(const glow_trainer *t, target_step *s) {
  s->weights = glow__weights_none();
  s->loss = 0.0;
  for (int32_t r = 0; r < glow__trainer_ranks(t); r++) {
    const double *told = glow__trainer_told_gradients(t, r);
    const glow__weights other = {(int64_t)told[2], told[3], told[4], told[5]};
    double before = s->weights.top;
    glow__weights_join(&s->weights, &other);
    if (s->target->objective == GLOW_REVERSE_KL)
      s->loss += told[1];
    else if (s->weights.top != -INFINITY)
      s->loss = s->loss * exp(before - s->weights.top) + told[1] * exp(told[3] - s->weights.top);
    s->drift = fmax(s->drift, told[0]);
  }
}

/* If a workspace changes over to running layers again, the whole sum is made again. */
static glow_status target_gradients(glow_trainer *t, target_step *s) {
  const bool forward = s->target->objective == GLOW_FORWARD_KL;
  bool again;
  do {
    bool before = glow__workspace_recomputes(t->workspace);
    glow_status status = target_parts(t, s, forward ? forward_part : reverse_part);
    const double values[] = {s->drift,       s->loss,         (double)s->weights.count,
                             s->weights.top, s->weights.mean, s->weights.squares};
    if (status != GLOW_OK && status != GLOW_E_CANCELLED)
      glow__error_prefix(status, "step %lld refused", (long long)t->steps + 1);
    if (!forward)
      GLOW_TRY(glow__trainer_sum_end(t, true));
    GLOW_TRY(glow__trainer_tell_gradients(t, status, before, values, 6, &again));
  } while (again);
  return GLOW_OK;
}

/* glow__gradients_fn */
static glow_status target_accumulate(glow_trainer *t, void *what, glow_step_report *report) {
  target_step *s = what;
  GLOW_TRY(target_gradients(t, s));
  const double top = s->weights.top;
  target_join(t, s);
  glow_status status = glow__weights_estimate(&s->weights, &s->estimate);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "step %lld refused", (long long)t->steps + 1);
  if (s->target->objective == GLOW_FORWARD_KL)
    GLOW_TRY(forward_conclude(t, s, top));
  report->loss = s->loss;
  report->drift = s->drift;
  report->recomputes = glow__workspace_recomputes(t->workspace);
  return GLOW_OK;
}

static glow_status target_check(const glow_trainer *t, const glow_target *target, int64_t count,
                                glow_target *checked) {
  int64_t elements;
  if (!t->options.inverse_backward)
    return glow_error(GLOW_E_STATE,
                      "glow_trainer_step_target: the trainer was made without inverse_backward");
  GLOW_TRY(glow__batch_elements(t->model, count, &elements));
  return glow__target_read(target, count, checked);
}

glow_status glow_trainer_step_target(glow_trainer *t, const glow_target *target, int64_t count,
                                     glow_step_report *report, glow_importance *estimate) {
  glow_target checked = GLOW_TARGET_INIT;
  target_step step = {.target = &checked,
                      .count = count,
                      .joined = {0, count, 0.0, 0.0},
                      .estimate = GLOW_IMPORTANCE_INIT};
  GLOW_LIVE(t, TRAINER);
  if (!t || !target)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_step_target: NULL argument");
  glow_status status = target_check(t, target, count, &checked);
  if (status == GLOW_OK &&
      estimate) /* one that cannot be filled must fail before anything changes */
    status = glow__importance_fill(estimate, &step.estimate);
  GLOW_TRY(glow__trainer_make_step(
      t, status, checked.objective == GLOW_FORWARD_KL ? GLOW_CALL_FORWARD_KL : GLOW_CALL_REVERSE_KL,
      &step.joined, target_accumulate, &step, report));
  return estimate ? glow__importance_fill(estimate, &step.estimate) : GLOW_OK;
}
