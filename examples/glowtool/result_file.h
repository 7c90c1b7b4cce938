/* Results of many samples, written piece by piece. The ending of the file's name says how:
 * .safetensors, a tensor for each kind of result; .csv, a row for each sample; .npy, the first kind
 * alone. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_RESULT_FILE_H
#define GLOWTOOL_RESULT_FILE_H

#include <limits.h>
#include <stdio.h>

#include "files.h"
#include "sample_source.h"

/* Endings for an OUTPUT row. */
#define RESULT_ENDINGS ".safetensors .csv .npy"

/* One kind of result. */
typedef struct result_column {
  const char *name; /* of the tensor; in CSV of the column, or of each, with a number behind it */
  int32_t type;     /* GLOW_TYPE_U8, _I32, _F32 or _F64 */
  int32_t rank;     /* dimensions of one sample's: 0, 1 or 3 */
  int64_t dims[3];
} result_column;
int64_t result_width(const result_column *column); /* elements of a sample */

enum { MOST_RESULTS = 8 };
typedef struct result_file {
  const char *path;
  result_column columns[MOST_RESULTS];
  int32_t count;
  int64_t rows, written;
  const sample_set *names; /* rows are called as its samples are; NULL: by number */
  glow_tensor_writer *tensors;
  FILE *table; /* CSV and .npy */
  bool csv;
  new_file file; /* that they are written to */
} result_file;

bool is_picture_path(const char *path); /* ends in .png */
/* rows: of all pieces together. names: NULL, or whose samples the rows are. key and value:
 * metadata of a safetensors file, or NULL. Returns an exit code, as all here do; result_close is
 * due in any case. */
int result_open(result_file *f, glow_context *context, const char *path, int64_t rows,
                const result_column *columns, int32_t count, const sample_set *names,
                const char *key, const char *value);
/* data[i]: `rows` rows of column i. TOOL_STOPPED after a signal that ends the program. */
int result_append(result_file *f, const void *const *data, int64_t rows);
/* Puts the file in its place. */
int result_finish(result_file *f);
void result_close(result_file *f);

#endif
