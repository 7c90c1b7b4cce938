/* glowtool encode and score: samples to their latents and log-densities, in a safetensors file.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batches.h"
#include "files.h"
#include "image_options.h"
#include "json.h"

static const option_choice forms[] = {
    {"raw", GLOW_LATENTS_RAW}, {"whitened", GLOW_LATENTS_WHITENED}, {NULL, 0}};

typedef struct encode_settings {
  const char *model, *out, *kernels;
  image_source source;
  int64_t count, form, shapes_seed, seed, batch, threads, products;
  bool json;
} encode_settings;

#define FIELD(name) offsetof(encode_settings, name)

#define COUNT_ROW INT("images", count, "0", 0, 1e12, "take the first N samples; 0: all")
#define JSON_ROW FLAG("json", json, "print the result as JSON")

static const option_row encode_rows[] = {
    IMAGE_DATA_ROWS,
    COUNT_ROW,
    CHOICE("form", form, "raw", forms,
           "latents as the flow gives them, or whitened: standard normal under the model"),
    TEXT("out", "FILE", out, "latents.safetensors", "file to write"),
    JSON_ROW,
    IMAGE_RUN_ROWS,
    {.kind = OPTION_END},
};

static const option_table encode_table = {
    .command = "encode",
    .usage = "MODEL --data PATH ... [options]",
    .about = "Takes samples to their latents. --data is a safetensors file with x [N, H, W, C], "
             "float32 as the model reads them or uint8 pixels, and y [N] int32 for models with "
             "classes; or images. Writes latents [N, D] float32, and log_prob, bits_per_dim and "
             "logdet [N] float64. Files may be larger than memory. Words after --data are paths up "
             "to the next option, so MODEL stands first.",
    .rows = encode_rows,
    .settings_size = sizeof(encode_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

static const option_row score_rows[] = {
    IMAGE_DATA_ROWS,
    COUNT_ROW,
    TEXT("out", "FILE", out, "scores.safetensors", "file to write"),
    JSON_ROW,
    IMAGE_RUN_ROWS,
    {.kind = OPTION_END},
};

static const option_table score_table = {
    .command = "score",
    .usage = "MODEL --data PATH ... [options]",
    .about =
        "Writes the log-densities of samples: log_prob, bits_per_dim and logdet [N] float64. "
        "--data is a safetensors file with x [N, H, W, C], float32 as the model reads them or "
        "uint8 pixels, and y [N] int32 for models with classes; or images. Files may be larger "
        "than memory. Words after --data are paths up to the next option, so MODEL stands "
        "first.",
    .rows = score_rows,
    .settings_size = sizeof(encode_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

/* ---- passes ---------------------------------------------------------------------------------- */

/* Places in the file. */
enum { LOG_PROB, BITS_PER_DIM, LOGDET, LABELS, LATENTS, MOST_TENSORS };

typedef struct encoding {
  const opened_model *m;
  batch_reader reader;
  glow_tensor_writer *writer;
  int64_t place[MOST_TENSORS]; /* number of the tensor in the file, -1: not there */
  int32_t form;                /* 0: no latents */
  float *latents;              /* [batch, dims] */
  double *results[3];          /* [batch] */
  double sum;                  /* of bits/dim */
} encoding;

static glow_status start_file(encoding *e, const char *path) {
  const int64_t n = e->reader.count, vector[] = {n, -1}, table[] = {n, e->reader.dims, -1};
  const char *const metadata[] = {GLOWTOOL_FORM, latent_form_name(e->form)};
  const glow_file_tensor all[MOST_TENSORS] = {batch_tensor("log_prob", GLOW_TYPE_F64, vector),
                                              batch_tensor("bits_per_dim", GLOW_TYPE_F64, vector),
                                              batch_tensor("logdet", GLOW_TYPE_F64, vector),
                                              batch_tensor("y", GLOW_TYPE_I32, vector),
                                              batch_tensor("latents", GLOW_TYPE_F32, table)};
  const bool wanted[MOST_TENSORS] = {true, true, true, e->reader.y != NULL, e->form != 0};
  glow_file_tensor tensors[MOST_TENSORS];
  int64_t count = 0;
  for (int i = 0; i < MOST_TENSORS; i++) {
    e->place[i] = wanted[i] ? count : -1;
    if (wanted[i])
      tensors[count++] = all[i];
  }
  return glow_tensor_writer_create(e->m->context, path, tensors, count, metadata, e->form ? 1 : 0,
                                   &e->writer);
}

