/* glowtool sweep: the same latents drawn at one temperature after another (Kingma and Dhariwal
 * 2018, figure 8). SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "draw.h"
#include "files.h"
#include "numbers.h"
#include "options_rows.h"
#include "picture.h"

typedef struct sweep_settings {
  const char *model, *temperatures, *out, *kernels;
  int64_t columns, seed, label, batch, threads, products, max_memory;
  bool strict;
} sweep_settings;

#define FIELD(name) offsetof(sweep_settings, name)

static const option_row rows[] = {
    TEXT("temperatures", "T,T,...", temperatures, "0,0.25,0.5,0.6,0.7,0.8,0.9,1",
         "a row of the picture for each"),
    INT("columns", columns, "8", 1, 256, "images at each temperature"),
    INT("class", label, "-1", -1, INT32_MAX,
        "class to draw, from 0, for models with classes; -1: all in turn"),
    INT("seed", seed, "0", 0, SEED_MAX, "seed of the latents"),
    OUTPUT("out", out, "sweep.png", ".png", "picture to write, a PNG"),
    STRICT_ROW,
    INT("batch", batch, "16", 1, 65536, "images that go through the model at a time"),
    MACHINE_ROWS,
    {.kind = OPTION_END},
};

const option_table sweep_table = {
    .command = "sweep",
    .usage = "MODEL [options]",
    .about = "Draws the same latents at several temperatures, the factor of all standard "
             "deviations: a column is one image, a row one temperature.",
    .rows = rows,
    .settings_size = sizeof(sweep_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

static int draw_rows(const sweep_settings *s, const opened_model *m, const double *temperatures,
                     int count, const int32_t *labels, uint8_t *pixels) {
  char error[1024] = "";
  glow_sample_options options = GLOW_SAMPLE_OPTIONS_INIT;
  row_tally tally = {0};
  int code = TOOL_FINE;
  options.seed = (uint64_t)s->seed;
  for (int row = 0; row < count && code == TOOL_FINE; row++) {
    options.temperature = temperatures[row];
    code = draw_samples(m->workspace, m->model, m->batch, &options, labels, s->columns,
                        pixels + row * s->columns * glow_model_dims(m->model), &tally);
  }
  if (code == TOOL_FINE &&
      !picture_write_grid(s->out, count * s->columns, m->shape.height, m->shape.width,
                          m->shape.channels, s->columns, pixels, error, sizeof error))
    code = complain_failure(error, errno);
  return code == TOOL_FINE ? tally_tell(&tally, "samples", DRAW_ADVICE, s->strict) : code;
}

static int run(const sweep_settings *s, const opened_model *m, const double *temperatures,
               int count) {
  int32_t classes = glow_model_class_count(m->model);
  uint8_t *pixels = malloc((size_t)(count * s->columns) * (size_t)glow_model_dims(m->model));
  int32_t *labels = malloc((size_t)s->columns * sizeof *labels);
  int code = TOOL_FAILED;
  if (pixels && labels) {
    for (int64_t i = 0; i < s->columns; i++)
      labels[i] = s->label >= 0 ? (int32_t)s->label : classes ? (int32_t)(i % classes) : 0;
    code = draw_rows(s, m, temperatures, count, classes ? labels : NULL, pixels);
  } else {
    complain("out of memory for %lld images", (long long)(count * s->columns));
  }
  free(pixels);
  free(labels);
  return code;
}

static int sweep(void *settings, opened_model *m) {
  const sweep_settings *s = settings;
  double temperatures[MOST_NUMBERS];
  int count;
  int code = parse_numbers("temperatures", s->temperatures, 0.0, 10.0, temperatures, &count);
  if (code == TOOL_FINE)
    code = file_check_target(s->out);
  if (code == TOOL_FINE)
    code = open_model(m, s->model, s->threads, s->kernels, s->products,
                      s->batch < s->columns ? s->batch : s->columns);
  if (code == TOOL_FINE)
    code = check_picture(m);
  if (code == TOOL_FINE)
    code = check_class(m, s->label);
  return code == TOOL_FINE ? run(s, m, temperatures, count) : code;
}

int command_sweep(int argc, char **argv) {
  sweep_settings settings;
  return run_on_model(argc, argv, &sweep_table, &settings, sweep);
}
