/* Batches in safetensors files, read and written piece by piece, so that they may be larger than
 * memory: `x` [N, H, W, C] float32 or uint8, `y` [N] int32, `latents` [N, D], `log_prob`,
 * `bits_per_dim` and `logdet` [N] float64. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_BATCHES_H
#define GLOWTOOL_BATCHES_H

#include "common.h"
#include "score.h"

/* Samples from one tensor of a file, or from images. */
typedef struct batch_reader {
  const opened_model *model;
  int64_t count, dims;
  uint64_t seed;          /* of the noise inside the bins of uint8 pixels */
  glow_tensor_file *file; /* NULL: images */
  image_set images;
  int64_t samples, labels; /* numbers of the tensors; labels -1: there are none */
  bool bytes, wide;        /* samples are uint8; labels are int64 */
  void *raw;               /* room for a batch of bytes, or of wide labels */
  float *x;                /* [batch, dims]: the batch that was read */
  int32_t *y;              /* [batch], NULL without labels */
} batch_reader;

/* Opens --data: one path that ends in .safetensors, or images. Checks shapes, types, and that there
 * are labels when the model needs them. limit 0: all. batches_close is due in any case. Returns an
 * exit code, as all here do. */
int batches_open(batch_reader *r, const opened_model *m, const image_source *source, uint64_t seed);
/* The same for the tensor `latents` of a file. *form: what its metadata say, 0 if nothing. */
int batches_open_latents(batch_reader *r, const opened_model *m, const char *path, int64_t limit,
                         int32_t *form);
/* Samples [first, first + count), at most a batch, to r->x and r->y. */
int batches_read(batch_reader *r, int64_t first, int64_t count);
void batches_close(batch_reader *r);

/* A description for glow_tensor_writer_create; dims end with -1. */
glow_file_tensor batch_tensor(const char *name, int32_t type, const int64_t *dims);
/* "raw" or "whitened", the value of the metadata key GLOWTOOL_FORM. */
#define GLOWTOOL_FORM "glowtool.latents"
const char *latent_form_name(int32_t form);
bool is_tensor_path(const char *path);

#endif
