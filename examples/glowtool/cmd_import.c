/* glowtool import: weights of other projects become a model file. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "files.h"
#include "options_rows.h"

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
           "the project whose names the tensors have; auto: told by the names"),
    TEXT("size", "N[xM]", size, NULL,
         "height and width of the images; needed unless the file tells (y0ast does)"),
    INT("bits", bits, "8", 1, 8, "bits of a channel that the model was trained on"),
    FLAG("reversed", reversed,
         "the model reversed its channels at each step, which files of y0ast do not tell"),
    FLAG("ignore-unknown", ignore_unknown, "leave out tensors that have no place in the model"),
    TEXT("out", "FILE", out, "model.safetensors", "model file to write"),
    {.kind = OPTION_END},
};

static const option_table table = {
    .command = "import",
    .usage = "FILE [options]",
    .about = "Makes a model from weights of openai/glow, y0ast/Glow-PyTorch or "
             "rosinality/glow-pytorch, "
             "given as a safetensors file under their own names; docs/import.md has the lines of "
             "Python that write one. The file need not be trusted.",
    .rows = rows,
    .settings_size = sizeof(import_settings),
    .positional = FIELD(file),
    .positional_name = "FILE",
};

static bool read_side(const char **at, int64_t *out) {
  char *end = NULL;
  if (**at < '0' || **at > '9')
    return false;
  errno = 0;
  *out = strtoll(*at, &end, 10);
  *at = end;
  return errno == 0 && *out >= 1 && *out <= 1 << 20;
}

/* "N" or "NxM". */
static int parse_size(const char *text, glow_import_options *o) {
  const char *at = text;
  if (!text)
    return TOOL_FINE;
  bool fine = read_side(&at, &o->height);
  o->width = o->height;
  if (fine && *at == 'x') {
    at++;
    fine = read_side(&at, &o->width);
  }
  return fine && !*at ? TOOL_FINE : complain("--size: '%s' is not N or NxM", text);
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
    return complain_status(status, NULL);
  status = glow_model_save(m->model, s->out);
  if (status != GLOW_OK)
    return complain_status(status, "writing");
  tell(s, m);
  return TOOL_FINE;
}

int command_import(int argc, char **argv) {
  import_settings settings;
  return run_on_model(argc, argv, &table, &settings, import_file);
}
