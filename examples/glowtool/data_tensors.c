/* Safetensors files: samples `x`, labels `y`, conditions `condition`.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include <glow/glow.h>

#include "byte_order.h"
#include "data_array.h"

typedef struct tensor_place {
  glow_tensor_file *file;
  int64_t index;
} tensor_place;

typedef struct tensors {
  char *path;
  glow_context *context; /* the file's memory comes from it */
  glow_tensor_file *file;
  tensor_place places[3];
} tensors;

/* The library gives elements in the machine's order. */
static bool read_tensor(void *state, int64_t offset, void *to, size_t bytes, message error) {
  const tensor_place *p = state;
  return glow_tensor_file_read(p->file, p->index, offset, to, bytes) == GLOW_OK ||
         data_fail(error, "%s", glow_last_error());
}

static number_type type_of(int32_t type) {
  static const number_type types[] = {
      [GLOW_TYPE_U8] = NUMBER_U8,   [GLOW_TYPE_I32] = NUMBER_I32,
      [GLOW_TYPE_F32] = NUMBER_F32, [GLOW_TYPE_F64] = NUMBER_F64,
      [GLOW_TYPE_I64] = NUMBER_I64, [GLOW_TYPE_BF16] = NUMBER_BF16,
      [GLOW_TYPE_F16] = NUMBER_F16, [GLOW_TYPE_I8] = NUMBER_I8,
      [GLOW_TYPE_I16] = NUMBER_I16, [GLOW_TYPE_U16] = NUMBER_U16,
      [GLOW_TYPE_U32] = NUMBER_U32, [GLOW_TYPE_U64] = NUMBER_U64,
      [GLOW_TYPE_BOOL] = NUMBER_U8, [GLOW_TYPE_F8_E8M0] = NUMBER_NONE};
  return type > 0 && type < (int32_t)(sizeof types / sizeof *types) ? types[type] : NUMBER_NONE;
}

static void take(tensors *t, int place, int64_t index, data_array *out) {
  glow_file_tensor about = GLOW_FILE_TENSOR_INIT;
  if (index < 0 || glow_tensor_file_get(t->file, index, &about) != GLOW_OK)
    return;
  t->places[place] = (tensor_place){t->file, index};
  *out = (data_array){.rank = about.rank,
                      .type = type_of(about.type),
                      .big = MACHINE_BIG_ENDIAN,
                      .read = read_tensor,
                      .state = &t->places[place]};
  memcpy(out->dims, about.dims, sizeof out->dims);
}

static bool open_file(tensors *t, const char *path, message error) {
  glow_input input = GLOW_INPUT_INIT;
  input.path = path;
  input.flags = GLOW_INPUT_LAZY;
  t->path = strdup(path);
  if (!t->path || glow_context_create(NULL, &t->context) != GLOW_OK)
    return data_fail(error, "%s: out of memory", path);
  return glow_tensor_file_open_input(t->context, &input, &t->file) == GLOW_OK ||
         data_fail(error, "%s", glow_last_error());
}

static bool choose(const tensors *t, const char *wanted, int64_t *x, const char **name,
                   message error) {
  glow_file_tensor only = GLOW_FILE_TENSOR_INIT;
  *name = wanted ? wanted : "x";
  *x = glow_tensor_file_index(t->file, *name);
  if (*x < 0 && !wanted && glow_tensor_file_tensor_count(t->file) == 1 &&
      glow_tensor_file_get(t->file, 0, &only) == GLOW_OK) {
    *name = only.name;
    *x = 0;
  }
  return *x >= 0 || data_fail(error, "%s: there is no tensor '%s' in it; --tensor names another",
                              t->path, *name);
}

static void close_tensors(void *state) {
  tensors *t = state;
  glow_tensor_file_close(&t->file);
  glow_context_destroy(&t->context);
  free(t->path);
  free(t);
}

bool data_open_tensors(data_sources *s, const char *path, message error) {
  tensors *t = calloc(1, sizeof *t);
  int64_t x = -1;
  if (!t)
    return data_fail(error, "%s: out of memory", path);
  array_file a = {.y.rank = -1, .condition.rank = -1, .state = t, .close = close_tensors};
  if (!open_file(t, path, error) || !choose(t, s->options.tensor, &x, &a.name, error)) {
    close_tensors(t);
    return false;
  }
  s->met |= MET_NAMED;
  a.path = t->path;
  take(t, 0, x, &a.x);
  take(t, 1, glow_tensor_file_index(t->file, "y"), &a.y);
  take(t, 2, glow_tensor_file_index(t->file, "condition"), &a.condition);
  return data_add_array(s, &a, error);
}
