/* Calls on workspaces. What passes give is finite, or it is told that it is not: by the status of
 * the call, or by those of the samples. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

/* ---- making ---------------------------------------------------------------------------------- */

void api_workspace_create(api *a) {
  static const api_field fields[] = {F(glow_workspace_options, batch, SIDE, 0),
                                     F(glow_workspace_options, mode, ENUM, GLOW_MODE_INFERENCE),
                                     F(glow_workspace_options, cache_packed, FLAG, 0),
                                     F(glow_workspace_options, memory_budget, BYTES, 0),
                                     F(glow_workspace_options, drift_bound, REAL, 0)};
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  api_slot *slot = api_pick(a, API_MODEL);
  glow_model *model = api_object(a, slot);
  glow_workspace *workspace = NULL;
  uint64_t bytes = 0;
  uint8_t form = api_byte(a);
  o.batch = 2;
  o.mode = GLOW_MODE_INFERENCE + form % 4;
  if (o.mode == GLOW_MODE_BUDGET) { /* what reconstruction needs, and a little more */
    glow_workspace_options flat = o;
    flat.mode = GLOW_MODE_RECONSTRUCTED;
    if (glow_workspace_plan_bytes(model, &flat, &bytes) == GLOW_OK)
      o.memory_budget = bytes + 64 * (uint64_t)form;
  }
  const glow_workspace_options *options = OPTIONS(a, o, fields, 3);
  glow_status planned = CALL(a, glow_workspace_plan_bytes(model, options, &bytes));
  glow_status status = CALL(a, glow_workspace_create(model, options, &workspace));
  PROMISE(status != GLOW_OK || planned == GLOW_OK || planned == GLOW_E_MEMORY);
  PROMISE(status != GLOW_OK || planned != GLOW_OK || glow_workspace_bytes(workspace) == bytes);
  api_keep(a, API_WORKSPACE, status, workspace, slot ? slot->context : 0,
           api_number(a, API_MODEL, slot));
  if (!workspace)
    return;
  for (int32_t i = 0; i < SLOTS; i++)
    if (a->slots[API_WORKSPACE][i].object == workspace)
      a->slots[API_WORKSPACE][i].mode =
          !options || options->struct_size < 20 ? GLOW_MODE_INFERENCE : options->mode;
}

/* A workspace, its model, and what passes of them are given. */
typedef struct pass {
  api_slot *slot;
  glow_workspace *workspace; /* NULL: the record says so */
  const glow_model *model;
  int64_t count, dims;
} pass;

static bool start(api *a, pass *p) {
  p->slot = api_pick(a, API_WORKSPACE);
  if (!p->slot)
    return false;
  p->workspace = api_object(a, p->slot);
  p->model = a->slots[API_MODEL][p->slot->model].object;
  p->dims = glow_model_dims(p->model);
  p->count = api_count(a);
  if (p->count < 0)
    p->dims = 0; /* arrays of none */
  api_tell(a, "  of model %d, %lld samples", p->slot->model, (long long)p->count);
  return true;
}

/* Does the pass tell of each sample that is not finite? */
static void check_told(const pass *p, glow_status status, const int32_t *statuses, int64_t failed,
                       const float *values, int64_t size, const double *real) {
  int64_t bad = 0;
  if (status != GLOW_OK)
    return;
  for (int64_t n = 0; n < p->count; n++) {
    bool fine =
        (!values || api_all_finite(values + n * size, size)) && (!real || isfinite(real[n]));
    PROMISE(statuses ? fine == (statuses[n] == GLOW_OK) : fine);
    PROMISE(!statuses || statuses[n] == GLOW_OK || statuses[n] == GLOW_E_NUMERIC);
    bad += !fine;
  }
  PROMISE(bad == failed);
}

/* ---- conditions, first values ---------------------------------------------------------------- */

void api_set_condition(api *a) {
  pass p;
  if (!start(a, &p))
    return;
  int64_t size = glow_model_condition_size(p.model), count = p.count;
  if (api_rarely(a, 16))
    size++;
  const float *values = api_floats(a, count > 0 ? count * size : 0);
  float *lent = NULL;
  if (values && count > 0 && size > 0) {
    lent = malloc((size_t)(count * size) * sizeof *lent);
    PROMISE(lent);
    memcpy(lent, values, (size_t)(count * size) * sizeof *lent);
  }
  if (CALL(a, glow_workspace_set_condition(p.workspace, lent, count, size)) == GLOW_OK) {
    free(p.slot->lent);
    p.slot->lent = lent;
  } else {
    free(lent);
  }
}

void api_initialise(api *a) {
  pass p;
  if (!start(a, &p))
    return;
  const float *x = api_floats(a, p.count * p.dims);
  const int32_t *labels = api_labels(a, p.model, p.count);
  api_slot *other = &a->slots[API_MODEL][api_rarely(a, 32) ? 0 : p.slot->model];
  if (CALL(a, glow_workspace_initialise(p.workspace, other->object, x, labels, p.count)) == GLOW_OK)
    PROMISE(glow_model_initialised(p.model));
}

