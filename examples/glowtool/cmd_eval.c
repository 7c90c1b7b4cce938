/* glowtool eval: bits per dimension of images. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "csv.h"
#include "data_rows.h"
#include "files.h"
#include "json.h"
#include "score.h"

typedef struct eval_settings {
  const char *model, *per_image, *kernels;
  sample_source source;
  int64_t count, draws, shapes_seed, seed, batch, threads, products, max_memory;
  bool json, strict;
} eval_settings;

#define FIELD(name) offsetof(eval_settings, name)

static const option_row rows[] = {
    SAMPLE_DATA_ROWS,
    INT("images", count, "0", 0, 1e9, "score the first N images; 0: all (generated: 256)"),
    INT("draws", draws, "1", 1, 1000,
        "draws of noise for each image, over which its score is averaged"),
    TEXT("per-image", "FILE", per_image, NULL,
         "also write a line 'number,bits/dim,name' for each image"),
    FLAG("json", json, "print the result as JSON"),
    STRICT_ROW,
    SAMPLE_RUN_ROWS,
    {.kind = OPTION_END},
};

static const option_rule rules[] = {
    SAMPLE_DATA_RULES,
    GENERATED_RULE,
    {NULL, NULL, NULL},
};

const option_table eval_table = {
    .command = "eval",
    .usage = "MODEL --data PATH ... [options]",
    .about =
        "Prints the mean of the bits per dimension over images, and its standard error; and for a "
        "model with a classifier, the share of the images that it classifies correctly. Words "
        "after --data are paths up to the next option, so MODEL stands first.",
    .rows = rows,
    .rules = rules,
    .settings_size = sizeof(eval_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

/* ---- what it says ---------------------------------------------------------------------------- */

static void print_json(const eval_settings *s, const score_summary *score) {
  json_writer json = {stdout, false};
  put_open(&json, NULL, '{');
  put_text(&json, "model", s->model);
  put_int(&json, "images", score->images);
  put_int(&json, "nonfinite", score->tally.bad);
  put_int(&json, "draws", s->draws);
  put_real(&json, "bits_per_dim", score->mean);
  put_real(&json, "standard_error", score->error);
  if (isfinite(score->accuracy))
    put_real(&json, "accuracy", score->accuracy);
  put_close(&json, '}');
  putchar('\n');
}

static int write_per_image(const char *path, const double *bits, const sample_set *set) {
  char *text = NULL;
  size_t bytes = 0;
  FILE *file = open_memstream(&text, &bytes);
  if (!file) {
    complain("out of memory for %s", path);
    return TOOL_FAILED;
  }
  fputs("image,bits_per_dim,name\n", file);
  for (int64_t i = 0; i < set->count; i++)
    csv_score_line(file, NULL, set, i, bits[i]);
  bool good = fclose(file) == 0;
  int code = TOOL_FAILED;
  if (good)
    code = file_write_text(path, text, bytes);
  else
    complain("out of memory for %s", path);
  free(text);
  return code;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int score(const eval_settings *s, opened_model *m, const sample_set *set) {
  score_summary summary;
  double *bits = malloc((size_t)set->count * sizeof *bits);
  if (!bits) {
    complain("out of memory for %lld scores", (long long)set->count);
    return TOOL_FAILED;
  }
  int code = score_images(m->workspace, m->model, m->batch, set, set->count, s->draws,
                          (uint64_t)s->seed, bits, NULL, &summary);
  if (code == TOOL_FINE && s->per_image)
    code = write_per_image(s->per_image, bits, set);
  free(bits);
  if (code != TOOL_FINE)
    return code;
  if (s->json)
    print_json(s, &summary);
  else
    printf("%.4f bits/dim (+- %.4f) over %lld images", summary.mean, summary.error,
           (long long)summary.images);
  if (!s->json && isfinite(summary.accuracy))
    printf(", accuracy %.4f", summary.accuracy);
  if (!s->json)
    putchar('\n');
  return tally_tell(&summary.tally, "images", "the mean is over the others", s->strict);
}

static int eval(void *settings, opened_model *m) {
  eval_settings *s = settings;
  sample_set set;
  int code = s->per_image ? file_check_target(s->per_image) : TOOL_FINE;
  if (code == TOOL_FINE)
    code = open_model(m, s->model, s->threads, s->kernels, s->products, s->batch);
  if (code == TOOL_FINE)
    code = check_labels_file(m, &s->source.labels);
  if (code != TOOL_FINE)
    return code;
  code = open_for_model(m->model, s->model, &s->source, s->count, (uint64_t)s->shapes_seed, &set);
  if (code != TOOL_FINE)
    return code;
  code = score(s, m, &set);
  data_free(&set);
  return code;
}

int command_eval(int argc, char **argv) {
  eval_settings settings;
  return run_on_model(argc, argv, &eval_table, &settings, eval);
}
