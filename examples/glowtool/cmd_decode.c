/* glowtool decode: latents back to samples. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batches.h"
#include "commands.h"
#include "data_rows.h"
#include "files.h"
#include "rows.h"
#include "sample_file.h"

enum { FORM_OF_FILE = 0 };
static const option_choice forms[] = {{"auto", FORM_OF_FILE},
                                      {"raw", GLOW_LATENTS_RAW},
                                      {"whitened", GLOW_LATENTS_WHITENED},
                                      {NULL, 0}};

typedef struct decode_settings {
  const char *model, *out, *kernels;
  sample_source source;
  int64_t count, form, type, batch, threads, products, max_memory;
  bool strict;
} decode_settings;

#define FIELD(name) offsetof(decode_settings, name)

static const option_row rows[] = {
    LIST("data", source.paths, "latents [N, D]: safetensors with the tensor latents, .npy, or CSV"),
    TEXT("tensor", "NAME", source.form.tensor, NULL,
         "name of the latents in safetensors and .npz files; default: latents"),
    TEXT("data-columns", "NAME,...", source.form.columns, NULL,
         "for a table: the columns of the latents, in order"),
    TEXT("condition", "NAME,...", source.form.condition, NULL,
         "for a table: the columns that the density is conditioned on"),
    TEXT("label-column", "NAME", source.form.label_column, NULL,
         "for a table: the column with the class of each row"),
    TEXT("id-column", "NAME", source.form.id_column, NULL,
         "for a table: the column with the name of each row"),
    LIST("labels", source.labels, "labels of --data"),
    CHOICE("form", form, "auto", forms,
           "form of the latents; auto: as encode has noted it in the file"),
    INT("images", count, "0", 0, 1e12, "take the first N; 0: all"),
    CHOICE("type", type, "auto", sample_types,
           "type of x: uint8 pixels or float32; auto: pixels where the model has them"),
    OUTPUT("out", out, "samples.safetensors", RESULT_ENDINGS, "file to write"),
    STRICT_ROW,
    INT("batch", batch, "16", 1, 65536, "samples that go through the model at a time"),
    MACHINE_ROWS,
    {.kind = OPTION_END},
};

const option_table decode_table = {
    .command = "decode",
    .usage = "MODEL --data FILE [options]",
    .about =
        "Takes latents back to samples. Writes x [N, H, W, C], and logdet [N] float64, that of "
        "the inverse: tensors, a row for each sample (.csv), or x alone (.npy). Files may be "
        "larger than memory. Words after --data are paths up to the next option, so MODEL stands "
        "first.",
    .rows = rows,
    .settings_size = sizeof(decode_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

static int decode_batch(row_pass *p, batch_reader *r, int32_t form, int64_t first, int64_t count,
                        float *x, double *logdet, sample_file *file) {
  int code = batches_read(r, first, count);
  if (code != TOOL_FINE)
    return code;
  code = rows_inverse(p, first, r->batch.x, form, r->batch.labels, count, x, logdet);
  if (code != TOOL_FINE)
    return code;
  const int32_t *labels = r->set.labels ? r->set.labels + first : NULL;
  return sample_file_append(file, x, labels, logdet, count);
}

static int decode_all(const decode_settings *s, const opened_model *m, batch_reader *r,
                      int32_t form, sample_file *file, row_tally *tally) {
  float *x = malloc((size_t)m->batch * (size_t)glow_model_dims(m->model) * sizeof *x);
  double *logdet = malloc((size_t)m->batch * sizeof *logdet);
  row_pass pass;
  int code = rows_open(&pass, m->workspace, m->model, m->batch);
  if (code == TOOL_FINE && x && logdet) {
    code =
        sample_file_open(file, m, s->out, r->count, s->type, r->set.labels != NULL, true, &r->set);
  } else if (code == TOOL_FINE) {
    complain("out of memory for batches of %lld samples", (long long)m->batch);
    code = TOOL_FAILED;
  }
  for (int64_t first = 0; first < r->count && code == TOOL_FINE; first += m->batch) {
    int64_t count = r->count - first < m->batch ? r->count - first : m->batch;
    code = decode_batch(&pass, r, form, first, count, x, logdet, file);
  }
  if (code == TOOL_FINE)
    code = sample_file_finish(file);
  *tally = pass.tally;
  rows_close(&pass);
  free(x);
  free(logdet);
  return code;
}

static int decode(void *settings, opened_model *m) {
  const decode_settings *s = settings;
  batch_reader reader;
  sample_file file = {0};
  int32_t form = 0;
  row_tally tally = {0};
  if (!s->source.paths.count)
    return complain("--data is missing: a file of latents");
  int code = file_check_target(s->out);
  if (code == TOOL_FINE)
    code = open_model(m, s->model, s->threads, s->kernels, s->products, s->batch);
  if (code != TOOL_FINE)
    return code;
  code = batches_open_latents(&reader, m, &s->source, s->count, &form);
  if (s->form != FORM_OF_FILE)
    form = (int32_t)s->form;
  if (code == TOOL_FINE && !form)
    code = complain("%s does not say whether its latents are raw or whitened: use --form",
                    s->source.paths.items[0]);
  if (code == TOOL_FINE)
    code = decode_all(s, m, &reader, form, &file, &tally);
  if (code == TOOL_FINE) {
    printf("%lld samples: %s\n", (long long)reader.count, s->out);
    code = tally_tell(&tally, "samples", sample_file_blank(&file), s->strict);
  }
  sample_file_close(&file);
  batches_close(&reader);
  return code;
}

int command_decode(int argc, char **argv) {
  decode_settings settings;
  return run_on_model(argc, argv, &decode_table, &settings, decode);
}