/* ---- forward --------------------------------------------------------------------------------- */

void api_forward(api *a) {
  pass p;
  glow_forward_options o = GLOW_FORWARD_OPTIONS_INIT;
  if (!start(a, &p))
    return;
  const float *x = api_floats(a, p.count * p.dims);
  uint8_t form = api_byte(a);
  int64_t failed = 0;
  o.labels = api_labels(a, p.model, p.count);
  o.latents = form & 1 ? NULL : api_room(a, p.count * p.dims);
  o.logdet = form & 2 ? NULL : api_room_real(a, p.count);
  o.log_prob = form & 4 ? NULL : api_room_real(a, p.count);
  o.statuses =
      form & 8 ? api_scratch(a, sizeof(int32_t) * (size_t)(p.count > 0 ? p.count : 0)) : NULL;
  o.form = form & 16 ? GLOW_LATENTS_WHITENED : form > 250 ? 7 : 0;
  o.evaluate = form & 32 ? 1 : 0;
  o.failed = &failed;
  if (form == 255)
    o.struct_size = 4;
  glow_status status = CALL(a, glow_workspace_forward(p.workspace, x, p.count, &o));
  /* its log-density may be what is not finite */
  if (o.logdet && o.latents && o.log_prob) {
    check_told(&p, status, o.statuses, failed, o.latents, p.dims, o.log_prob);
    for (int64_t n = 0; status == GLOW_OK && n < p.count; n++)
      PROMISE(isfinite(o.logdet[n]) == isfinite(o.log_prob[n]));
  }
  p.slot->ran = status == GLOW_OK && !o.evaluate ? p.count : 0;
}

/* A sample gives the same bits alone as among others. */
static void check_alone(const pass *p, const float *x, const int32_t *labels,
                        const double *log_prob) {
  if (glow_model_condition_size(p->model) > 0)
    return;
  for (int64_t n = 0; n < p->count; n++) {
    double alone = NAN;
    PROMISE(glow_workspace_log_prob(p->workspace, x + n * p->dims, labels ? labels + n : NULL, 1,
                                    &alone) == GLOW_OK);
    PROMISE(memcmp(&alone, &log_prob[n], sizeof alone) == 0);
  }
}

void api_log_prob(api *a) {
  pass p;
  if (!start(a, &p))
    return;
  const float *x = api_floats(a, p.count * p.dims);
  const int32_t *labels = api_labels(a, p.model, p.count);
  double *out = api_rarely(a, 64) ? NULL : api_room_real(a, p.count);
  glow_status status = CALL(a, glow_workspace_log_prob(p.workspace, x, labels, p.count, out));
  check_told(&p, status, NULL, 0, NULL, 0, out);
  p.slot->ran = 0;
  if (status == GLOW_OK && out && a->memory.fail_at == 0)
    check_alone(&p, x, labels, out);
}

void api_classify(api *a) {
  pass p;
  if (!start(a, &p))
    return;
  const float *x = api_floats(a, p.count * p.dims);
  int64_t classes = glow_model_logit_count(p.model);
  const int32_t *labels = api_labels(a, p.model, p.count);
  float *logits = api_room(a, p.count * (p.count > 0 ? classes : 0));
  uint8_t form = api_byte(a);
  glow_status status =
      form % 2
          ? CALL(a, glow_workspace_classify_latents(
                        p.workspace, x, form % 4 == 3 ? GLOW_LATENTS_WHITENED : GLOW_LATENTS_RAW,
                        labels, p.count, logits))
          : CALL(a, glow_workspace_classify(p.workspace, x, labels, p.count, logits));
  check_told(&p, status, NULL, 0, logits, classes, NULL);
  PROMISE(status != GLOW_OK || (glow_workspace_logits(p.workspace) != NULL && classes > 0));
  p.slot->ran = 0;
}

/* ---- inverse --------------------------------------------------------------------------------- */

void api_inverse(api *a) {
  pass p;
  glow_inverse_options o = GLOW_INVERSE_OPTIONS_INIT;
  if (!start(a, &p))
    return;
  const float *latents = api_floats(a, p.count * p.dims);
  uint8_t form = api_byte(a);
  int64_t failed = 0;
  float *x = api_room(a, p.count * p.dims);
  o.labels = api_labels(a, p.model, p.count);
  o.logdet = form & 1 ? NULL : api_room_real(a, p.count);
  o.form = form & 2 ? GLOW_LATENTS_WHITENED : form > 250 ? -1 : 0;
  o.store = form > 252;
  o.statuses =
      form & 4 ? api_scratch(a, sizeof(int32_t) * (size_t)(p.count > 0 ? p.count : 0)) : NULL;
  o.failed = &failed;
  glow_status status =
      CALL(a, glow_workspace_inverse(p.workspace, latents, p.count, form == 255 ? NULL : &o, x));
  if (form != 255 && o.logdet)
    check_told(&p, status, o.statuses, failed, x, p.dims, o.logdet);
  else if (status == GLOW_OK && !o.statuses)
    PROMISE(api_all_finite(x, p.count * p.dims));
  p.slot->ran = 0;
}

