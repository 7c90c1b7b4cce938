/* Models of other projects, from safetensors files with those projects' names: recognise, infer,
 * check every tensor, build, convert. What is special about a project is in its own file,
 * import_PROJECT.c. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "host/host.h"
#include "io/import.h"

static const glow__import_format *const formats[] = {&glow__import_openai, &glow__import_y0ast,
                                                     &glow__import_rosinality};
enum { FORMATS = sizeof formats / sizeof *formats };

static const glow_choice format_choices[] = {{0, 0, "recognised"},
                                             {GLOW_FORMAT_OPENAI, 0, "openai"},
                                             {GLOW_FORMAT_Y0AST, 0, "y0ast"},
                                             {GLOW_FORMAT_ROSINALITY, 0, "rosinality"},
                                             {0, 0, NULL}};
static const glow_choice permutation_choices[] = {
    {0, 0, "as the file says"}, {GLOW_PERMUTATION_REVERSE, 0, "reverse"}, {0, 0, NULL}};
static const glow_option rows[] = {
    GLOW_OPTION(glow_import_options, format, CHOICE, .choices = format_choices,
                .prefix = "GLOW_FORMAT_"),
    GLOW_OPTION(glow_import_options, bits, INT32, .high = 8, .fallback = 8),
    GLOW_OPTION(glow_import_options, height, INT64, .high = 0x1p62),
    GLOW_OPTION(glow_import_options, width, INT64, .high = 0x1p62),
    GLOW_OPTION(glow_import_options, permutation, CHOICE, .choices = permutation_choices,
                .prefix = "GLOW_PERMUTATION_"),
    GLOW_OPTION(glow_import_options, ignore_unknown, INT32, .high = 1),
};
static const glow_options_table table = {GLOW_OPTIONS_TABLE(glow_import_options, rows)};

/* ---- recognising ----------------------------------------------------------------------------- */

static bool is_of(glow__import *im, const glow__import_format *format) {
  for (int i = 0; format->prefixes[i]; i++) {
    im->prefix = format->prefixes[i];
    if (glow__import_has(im, format->first)) {
      im->format = format;
      return true;
    }
  }
  return false;
}

/* Names of y0ast's models are like these, except those of nets, so this comes first. */
static glow_status refuse_chaiyujin(glow__import *im) {
  static const char *const prefixes[] = {GLOW_IMPORT_PREFIXES};
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
    im->prefix = prefixes[i];
    if (glow__import_has(im, "flow.layers.1.f.0.weight"))
      return glow_error(GLOW_E_UNSUPPORTED,
                        "tensor '%sflow.layers.1.f.0.weight' is of chaiyujin/glow-pytorch, whose "
                        "models are not imported; those of %s, %s and %s are",
                        im->prefix, formats[0]->project, formats[1]->project, formats[2]->project);
  }
  return GLOW_OK;
}

static glow_status recognise(glow__import *im) {
  int32_t wanted = im->options.format;
  GLOW_TRY(refuse_chaiyujin(im));
  for (int i = 0; i < FORMATS; i++)
    if ((!wanted || wanted == formats[i]->id) && is_of(im, formats[i]))
      return GLOW_OK;
  for (int i = 0; i < FORMATS; i++)
    if (wanted == formats[i]->id)
      return glow_error(GLOW_E_FORMAT, "the file has no tensor '%s%s', which every model of %s has",
                        formats[i]->prefixes[0], formats[i]->first, formats[i]->project);
  return glow_error(GLOW_E_FORMAT,
                    "its names are those of none of %s, %s, %s: it has no tensor '%s%s', '%s' or "
                    "'%s'",
                    formats[0]->project, formats[1]->project, formats[2]->project,
                    formats[0]->prefixes[0], formats[0]->first, formats[1]->first,
                    formats[2]->first);
}

/* ---- checking -------------------------------------------------------------------------------- */

static glow_status import_infer_size(glow__import *im) {
  const glow_import_options *o = &im->options;
  glow_shape *input = &im->plan.input;
  if (input->height &&
      ((o->height && o->height != input->height) || (o->width && o->width != input->width)))
    return glow_error(GLOW_E_ARGUMENT, "the file is for images of %lld x %lld, not of %lld x %lld",
                      (long long)input->height, (long long)input->width, (long long)o->height,
                      (long long)o->width);
  if (!input->height) {
    input->height = o->height;
    input->width = o->width;
  }
  if (!input->height || !input->width)
    return glow_error(GLOW_E_ARGUMENT,
                      "a file of %s does not tell the size of the images: give height and width",
                      im->format->project);
  int64_t factor = (int64_t)1 << im->plan.levels;
  if (input->height % factor || input->width % factor)
    return glow_error(GLOW_E_ARGUMENT,
                      "the model has %d levels: height %lld and width %lld must be divisible by "
                      "%lld",
                      im->plan.levels, (long long)input->height, (long long)input->width,
                      (long long)factor);
  return GLOW_OK;
}

