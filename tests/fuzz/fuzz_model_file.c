/* Fuzz target: the reader of models and checkpoints. A model that loads is saved, and what was
 * saved must load and give the same file; a small one makes a pass both ways.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
  BUDGET = 32 << 20,
  /* What loading may take: the architecture's layers, each named by 40 bytes or more of text, have
   * structs of some hundred bytes and tables that double; numbers are there once, and derived ones
   * twice in double. */
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
  if (dims > MOST_DIMS || glow_workspace_bytes(model, &options, &bytes) != GLOW_OK ||
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
  if (glow_forward(workspace, x, &label, 1, GLOW_LATENTS_RAW, x + dims, &logdet, &log_prob) ==
      GLOW_OK)
    glow_backward(workspace, &back);
  glow_inverse(workspace, x + dims, GLOW_LATENTS_RAW, &label, 1, x, NULL);
  glow_workspace_destroy(&workspace);
  free(x);
}

/* ---- saving it again ------------------------------------------------------------------------- */

static void *save(const glow_model *model, size_t *size) {
  glow_output output = GLOW_OUTPUT_INIT;
  output.written = size;
  PROMISE(glow_model_save_output(model, &output) == GLOW_OK);
  output.buffer = malloc(*size);
  output.capacity = *size;
  PROMISE(output.buffer);
  PROMISE(glow_model_save_output(model, &output) == GLOW_OK);
  return output.buffer;
}

static void save_again(glow_context *context, const glow_model *model) {
  glow_input input = GLOW_INPUT_INIT;
  glow_model *again = NULL;
  size_t size = 0, size_again = 0;
  void *first = save(model, &size);
  input.data = first;
  input.size = (int64_t)size;
  PROMISE(glow_model_load_input(context, &input, &again) == GLOW_OK);
  void *second = save(again, &size_again);
  PROMISE(size == size_again && memcmp(first, second, size) == 0);
  glow_model_destroy(&again);
  free(first);
  free(second);
}

/* ---- checkpoints, which are read from files -------------------------------------------------- */

static void load_checkpoint(glow_context *context, const uint8_t *data, size_t size) {
  char path[64];
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  int descriptor = memfd_create("fuzz", MFD_CLOEXEC);
  if (descriptor < 0 || write(descriptor, data, size) != (ssize_t)size)
    abort();
  snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
  glow_status status = glow_checkpoint_load(context, path, &model, &trainer);
  PROMISE((status == GLOW_OK) == (model != NULL) && (status == GLOW_OK) == (trainer != NULL));
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  status = glow_checkpoint_load_average(context, path, &model);
  PROMISE((status == GLOW_OK) == (model != NULL));
  glow_model_destroy(&model);
  close(descriptor);
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
    save_again(context, model);
  }
  glow_model_destroy(&model);
  if (all && memmem(input->data, size, "glow.checkpoint", 15))
    load_checkpoint(context, input->data, size);
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