static glow_status append(encoding *e, int what, const void *data, size_t bytes) {
  return e->place[what] < 0 ? GLOW_OK
                            : glow_tensor_writer_append(e->writer, e->place[what], data, bytes);
}

static glow_status write_batch(encoding *e, int64_t count) {
  size_t n = (size_t)count;
  glow_status status = GLOW_OK;
  for (int i = LOG_PROB; i <= LOGDET && status == GLOW_OK; i++)
    status = append(e, i, e->results[i], n * sizeof(double));
  if (status == GLOW_OK)
    status = append(e, LABELS, e->reader.y, n * sizeof(int32_t));
  if (status == GLOW_OK)
    status = append(e, LATENTS, e->latents, n * (size_t)e->reader.dims * sizeof(float));
  return status;
}

static int encode_batch(encoding *e, int64_t first, int64_t count) {
  int code = batches_read(&e->reader, first, count);
  if (code != TOOL_FINE)
    return code;
  const int32_t *labels = glow_model_class_count(e->m->model) ? e->reader.y : NULL;
  glow_status status =
      glow_workspace_forward(e->m->workspace, e->reader.x, count,
                             &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                     .labels = labels,
                                                     .form = e->form ? e->form : GLOW_LATENTS_RAW,
                                                     .latents = e->latents,
                                                     .logdet = e->results[LOGDET],
                                                     .log_prob = e->results[LOG_PROB]});
  if (status != GLOW_OK)
    return complain_status(status, "encoding");
  for (int64_t i = 0; i < count; i++) {
    e->results[BITS_PER_DIM][i] = glow_model_bits_per_dim(e->m->model, e->results[LOG_PROB][i]);
    e->sum += e->results[BITS_PER_DIM][i];
  }
  status = write_batch(e, count);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "writing");
}

static int encode_all(encoding *e, const char *path) {
  int64_t batch = e->m->batch, count = e->reader.count;
  glow_status status = start_file(e, path);
  int code = status == GLOW_OK ? TOOL_FINE : complain_status(status, "writing");
  for (int64_t first = 0; first < count && code == TOOL_FINE; first += batch)
    code = encode_batch(e, first, count - first < batch ? count - first : batch);
  if (code != TOOL_FINE)
    return code;
  status = glow_tensor_writer_finish(&e->writer);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "writing");
}

static int allocate(encoding *e) {
  size_t batch = (size_t)e->m->batch;
  bool good = true;
  for (int i = 0; i < 3; i++) {
    e->results[i] = malloc(batch * sizeof *e->results[i]);
    good &= e->results[i] != NULL;
  }
  if (e->form) {
    e->latents = malloc(batch * (size_t)e->reader.dims * sizeof *e->latents);
    good &= e->latents != NULL;
  }
  if (good)
    return TOOL_FINE;
  complain("out of memory for batches of %lld samples", (long long)batch);
  return TOOL_FAILED;
}

/* ---- the commands ---------------------------------------------------------------------------- */

static void print(const encode_settings *s, const encoding *e) {
  double mean = e->sum / (double)e->reader.count;
  if (!s->json) {
    printf("%lld samples, %.4f bits/dim: %s\n", (long long)e->reader.count, mean, s->out);
    return;
  }
  json_writer json = {stdout, false};
  put_open(&json, NULL, '{');
  put_text(&json, "model", s->model);
  put_int(&json, "samples", e->reader.count);
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
  s->source.limit = s->count;
  s->source.seed = (uint64_t)s->shapes_seed;
  code = batches_open(&e.reader, m, &s->source, (uint64_t)s->seed);
  if (code == TOOL_FINE)
    code = allocate(&e);
  if (code == TOOL_FINE)
    code = encode_all(&e, s->out);
  if (code == TOOL_FINE)
    print(s, &e);
  glow_tensor_writer_abandon(&e.writer);
  batches_close(&e.reader);
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
