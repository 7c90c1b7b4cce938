/* Encoding and decoding in batches of the workspace's size. SPDX-License-Identifier: MIT */
#include "latents.h"

#include <stdlib.h>

static int64_t batch_at(const opened_model *m, int64_t first, int64_t count) {
  return count - first < m->batch ? count - first : m->batch;
}

/* A pass, and room for batches; *tally goes on. */
static int start(const opened_model *m, row_pass *p, const row_tally *tally) {
  int code = rows_open(p, m->workspace, m->model, m->batch);
  p->tally = *tally;
  return code;
}

static void end(row_pass *p, row_tally *tally) {
  *tally = p->tally;
  rows_close(p);
}

int encode_images(const opened_model *m, const sample_set *set, int64_t count, uint64_t seed,
                  int32_t form, float *latents, row_tally *tally) {
  row_pass pass;
  sample_batch b;
  int64_t dims = glow_model_dims(m->model);
  int code = start(m, &pass, tally);
  if (code == TOOL_FINE)
    code = sample_batch_open(&b, m->model, set, m->batch);
  for (int64_t first = 0; first < count && code == TOOL_FINE; first += m->batch) {
    int64_t n = batch_at(m, first, count);
    code = sample_batch_read(&b, m->workspace, first, n, seed, (uint64_t)first * (uint64_t)dims);
    if (code == TOOL_FINE)
      code = rows_forward(&pass, first, b.x, b.labels, n, form, latents + first * dims, NULL, NULL);
  }
  if (pass.statuses)
    sample_batch_close(&b, m->workspace);
  end(&pass, tally);
  return code;
}

int decode_latents(const opened_model *m, float *latents, int32_t form, const int32_t *labels,
                   int64_t count, int64_t number, uint8_t *pixels, row_tally *tally) {
  row_pass pass;
  int64_t dims = glow_model_dims(m->model);
  float *x = malloc((size_t)m->batch * (size_t)dims * sizeof *x);
  int code = start(m, &pass, tally);
  if (code == TOOL_FINE && !x) {
    complain("out of memory for batches of %lld images", (long long)m->batch);
    code = TOOL_FAILED;
  }
  for (int64_t first = 0; first < count && code == TOOL_FINE; first += m->batch) {
    int64_t n = batch_at(m, first, count);
    code = rows_inverse(&pass, number + first, latents + first * dims, form,
                        labels ? labels + first : NULL, n, x, NULL);
    glow_status status =
        code == TOOL_FINE ? glow_model_quantise(m->model, x, n, pixels + first * dims) : GLOW_OK;
    if (status != GLOW_OK)
      code = complain_status(status, "decoding");
  }
  end(&pass, tally);
  free(x);
  return code;
}
