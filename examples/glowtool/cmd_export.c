/* glowtool export: a model under the names of another project. SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "common.h"
#include "files.h"
#include "options_rows.h"

typedef struct export_settings {
  const char *model, *out;
  int64_t format;
} export_settings;

#define FIELD(name) offsetof(export_settings, name)

static const option_choice formats[] = {{"y0ast", GLOW_FORMAT_Y0AST}, {NULL, 0}};
static const option_row rows[] = {
    CHOICE("format", format, "y0ast", formats, "whose names: y0ast/Glow-PyTorch"),
    TEXT("out", "FILE", out, "export.safetensors", "file to write"),
    {.kind = OPTION_END},
};

static const option_table table = {
    .command = "export",
    .usage = "MODEL [options]",
    .about =
        "Writes a model as a state dict of y0ast/Glow-PyTorch, if that project has such a model.",
    .rows = rows,
    .settings_size = sizeof(export_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

static int export_model(void *settings, opened_model *m) {
  const export_settings *s = settings;
  glow_output output = GLOW_OUTPUT_INIT;
  char text[1024], bytes[32];
  size_t written = 0;
  int code = file_check_target(s->out);
  if (code == TOOL_FINE)
    code = open_model(m, s->model, 1, NULL, 0);
  if (code != TOOL_FINE)
    return code;
  output.path = s->out;
  output.written = &written;
  glow_status status = glow_export(m->model, (int32_t)s->format, &output);
  if (status != GLOW_OK)
    return complain_status(status, NULL);
  printf("%s: %s\n", visible(s->out, text, sizeof text), short_bytes((double)written, bytes));
  return TOOL_FINE;
}

int command_export(int argc, char **argv) {
  export_settings settings;
  return run_on_model(argc, argv, &table, &settings, export_model);
}
