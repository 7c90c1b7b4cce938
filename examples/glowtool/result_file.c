/* Writing results in one of three formats. SPDX-License-Identifier: MIT */
#include "result_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "byte_order.h"
#include "csv.h"
#include "files.h"
#include "stop.h"

static int64_t element_size(int32_t type) {
  return type == GLOW_TYPE_U8 ? 1 : type == GLOW_TYPE_F64 ? 8 : 4;
}

int64_t result_width(const result_column *column) {
  int64_t width = 1;
  for (int32_t i = 0; i < column->rank; i++)
    width *= column->dims[i];
  return width;
}

static bool ends_in(const char *path, const char *end) {
  size_t length = strlen(path), tail = strlen(end);
  return length >= tail && strcasecmp(path + length - tail, end) == 0;
}

bool is_picture_path(const char *path) {
  return ends_in(path, ".png");
}

static int told(const char *path) {
  return complain("cannot write %s: %s", path, strerror(errno));
}

/* ---- safetensors ----------------------------------------------------------------------------- */

/* A line for each row. A line's end in a name would be two names. */
static const char *name_line(const sample_set *set, int64_t index, char *out, size_t size) {
  data_name(set, index, out, size - 1);
  for (char *c = out; *c; c++)
    if (*c == '\n')
      *c = ' ';
  strcat(out, "\n");
  return out;
}

static int64_t name_bytes(const sample_set *set, int64_t rows) {
  char name[PATH_MAX];
  int64_t bytes = 0;
  for (int64_t i = 0; i < rows; i++)
    bytes += (int64_t)strlen(name_line(set, i, name, sizeof name));
  return bytes;
}

static int open_tensors(result_file *f, glow_context *context, const char *key, const char *value) {
  glow_file_tensor all[MOST_RESULTS];
  const char *const metadata[] = {key, value};
  for (int32_t i = 0; i < f->count; i++) {
    const result_column *c = &f->columns[i];
    glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
    t.name = c->name;
    t.type = c->type;
    t.rank = 1 + c->rank;
    t.dims[0] = f->rows;
    memcpy(t.dims + 1, c->dims, (size_t)c->rank * sizeof *c->dims);
    t.bytes = f->rows * result_width(c) * element_size(c->type);
    all[i] = t;
  }
  int32_t count = f->count;
  if (f->names) {
    glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
    t.name = "names";
    t.type = GLOW_TYPE_U8;
    t.rank = 1;
    t.dims[0] = t.bytes = name_bytes(f->names, f->rows);
    all[count++] = t;
  }
  glow_status status =
      glow_tensor_writer_create(context, f->path, all, count, metadata, key ? 1 : 0, &f->tensors);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "writing");
}

static int append_tensors(result_file *f, const void *const *data, int64_t rows) {
  glow_status status = GLOW_OK;
  char name[PATH_MAX];
  for (int32_t i = 0; i < f->count && status == GLOW_OK; i++) {
    const result_column *c = &f->columns[i];
    size_t bytes = (size_t)(rows * result_width(c) * element_size(c->type));
    status = glow_tensor_writer_append(f->tensors, i, data[i], bytes);
  }
  for (int64_t i = 0; f->names && i < rows && status == GLOW_OK; i++) {
    name_line(f->names, f->written + i, name, sizeof name);
    status = glow_tensor_writer_append(f->tensors, f->count, name, strlen(name));
  }
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "writing");
}

/* ---- CSV ------------------------------------------------------------------------------------- */

static void put_header(result_file *f) {
  if (f->names)
    fputs("name", f->table);
  for (int32_t i = 0; i < f->count; i++) {
    const result_column *c = &f->columns[i];
    int64_t width = result_width(c);
    for (int64_t k = 0; k < width; k++) {
      fprintf(f->table, "%s%s", f->names || i || k ? "," : "", c->name);
      if (c->rank)
        fprintf(f->table, "%lld", (long long)k);
    }
  }
  putc('\n', f->table);
}

/* Enough digits to give back the same value: 9 for float32, 17 for float64. */
static void put_number(FILE *to, int32_t type, const void *data, int64_t at) {
  switch (type) {
  case GLOW_TYPE_U8: fprintf(to, "%d", ((const uint8_t *)data)[at]); break;
  case GLOW_TYPE_I32: fprintf(to, "%d", ((const int32_t *)data)[at]); break;
  case GLOW_TYPE_F32: fprintf(to, "%.9g", (double)((const float *)data)[at]); break;
  default: fprintf(to, "%.17g", ((const double *)data)[at]); break;
  }
}

