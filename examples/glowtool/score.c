/* bits/dim = (-log p(x) / dims + log 2^bits) / log 2, of images x with uniform noise inside their
 * bins: an upper bound on the code length of the pixels (Theis et al. 2016).
 * SPDX-License-Identifier: MIT */
#include "score.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "stop.h"

/* ---- scoring --------------------------------------------------------------------------------- */

typedef struct scoring {
  row_pass pass;
  const glow_model *model;
  int64_t count;
  uint64_t seed;
  sample_batch batch;
  double *log_prob; /* [batch] */
  int64_t right;    /* draws that the classifier gets right */
  int64_t labelled; /* draws of samples that have a label */
} scoring;

/* Counts the last pass. Samples that are not finite count as wrong. */
static void count_right(scoring *s, int64_t count) {
  const float *logits = glow_workspace_logits(s->pass.workspace);
  const int32_t *labels = s->batch.labels;
  int64_t classes = glow_model_logit_count(s->model);
  for (int64_t i = 0; logits && labels && i < count; i++, logits += classes) {
    int64_t best = 0;
    s->labelled += labels[i] >= 0;
    if (rows_bad(&s->pass, i))
      continue;
    for (int64_t k = 1; k < classes; k++)
      if (logits[k] > logits[best])
        best = k;
    s->right += best == labels[i];
  }
}

/* Adds one draw of images [first, first + count) to bits[count]. */
static int score_batch(scoring *s, int64_t draw, int64_t first, int64_t count, double *bits) {
  sample_batch *b = &s->batch;
  uint64_t position = (uint64_t)(draw * s->count + first) * (uint64_t)b->dims;
  int code = sample_batch_read(b, s->pass.workspace, first, count, s->seed, position);
  if (code == TOOL_FINE)
    code = rows_log_prob(&s->pass, first, b->x, b->labels, count, s->log_prob);
  if (code != TOOL_FINE)
    return code;
  count_right(s, count);
  for (int64_t i = 0; i < count; i++)
    bits[i] += glow_model_bits_per_dim(s->model, s->log_prob[i]);
  return TOOL_FINE;
}

/* Over the images that are finite. */
static void summarise(const double *bits, int64_t count, score_summary *out) {
  double sum = 0.0, squares = 0.0;
  memset(out, 0, sizeof *out);
  for (int64_t i = 0; i < count; i++) {
    tally_row(&out->tally, i, !isfinite(bits[i]));
    sum += isfinite(bits[i]) ? bits[i] : 0.0;
  }
  int64_t good = out->images = count - out->tally.bad;
  out->mean = good ? sum / (double)good : (double)NAN;
  for (int64_t i = 0; i < count; i++)
    squares += isfinite(bits[i]) ? (bits[i] - out->mean) * (bits[i] - out->mean) : 0.0;
  out->error = good > 1 ? sqrt(squares / (double)(good - 1) / (double)good) : 0.0;
}

/* Images [first, end), to bits; *next: the first that a signal has left out. */
static int score_part(scoring *s, int64_t batch, int64_t draws, int64_t first, int64_t end,
                      double *bits, int64_t *next) {
  for (; first < end && !stop_wanted(); first += batch) {
    int64_t count = end - first < batch ? end - first : batch;
    for (int64_t draw = 0; draw < draws; draw++) {
      int code = score_batch(s, draw, first, count, bits + first);
      if (code != TOOL_FINE)
        return code;
    }
    for (int64_t i = 0; i < count; i++)
      bits[first + i] /= (double)draws;
  }
  *next = first < end ? first : end;
  return TOOL_FINE;
}

/* Each rank has zeros in the place of the others' images, so that sums are not rounded. */
static int join_ranks(scoring *s, ranks *r, double *bits, int code) {
  double counts[2] = {(double)s->right, (double)s->labelled};
  code = ranks_agree(r, code);
  if (code != TOOL_FINE || ranks_stop(r))
    return code;
  code = ranks_sum(r, bits, s->count);
  if (code == TOOL_FINE)
    code = ranks_sum(r, counts, 2);
  s->right = (int64_t)counts[0];
  s->labelled = (int64_t)counts[1];
  return code;
}

static int score_all(scoring *s, int64_t batch, int64_t draws, double *bits, ranks *r,
                     score_summary *out) {
  const bool several = r && ranks_several(r);
  int64_t next = 0;
  int code = score_part(s, batch, draws, several ? ranks_part(r, s->count) : 0,
                        several ? ranks_part_end(r, s->count) : s->count, bits, &next);
  if (several)
    code = join_ranks(s, r, bits, code);
  if (code != TOOL_FINE)
    return code;
  summarise(bits, several ? s->count : next, out);
  memcpy(out->tally.layer, s->pass.tally.layer, sizeof out->tally.layer);
  out->accuracy = s->labelled ? (double)s->right / (double)s->labelled : (double)NAN;
  return TOOL_FINE;
}

int score_images(glow_workspace *workspace, const glow_model *model, int64_t batch,
                 const sample_set *set, int64_t count, int64_t draws, uint64_t seed,
                 double *per_image, ranks *r, score_summary *out) {
  scoring s = {.model = model, .count = count, .seed = seed};
  double *bits = calloc((size_t)count, sizeof *bits);
  s.log_prob = malloc((size_t)batch * sizeof *s.log_prob);
  int code = rows_open(&s.pass, workspace, model, batch);
  if (code == TOOL_FINE)
    code = sample_batch_open(&s.batch, model, set, batch);
  if (code == TOOL_FINE && !(bits && s.log_prob)) {
    complain("out of memory for scoring");
    code = TOOL_FAILED;
  }
  if (code == TOOL_FINE)
    code = score_all(&s, batch, draws, bits, r, out);
  if (code == TOOL_FINE && per_image)
    memcpy(per_image, bits, (size_t)count * sizeof *bits);
  rows_close(&s.pass);
  sample_batch_close(&s.batch, workspace);
  free(bits);
  free(s.log_prob);
  return code;
}

/* ---- for each image -------------------------------------------------------------------------- */

void csv_score_line(FILE *file, const char *kind, const sample_set *set, int64_t index,
                    double bits) {
  char name[PATH_MAX], quoted[2 * PATH_MAX + 3], *at = quoted;
  csv_put(&at, quoted + sizeof quoted - 1, data_name(set, index, name, sizeof name));
  if (kind)
    fprintf(file, "%s,", kind);
  fprintf(file, "%lld,%.9g,%s\n", (long long)index, bits, quoted);
}
