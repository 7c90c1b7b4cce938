/* A loss of the caller's own in the place of bits/dim: a function is given what forward gave for
 * the samples of a micro-batch, and writes its loss and the gradients of that. The rest of the step
 * is the same. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/outcome.h"
#include "train/trainer.h"

static glow_status room_of(glow_trainer *t, int64_t each, size_t size, void *where) {
  void **at = where;
  if (!*at && each)
    *at = glow_allocate(t->context, (size_t)t->options.micro_batch * (size_t)each * size);
  return *at || !each ? GLOW_OK : GLOW_E_MEMORY;
}

static glow_status loss_allocate(glow_trainer *t) {
  glow__loss *l = &t->loss;
  GLOW_TRY(room_of(t, 1, sizeof(double), &l->logdet));
  GLOW_TRY(room_of(t, 1, sizeof(double), &l->d_logdet));
  GLOW_TRY(room_of(t, t->dims, sizeof(float), &l->latents));
  GLOW_TRY(room_of(t, t->dims, sizeof(float), &l->d_latents));
  return room_of(t, glow_model_logit_count(t->model), sizeof(float), &l->d_logits);
}

void glow__trainer_loss_destroy(glow_trainer *t) {
  glow_release(t->context, t->loss.logdet);
  glow_release(t->context, t->loss.d_logdet);
  glow_release(t->context, t->loss.latents);
  glow_release(t->context, t->loss.d_latents);
  glow_release(t->context, t->loss.d_logits);
}

glow_status glow_trainer_set_loss(glow_trainer *trainer, glow_loss_fn loss, void *payload) {
  GLOW_LIVE(trainer, TRAINER);
  if (!trainer)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_set_loss: NULL argument");
  if (loss)
    GLOW_TRY(loss_allocate(trainer));
  trainer->loss.fn = loss;
  trainer->loss.payload = payload;
  return GLOW_OK;
}

static glow_loss_call call_of(const glow_trainer *t, const glow__batch *b, int64_t first,
                              int64_t count, const float *x) {
  const glow_batch *g = &b->given;
  bool own = g->condition_count > 1; /* a condition for each sample */
  return (glow_loss_call){
      .struct_size = sizeof(glow_loss_call),
      .step = t->steps + 1,
      .batch = b->total,
      .first = first,
      .count = count,
      .x = x,
      .labels = g->labels ? g->labels + first : NULL,
      .condition = own ? g->condition + first * glow_model_condition_size(t->model) : g->condition,
      .condition_count = own ? count : g->condition_count,
      .weights = g->weights ? g->weights + first : NULL,
      .weight_sum = b->weight_sum,
      .log_prob = t->log_prob,
      .logdet = t->loss.logdet,
      .latents = t->loss.latents,
      .logits = glow_workspace_logits(t->workspace),
      .d_log_prob = t->weight,
      .d_logdet = t->loss.d_logdet,
      .d_latents = t->loss.d_latents,
      .d_logits = t->loss.d_logits,
  };
}

static void clear_gradients(const glow_loss_call *c, int64_t dims, int64_t logits) {
  size_t count = (size_t)c->count;
  memset(c->d_log_prob, 0, count * sizeof *c->d_log_prob);
  memset(c->d_logdet, 0, count * sizeof *c->d_logdet);
  memset(c->d_latents, 0, count * (size_t)dims * sizeof *c->d_latents);
  if (c->d_logits)
    memset(c->d_logits, 0, count * (size_t)logits * sizeof *c->d_logits);
}

/* Index of the first value that is not finite, or -1. */
static int64_t odd_double(const double *x, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(x[i]))
      return i;
  return -1;
}

static int64_t odd_float(const float *x, int64_t count) {
  for (int64_t i = 0; x && i < count; i++)
    if (!isfinite(x[i]))
      return i;
  return -1;
}

static glow_status refuse_gradient(const glow_loss_call *c, const char *what, int64_t sample) {
  return glow_error(GLOW_E_NUMERIC,
                    "step %lld refused: the %s that the loss callback wrote for sample %lld is not "
                    "finite",
                    (long long)c->step, what, (long long)(c->first + sample));
}

static glow_status loss_check(const glow_loss_call *c, double loss, int64_t dims, int64_t logits) {
  int64_t at;
  if (!isfinite(loss))
    return glow_error(GLOW_E_NUMERIC,
                      "step %lld refused: the loss of samples %lld to %lld is %g, or was not "
                      "written by the loss callback",
                      (long long)c->step, (long long)c->first, (long long)(c->first + c->count - 1),
                      loss);
  if ((at = odd_double(c->d_log_prob, c->count)) >= 0)
    return refuse_gradient(c, "d_log_prob", at);
  if ((at = odd_double(c->d_logdet, c->count)) >= 0)
    return refuse_gradient(c, "d_logdet", at);
  if ((at = odd_float(c->d_latents, c->count * dims)) >= 0)
    return refuse_gradient(c, "d_latents", at / dims);
  if ((at = odd_float(c->d_logits, c->count * logits)) >= 0)
    return refuse_gradient(c, "d_logits", at / logits);
  return GLOW_OK;
}

glow_status glow__trainer_own_loss(glow_trainer *t, const glow__batch *b, int64_t first,
                                   int64_t count, const float *x, double *sum,
                                   glow_backward_options *backward) {
  glow_forward_options o = GLOW_FORWARD_OPTIONS_INIT;
  glow__callback callback;
  int64_t logits = glow_model_logit_count(t->model);
  double loss = NAN; /* until it is written */
  o.labels = b->given.labels ? b->given.labels + first : NULL;
  o.log_prob = t->log_prob;
  o.logdet = t->loss.logdet;
  o.latents = t->loss.latents;
  GLOW_TRY(glow__trainer_forward(t, x, count, &o));
  const glow_loss_call call = call_of(t, b, first, count, x);
  clear_gradients(&call, t->dims, logits);
  glow__callback_begin(&callback);
  GLOW_TRY(glow__callback_end(&callback, t->loss.fn(&call, &loss, t->loss.payload), call.step,
                              "the loss callback"));
  GLOW_TRY(loss_check(&call, loss, t->dims, logits));
  *sum += loss;
  backward->weight = call.d_log_prob;
  backward->weight_logdet = call.d_logdet;
  backward->d_latents = call.d_latents;
  backward->d_logits = call.d_logits;
  return GLOW_OK;
}