static void put_name(result_file *f, int64_t row) {
  char name[PATH_MAX], quoted[2 * PATH_MAX + 3], *at = quoted;
  csv_put(&at, quoted + sizeof quoted - 1, data_name(f->names, row, name, sizeof name));
  fputs(quoted, f->table);
}

static void put_rows(result_file *f, const void *const *data, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    if (f->names)
      put_name(f, f->written + row);
    for (int32_t i = 0; i < f->count; i++) {
      int64_t width = result_width(&f->columns[i]);
      for (int64_t k = 0; k < width; k++) {
        if (f->names || i || k)
          putc(',', f->table);
        put_number(f->table, f->columns[i].type, data[i], row * width + k);
      }
    }
    putc('\n', f->table);
  }
}

/* ---- .npy ------------------------------------------------------------------------------------ */

/* Version 1.0: 10 bytes, and a header whose end is at a multiple of 64. */
static void put_array_header(result_file *f) {
  const result_column *c = &f->columns[0];
  char text[256];
  const char *type = c->type == GLOW_TYPE_U8    ? "|u1"
                     : c->type == GLOW_TYPE_I32 ? "<i4"
                     : c->type == GLOW_TYPE_F32 ? "<f4"
                                                : "<f8";
  int used = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%lld,",
                      type, (long long)f->rows);
  for (int32_t i = 0; i < c->rank; i++)
    used += snprintf(text + used, sizeof text - (size_t)used, " %lld,", (long long)c->dims[i]);
  used += snprintf(text + used, sizeof text - (size_t)used, "), }");
  int size = (10 + used + 1 + 63) / 64 * 64 - 10;
  (void)fwrite("\x93NUMPY\1\0", 1, 8, f->table);
  putc(size & 255, f->table);
  putc(size >> 8, f->table);
  fprintf(f->table, "%-*s\n", size - 1, text);
}

/* Little-endian, as the header says. */
static void put_elements(FILE *file, const void *elements, int64_t count, size_t size) {
  const unsigned char *element = elements;
  if (!MACHINE_BIG_ENDIAN)
    (void)fwrite(elements, size, (size_t)count, file);
  for (int64_t i = 0; MACHINE_BIG_ENDIAN && i < count; i++, element += size)
    for (size_t k = size; k > 0; k--)
      putc(element[k - 1], file);
}

/* ---- all ------------------------------------------------------------------------------------- */

int result_open(result_file *f, glow_context *context, const char *path, int64_t rows,
                const result_column *columns, int32_t count, const sample_set *names,
                const char *key, const char *value) {
  *f = (result_file){.path = path, .rows = rows, .count = count, .names = names};
  if (!ends_in(path, ".csv") && names && !data_named(names))
    f->names = NULL; /* the numbers of rows say nothing */
  stop_install_writing();
  memcpy(f->columns, columns, (size_t)count * sizeof *columns);
  if (ends_in(path, ".safetensors"))
    return open_tensors(f, context, key, value);
  f->csv = ends_in(path, ".csv");
  f->table = file_begin(path, &f->file);
  if (!f->table)
    return TOOL_BAD;
  if (f->csv)
    put_header(f);
  else
    put_array_header(f);
  return ferror(f->table) ? told(path) : TOOL_FINE;
}

int result_append(result_file *f, const void *const *data, int64_t rows) {
  int code = TOOL_FINE;
  if (stop_wanted()) {
    mention("stopped: %s is not written", f->path);
    return TOOL_STOPPED;
  }
  const result_column *first = &f->columns[0];
  if (f->tensors)
    code = append_tensors(f, data, rows);
  else if (f->csv)
    put_rows(f, data, rows);
  else
    put_elements(f->table, data[0], rows * result_width(first), (size_t)element_size(first->type));
  if (f->table && ferror(f->table))
    code = told(f->path);
  f->written += rows;
  return code;
}

int result_finish(result_file *f) {
  if (f->table) {
    FILE *table = f->table;
    f->table = NULL;
    return file_end(table, f->path, &f->file);
  }
  glow_status status = glow_tensor_writer_finish(&f->tensors);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "writing");
}

void result_close(result_file *f) {
  glow_tensor_writer_abandon(&f->tensors);
  if (f->table)
    file_abandon(f->table, &f->file);
  f->table = NULL;
}
