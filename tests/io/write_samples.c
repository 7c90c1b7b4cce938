/* Writes files for tests/io/check_safetensors.py: tensors of every type and a model in float32 and
 * bfloat16, each with FILE.expected beside it: a line NAME DTYPE DIMS... BYTES-IN-HEX for each
 * tensor. Usage: write_samples FOLDER. SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static glow_context *context;

static void check(glow_status status) {
  if (status == GLOW_OK)
    return;
  fprintf(stderr, "write_samples: %s\n", glow_last_error());
  exit(1);
}

/* Elements of `size` bytes, from the lowest byte on. */
static void expect(FILE *out, const char *name, const char *dtype, int32_t rank,
                   const int64_t *dims, const void *data, size_t bytes, size_t size) {
  const bool big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
  fprintf(out, "%s %s", name, dtype);
  for (int32_t i = 0; i < rank; i++)
    fprintf(out, " %lld", (long long)dims[i]);
  fprintf(out, " x");
  for (size_t i = 0; i < bytes; i++)
    fprintf(out, "%02x",
            ((const unsigned char *)data)[big ? i - i % size + size - 1 - i % size : i]);
  fprintf(out, "\n");
}

static FILE *open_expected(const char *path) {
  char name[512];
  snprintf(name, sizeof name, "%s.expected", path);
  FILE *out = fopen(name, "w");
  if (!out)
    exit(1);
  return out;
}

static void write_types(const char *folder) {
  static const char *const names[] = {"U8", "I32", "F32", "F64", "I64", "BF16"};
  static const int64_t sizes[] = {1, 4, 4, 8, 8, 2};
  static const int32_t types[] = {GLOW_TYPE_U8,  GLOW_TYPE_I32, GLOW_TYPE_F32,
                                  GLOW_TYPE_F64, GLOW_TYPE_I64, GLOW_TYPE_BF16};
  enum { F32 = 2 };
  const char *metadata[] = {"quote\"", "line\nand \xc3\xa9"};
  unsigned char data[6 * 8];
  glow_file_tensor tensors[8];
  char path[400];
  snprintf(path, sizeof path, "%s/types.safetensors", folder);
  FILE *out = open_expected(path);
  for (int i = 0; i < (int)sizeof data; i++) /* finite as floats of all sizes */
    data[i] = (unsigned char)(i * 5 % 64);
  for (int i = 0; i < 8; i++) {
    glow_file_tensor *t = &tensors[i];
    *t = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    int k = i < 6 ? i : F32;
    t->type = types[k];
    t->name = i < 6 ? names[i] : i == 6 ? "scalar" : "empty";
    t->rank = i < 6 ? 2 : i == 6 ? 0 : 2;
    t->dims[0] = 2;
    t->dims[1] = i == 7 ? 0 : 3;
    t->bytes = (i < 6 ? 6 : i == 6 ? 1 : 0) * sizes[k];
    t->data = data;
    expect(out, t->name, names[k], t->rank, t->dims, data, (size_t)t->bytes, (size_t)sizes[k]);
  }
  fclose(out);
  check(glow_tensor_file_write(context, path, tensors, 8, metadata, 1));
}

/* The parameters are multiples of 1/256 below 1: bfloat16 holds them. */
static void write_model(const char *folder, const char *name, int32_t storage) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  glow_output output = GLOW_OUTPUT_INIT;
  glow_model *model = NULL;
  char path[400];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *out = open_expected(path);
  o.input = (glow_shape){4, 4, 2};
  o.levels = 2;
  o.depth = 1;
  o.hidden = 4;
  check(glow_model_create_glow(context, &o, &model));
  float *p = glow_model_parameters_mutable(model);
  for (int64_t i = 0; i < glow_model_parameter_count(model); i++)
    p[i] = (float)(i * 7 % 255 - 127) / 256.0f;
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    check(glow_model_tensor(model, i, &info));
    bool half = info.weights && storage == GLOW_TYPE_BF16;
    int64_t count = info.elements;
    uint32_t *values = malloc((size_t)count * 4);
    check(values ? glow_model_get_tensor(model, info.name, values, count) : GLOW_E_MEMORY);
    for (int64_t k = 0; half && k < count; k++)
      ((uint16_t *)values)[k] = (uint16_t)(values[k] >> 16);
    expect(out, info.name,
           info.type == GLOW_TYPE_I32 ? "I32"
           : half                     ? "BF16"
                                      : "F32",
           info.rank, info.dims, values, (size_t)count * (half ? 2 : 4), half ? 2 : 4);
    free(values);
  }
  fclose(out);
  output.path = path;
  output.storage = storage;
  check(glow_model_save_output(model, &output));
  glow_model_destroy(&model);
}

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  check(glow_context_create(NULL, &context));
  write_types(argv[1]);
  write_model(argv[1], "model.safetensors", GLOW_TYPE_F32);
  write_model(argv[1], "half.safetensors", GLOW_TYPE_BF16);
  glow_context_destroy(&context);
  return 0;
}
