/* Importance sampling of a target from a model: batches of samples are drawn, weighed and
 * forgotten.
 * SPDX-License-Identifier: MIT */
#include "host/outcome.h"
#include "train/importance.h"
#include "train/target.h"
#include "train/train.h"

/* One estimate: what is given, room for one batch, and the weights so far. */
typedef struct sampling_run {
  glow_workspace *workspace;
  const glow_target *target;
  const glow_sample_options *options;
  int64_t count;
  float *x;      /* [batch, dims] */
  double *log_p; /* [batch] */
  double *log_q; /* [batch] */
  glow__weights weights;
  int64_t failed;
} sampling_run;

/* Draws samples `first` and on, and adds their weights. */
static glow_status sample_part(sampling_run *r, int64_t first, int64_t count) {
  glow_sample_options o = *r->options;
  o.first += (uint64_t)first;
  o.per_sample = o.per_sample ? o.per_sample + first : NULL;
  o.labels = r->target->labels ? r->target->labels + first : NULL;
  o.log_q = r->log_q;
  o.failed = &r->failed;
  GLOW_TRY(
      glow__conditions_lend(r->target->condition, r->target->condition_count, first, r->workspace));
  glow_status status = glow_workspace_sample(r->workspace, count, &o, r->x);
  if (status == GLOW_E_NUMERIC) /* the others are of no use, so the text is of that sample alone */
    return glow__outcome_refuse(r->workspace);
  GLOW_TRY(status);
  GLOW_TRY(glow__target_density(r->target, r->x, first, count, r->workspace->model->dims, r->log_p,
                                NULL));
  return glow__weights_add_samples(&r->weights, r->log_p, r->log_q, first, count, &r->failed);
}

static glow_status sample_parts(sampling_run *r) {
  const int64_t most = r->workspace->plan.batch;
  for (int64_t first = 0; first < r->count; first += most) {
    glow__workspace_set_base(r->workspace, first); /* errors name samples of the whole call */
    glow_status status = sample_part(r, first, r->count - first < most ? r->count - first : most);
    glow__workspace_set_base(r->workspace, 0);
    GLOW_TRY(status);
  }
  return GLOW_OK;
}

/* All that is not used must be left as it is by default. */
static glow_status sampling_read_options(const glow_sample_options *from, glow_sample_options *o) {
  *o = (glow_sample_options)GLOW_SAMPLE_OPTIONS_INIT;
  GLOW_TRY(glow__options_copy(o, sizeof *o, from, sizeof *o, "glow_sample_options"));
  if (o->labels || o->statuses || o->failed || o->layer || o->latents || o->log_prob || o->log_q ||
      o->store || o->reserved)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_workspace_importance: of glow_sample_options only the temperatures, "
                      "seed and first are used; labels are those of the target");
  return GLOW_OK;
}

/* One block: doubles, then floats. */
static glow_status make_room(sampling_run *r) {
  const glow_model *model = r->workspace->model;
  const int64_t batch = r->workspace->plan.batch;
  r->log_p = glow_allocate(
      model->context, (size_t)batch * (2 * sizeof(double) + (size_t)model->dims * sizeof(float)));
  if (!r->log_p)
    return GLOW_E_MEMORY;
  r->log_q = r->log_p + batch;
  r->x = (float *)(void *)(r->log_q + batch);
  return GLOW_OK;
}

static glow_status importance_sampling(sampling_run *r, glow_importance *estimate) {
  glow__conditions kept;
  GLOW_TRY(make_room(r));
  glow__workspace_conditions(r->workspace, &kept);
  glow_status status = sample_parts(r);
  glow__workspace_set_conditions(r->workspace, &kept);
  glow_release(r->workspace->model->context, r->log_p);
  estimate->failed = r->failed;
  return status == GLOW_OK ? glow__weights_estimate(&r->weights, estimate) : status;
}

glow_status glow_workspace_importance(glow_workspace *ws, const glow_target *target,
                                      const glow_sample_options *options, int64_t count,
                                      glow_importance *out) {
  glow_importance estimate = GLOW_IMPORTANCE_INIT;
  glow_sample_options o;
  glow_target checked;
  GLOW_LIVE(ws, WORKSPACE);
  if (!ws || !target || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_importance: NULL argument");
  GLOW_TRY(glow__check_count(ws, count));
  GLOW_TRY(glow__target_read(target, count, &checked));
  GLOW_TRY(sampling_read_options(options, &o));
  GLOW_TRY(glow__importance_fill(out, &estimate));
  sampling_run run = {.workspace = ws,
                      .target = &checked,
                      .options = &o,
                      .count = count,
                      .weights = glow__weights_none()};
  glow_status status = importance_sampling(&run, &estimate);
  glow_status filled = glow__importance_fill(out, &estimate);
  return status != GLOW_OK ? status : filled;
}
