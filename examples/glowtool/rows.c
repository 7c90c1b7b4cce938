/* Passes over rows, of which some may not be finite. The library refuses a batch with such a row,
 * so such rows are found before the call, and zeros stand in for them. A row's results do not
 * depend on the other rows of its batch. SPDX-License-Identifier: MIT */
#include "rows.h"

#include <math.h>
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
  p->bad = calloc((size_t)batch, sizeof *p->bad);
  if (p->bad)
    return TOOL_FINE;
  complain("out of memory for batches of %lld samples", (long long)batch);
  return TOOL_FAILED;
}

void rows_close(row_pass *p) {
  free(p->bad);
  p->bad = NULL;
}

static bool is_finite(const float *x, int64_t dims) {
  for (int64_t d = 0; d < dims; d++)
    if (!isfinite(x[d]))
      return false;
  return true;
}

/* Marks the rows of an input that are not finite, and puts zeros in their place. */
static void screen(row_pass *p, float *x, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    p->bad[i] = !is_finite(x + i * p->dims, p->dims);
    if (p->bad[i])
      memset(x + i * p->dims, 0, (size_t)p->dims * sizeof *x);
  }
}

static void mark_floats(row_pass *p, const float *x, int64_t count) {
  for (int64_t i = 0; i < count && x; i++)
    p->bad[i] |= !is_finite(x + i * p->dims, p->dims);
}

static void mark_doubles(row_pass *p, const double *values, int64_t count) {
  for (int64_t i = 0; i < count && values; i++)
    p->bad[i] |= !isfinite(values[i]);
}

static void blank_floats(const row_pass *p, float *x, int64_t count) {
  for (int64_t i = 0; i < count && x; i++)
    for (int64_t d = 0; d < p->dims && p->bad[i]; d++)
      x[i * p->dims + d] = NAN;
}

static void blank_doubles(const row_pass *p, double *values, int64_t count) {
  for (int64_t i = 0; i < count && values; i++)
    if (p->bad[i])
      values[i] = NAN;
}

/* Marks what has overflowed in the results, blanks the results of marked rows, and counts. */
static void settle(row_pass *p, int64_t first, int64_t count, float *x, double *logdet,
                   double *log_prob) {
  mark_floats(p, x, count);
  mark_doubles(p, logdet, count);
  mark_doubles(p, log_prob, count);
  blank_floats(p, x, count);
  blank_doubles(p, logdet, count);
  blank_doubles(p, log_prob, count);
  for (int64_t i = 0; i < count; i++)
    tally_row(&p->tally, first + i, p->bad[i]);
}

/* Names the layer of the first row that overflows, when that is the first of all. Does nothing for
 * a model with a classifier, whose logits the caller may still want from the workspace. */
static void name_layer(row_pass *p, int64_t first, const float *x, const int32_t *labels,
                       int64_t count) {
  const char *layer = NULL;
  int64_t i = p->tally.first - first;
  if (!p->tally.bad || i < 0 || i >= count || *p->tally.layer || glow_model_logit_count(p->model) ||
      glow_workspace_find_nonfinite(p->workspace, x + i * p->dims, labels ? labels + i : NULL, 1,
                                    &layer) != GLOW_OK)
    return;
  snprintf(p->tally.layer, sizeof p->tally.layer, "%s", layer ? layer : "");
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

int rows_log_prob(row_pass *p, int64_t first, float *x, const int32_t *labels, int64_t count,
                  double *log_prob) {
  labels = labels_of(p, labels);
  int code = check_labels(p, first, labels, count, false);
  if (code != TOOL_FINE)
    return code;
  screen(p, x, count);
  glow_status status = glow_workspace_log_prob(p->workspace, x, labels, count, log_prob);
  if (status != GLOW_OK)
    return complain_status(status, "scoring");
  settle(p, first, count, NULL, NULL, log_prob);
  name_layer(p, first, x, labels, count);
  return TOOL_FINE;
}

int rows_forward(row_pass *p, int64_t first, float *x, const int32_t *labels, int64_t count,
                 int32_t form, float *latents, double *logdet, double *log_prob) {
  labels = labels_of(p, labels);
  int code = check_labels(p, first, labels, count, latents && form == GLOW_LATENTS_WHITENED);
  if (code != TOOL_FINE)
    return code;
  screen(p, x, count);
  glow_status status =
      glow_workspace_forward(p->workspace, x, count,
                             &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                     .labels = labels,
                                                     .form = form,
                                                     .latents = latents,
                                                     .logdet = logdet,
                                                     .log_prob = log_prob});
  if (status != GLOW_OK)
    return complain_status(status, "encoding");
  settle(p, first, count, latents, logdet, log_prob);
  name_layer(p, first, x, labels, count);
  return TOOL_FINE;
}

int rows_inverse(row_pass *p, int64_t first, float *latents, int32_t form, const int32_t *labels,
                 int64_t count, float *x, double *logdet) {
  labels = labels_of(p, labels);
  int code = check_labels(p, first, labels, count, form == GLOW_LATENTS_WHITENED);
  if (code != TOOL_FINE)
    return code;
  screen(p, latents, count);
  glow_status status =
      glow_workspace_inverse(p->workspace, latents, count,
                             &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options),
                                                     .labels = labels,
                                                     .form = form,
                                                     .logdet = logdet},
                             x);
  if (status != GLOW_OK)
    return complain_status(status, "decoding");
  settle(p, first, count, x, logdet, NULL);
  return TOOL_FINE;
}

int rows_sample(row_pass *p, int64_t first, const glow_sample_options *options,
                const int32_t *labels, int64_t count, float *x) {
  glow_sample_options o = *options;
  o.labels = labels_of(p, labels);
  glow_status status = glow_workspace_sample(p->workspace, count, &o, x);
  if (status != GLOW_OK)
    return complain_status(status, "sampling");
  memset(p->bad, 0, (size_t)count * sizeof *p->bad);
  settle(p, first, count, x, NULL, NULL);
  return TOOL_FINE;
}
