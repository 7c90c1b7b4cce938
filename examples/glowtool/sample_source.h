/* Samples that a model is to see: opened as it needs them, read in batches.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_SAMPLE_SOURCE_H
#define GLOWTOOL_SAMPLE_SOURCE_H

#include "data.h"
#include "options.h"
#include "tool.h"

extern const option_choice data_class_sources[], data_headers[];

/* What the command line says. Without paths the data are generated shapes, if the format says so.
 */
typedef struct sample_source {
  option_list paths, labels;
  data_options form;
} sample_source;

/* Opens a source, and reports what was left out or converted. Returns an exit code; on failure
 * there is nothing to free. */
int open_samples(const option_list *paths, const option_list *labels, const data_options *form,
                 sample_set *out);
/* Opens samples of exactly the shape that the model reads, at most `limit`, 0: all. */
int open_for_model(const glow_model *model, const char *model_path, const sample_source *source,
                   int64_t limit, uint64_t shapes_seed, sample_set *out);
/* The names of the model's classes, one a line; NULL: not all of them have one. */
const char *model_class_lines(const glow_model *model);
/* -1 where there is none. */
static inline int32_t sample_label(const sample_set *set, int64_t index) {
  return set->labels ? set->labels[index] : -1;
}
/* Are all labels below `classes`? classes 0: nothing to check. */
int check_labels(const sample_set *set, int32_t classes);
/* Keeps the samples of one class; `what` names the set in messages. */
int keep_class(sample_set *set, int64_t label, const char *what);
/* Like data_read, with a message on failure. */
int read_samples(const sample_set *set, int64_t first, int64_t count, void *samples,
                 float *conditions);

/* ---- batches --------------------------------------------------------------------------------- */

/* Room for batches as the model reads them. */
typedef struct sample_batch {
  const glow_model *model;
  const sample_set *set;
  int64_t dims;
  uint8_t *pixels;   /* [batch, dims], NULL where samples are floats */
  float *x;          /* [batch, dims] */
  float *conditions; /* [batch, condition], NULL without */
  int32_t *labels;   /* [batch], NULL where the model has no classes; -1 where there is none */
} sample_batch;

int sample_batch_open(sample_batch *b, const glow_model *model, const sample_set *set,
                      int64_t batch);
/* Samples [first, first + count) to b->x and b->labels, and what they are conditioned on to the
 * workspace. Pixels get noise inside their bins, of this seed from `position` on. */
int sample_batch_read(sample_batch *b, glow_workspace *workspace, int64_t first, int64_t count,
                      uint64_t seed, uint64_t position);
/* The workspace, which may be NULL, is left without conditions. */
void sample_batch_close(sample_batch *b, glow_workspace *workspace);

#endif