static bool passes(const glow__import_format *format, const char *name) {
  for (int i = 0; i < (int)(sizeof format->passes / sizeof *format->passes); i++)
    if (format->passes[i] && strstr(name, format->passes[i]))
      return true;
  return false;
}

static glow_status check_unknown(const glow__import *im) {
  for (int64_t i = 0; !im->options.ignore_unknown && i < glow_tensor_file_tensor_count(im->file);
       i++) {
    glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
    GLOW_TRY(glow_tensor_file_get(im->file, i, &tensor));
    if (!im->known[i] && !passes(im->format, tensor.name))
      return glow_error(GLOW_E_FORMAT,
                        "tensor '%.200s' has no place in a model of %s with %d levels of %d steps",
                        tensor.name, im->format->project, im->plan.levels, im->plan.depth);
  }
  return GLOW_OK;
}

static glow_status import_check(glow__import *im) {
  GLOW_TRY(recognise(im));
  GLOW_TRY(im->format->infer(im));
  GLOW_TRY(glow__import_permutations(im));
  if (im->plan.classifier && !im->plan.classes)
    return glow_error(GLOW_E_FORMAT, "the file has a classifier, but no prior of the classes");
  GLOW_TRY(glow__import_walk(im));
  GLOW_TRY(check_unknown(im));
  return import_infer_size(im);
}

/* ---- converting ------------------------------------------------------------------------------ */

static glow_status import_convert(glow_model *model, void *arg) {
  glow__import *im = arg;
  im->model = model;
  return glow__import_walk(im);
}

static glow_status import_model(glow__import *im, glow_model **out) {
  glow_builder *builder = NULL;
  GLOW_TRY(import_check(im));
  im->plan.bits = im->options.bits;
  GLOW_TRY(glow__import_build(im->context, &im->plan, &builder));
  glow_status status = glow__limits_check_model(&im->limits, builder);
  if (status != GLOW_OK) {
    glow_builder_destroy(&builder);
    return status;
  }
  GLOW_TRY(glow__builder_finish_from(&builder, import_convert, im, out));
  return glow_model_set_initialised(*out);
}

static glow_status import_file(glow__import *im, const glow_input *input, glow_model **out) {
  GLOW_TRY(glow_tensor_file_open_input(im->context, input, &im->file));
  int64_t count = glow_tensor_file_tensor_count(im->file);
  im->known = glow_allocate(im->context, (size_t)count + 1);
  glow_status status = im->known ? import_model(im, out) : GLOW_E_MEMORY;
  glow_release(im->context, im->plan.permutations);
  glow_release(im->context, im->known);
  glow_tensor_file_close(&im->file);
  if (status != GLOW_OK && input->path)
    glow__error_prefix(status, "'%s'", input->path);
  return status == GLOW_E_NUMERIC ? GLOW_E_FORMAT : status; /* a singular matrix in the file */
}

glow_status glow_model_import(glow_context *context, const glow_input *input,
                              const glow_import_options *options, glow_model **out) {
  glow__import im = {.context = context};
  glow_input checked;
  if (out)
    *out = NULL;
  GLOW_LIVE(context, CONTEXT);
  if (!context || !input || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_import: NULL argument");
  GLOW_TRY(glow_options_read(&table, options, &im.options));
  GLOW_TRY(glow__input_copy(input, &checked, &im.limits));
  return import_file(&im, input, out);
}

/* ---- exporting ------------------------------------------------------------------------------- */

glow_status glow_model_export(const glow_model *model, int32_t format, const glow_output *output) {
  GLOW_LIVE(model, MODEL);
  if (!model || !output)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_export: NULL argument");
  if (format != GLOW_FORMAT_Y0AST)
    return glow_error(GLOW_E_ARGUMENT,
                      "format is %d; models can be written as GLOW_FORMAT_Y0AST (%d)", (int)format,
                      GLOW_FORMAT_Y0AST);
  if (!glow_model_initialised(model))
    return glow_error(GLOW_E_STATE, "the model is not initialised: "
                                    "initialise it from data first");
  return glow__export_y0ast(model, output);
}
