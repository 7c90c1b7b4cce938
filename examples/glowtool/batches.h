/* Samples and latents that commands work through piece by piece, so that they may be larger than
 * memory. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_BATCHES_H
#define GLOWTOOL_BATCHES_H

#include "common.h"
#include "sample_source.h"

typedef struct batch_reader {
  const opened_model *model;
  sample_set set;
  int64_t count;
  uint64_t seed; /* of the noise inside the bins of pixels */
  sample_batch batch;
} batch_reader;

/* Opens --data: samples of the model's shape, at most `limit`, 0: all. batches_close is due in any
 * case. Returns an exit code, as all here do. */
int batches_open(batch_reader *r, const opened_model *m, const char *model_path,
                 const sample_source *source, int64_t limit, uint64_t shapes_seed, uint64_t seed);
/* The same for latents: rows of as many latents as the model has, from the tensor `latents` where
 * there are tensors. *form: what a safetensors file's metadata say, 0 if nothing. */
int batches_open_latents(batch_reader *r, const opened_model *m, const sample_source *source,
                         int64_t limit, int32_t *form);
/* Samples [first, first + count), at most a batch, to r->batch. */
int batches_read(batch_reader *r, int64_t first, int64_t count);
void batches_close(batch_reader *r);

/* "raw" or "whitened", the value of the metadata key GLOWTOOL_FORM. */
#define GLOWTOOL_FORM "glowtool.latents"
const char *latent_form_name(int32_t form);

#endif
