/* glowtool decode: latents back to samples. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batches.h"
#include "files.h"
#include "options_rows.h"
#include "sample_file.h"

enum { FORM_OF_FILE = 0 };
static const option_choice forms[] = {{"auto", FORM_OF_FILE},
                                      {"raw", GLOW_LATENTS_RAW},
                                      {"whitened", GLOW_LATENTS_WHITENED},
                                      {NULL, 0}};

typedef struct decode_settings {
  const char *model, *data, *out, *kernels;
  int64_t count, form, type, batch, threads, products;
} decode_settings;

#define FIELD(name) offsetof(decode_settings, name)

static const option_row rows[] = {
    TEXT("data", "FILE", data, NULL, "safetensors file with latents [N, D] float32, and y [N]"),
    CHOICE("form", form, "auto", forms,
           "raw, whitened, or what encode has written down in the file"),
    INT("images", count, "0", 0, 1e12, "take the first N; 0: all"),
    CHOICE("type", type, "auto", sample_types,
           "of x: uint8 pixels or float32; auto: pixels where the model has them"),
    TEXT("out", "FILE", out, "samples.safetensors", "file to write"),
    INT("batch", batch, "16", 1, 65536, "samples passed at a time"),
    MACHINE_ROWS,
    {.kind = OPTION_END},
};

static const option_table table = {
    .command = "decode",
    .usage = "MODEL --data FILE [options]",
    .about =
        "Takes latents back to samples. Writes x [N, H, W, C], and logdet [N] float64, that of "
        "the inverse. Files may be larger than memory.",
    .rows = rows,
    .settings_size = sizeof(decode_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

static int decode_batch(const opened_model *m, batch_reader *r, int32_t form, int64_t first,
                        int64_t count, float *x, double *logdet, sample_file *file) {
  int code = batches_read(r, first, count);
  if (code != TOOL_FINE)
    return code;
  const int32_t *labels = glow_model_class_count(m->model) ? r->y : NULL;
  glow_status status =
      glow_workspace_inverse(m->workspace, r->x, count,
                             &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options),
                                                     .labels = labels,
                                                     .form = form,
                                                     .logdet = logdet},
                             x);
  if (status != GLOW_OK)
    return complain_status(status, "decoding");
  return sample_file_append(file, x, r->y, logdet, count);
}

static int decode_all(const decode_settings *s, const opened_model *m, batch_reader *r,
                      int32_t form, sample_file *file) {
  float *x = malloc((size_t)m->batch * (size_t)r->dims * sizeof *x);
  double *logdet = malloc((size_t)m->batch * sizeof *logdet);
  int code = TOOL_FAILED;
  if (x && logdet)
    code = sample_file_open(file, m, s->out, r->count, s->type, r->y != NULL, true);
  else
    complain("out of memory for batches of %lld samples", (long long)m->batch);
  for (int64_t first = 0; first < r->count && code == TOOL_FINE; first += m->batch) {
    int64_t count = r->count - first < m->batch ? r->count - first : m->batch;
    code = decode_batch(m, r, form, first, count, x, logdet, file);
  }
  if (code == TOOL_FINE)
    code = sample_file_finish(file);
  free(x);
  free(logdet);
  return code;
}

static int decode(void *settings, opened_model *m) {
  const decode_settings *s = settings;
  batch_reader reader;
  sample_file file = {0};
  int32_t form = 0;
  if (!s->data)
    return complain("--data is missing: a safetensors file with latents");
  int code = file_check_target(s->out);
  if (code == TOOL_FINE)
    code = open_model(m, s->model, s->threads, s->kernels, s->products, s->batch);
  if (code != TOOL_FINE)
    return code;
  code = batches_open_latents(&reader, m, s->data, s->count, &form);
  if (s->form != FORM_OF_FILE)
    form = (int32_t)s->form;
  if (code == TOOL_FINE && !form)
    code = complain("%s does not say whether its latents are raw or whitened: use --form", s->data);
  if (code == TOOL_FINE)
    code = decode_all(s, m, &reader, form, &file);
  if (code == TOOL_FINE)
    printf("%lld samples: %s\n", (long long)reader.count, s->out);
  sample_file_close(&file);
  batches_close(&reader);
  return code;
}

int command_decode(int argc, char **argv) {
  decode_settings settings;
  return run_on_model(argc, argv, &table, &settings, decode);
}
