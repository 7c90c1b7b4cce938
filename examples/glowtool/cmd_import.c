/* glowtool import: weights of other projects become a model file. SPDX-License-Identifier: MIT */
#include <glow/import.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "data.h"
#include "files.h"
#include "options_rows.h"
#include "stop.h"

typedef struct import_settings {
  const char *file, *size, *out;
  int64_t format, bits;
  bool reversed, ignore_unknown;
} import_settings;

#define FIELD(name) offsetof(import_settings, name)

static const option_choice formats[] = {{"auto", 0},
                                        {"openai", GLOW_FORMAT_OPENAI},
                                        {"y0ast", GLOW_FORMAT_Y0AST},
                                        {"rosinality", GLOW_FORMAT_ROSINALITY},
                                        {NULL, 0}};

static const option_row rows[] = {
    CHOICE("format", format, "auto", formats,
           "the project whose names the tensors have; auto: recognised by the names"),
    TEXT("size", "SIZE", size, NULL,
         "size of the images, N or WIDTHxHEIGHT; needed unless the file shows it (y0ast's does)"),
    INT("bits", bits, "8", 1, 8, "bits of a channel that the model was trained on"),
    FLAG("reversed", reversed,
         "the model reversed its channels at each step, which files of y0ast do not show"),
    FLAG("ignore-unknown", ignore_unknown, "leave out tensors that have no place in the model"),
    OUTPUT("out", out, "model.safetensors", ".safetensors", "model file to write"),
    {.kind = OPTION_END},
};

static const option_rule rules[] = {
    {"reversed", "format=auto|format=y0ast", NULL},
    {NULL, NULL, NULL},
};

const option_table import_table = {
    .command = "import",
    .usage = "FILE [options]",
    .about = "Makes a model from weights of openai/glow, y0ast/Glow-PyTorch or "
             "rosinality/glow-pytorch, "
             "given as a safetensors file under their own names; docs/import.md has the lines of "
             "Python that write one. The file need not be trusted.",
    .rows = rows,
    .rules = rules,
    .settings_size = sizeof(import_settings),
    .positional = FIELD(file),
    .positional_name = "FILE",
};

static int parse_size(const char *text, glow_import_options *o) {
  if (!text || data_parse_size(text, &o->width, &o->height))
    return TOOL_FINE;
  return complain("--size: '%s' is not N or WxH, of at most 16384", text);
}

static void tell(const import_settings *s, opened_model *m) {
  char text[1024], count[32];
  glow_model_input_shape(m->model, &m->shape);
  printf("%s: %lld x %lld x %lld images of %d bits, %s parameters, %d layers\n",
         visible(s->out, text, sizeof text), (long long)m->shape.height, (long long)m->shape.width,
         (long long)m->shape.channels, (int)glow_model_bits(m->model),
         short_count((double)glow_model_parameter_count(m->model), count),
         (int)glow_model_layer_count(m->model));
}

static int import_file(void *settings, opened_model *m) {
  const import_settings *s = settings;
  glow_import_options options = GLOW_IMPORT_OPTIONS_INIT;
  glow_input input = GLOW_INPUT_INIT;
  int code = parse_size(s->size, &options);
  if (code == TOOL_FINE)
    code = file_check_target(s->out);
  if (code == TOOL_FINE)
    code = open_context(1, NULL, GLOW_PRODUCTS_FLOAT32, &m->context);
  if (code != TOOL_FINE)
    return code;
  options.format = (int32_t)s->format;
  options.bits = (int32_t)s->bits;
  options.permutation = s->reversed ? GLOW_PERMUTATION_REVERSE : 0;
  options.ignore_unknown = s->ignore_unknown;
  input.path = s->file;
  input.flags = GLOW_INPUT_LAZY;
  glow_status status = glow_model_import(m->context, &input, &options, &m->model);
  if (status != GLOW_OK)
    return complain_of_file(status, s->file, "a file of tensors (safetensors)");
  stop_install_writing(); /* a file that is begun is finished */
  status = glow_model_save(m->model, s->out);
  if (status != GLOW_OK)
    return complain_status(status, "writing");
  tell(s, m);
  return TOOL_FINE;
}

int command_import(int argc, char **argv) {
  import_settings settings;
  return run_on_model(argc, argv, &import_table, &settings, import_file);
}
