/* Tables of text as float32 vectors, one a row. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "data_columns.h"

typedef struct csv_source {
  csv_table table;
  data_columns columns;
  bool nonfinite; /* values may be so; conditions not */
  bool planar;    /* of images */
} csv_source;

static const char *column_name(const csv_table *t, int32_t column, char out[24]) {
  snprintf(out, 24, "%d", column);
  return t->names ? t->names[column] : out;
}

static bool number_of(const csv_source *c, int64_t row, int32_t column, bool nonfinite, float *out,
                      message error) {
  double value;
  char name[24];
  const char *field = c->table.fields[column];
  if (!csv_number(field, &value))
    return data_fail(
        error, "%s: row %lld, column '%s': '%s' is not a number%s", c->table.file.path,
        (long long)row, column_name(&c->table, column, name), field,
        *field
            ? " (--data-columns chooses columns, --id-column and --label-column leave theirs out)"
            : "");
  *out = (float)value;
  return isfinite(*out) || nonfinite ||
         data_fail(error, "%s: row %lld, column '%s': '%s' is not finite as float32",
                   c->table.file.path, (long long)row, column_name(&c->table, column, name), field);
}

static bool pixel_of(const csv_source *c, int64_t row, int32_t column, uint8_t *out,
                     message error) {
  float value = 0.0f;
  char name[24];
  if (!number_of(c, row, column, false, &value, error))
    return false;
  *out = (uint8_t)fmaxf(0.0f, fminf(255.0f, value));
  return (float)*out == value ||
         data_fail(
             error,
             "%s: row %lld, column '%s': %s is not a pixel, which is a whole number from 0 to 255",
             c->table.file.path, (long long)row, column_name(&c->table, column, name),
             c->table.fields[column]);
}

static bool read_image(data_reader *r, int64_t index, data_sample *out, message error) {
  csv_source *c = r->state;
  const data_columns *n = &c->columns;
  if (!csv_read(&c->table, index, error) ||
      !data_sample_shape(out, r->height, r->width, r->channels, false, r->path, error))
    return false;
  uint8_t *pixels = out->data;
  for (int32_t i = 0; i < n->value_count; i++) {
    int64_t at = c->planar ? data_planar(r, i) : i;
    if (!pixel_of(c, index, n->values[at], &pixels[i], error))
      return false;
  }
  return true;
}

static bool read_row(data_reader *r, int64_t index, data_sample *out, message error) {
  csv_source *c = r->state;
  const data_columns *n = &c->columns;
  if (!csv_read(&c->table, index, error) ||
      !data_sample_shape(out, 1, 1, n->value_count, true, r->path, error))
    return false;
  float *values = out->data;
  for (int32_t i = 0; i < n->value_count; i++)
    if (!number_of(c, index, n->values[i], c->nonfinite, &values[i], error))
      return false;
  for (int32_t i = 0; out->condition && i < n->condition_count; i++)
    if (!number_of(c, index, n->conditions[i], false, &out->condition[i], error))
      return false;
  return true;
}

static void name_row(data_reader *r, int64_t index, char *out, size_t size) {
  csv_source *c = r->state;
  char text[300];
  if (c->columns.id >= 0 && csv_read(&c->table, index, (message){text, sizeof text}))
    snprintf(out, size, "%s", c->table.fields[c->columns.id]);
  else
    snprintf(out, size, "%lld", (long long)index);
}

static void close_csv(data_reader *r) {
  csv_source *c = r->state;
  csv_close(&c->table);
  data_columns_free(&c->columns);
  free(c);
}

static const data_reader_ops csv_ops = {read_row, NULL, name_row, close_csv};
static const data_reader_ops image_ops = {read_image, NULL, name_row, close_csv};

/* ---- opening --------------------------------------------------------------------------------- */

/* 0, 1, 2, ...: what pandas calls columns that have no names. */
static bool counts(const csv_table *t) {
  for (int32_t i = 0; i < t->columns; i++) {
    double value;
    if (!csv_number(t->fields[i], &value) || value != (double)i)
      return false;
  }
  return t->columns >= 3;
}

static bool find_header(data_sources *s, csv_table *t, message error) {
  double value;
  bool header = true;
  if (s->options.header == DATA_HEADER_NO || !csv_read(t, 0, error))
    return s->options.header == DATA_HEADER_NO;
  for (int32_t i = 0; i < t->columns; i++)
    header &= !csv_number(t->fields[i], &value);
  if (!header && counts(t)) {
    header = true;
    data_note(s,
              "%s: the first row counts 0, 1, 2, ... and is taken for the columns' names; "
              "--header no takes it for data",
              t->file.path);
  }
  if (!header && s->options.header == DATA_HEADER_AUTO)
    return true;
  return csv_take_header(t, error) &&
         (t->rows > 0 || data_fail(error, "%s: a header, but no rows", t->file.path));
}

static bool read_labels(data_sources *s, data_reader *r, csv_source *c, message error) {
  char where[300];
  if (c->columns.label < 0)
    return true;
  r->labels = malloc((size_t)r->count * sizeof *r->labels);
  r->named = true;
  if (!r->labels)
    return data_fail(error, "%s: out of memory for labels", r->path);
  for (int64_t i = 0; i < r->count; i++) {
    r->labels[i] = -1;
    snprintf(where, sizeof where, "%.200s: row %lld", r->path, (long long)i);
    if (csv_read(&c->table, i, error)
            ? !classes_place(&s->classes, c->table.fields[c->columns.label], where, &r->labels[i],
                             error)
            : !s->options.skip_bad)
      return false;
  }
  return true;
}

static bool open_table(data_sources *s, data_reader *r, csv_source *c, message error) {
  int64_t left = data_left(s);
  s->met |= MET_TABLE | MET_CSV;
  c->nonfinite = s->options.nonfinite;
  c->planar = s->options.planar;
  if (!find_header(s, &c->table, error) ||
      !data_columns_choose(&s->options, c->table.names, c->table.columns, r->path, &c->columns,
                           error))
    return false;
  r->count = c->table.rows < left ? c->table.rows : left;
  r->channels = c->columns.value_count;
  r->condition = c->columns.condition_count;
  if (s->options.as != DATA_VECTORS) {
    r->ops = &image_ops;
    r->floats = false;
    r->condition = 0;
    if (!data_row_shape(s, r, c->columns.value_count, error))
      return false;
  }
  return read_labels(s, r, c, error);
}

bool data_open_csv(data_sources *s, const char *path, message error) {
  csv_source *c = calloc(1, sizeof *c);
  int64_t left = data_left(s);
  if (!c || !csv_open(&c->table, path, left < INT64_MAX ? left + 1 : left, error)) {
    free(c);
    return c ? false : data_fail(error, "%s: out of memory", path);
  }
  data_reader r = {.ops = &csv_ops,
                   .path = c->table.file.path,
                   .state = c,
                   .height = 1,
                   .width = 1,
                   .floats = true};
  if (open_table(s, &r, c, error))
    return data_add(s, &r, error);
  free(r.labels);
  close_csv(&r);
  return false;
}
