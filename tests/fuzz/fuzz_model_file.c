/* Fuzz target: the reader of models and checkpoints. A model that loads is saved, and what was
 * saved must load and give the same file; a small one makes a pass both ways.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memmem */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

enum {
  BUDGET = 32 << 20,
  /* What loading may take: the architecture's layers, each named by 40 bytes or more of text, have
   * structs of some hundred bytes and tables that double; parameters are there once, and derived
   * values twice in double. */
  LOAD_BASE = 1 << 20,
  LOAD_PER_BYTE = 100,
  MOST_DIMS = 4096,
  MOST_PASS_BYTES = 4 << 20
};

/* ---- a pass both ways ------------------------------------------------------------------------ */

/* Any status may come, since any parameters may: what counts is that nothing else happens. */
static void pass(glow_model *model) {
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *workspace = NULL;
  uint64_t bytes = 0;
  int64_t dims = glow_model_dims(model);
  options.mode = GLOW_MODE_STORED;
  if (dims > MOST_DIMS || glow_workspace_plan_bytes(model, &options, &bytes) != GLOW_OK ||
      bytes > MOST_PASS_BYTES || glow_workspace_create(model, &options, &workspace) != GLOW_OK)
    return;
  float *x = malloc(2 * (size_t)dims * sizeof *x);
  const int32_t label = 0;
  const double weight = 1;
  double logdet = 0, log_prob = 0;
  glow_backward_options back = GLOW_BACKWARD_OPTIONS_INIT;
  PROMISE(x);
  for (int64_t i = 0; i < dims; i++)
    x[i] = (float)(i % 17) / 17 - 0.5f;
  back.weight = &weight;
  if (glow_model_condition_size(model) > 0 && glow_model_condition_size(model) <= dims)
    glow_workspace_set_condition(workspace, x, 1, glow_model_condition_size(model));
  if (glow_workspace_forward(workspace, x, 1,
                             &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                     .labels = &label,
                                                     .latents = x + dims,
                                                     .logdet = &logdet,
                                                     .log_prob = &log_prob}) == GLOW_OK)
    glow_workspace_backward(workspace, &back);
  glow_workspace_inverse(
      workspace, x + dims, 1,
      &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options), .labels = &label}, x);
  glow_workspace_destroy(&workspace);
  free(x);
}

/* ---- saving it again ------------------------------------------------------------------------- */

static glow_status save(const glow_model *model, int32_t storage, void **bytes, size_t *size) {
  glow_output output = GLOW_OUTPUT_INIT;
  output.written = size;
  output.storage = storage;
  PROMISE(glow_model_save_output(model, &output) == GLOW_OK);
  *bytes = output.buffer = malloc(*size);
  output.capacity = *size;
  PROMISE(*bytes);
  return glow_model_save_output(model, &output);
}

/* In bfloat16 some parameters are too large to be saved, and a rounded matrix may be singular. */
static void save_again(glow_context *context, const glow_model *model, int32_t storage) {
  glow_input input = GLOW_INPUT_INIT;
  glow_model *again = NULL;
  size_t size = 0, size_again = 0;
  void *first, *second;
  glow_status status = save(model, storage, &first, &size);
  if (storage == GLOW_TYPE_BF16 && status == GLOW_E_NUMERIC) {
    free(first);
    return;
  }
  PROMISE(status == GLOW_OK);
  input.data = first;
  input.size = (int64_t)size;
  status = glow_model_load_input(context, &input, &again);
  PROMISE(status == GLOW_OK || (storage == GLOW_TYPE_BF16 && status == GLOW_E_FORMAT));
  if (again) {
    PROMISE(save(again, storage, &second, &size_again) == GLOW_OK);
    PROMISE(size == size_again && memcmp(first, second, size) == 0);
    free(second);
  }
  glow_model_destroy(&again);
  free(first);
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

static void *save_checkpoint(const glow_trainer *trainer, size_t *size) {
  glow_output output = GLOW_OUTPUT_INIT;
  output.written = size;
  PROMISE(glow_checkpoint_save_output(trainer, &output, NULL, 0) == GLOW_OK);
  output.buffer = malloc(*size);
  output.capacity = *size;
  PROMISE(output.buffer);
  PROMISE(glow_checkpoint_save_output(trainer, &output, NULL, 0) == GLOW_OK);
  return output.buffer;
}

static void save_checkpoint_again(glow_context *context, const glow_trainer *trainer) {
  glow_input input = GLOW_INPUT_INIT;
  glow_model *model = NULL;
  glow_trainer *again = NULL;
  size_t size = 0, size_again = 0;
  void *first = save_checkpoint(trainer, &size);
  input.data = first;
  input.size = (int64_t)size;
  PROMISE(glow_checkpoint_load_input(context, &input, &model, &again) == GLOW_OK);
  void *second = save_checkpoint(again, &size_again);
  PROMISE(size == size_again && memcmp(first, second, size) == 0);
  glow_trainer_destroy(&again);
  glow_model_destroy(&model);
  free(first);
  free(second);
}

/* Its micro-batch may ask for more memory than it may have. */
static void load_checkpoint(glow_context *context, const glow_input *from) {
  glow_input input = *from;
  glow_limits limits = GLOW_LIMITS_INIT;
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  limits.workspace_bytes = MOST_PASS_BYTES;
  input.limits = &limits;
  glow_status status = glow_checkpoint_load_input(context, &input, &model, &trainer);
  PROMISE((status == GLOW_OK) == (model != NULL) && (status == GLOW_OK) == (trainer != NULL));
  PROMISE(status != GLOW_E_ARGUMENT && status != GLOW_E_IO && status != GLOW_E_MEMORY);
  if (trainer)
    save_checkpoint_again(context, trainer);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  status = glow_checkpoint_load_average_input(context, &input, &model);
  PROMISE((status == GLOW_OK) == (model != NULL));
  glow_model_destroy(&model);
}

/* ---- the target ------------------------------------------------------------------------------ */

static glow_status load_it(const glow_input *input, size_t size, bool all) {
  glow_model *model = NULL;
  fuzz_memory memory;
  glow_context *context = fuzz_context(&memory, BUDGET);
  glow_status status = glow_model_load_input(context, input, &model);
  PROMISE((status == GLOW_OK) == (model != NULL));
  PROMISE(status != GLOW_E_MEMORY && status != GLOW_E_ARGUMENT && status != GLOW_E_IO);
  PROMISE(memory.peak <= LOAD_BASE + LOAD_PER_BYTE * size);
  if (!model) {
    PROMISE(*glow_last_error());
  } else if (all) {
    pass(model);
    save_again(context, model, GLOW_TYPE_F32);
    save_again(context, model, GLOW_TYPE_BF16);
  }
  glow_model_destroy(&model);
  if (all && memmem(input->data, size, "glow.checkpoint", 15))
    load_checkpoint(context, input);
  fuzz_end(context, &memory);
  return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  glow_input input = GLOW_INPUT_INIT;
  glow_limits limits = GLOW_LIMITS_INIT;
  if (!size)
    return 0;
  input.data = data;
  input.size = (int64_t)size;
  glow_status status = load_it(&input, size, true);
  limits.layers = 4;
  limits.parameters = 1000;
  input.limits = &limits;
  glow_status under_limits = load_it(&input, size, false);
  PROMISE(under_limits == status || under_limits == GLOW_E_LIMIT || status != GLOW_OK);
  return 0;
}
