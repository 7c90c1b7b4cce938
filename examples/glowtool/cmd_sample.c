/* glowtool sample: new images in a grid, or new samples as tensors, a table or an array.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "draw.h"
#include "files.h"
#include "numbers.h"
#include "options_rows.h"
#include "rows.h"
#include "sample_file.h"
#include "sample_source.h"

typedef struct sample_settings {
  const char *model, *temperature, *given, *out, *kernels;
  sample_source source; /* of conditions */
  int64_t count, columns, seed, first, label, type, batch, threads, products, max_memory;
  bool strict;
} sample_settings;

enum { MOST_SHOWN = 4096 };

#define FIELD(name) offsetof(sample_settings, name)

static const option_row rows[] = {
    OUTPUT("out", out, "samples.png", ".png " RESULT_ENDINGS,
           "file to write; its ending says what: a picture, or tensors, a table or an array of "
           "samples"),
    INT("count", count, "64", 1, 1e12, "samples to draw; at most 4096 in a picture"),
    INT("columns", columns, "0", 0, 4096,
        "columns of the grid; 0: chosen by the number of samples and classes"),
    TEXT("temperature", "T[,T...]", temperature, "0.7",
         "factor of all standard deviations, or one for each level, finest first"),
    INT("class", label, "-1", -1, INT32_MAX,
        "class to draw, from 0, for models with classes; -1: all in turn"),
    TEXT("given", "X,X,...", given, NULL, "condition of all samples, for models that have one"),
    LIST("data", source.paths, "conditions from files, a row for each sample"),
    TEXT("condition", "NAME,...", source.form.columns, NULL,
         "for --data: the columns of the condition, in the order of training; default: all"),
    TEXT("id-column", "NAME", source.form.id_column, NULL,
         "for --data: the column with the name of each row"),
    TEXT("tensor", "NAME", source.form.tensor, "condition",
         "for --data: name of the conditions in safetensors and .npz files"),
    INT("seed", seed, "0", 0, SEED_MAX, "seed of the latents"),
    INT("first", first, "0", 0, 1e12,
        "number of the first image: image N of a seed is always the same"),
    CHOICE("type", type, "auto", sample_types,
           "type of x in files other than pictures: uint8 pixels or float32; auto: pixels where "
           "the model has them"),
    STRICT_ROW,
    INT("batch", batch, "16", 1, 65536, "samples that go through the model at a time"),
    MACHINE_ROWS,
    {.kind = OPTION_END},
};

static const option_rule rules[] = {
    {"columns", "out=*.png", "they are those of a picture"},
    {"type", "out!=*.png", "it is the type of samples in other files"},
    {"given", "!data", "the conditions come from files"},
    {"condition id-column tensor", "data", NULL},
    {NULL, NULL, NULL},
};

const option_table sample_table = {
    .command = "sample",
    .usage = "MODEL [options]",
    .about =
        "Draws new samples from a model and writes them as one picture, as tensors: x [N, H, W, "
        "C], and y [N] int32 for models with classes, as a row for each sample (.csv), or as "
        "x alone (.npy).",
    .rows = rows,
    .rules = rules,
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
  float *x;                    /* [batch, dims] */
  int32_t *labels;             /* [batch] */
  const float *conditions;     /* NULL: none */
  const sample_set *condition; /* whose rows they are; NULL: one for all */
} sample_room;

static glow_status set_condition(const row_pass *p, const sample_room *room, int64_t first,
                                 int64_t count) {
  int64_t size = glow_model_condition_size(p->model);
  if (!room->conditions)
    return GLOW_OK;
  return room->condition ? glow_workspace_set_condition(
                               p->workspace, room->conditions + first * size, count, size)
                         : glow_workspace_set_condition(p->workspace, room->conditions, 1, size);
}

static int sample_some(const sample_settings *s, row_pass *p, glow_sample_options *options,
                       int64_t first, int64_t count, const sample_room *room, sample_file *file) {
  int32_t classes = glow_model_class_count(p->model);
  for (int64_t i = 0; i < count; i++)
    room->labels[i] = s->label >= 0 ? (int32_t)s->label
                      : classes     ? (int32_t)((first + i) % classes)
                                    : 0;
  options->first = (uint64_t)(s->first + first);
  glow_status status = set_condition(p, room, first, count);
  if (status != GLOW_OK)
    return complain_status(status, "sampling");
  int code = rows_sample(p, s->first + first, options, room->labels, count, room->x);
  return code == TOOL_FINE ? sample_file_append(file, room->x, room->labels, NULL, count) : code;
}

