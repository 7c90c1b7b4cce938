/* Writers of files. SPDX-License-Identifier: MIT */
#include "writers.h"

glow_context *writers_context;
helper_memory writers_memory;
glow_model *writers_model;
glow_trainer *writers_trainer;

/* ---- writers --------------------------------------------------------------------------------- */

static glow_status write_model(const char *path) {
  return glow_model_save(writers_model, path);
}

static glow_status write_checkpoint(const char *path) {
  static const char *const notes[] = {"epoch", "7"};
  return glow_checkpoint_save(writers_trainer, path, notes, 1);
}

static const float numbers[600];
static const uint8_t bytes[5] = {1, 2, 3, 4, 5};

static void list_tensors(glow_file_tensor *tensors) {
  tensors[0] = tensors[1] = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
  tensors[0].name = "numbers";
  tensors[0].type = GLOW_TYPE_F32;
  tensors[0].rank = 1;
  tensors[0].dims[0] = 600;
  tensors[0].bytes = sizeof numbers;
  tensors[0].data = numbers;
  tensors[1].name = "bytes";
  tensors[1].type = GLOW_TYPE_U8;
  tensors[1].rank = 1;
  tensors[1].dims[0] = tensors[1].bytes = sizeof bytes;
  tensors[1].data = bytes;
}

static glow_status write_tensors(const char *path) {
  glow_file_tensor tensors[2];
  list_tensors(tensors);
  return glow_tensor_file_write(writers_context, path, tensors, 2, NULL, 0);
}

/* Piece by piece; the first failure is the one that is reported. */
static glow_status write_pieces(const char *path) {
  glow_file_tensor tensors[2];
  glow_tensor_writer *w = NULL;
  list_tensors(tensors);
  glow_status status = glow_tensor_writer_create(writers_context, path, tensors, 2, NULL, 0, &w);
  if (status == GLOW_OK)
    status = glow_tensor_writer_append(w, 0, numbers, 1000);
  if (status == GLOW_OK)
    status = glow_tensor_writer_append(w, 1, bytes, sizeof bytes);
  if (status == GLOW_OK)
    status = glow_tensor_writer_append(w, 0, (const char *)numbers + 1000, sizeof numbers - 1000);
  if (status == GLOW_OK)
    return glow_tensor_writer_finish(&w);
  if (w) { /* finishing what has failed fails too, and leaves nothing */
    char text[256];
    snprintf(text, sizeof text, "%s", glow_last_error());
    assert_int_equal(glow_tensor_writer_finish(&w), GLOW_E_STATE);
    glow_error(status, "%s", text);
  }
  assert_null(w);
  return status;
}

const file_writer writers[] = {
    {"model", write_model},
    {"checkpoint", write_checkpoint},
    {"tensor file", write_tensors},
    {"tensor file in pieces", write_pieces},
    {NULL, NULL},
};

/* ---- what they write ------------------------------------------------------------------------- */

void writers_step(void) {
  static const float x[2 * 32] = {0.1f, -0.2f};
  OK(glow_trainer_step(writers_trainer, x, NULL, 2, NULL));
}

int writers_set_up(const char *parent) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  if (!temp_folder_make(parent))
    return -1;
  writers_context = helper_context(0, NULL, &writers_memory);
  o.input = (glow_shape){4, 4, 2};
  o.levels = 1;
  o.depth = 1;
  o.hidden = 8;
  writers_model = helper_glow(writers_context, &o, 1);
  options.micro_batch = 2;
  OK(glow_trainer_create(writers_model, &options, &writers_trainer));
  writers_step();
  return 0;
}

int writers_tear_down(void) {
  glow_trainer_destroy(&writers_trainer);
  glow_model_destroy(&writers_model);
  glow_context_destroy(&writers_context);
  return temp_folder_remove() && writers_memory.live == 0 ? 0 : -1;
}
