/* glowtool encode and score: samples to their latents and log-densities, as tensors, a table or an
 * array. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batches.h"
#include "commands.h"
#include "data_rows.h"
#include "files.h"
#include "json.h"
#include "result_file.h"
#include "rows.h"

static const option_choice forms[] = {
    {"raw", GLOW_LATENTS_RAW}, {"whitened", GLOW_LATENTS_WHITENED}, {NULL, 0}};

typedef struct encode_settings {
  const char *model, *out, *kernels;
  sample_source source;
  int64_t count, form, shapes_seed, seed, batch, threads, products, max_memory;
  bool json, strict;
} encode_settings;

#define FIELD(name) offsetof(encode_settings, name)

#define COUNT_ROW INT("images", count, "0", 0, 1e12, "take the first N samples; 0: all")
#define JSON_ROW FLAG("json", json, "print the result as JSON")

static const option_row encode_rows[] = {
    SAMPLE_DATA_ROWS,
    COUNT_ROW,
    CHOICE("form", form, "raw", forms,
           "latents as the flow gives them, or whitened: standard normal under the model"),
    OUTPUT("out", out, "latents.safetensors", RESULT_ENDINGS, "file to write"),
    JSON_ROW,
    STRICT_ROW,
    SAMPLE_RUN_ROWS,
    {.kind = OPTION_END},
};

static const option_rule rules[] = {
    SAMPLE_DATA_RULES,
    GENERATED_RULE,
    {NULL, NULL, NULL},
};

const option_table encode_table = {
    .command = "encode",
    .usage = "MODEL --data PATH ... [options]",
    .about =
        "Takes samples to their latents. --data is images, arrays or a table. Writes latents "
        "[N, D] float32, and log_prob, bits_per_dim and logdet [N] float64: tensors, a row for "
        "each sample (.csv), or the latents alone (.npy). Files may be larger than memory. "
        "Words after --data are paths up to the next option, so MODEL stands first.",
    .rows = encode_rows,
    .rules = rules,
    .settings_size = sizeof(encode_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

static const option_row score_rows[] = {
    SAMPLE_DATA_ROWS,
    COUNT_ROW,
    OUTPUT("out", out, "scores.safetensors", RESULT_ENDINGS, "file to write"),
    JSON_ROW,
    STRICT_ROW,
    SAMPLE_RUN_ROWS,
    {.kind = OPTION_END},
};

const option_table score_table = {
    .command = "score",
    .usage = "MODEL --data PATH ... [options]",
    .about =
        "Writes the log-densities of samples: log_prob, bits_per_dim and logdet [N] float64, and "
        "what the samples are called: tensors, a row for each sample (.csv), or log_prob alone "
        "(.npy). --data is images, arrays or a table. Files may be larger than memory. Words after "
        "--data are paths up to the next option, so MODEL stands first.",
    .rows = score_rows,
    .rules = rules,
    .settings_size = sizeof(encode_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

/* ---- passes ---------------------------------------------------------------------------------- */

typedef struct encoding {
  const opened_model *m;
  batch_reader reader;
  row_pass pass;
  result_file file;
  bool labels;        /* are written */
  int32_t form;       /* 0: no latents */
  float *latents;     /* [batch, dims] */
  double *results[3]; /* log_prob, bits_per_dim, logdet, each [batch] */
  double sum;         /* of bits/dim, of what is finite */
} encoding;
enum { LOG_PROB, BITS_PER_DIM, LOGDET };

/* The column that a file of one array holds comes first. */
static int start_file(encoding *e, const char *path) {
  static const char *const names[] = {"log_prob", "bits_per_dim", "logdet"};
  const sample_set *set = &e->reader.set;
  result_column columns[MOST_RESULTS];
  int32_t count = 0;
  if (e->form)
    columns[count++] = (result_column){"latents", GLOW_TYPE_F32, 1, {glow_model_dims(e->m->model)}};
  for (int i = 0; i < 3; i++)
    columns[count++] = (result_column){names[i], GLOW_TYPE_F64, 0, {0}};
  if (e->labels)
    columns[count++] = (result_column){"y", GLOW_TYPE_I32, 0, {0}};
  if (e->form && set->condition)
    columns[count++] = (result_column){"condition", GLOW_TYPE_F32, 1, {set->condition}};
  return result_open(&e->file, e->m->context, path, e->reader.count, columns, count, set,
                     e->form ? GLOWTOOL_FORM : NULL, latent_form_name(e->form));
}

