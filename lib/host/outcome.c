/* What becomes of each sample of a pass: one whose input or result is not finite, or that a layer
 * has no inverse of, spoils no other; its own results are NaN throughout. docs/conventions.md,
 * "Numbers that are not finite". Samples do not mix in layers, so nothing else is needed than to
 * find such samples. SPDX-License-Identifier: MIT */
#include "host/outcome.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static long long row_of(const glow_workspace *ws, int64_t n) {
  return (long long)(ws->base + ws->first + n);
}

/* Marks sample n; layer and text are kept if there are none of an earlier row. */
GLOW_PRINTF(4, 5)
static void fail(glow_workspace *ws, int64_t n, const char *layer, const char *format, ...) {
  glow__failure own = {.sample = row_of(ws, n), .layer = layer};
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(own.text, sizeof own.text, format, arguments);
  va_end(arguments);
  ws->statuses[n] = GLOW_E_NUMERIC;
  glow__failure_note(&ws->failure, &own);
}

/* The first element that is not finite; count: none. */
static int64_t first_wrong(const float *x, int64_t count) {
  int64_t i = 0;
  while (i < count && isfinite(x[i]))
    i++;
  return i;
}

bool glow__finite_floats(const float *x, int64_t count) {
  return first_wrong(x, count) == count;
}

void glow__outcome_begin(glow_workspace *ws) {
  ws->samples = 0;
  ws->first = 0;
  ws->failed = 0;
  ws->failure = (glow__failure){.failed = false};
}

static void screen_row(glow_workspace *ws, int64_t n, const char *what, const float *x,
                       int64_t size) {
  int64_t i = first_wrong(x, size);
  if (i < size)
    fail(ws, n, NULL, "%s: element %lld of sample %lld is not finite", what, (long long)i,
         row_of(ws, n));
}

void glow__outcome_screen(glow_workspace *ws, const char *what, const float *x, int64_t samples) {
  int64_t dims = ws->model->dims, size = ws->model->condition_size;
  bool conditions = size && ws->condition_count != 1; /* one for all was checked before */
  for (int64_t n = 0; n < samples; n++) {
    ws->statuses[n] = GLOW_OK;
    if (x)
      screen_row(ws, n, what, x + n * dims, dims);
    if (conditions)
      screen_row(ws, n, "condition", ws->condition + (ws->first + n) * size, size);
  }
}

int64_t glow__outcome_mark(glow_workspace *ws, int64_t samples, const float *vectors, int64_t size,
                           const double *logdet, const double *logprior) {
  int64_t first = -1;
  for (int64_t n = 0; n < samples; n++) {
    double sum = logdet[n] + (logprior ? logprior[n] : 0.0); /* is not finite if a part is not */
    if (ws->statuses[n] != GLOW_OK ||
        (isfinite(sum) && (!vectors || glow__finite_floats(vectors + n * size, size))))
      continue;
    ws->statuses[n] = GLOW_E_NUMERIC;
    if (first < 0)
      first = n;
  }
  bool earlier = ws->failure.failed && ws->failure.sample < row_of(ws, first);
  return first >= 0 && !earlier ? first : -1;
}

void glow__outcome_blame(glow_workspace *ws, int64_t n, const char *layer) {
  if (layer)
    fail(ws, n, layer, "layer '%s': what it gives for sample %lld is not finite", layer,
         row_of(ws, n));
  else
    fail(ws, n, NULL, "the result of sample %lld is not finite", row_of(ws, n));
}

void glow__outcome_blank(const glow_workspace *ws, int64_t samples, float *values, int64_t size) {
  for (int64_t n = 0; n < samples && values; n++)
    for (int64_t i = 0; i < size && ws->statuses[n] != GLOW_OK; i++)
      values[n * size + i] = NAN;
}

void glow__outcome_blank_doubles(const glow_workspace *ws, int64_t samples, double *values) {
  for (int64_t n = 0; n < samples && values; n++)
    if (ws->statuses[n] != GLOW_OK)
      values[n] = NAN;
}

void glow__outcome_hand_out(glow_workspace *ws, int64_t samples, int32_t *statuses) {
  for (int64_t n = 0; n < samples; n++) {
    ws->failed += ws->statuses[n] != GLOW_OK;
    if (statuses)
      statuses[n] = ws->statuses[n];
  }
}

glow_status glow__outcome_refuse(const glow_workspace *ws) {
  return ws->failure.failed ? glow_error(GLOW_E_NUMERIC, "%s", ws->failure.text) : GLOW_OK;
}

glow_status glow__outcome_stop(glow_workspace *ws, glow_status status) {
  ws->first = 0;
  return status;
}

glow_status glow__outcome_end(glow_workspace *ws, int64_t count, const int32_t *statuses,
                              int64_t *failed, const char **layer) {
  ws->first = 0;
  if (layer)
    *layer = ws->failure.layer;
  if (failed)
    *failed = ws->failed;
  if (!ws->failed || statuses)
    return GLOW_OK;
  return glow_error(GLOW_E_NUMERIC,
                    "%s; %lld of %lld samples have no finite result: `statuses` in the options "
                    "tells which, and the others' results are there",
                    ws->failure.text, (long long)ws->failed, (long long)count);
}