void api_sample(api *a) {
  static const double temperatures[] = {1.0, 0.7, 0.0, -1.0, NAN, INFINITY, 1e30, 1e-300};
  pass p;
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  if (!start(a, &p))
    return;
  float *x = api_room(a, p.count * p.dims);
  uint8_t form = api_byte(a);
  int32_t blocks = glow_model_latent_block_count(p.model);
  double *each = api_room_real(a, blocks + (p.count > 0 ? p.count : 0));
  int64_t failed = 0;
  for (int64_t i = 0; i < blocks + (p.count > 0 ? p.count : 0); i++)
    each[i] = temperatures[i == blocks ? form >> 5 : 1];
  o.temperature = temperatures[api_byte(a) % 8];
  o.per_latent = form & 1 ? each : NULL;
  o.per_sample = form & 2 ? each + blocks : NULL;
  o.statuses =
      form & 4 ? api_scratch(a, sizeof(int32_t) * (size_t)(p.count > 0 ? p.count : 0)) : NULL;
  o.failed = &failed;
  o.first = form & 8 ? UINT64_MAX - 1 : 0;
  o.labels = api_labels(a, p.model, p.count);
  glow_status status =
      CALL(a, glow_workspace_sample(p.workspace, p.count, form == 255 ? NULL : &o, x));
  if (form != 255)
    check_told(&p, status, o.statuses, failed, x, p.dims, NULL);
  p.slot->ran = 0;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Weights of 1, with one that is odd if the byte says so. */
static double *weights(api *a, int64_t count, uint8_t form) {
  static const double odd[] = {0.0, -1.0, 1e300, NAN, INFINITY, 1e-300};
  double *w = api_room_real(a, count);
  for (int64_t n = 0; n < count; n++)
    w[n] = 1.0;
  if (form > 200 && count > 0)
    w[form % count] = odd[form % 6];
  return w;
}

void api_backward(api *a) {
  pass p;
  glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
  if (!start(a, &p))
    return;
  uint8_t form = api_byte(a);
  int64_t count = p.slot->ran > 0 ? p.slot->ran : MOST_COUNT;
  int64_t dims = glow_model_dims(p.model), classes = glow_model_logit_count(p.model);
  int64_t condition = glow_model_condition_size(p.model);
  o.weight = form & 1 ? NULL : weights(a, count, api_byte(a));
  o.weight_logdet = form & 2 ? weights(a, count, api_byte(a)) : NULL;
  o.d_latents = form & 4 ? api_floats(a, count * dims) : NULL;
  o.dx = form & 8 ? NULL : api_room(a, count * dims);
  o.d_condition = form & 16 || !condition ? NULL : api_room(a, count * condition);
  o.d_logits = form & 32 && classes ? api_floats(a, count * classes) : NULL;
  /* after a drift the gradients must not be used */
  CALL_CHANGES(a, glow_workspace_backward(p.workspace, form == 255 ? NULL : &o));
  p.slot->ran = 0;
}

void api_gradients(api *a) {
  pass p;
  if (!start(a, &p))
    return;
  uint8_t form = api_byte(a);
  glow_model *model = a->slots[API_MODEL][form == 255 ? 0 : p.slot->model].object;
  if (form % 3 == 0)
    CALL(a, glow_workspace_zero_gradients(p.workspace));
  else if (form % 3 == 1)
    CALL(a, glow_workspace_update_statistics(p.workspace, model));
  else if (glow_workspace_gradients(p.workspace) && glow_model_parameter_count(p.model) > 0)
    glow_workspace_gradients(p.workspace)[0] = form > 128 ? NAN : 1.0f;
  p.slot->ran = 0;
}

void api_diagnose(api *a) {
  pass p;
  glow_workspace_info info = GLOW_WORKSPACE_INFO_INIT;
  if (!start(a, &p))
    return;
  const float *x = api_floats(a, p.count * p.dims);
  const char *layer = NULL;
  const int32_t *labels = api_labels(a, p.model, p.count);
  glow_status status =
      CALL(a, glow_workspace_find_nonfinite(p.workspace, x, labels, p.count, &layer));
  PROMISE(status != GLOW_OK || !layer || *layer);
  PROMISE(status != GLOW_OK || layer || api_all_finite(x, p.count * p.dims));
  if (api_rarely(a, 8))
    info.struct_size = 3;
  if (CALL(a, glow_workspace_get_info(p.workspace, &info)) == GLOW_OK)
    PROMISE(info.bytes == glow_workspace_bytes(p.workspace) && info.largest_drift >= info.drift);
  p.slot->ran = 0;
}
