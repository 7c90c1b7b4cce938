/* Sums of gradients while backward goes on. The flat gradients are cut into buckets, from the end
 * to the start, because backward finishes the last layer first. A bucket's sum begins as soon as
 * all of it is final, and all are waited for at the end. What is held is left out.
 *
 * A rank whose pass fails begins all sums nonetheless: the others wait for them, and what they have
 * summed is thrown away once it has told them. SPDX-License-Identifier: MIT */
#include "train/collective.h"
#include "train/trainer.h"

/* ---- cutting --------------------------------------------------------------------------------- */

static int64_t bucket_floats(const glow__collective *c) {
  return c->options.bucket_bytes / (int64_t)sizeof(float);
}

/* Cuts [first, end), from its end. */
static void buckets_cut(glow__collective *c, int64_t first, int64_t end) {
  glow__buckets *b = &c->buckets;
  while (end > first) {
    int64_t count = end - first < bucket_floats(c) ? end - first : bucket_floats(c);
    end -= count;
    b->at[b->count++] = (glow__bucket){end, count, NULL};
  }
}

/* Neighbours that are trained, at whatever rates, are cut as one. */
static void buckets_cut_all(glow__collective *c, const glow__rates *rates) {
  c->buckets.count = 0;
  for (int32_t i = rates->run_count - 1; i >= 0; i--) {
    int64_t end = rates->runs[i].end;
    if (rates->runs[i].factor == 0.0)
      continue;
    while (i > 0 && rates->runs[i - 1].factor != 0.0)
      i--;
    buckets_cut(c, i > 0 ? rates->runs[i - 1].end : 0, end);
  }
}

/* As many as there are at most, whatever is held: a piece of each tensor ends none. */
static glow_status buckets_make_room(glow__collective *c, int64_t parameters, int64_t tensors) {
  glow__buckets *b = &c->buckets;
  int64_t room = parameters / bucket_floats(c) + tensors + 1;
  if (room > INT32_MAX / 2)
    return glow_error(GLOW_E_LIMIT, "%lld buckets of gradients are too many", (long long)room);
  b->room = (int32_t)room;
  b->at = glow_allocate(c->context, (size_t)room * sizeof *b->at);
  return b->at ? GLOW_OK : GLOW_E_MEMORY;
}

static glow_status buckets_make_feedback(glow__collective *c, int64_t parameters) {
  glow__feedback *f = &c->buckets.feedback;
  f->rounded = glow_allocate(c->context, (size_t)parameters * sizeof *f->rounded);
  f->left = f->rounded ? glow_allocate(c->context, (size_t)parameters * sizeof *f->left) : NULL;
  f->next = f->left ? glow_allocate(c->context, (size_t)parameters * sizeof *f->next) : NULL;
  return f->next ? GLOW_OK : GLOW_E_MEMORY;
}

glow_status glow__buckets_create(glow__collective *c, const glow__rates *rates) {
  const int64_t parameters = glow_model_parameter_count(rates->model);
  GLOW_TRY(buckets_make_room(c, parameters, glow_model_tensor_count(rates->model)));
  return c->options.sums == GLOW_SUM_BFLOAT16 ? buckets_make_feedback(c, parameters) : GLOW_OK;
}

/* ---- a step ---------------------------------------------------------------------------------- */

void glow__buckets_begin(glow__collective *c, const glow__rates *rates, float *gradients,
                         bool ascending) {
  glow__buckets *b = &c->buckets;
  buckets_cut_all(c, rates);
  b->begun = 0;
  b->ascending = ascending;
  b->gradients = gradients;
  b->started = b->ended = b->waited = 0.0;
  b->bytes = 0;
}

/* Bucket number i in the order in which they begin. */
static glow__bucket *bucket_at(glow__buckets *b, int32_t i) {
  return &b->at[b->ascending ? b->count - 1 - i : i];
}

static glow_status bucket_start(glow__collective *c, glow__bucket *bucket) {
  glow__buckets *b = &c->buckets;
  const bool rounds = b->feedback.rounded != NULL;
  void *elements = rounds ? (void *)(b->feedback.rounded + bucket->first)
                          : (void *)(b->gradients + bucket->first);
  if (rounds)
    glow__feedback_round(&b->feedback, bucket, b->gradients);
  b->bytes += bucket->count * (rounds ? 2 : 4);
  return glow__collective_start(c, elements, bucket->count, c->options.sums, &bucket->request);
}

/* Begins those that lie in [first, end), in order. */
static void buckets_start(glow__collective *c, int64_t first, int64_t end) {
  glow__buckets *b = &c->buckets;
  if (b->begun == 0 && c->over == GLOW_OK)
    b->started = glow__collective_clock();
  while (b->begun < b->count && c->over == GLOW_OK) {
    glow__bucket *next = bucket_at(b, b->begun);
    if (next->first < first || next->first + next->count > end)
      return;
    if (bucket_start(c, next) == GLOW_OK)
      b->begun++;
  }
}

void glow__buckets_final(glow__collective *c, int64_t first, int64_t end) {
  buckets_start(c, first, end);
  if (c->table.progress && c->buckets.begun && c->over == GLOW_OK)
    c->table.progress(c->table.payload);
}

glow_status glow__buckets_end(glow__collective *c) {
  glow__buckets *b = &c->buckets;
  buckets_start(c, 0, INT64_MAX);
  double begun = glow__collective_clock();
  for (int32_t i = 0; i < b->begun; i++) {
    glow__bucket *bucket = bucket_at(b, i);
    if (glow__collective_wait(c, bucket->request) == GLOW_OK && b->feedback.rounded)
      glow__feedback_take(&b->feedback, bucket, b->gradients);
  }
  b->ended = glow__collective_clock();
  b->waited = b->ended - begun;
  return c->over == GLOW_OK ? GLOW_OK : glow_error(c->over, "%s", c->why);
}

void glow__buckets_commit(glow__collective *c) {
  for (int32_t i = 0; c->buckets.feedback.rounded && i < c->buckets.count; i++)
    glow__feedback_commit(&c->buckets.feedback, &c->buckets.at[i]);
}

/* ---- for a trainer, alone or not ------------------------------------------------------------- */

/* glow__final_fn */
static void gradients_final(int64_t first, int64_t end, void *payload) {
  glow__buckets_final(payload, first, end);
}

void glow__trainer_sum_begin(glow_trainer *t, bool ascending) {
  glow__collective *c = t->collective;
  if (!c)
    return;
  glow__buckets_begin(c, glow__optimizer_rates(t->optimizer),
                      glow_workspace_gradients(t->workspace), ascending);
  glow__workspace_set_final(t->workspace, gradients_final, c);
}

glow_status glow__trainer_sum_end(glow_trainer *t, bool ascending) {
  glow__collective *c = t->collective;
  if (!c)
    return GLOW_OK;
  glow__workspace_set_final(t->workspace, NULL, NULL);
  if (!c->buckets.gradients)
    glow__buckets_begin(c, glow__optimizer_rates(t->optimizer),
                        glow_workspace_gradients(t->workspace), ascending);
  glow_status status = glow__buckets_end(c);
  c->buckets.gradients = NULL;
  return status;
}

void glow__trainer_sum_commit(glow_trainer *t, glow_step_report *report) {
  glow__collective *c = t->collective;
  if (!c)
    return;
  glow__buckets_commit(c);
  report->sum_seconds = c->buckets.ended - c->buckets.started;
  report->wait_seconds = c->buckets.waited;
  report->small_seconds = c->small_seconds;
  report->sum_bytes = c->buckets.bytes;
}
