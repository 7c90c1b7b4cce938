/* Fuzz target: the importers of other projects' models. What is imported is a model that is whole:
 * it can be saved and loads again; and what can be exported imports again.
 * SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <glow/import.h>
#include <stdlib.h>
#include <string.h>

enum {
  BUDGET = 64 << 20,
  SIDE = 8 /* of the images, where the file does not tell */
};

typedef glow_status (*writer)(const glow_model *model, const glow_output *output);

static glow_status export_model(const glow_model *model, const glow_output *output) {
  return glow_model_export(model, GLOW_FORMAT_Y0AST, output);
}

/* The bytes of a model, or NULL when it cannot be written so. */
static void *write_model(const glow_model *model, writer write, size_t *size) {
  glow_output output = GLOW_OUTPUT_INIT;
  output.written = size;
  if (write(model, &output) != GLOW_OK)
    return NULL;
  output.buffer = malloc(*size);
  output.capacity = *size;
  PROMISE(output.buffer);
  PROMISE(write(model, &output) == GLOW_OK);
  return output.buffer;
}

static void save_and_load(glow_context *context, const glow_model *model) {
  glow_input input = GLOW_INPUT_INIT;
  glow_model *again = NULL;
  size_t size = 0;
  input.data = write_model(model, glow_model_save_output, &size);
  input.size = (int64_t)size;
  PROMISE(input.data);
  PROMISE(glow_model_load_input(context, &input, &again) == GLOW_OK);
  glow_model_destroy(&again);
  free((void *)(uintptr_t)input.data);
}

/* Not every model is one that the other project has, and what it folds together may be singular
 * once it is rounded: any status may come. */
static void export_and_import(glow_context *context, const glow_model *model,
                              const glow_import_options *options) {
  glow_import_options o = *options;
  glow_input input = GLOW_INPUT_INIT;
  glow_model *again = NULL;
  size_t size = 0;
  input.data = write_model(model, export_model, &size);
  if (!input.data)
    return;
  input.size = (int64_t)size;
  o.format = GLOW_FORMAT_Y0AST;
  glow_status status = glow_model_import(context, &input, &o, &again);
  PROMISE((status == GLOW_OK) == (again != NULL));
  PROMISE(status == GLOW_OK || status == GLOW_E_FORMAT || status == GLOW_E_LIMIT);
  glow_model_destroy(&again);
  free((void *)(uintptr_t)input.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  glow_import_options options = GLOW_IMPORT_OPTIONS_INIT;
  glow_input input = GLOW_INPUT_INIT;
  glow_model *model = NULL;
  fuzz_memory memory;
  if (!size)
    return 0;
  glow_context *context = fuzz_context(&memory, BUDGET);
  input.data = data;
  input.size = (int64_t)size;
  options.height = options.width = SIDE;
  options.ignore_unknown = size % 2;
  glow_status status = glow_model_import(context, &input, &options, &model);
  PROMISE((status == GLOW_OK) == (model != NULL));
  if (status == GLOW_E_ARGUMENT) { /* the file says its size itself, and it is another */
    options.height = options.width = 0;
    status = glow_model_import(context, &input, &options, &model);
    PROMISE((status == GLOW_OK) == (model != NULL));
  }
  PROMISE(status != GLOW_E_ARGUMENT && status != GLOW_E_IO && status != GLOW_E_MEMORY);
  if (model) {
    save_and_load(context, model);
    export_and_import(context, model, &options);
  } else {
    PROMISE(*glow_last_error());
  }
  glow_model_destroy(&model);
  fuzz_end(context, &memory);
  return 0;
}