static int write_batch(encoding *e, int64_t first, int64_t count) {
  const void *data[MOST_RESULTS];
  int32_t used = 0;
  if (e->form)
    data[used++] = e->latents;
  for (int i = 0; i < 3; i++)
    data[used++] = e->results[i];
  if (e->labels)
    data[used++] = e->reader.set.labels + first;
  if (e->form && e->reader.set.condition)
    data[used++] = e->reader.batch.conditions;
  return result_append(&e->file, data, count);
}

static int encode_batch(encoding *e, int64_t first, int64_t count) {
  int code = batches_read(&e->reader, first, count);
  if (code != TOOL_FINE)
    return code;
  const sample_batch *b = &e->reader.batch;
  code = rows_forward(&e->pass, first, b->x, b->labels, count, e->form ? e->form : GLOW_LATENTS_RAW,
                      e->latents, e->results[LOGDET], e->results[LOG_PROB]);
  if (code != TOOL_FINE)
    return code;
  for (int64_t i = 0; i < count; i++) {
    e->results[BITS_PER_DIM][i] = glow_model_bits_per_dim(e->m->model, e->results[LOG_PROB][i]);
    if (!rows_bad(&e->pass, i))
      e->sum += e->results[BITS_PER_DIM][i];
  }
  return write_batch(e, first, count);
}

static int encode_all(encoding *e, const char *path) {
  int64_t batch = e->m->batch, count = e->reader.count;
  e->labels = e->reader.set.labels != NULL;
  int code = start_file(e, path);
  for (int64_t first = 0; first < count && code == TOOL_FINE; first += batch)
    code = encode_batch(e, first, count - first < batch ? count - first : batch);
  return code == TOOL_FINE ? result_finish(&e->file) : code;
}

static int allocate(encoding *e) {
  size_t batch = (size_t)e->m->batch;
  bool good = true;
  for (int i = 0; i < 3; i++) {
    e->results[i] = malloc(batch * sizeof *e->results[i]);
    good &= e->results[i] != NULL;
  }
  if (e->form) {
    e->latents = malloc(batch * (size_t)glow_model_dims(e->m->model) * sizeof *e->latents);
    good &= e->latents != NULL;
  }
  if (good)
    return TOOL_FINE;
  complain("out of memory for batches of %lld samples", (long long)batch);
  return TOOL_FAILED;
}

/* ---- the commands ---------------------------------------------------------------------------- */

static void print(const encode_settings *s, const encoding *e) {
  int64_t good = e->reader.count - e->pass.tally.bad;
  double mean = good ? e->sum / (double)good : (double)NAN;
  if (!s->json) {
    printf("%lld samples, %.4f bits/dim: %s\n", (long long)e->reader.count, mean, s->out);
    return;
  }
  json_writer json = {stdout, false};
  put_open(&json, NULL, '{');
  put_text(&json, "model", s->model);
  put_int(&json, "samples", e->reader.count);
  put_int(&json, "nonfinite", e->pass.tally.bad);
  put_real(&json, "bits_per_dim", mean);
  put_text(&json, "out", s->out);
  put_close(&json, '}');
  putchar('\n');
}

/* form 0: scores alone */
static int run(encode_settings *s, opened_model *m, int32_t form) {
  encoding e = {.m = m, .form = form};
  int code = file_check_target(s->out);
  if (code == TOOL_FINE)
    code = open_model(m, s->model, s->threads, s->kernels, s->products, s->batch);
  if (code != TOOL_FINE)
    return code;
  code = batches_open(&e.reader, m, s->model, &s->source, s->count, (uint64_t)s->shapes_seed,
                      (uint64_t)s->seed);
  if (code == TOOL_FINE)
    code = allocate(&e);
  if (code == TOOL_FINE)
    code = rows_open(&e.pass, m->workspace, m->model, m->batch);
  if (code == TOOL_FINE)
    code = encode_all(&e, s->out);
  if (code == TOOL_FINE) {
    print(s, &e);
    code = tally_tell(&e.pass.tally, "samples", "their results are NaN", s->strict);
  }
  result_close(&e.file);
  batches_close(&e.reader);
  rows_close(&e.pass);
  for (int i = 0; i < 3; i++)
    free(e.results[i]);
  free(e.latents);
  return code;
}

static int encode(void *settings, opened_model *m) {
  encode_settings *s = settings;
  return run(s, m, (int32_t)s->form);
}

static int score(void *settings, opened_model *m) {
  return run(settings, m, 0);
}

int command_encode(int argc, char **argv) {
  encode_settings settings;
  return run_on_model(argc, argv, &encode_table, &settings, encode);
}

int command_score(int argc, char **argv) {
  encode_settings settings;
  return run_on_model(argc, argv, &score_table, &settings, score);
}
