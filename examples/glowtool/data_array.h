/* Arrays of any element type in files, and samples made of them. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_DATA_ARRAY_H
#define GLOWTOOL_DATA_ARRAY_H

#include "data_internal.h"

typedef enum number_type {
  NUMBER_NONE, /* not a type that is read */
  NUMBER_U8,
  NUMBER_I8,
  NUMBER_U16,
  NUMBER_I16,
  NUMBER_U32,
  NUMBER_I32,
  NUMBER_U64,
  NUMBER_I64,
  NUMBER_F16,
  NUMBER_BF16,
  NUMBER_F32,
  NUMBER_F64
} number_type;
int64_t number_size(number_type type);
bool number_whole(number_type type);
/* Element i of packed ones; `big`: the most significant byte comes first. */
double number_at(const uint8_t *packed, int64_t i, number_type type, bool big);

enum { ARRAY_RANK = 8 };
typedef struct data_array {
  int64_t dims[ARRAY_RANK];
  int32_t rank;
  number_type type;
  bool big;
  /* `bytes` bytes at `offset` of the array's own data. */
  bool (*read)(void *state, int64_t offset, void *to, size_t bytes, message error);
  void *state;
} data_array;

/* What a file has, and how it is closed. The arrays y and condition may be missing: rank -1. */
typedef struct array_file {
  const char *path; /* of `state` */
  const char *name; /* of x, for messages */
  data_array x, y, condition;
  void *state;
  void (*close)(void *state);
} array_file;

/* Adds a reader of the samples x[0], x[1], ...; takes the file over, on failure too. */
bool data_add_array(data_sources *s, const array_file *file, message error);
/* Class numbers [count] from an array [count] of whole numbers; others become -1. */
bool data_array_labels(const data_array *a, int64_t count, const char *path, int32_t *out,
                       message error);

#endif
