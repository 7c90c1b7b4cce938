/* glowtool sample: new images in a grid. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "draw.h"
#include "files.h"
#include "numbers.h"
#include "options_rows.h"

typedef struct sample_settings {
  const char *model, *temperature, *out, *kernels;
  int64_t count, columns, seed, first, label, batch, threads;
} sample_settings;

#define FIELD(name) offsetof(sample_settings, name)

static const option_row rows[] = {
    TEXT("out", "FILE", out, "samples.png", "picture to write, a PNG"),
    INT("count", count, "64", 1, 4096, "images to draw"),
    INT("columns", columns, "0", 0, 4096, "columns of the grid; 0: chosen"),
    TEXT("temperature", "T[,T...]", temperature, "0.7",
         "factor of all standard deviations, or one for each level, finest first"),
    INT("class", label, "-1", -1, INT32_MAX,
        "class to draw, from 0, for models with classes; -1: all in turn"),
    INT("seed", seed, "0", 0, SEED_MAX, "of the latents"),
    INT("first", first, "0", 0, 1e12,
        "number of the first image: image N of a seed is always the same"),
    INT("batch", batch, "16", 1, 65536, "images passed at a time"),
    MACHINE_ROWS,
    {.kind = OPTION_END},
};

static const option_table table = {
    .command = "sample",
    .usage = "MODEL [options]",
    .about = "Draws new images from a model and writes them as one picture.",
    .rows = rows,
    .settings_size = sizeof(sample_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

/* ---- temperatures ---------------------------------------------------------------------------- */

static int set_temperatures(const opened_model *m, const double *values, int count,
                            glow_sample_options *out) {
  int levels = glow_model_latent_count(m->model);
  if (count > 1 && count != levels)
    return complain("--temperature: %d values, but the model has %d levels", count, levels);
  if (count == 1)
    out->temperature = values[0];
  else
    out->per_latent = values;
  return TOOL_FINE;
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
    code =
        open_model(m, s->model, s->threads, s->kernels, s->batch < s->count ? s->batch : s->count);
  if (code == TOOL_FINE)
    code = check_picture(m);
  if (code == TOOL_FINE)
    code = set_temperatures(m, temperatures, count, &options);
  if (code == TOOL_FINE)
    code = check_class(m, s->label);
  if (code != TOOL_FINE)
    return code;
  return draw_grid(m->workspace, m->model, m->batch, &options, s->label, s->count, s->columns,
                   s->out);
}

int command_sample(int argc, char **argv) {
  sample_settings settings;
  return run_on_model(argc, argv, &table, &settings, sample);
}
