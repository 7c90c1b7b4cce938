/* glowtool export: a model under the names of another project, or in our own format in bfloat16,
 * and what that costs. SPDX-License-Identifier: MIT */
#include <glow/import.h>
#include <stdio.h>

#include "commands.h"
#include "common.h"
#include "files.h"
#include "options_rows.h"
#include "score.h"
#include "stop.h"

typedef struct export_settings {
  const char *model, *out;
  int64_t format, storage, count, max_memory;
  sample_source source;
} export_settings;

enum { BATCH = 16 };

#define FIELD(name) offsetof(export_settings, name)

enum { FORMAT_GLOW = 0 };

static const option_choice formats[] = {
    {"y0ast", GLOW_FORMAT_Y0AST}, {"glow", FORMAT_GLOW}, {NULL, 0}};
static const option_choice storages[] = {
    {"f32", GLOW_TYPE_F32}, {"bf16", GLOW_TYPE_BF16}, {NULL, 0}};

static const option_row rows[] = {
    CHOICE("format", format, "y0ast", formats,
           "y0ast: names of y0ast/Glow-PyTorch; glow: a model file of this program"),
    CHOICE(
        "storage", storage, "f32", storages,
        "type of the nets' weights, with --format glow; bf16 halves the file and rounds them to 8 "
        "bits"),
    LIST("data", source.paths,
         "samples, to tell what --storage bf16 costs: their bits/dim before and after"),
    INT("images", count, "0", 0, 1e9, "score the first N of them; 0: all"),
    MEMORY_ROW,
    OUTPUT("out", out, "export.safetensors", ".safetensors", "file to write"),
    {.kind = OPTION_END},
};

static const option_rule rules[] = {
    {"storage", "format=glow", NULL},
    {"data", "storage=bf16", "nothing else rounds numbers"},
    {"images max-memory", "data", NULL},
    {NULL, NULL, NULL},
};

const option_table export_table = {
    .command = "export",
    .usage = "MODEL [options]",
    .about = "Writes a model for use elsewhere: as a state dict of y0ast/Glow-PyTorch, if that "
             "project has such a model, or as a model file of this program in bfloat16.",
    .rows = rows,
    .rules = rules,
    .settings_size = sizeof(export_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

/* ---- what rounding costs --------------------------------------------------------------------- */

/* Bits/dim of the samples under the model in `path`, with the same noise for every model. */
static int export_score(const export_settings *s, const char *path, score_summary *out) {
  opened_model m;
  sample_set set;
  int code = open_model(&m, path, 0, NULL, GLOW_PRODUCTS_FLOAT32, BATCH);
  if (code == TOOL_FINE)
    code = open_for_model(m.model, path, &s->source, s->count, 1, &set);
  if (code == TOOL_FINE) {
    code = score_images(m.workspace, m.model, BATCH, &set, set.count, 1, 0, NULL, NULL, out);
    data_free(&set);
  }
  close_model(&m);
  return code;
}

static int tell_cost(const export_settings *s) {
  score_summary before, after;
  int code = export_score(s, s->model, &before);
  if (code == TOOL_FINE)
    code = export_score(s, s->out, &after);
  if (code != TOOL_FINE)
    return code;
  printf("bits/dim of %lld samples: %.4f before, %.4f after (%+.4f)\n", (long long)after.images,
         before.mean, after.mean, after.mean - before.mean);
  return tally_tell(&after.tally, "samples", "the mean is over the others", false);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int export_write(const export_settings *s, opened_model *m) {
  glow_output output = GLOW_OUTPUT_INIT;
  char text[1024], bytes[32];
  size_t written = 0;
  int code = file_check_target(s->out);
  if (code == TOOL_FINE)
    code = open_model(m, s->model, 1, NULL, GLOW_PRODUCTS_FLOAT32, 0);
  if (code != TOOL_FINE)
    return code;
  output.path = s->out;
  output.written = &written;
  if (s->format == FORMAT_GLOW)
    output.storage = (int32_t)s->storage;
  stop_install_writing(); /* a file that is begun is finished */
  glow_status status = s->format == FORMAT_GLOW
                           ? glow_model_save_output(m->model, &output)
                           : glow_model_export(m->model, (int32_t)s->format, &output);
  if (status != GLOW_OK)
    return complain_status(status, NULL);
  printf("%s: %s\n", visible(s->out, text, sizeof text), short_bytes((double)written, bytes));
  return TOOL_FINE;
}

static int export_model(void *settings, opened_model *m) {
  const export_settings *s = settings;
  int code = export_write(s, m);
  return code == TOOL_FINE && s->source.paths.count && !stop_wanted() ? tell_cost(s) : code;
}

int command_export(int argc, char **argv) {
  export_settings settings;
  return run_on_model(argc, argv, &export_table, &settings, export_model);
}
