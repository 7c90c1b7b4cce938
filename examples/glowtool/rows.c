/* Passes row by row: what the library says of each is counted, and the first named.
 * SPDX-License-Identifier: MIT */
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- counting -------------------------------------------------------------------------------- */

void tally_row(row_tally *t, int64_t number, bool bad) {
  t->rows++;
  if (bad && !t->bad++)
    t->first = number;
}

int tally_tell(const row_tally *t, const char *what, const char *advice, bool strict) {
  char layer[192] = "";
  if (!t->bad)
    return TOOL_FINE;
  if (*t->layer)
    snprintf(layer, sizeof layer, ", which overflows at layer '%s'", t->layer);
  mention("warning: %lld of %lld %s %s not finite (the first is number %lld%s)%s%s",
          (long long)t->bad, (long long)t->rows, what, t->bad == 1 ? "is" : "are",
          (long long)t->first, layer, advice ? "; " : "", advice ? advice : "");
  return strict ? TOOL_FAILED : TOOL_FINE;
}

/* ---- one batch ------------------------------------------------------------------------------- */

int rows_open(row_pass *p, glow_workspace *workspace, const glow_model *model, int64_t batch) {
  memset(p, 0, sizeof *p);
  p->workspace = workspace;
  p->model = model;
  p->dims = glow_model_dims(model);
  p->statuses = calloc((size_t)batch, sizeof *p->statuses);
  if (p->statuses)
    return TOOL_FINE;
  complain("out of memory for batches of %lld samples", (long long)batch);
  return TOOL_FAILED;
}

void rows_close(row_pass *p) {
  free(p->statuses);
  p->statuses = NULL;
}

bool rows_bad(const row_pass *p, int64_t i) {
  return p->statuses[i] != GLOW_OK;
}

/* Counts the rows of a pass; layer: of the first of them that is not finite. */
static void settle(row_pass *p, int64_t first, int64_t count, const char *layer) {
  bool none = !p->tally.bad;
  for (int64_t i = 0; i < count; i++)
    tally_row(&p->tally, first + i, rows_bad(p, i));
  if (none && layer)
    snprintf(p->tally.layer, sizeof p->tally.layer, "%s", layer);
}

/* Finding the layer costs a second pass, and only that of the first row of all is told. */
static const char **wanted_layer(const row_pass *p, const char **layer) {
  return p->tally.bad ? NULL : layer;
}

/* The library knows the place in the batch alone. */
static int check_labels(const row_pass *p, int64_t first, const int32_t *labels, int64_t count,
                        bool whitened) {
  int32_t classes = glow_model_class_count(p->model);
  for (int64_t i = 0; i < count && labels; i++) {
    if (labels[i] == INT32_MAX) /* labels that do not fit 32 bits have become INT32_MAX */
      return complain("the label of sample %lld is too large; the model's classes are 0 to %d",
                      (long long)(first + i), (int)classes - 1);
    if (labels[i] < -1 || labels[i] >= classes)
      return complain("sample %lld has label %d; the model's classes are 0 to %d",
                      (long long)(first + i), (int)labels[i], (int)classes - 1);
    if (labels[i] == -1 && whitened)
      return complain(
          "sample %lld has label -1, no class, but whitened latents are those of a class",
          (long long)(first + i));
  }
  return TOOL_FINE;
}

static const int32_t *labels_of(const row_pass *p, const int32_t *labels) {
  return glow_model_class_count(p->model) ? labels : NULL;
}

/* ---- passes ---------------------------------------------------------------------------------- */

static int run_forward(row_pass *p, int64_t first, const float *x, int64_t count,
                       const glow_forward_options *options, const char *what) {
  glow_forward_options o = *options;
  int code = check_labels(p, first, o.labels, count, o.latents && o.form == GLOW_LATENTS_WHITENED);
  if (code != TOOL_FINE)
    return code;
  const char *layer = NULL;
  o.statuses = p->statuses;
  o.layer = wanted_layer(p, &layer);
  glow_status status = glow_workspace_forward(p->workspace, x, count, &o);
  if (status != GLOW_OK)
    return complain_status(status, what);
  settle(p, first, count, layer);
  return TOOL_FINE;
}

int rows_log_prob(row_pass *p, int64_t first, const float *x, const int32_t *labels, int64_t count,
                  double *log_prob) {
  glow_forward_options o = GLOW_FORWARD_OPTIONS_INIT;
  o.labels = labels_of(p, labels);
  o.log_prob = log_prob;
  o.evaluate = 1;
  return run_forward(p, first, x, count, &o, "scoring");
}

int rows_forward(row_pass *p, int64_t first, const float *x, const int32_t *labels, int64_t count,
                 int32_t form, float *latents, double *logdet, double *log_prob) {
  glow_forward_options o = GLOW_FORWARD_OPTIONS_INIT;
  o.labels = labels_of(p, labels);
  o.form = form;
  o.latents = latents;
  o.logdet = logdet;
  o.log_prob = log_prob;
  return run_forward(p, first, x, count, &o, "encoding");
}

int rows_inverse(row_pass *p, int64_t first, const float *latents, int32_t form,
                 const int32_t *labels, int64_t count, float *x, double *logdet) {
  glow_inverse_options o = GLOW_INVERSE_OPTIONS_INIT;
  const char *layer = NULL;
  o.labels = labels_of(p, labels);
  o.form = form;
  o.logdet = logdet;
  o.statuses = p->statuses;
  o.layer = wanted_layer(p, &layer);
  int code = check_labels(p, first, o.labels, count, form == GLOW_LATENTS_WHITENED);
  if (code != TOOL_FINE)
    return code;
  glow_status status = glow_workspace_inverse(p->workspace, latents, count, &o, x);
  if (status != GLOW_OK)
    return complain_status(status, "decoding");
  settle(p, first, count, layer);
  return TOOL_FINE;
}

int rows_sample(row_pass *p, int64_t first, const glow_sample_options *options,
                const int32_t *labels, int64_t count, float *x) {
  glow_sample_options o = *options;
  const char *layer = NULL;
  o.labels = labels_of(p, labels);
  o.statuses = p->statuses;
  o.layer = wanted_layer(p, &layer);
  glow_status status = glow_workspace_sample(p->workspace, count, &o, x);
  if (status != GLOW_OK)
    return complain_status(status, "sampling");
  settle(p, first, count, layer);
  return TOOL_FINE;
}
