/* glowtool sample: new images in a grid, or new samples in a safetensors file.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "batches.h"
#include "common.h"
#include "draw.h"
#include "files.h"
#include "numbers.h"
#include "options_rows.h"
#include "sample_file.h"

typedef struct sample_settings {
  const char *model, *temperature, *out, *kernels;
  int64_t count, columns, seed, first, label, type, batch, threads, products;
} sample_settings;

enum { MOST_SHOWN = 4096 };

#define FIELD(name) offsetof(sample_settings, name)

static const option_row rows[] = {
    TEXT("out", "FILE", out, "samples.png",
         "picture to write, a PNG, or a "
         "file of tensors, if its name ends in .safetensors"),
    INT("count", count, "64", 1, 1e12, "samples to draw; a picture holds 4096"),
    INT("columns", columns, "0", 0, 4096, "columns of the grid; 0: chosen"),
    TEXT("temperature", "T[,T...]", temperature, "0.7",
         "factor of all standard deviations, or one for each level, finest first"),
    INT("class", label, "-1", -1, INT32_MAX,
        "class to draw, from 0, for models with classes; -1: all in turn"),
    INT("seed", seed, "0", 0, SEED_MAX, "of the latents"),
    INT("first", first, "0", 0, 1e12,
        "number of the first image: image N of a seed is always the same"),
    CHOICE("type", type, "auto", sample_types,
           "of x in a file of tensors: uint8 pixels or float32; auto: pixels where the model has "
           "them"),
    INT("batch", batch, "16", 1, 65536, "samples passed at a time"),
    MACHINE_ROWS,
    {.kind = OPTION_END},
};

static const option_table table = {
    .command = "sample",
    .usage = "MODEL [options]",
    .about = "Draws new samples from a model and writes them as one picture, or as tensors: x [N, "
             "H, W, C], "
             "and y [N] int32 for models with classes.",
    .rows = rows,
    .settings_size = sizeof(sample_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

/* ---- temperatures ---------------------------------------------------------------------------- */

static int set_temperatures(const opened_model *m, const double *values, int count,
                            glow_sample_options *out) {
  int levels = glow_model_latent_block_count(m->model);
  if (count > 1 && count != levels)
    return complain("--temperature: %d values, but the model has %d levels", count, levels);
  if (count == 1)
    out->temperature = values[0];
  else
    out->per_latent = values;
  return TOOL_FINE;
}

/* ---- a file of tensors ----------------------------------------------------------------------- */

typedef struct sample_room {
  float *x;        /* [batch, dims] */
  int32_t *labels; /* [batch] */
} sample_room;

static int sample_batch(const sample_settings *s, const opened_model *m,
                        glow_sample_options *options, int64_t first, int64_t count,
                        const sample_room *room, sample_file *file) {
  int32_t classes = glow_model_class_count(m->model);
  for (int64_t i = 0; i < count; i++)
    room->labels[i] = s->label >= 0 ? (int32_t)s->label
                      : classes     ? (int32_t)((first + i) % classes)
                                    : 0;
  options->first = (uint64_t)(s->first + first);
  options->labels = classes ? room->labels : NULL;
  glow_status status = glow_workspace_sample(m->workspace, count, options, room->x);
  return status == GLOW_OK ? sample_file_append(file, room->x, room->labels, NULL, count)
                           : complain_status(status, "sampling");
}

static int sample_to_file(const sample_settings *s, const opened_model *m,
                          glow_sample_options *options) {
  sample_file file = {0};
  const sample_room room = {
      malloc((size_t)m->batch * (size_t)glow_model_dims(m->model) * sizeof(float)),
      malloc((size_t)m->batch * sizeof(int32_t))};
  int code = TOOL_FAILED;
  if (room.x && room.labels)
    code = sample_file_open(&file, m, s->out, s->count, s->type,
                            glow_model_class_count(m->model) != 0, false);
  else
    complain("out of memory for batches of %lld samples", (long long)m->batch);
  for (int64_t first = 0; first < s->count && code == TOOL_FINE; first += m->batch) {
    int64_t count = s->count - first < m->batch ? s->count - first : m->batch;
    code = sample_batch(s, m, options, first, count, &room, &file);
  }
  if (code == TOOL_FINE)
    code = sample_file_finish(&file);
  sample_file_close(&file);
  free(room.x);
  free(room.labels);
  return code;
}

static int sample_to_picture(const sample_settings *s, const opened_model *m,
                             const glow_sample_options *options) {
  if (s->count > MOST_SHOWN)
    return complain("--count: a picture holds at most %d images", MOST_SHOWN);
  int code = check_picture(m);
  return code == TOOL_FINE ? draw_grid(m->workspace, m->model, m->batch, options, s->label,
                                       s->count, s->columns, s->out)
                           : code;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int sample(void *settings, opened_model *m) {
  const sample_settings *s = settings;
  double temperatures[MOST_NUMBERS];
  int count;
  glow_sample_options options = GLOW_SAMPLE_OPTIONS_INIT;
  options.seed = (uint64_t)s->seed;
  options.first = (uint64_t)s->first;
  int code = parse_numbers("temperature", s->temperature, 0.0, 10.0, temperatures, &count);
  if (code == TOOL_FINE)
    code = file_check_target(s->out);
  if (code == TOOL_FINE)
    code = open_model(m, s->model, s->threads, s->kernels, s->products,
                      s->batch < s->count ? s->batch : s->count);
  if (code == TOOL_FINE)
    code = set_temperatures(m, temperatures, count, &options);
  if (code == TOOL_FINE)
    code = check_class(m, s->label);
  if (code != TOOL_FINE)
    return code;
  return is_tensor_path(s->out) ? sample_to_file(s, m, &options)
                                : sample_to_picture(s, m, &options);
}

int command_sample(int argc, char **argv) {
  sample_settings settings;
  return run_on_model(argc, argv, &table, &settings, sample);
}