static int sample_to_file(const sample_settings *s, const opened_model *m,
                          glow_sample_options *options, const float *conditions,
                          const sample_set *condition) {
  sample_file file = {0};
  const sample_room room = {
      malloc((size_t)m->batch * (size_t)glow_model_dims(m->model) * sizeof(float)),
      malloc((size_t)m->batch * sizeof(int32_t)), conditions, condition};
  row_pass pass;
  int code = rows_open(&pass, m->workspace, m->model, m->batch);
  if (code == TOOL_FINE && room.x && room.labels) {
    code = sample_file_open(&file, m, s->out, s->count, s->type,
                            glow_model_class_count(m->model) != 0, false, condition);
  } else if (code == TOOL_FINE) {
    complain("out of memory for batches of %lld samples", (long long)m->batch);
    code = TOOL_FAILED;
  }
  for (int64_t first = 0; first < s->count && code == TOOL_FINE; first += m->batch) {
    int64_t count = s->count - first < m->batch ? s->count - first : m->batch;
    code = sample_some(s, &pass, options, first, count, &room, &file);
  }
  if (code == TOOL_FINE)
    code = sample_file_finish(&file);
  if (code == TOOL_FINE)
    code = tally_tell(&pass.tally, "samples", DRAW_ADVICE, s->strict);
  rows_close(&pass);
  sample_file_close(&file);
  free(room.x);
  free(room.labels);
  return code;
}

static int sample_to_picture(const sample_settings *s, const opened_model *m,
                             const glow_sample_options *options) {
  if (s->count > MOST_SHOWN)
    return complain("--count: a picture holds at most %d images", MOST_SHOWN);
  row_tally tally = {0};
  int code = check_picture(m);
  if (code == TOOL_FINE)
    code = draw_grid(m->workspace, m->model, m->batch, options, s->label, s->count, s->columns,
                     s->out, &tally);
  return code == TOOL_FINE ? tally_tell(&tally, "samples", DRAW_ADVICE, s->strict) : code;
}

/* ---- conditions ------------------------------------------------------------------------------ */

static int given_conditions(const char *text, int64_t size, float *out) {
  double values[MOST_NUMBERS];
  int count = 0;
  int code = parse_numbers("given", text, -1e30, 1e30, values, &count);
  if (code == TOOL_FINE && count != size)
    code =
        complain("--given: %d values, but the model's condition has %lld", count, (long long)size);
  for (int i = 0; i < count && code == TOOL_FINE; i++)
    out[i] = (float)values[i];
  return code;
}

static int check_conditions(const sample_settings *s, const opened_model *m) {
  int64_t size = glow_model_condition_size(m->model);
  bool said = s->given || s->source.paths.count;
  if (said && !size)
    return complain("--%s means nothing here: the model has no condition",
                    s->given ? "given" : "data");
  if (size && !said)
    return complain("the model needs a condition of %lld values: give it by --given or --data",
                    (long long)size);
  if (size && is_picture_path(s->out))
    return complain("--out: samples with conditions are not drawn as a picture: name a "
                    ".safetensors, .csv or .npy file");
  return TOOL_FINE;
}

/* Rows of --data [count, size], or one of --given; *set is opened for the former. */
static int read_conditions(sample_settings *s, const opened_model *m, sample_set *set,
                           float **conditions) {
  int64_t size = glow_model_condition_size(m->model), count = 1;
  int code = check_conditions(s, m);
  if (code != TOOL_FINE || !size)
    return code;
  if (!s->given) {
    s->source.form.as = DATA_VECTORS;
    s->source.form.own_names = true;
    code = open_samples(&s->source.paths, &s->source.labels, &s->source.form, set);
    if (code == TOOL_FINE && data_dims(set) != size)
      code = complain(
          "--data has %lld columns, but the model's condition has %lld: choose them by --condition",
          (long long)data_dims(set), (long long)size);
    if (code != TOOL_FINE)
      return code;
    count = s->count = set->count;
  }
  *conditions = malloc((size_t)(count * size) * sizeof **conditions);
  if (*conditions)
    return s->given ? given_conditions(s->given, size, *conditions)
                    : read_samples(set, 0, count, *conditions, NULL);
  complain("out of memory for %lld conditions", (long long)count);
  return TOOL_FAILED;
}

static int draw(sample_settings *s, const opened_model *m, glow_sample_options *options) {
  sample_set set = {0};
  float *conditions = NULL;
  int code = read_conditions(s, m, &set, &conditions);
  if (code == TOOL_FINE)
    code = is_picture_path(s->out)
               ? sample_to_picture(s, m, options)
               : sample_to_file(s, m, options, conditions, set.count ? &set : NULL);
  glow_workspace_set_condition(m->workspace, NULL, 0, 0);
  free(conditions);
  data_free(&set);
  return code;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int sample(void *settings, opened_model *m) {
  sample_settings *s = settings;
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
  return code == TOOL_FINE ? draw(s, m, &options) : code;
}

int command_sample(int argc, char **argv) {
  sample_settings settings;
  return run_on_model(argc, argv, &sample_table, &settings, sample);
}
