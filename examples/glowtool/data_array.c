/* Samples of arrays: pixels of 8 bits where whole numbers are images, else float32; images [N, H,
 * W, C], [N, H, W] or, planar, [N, C, H, W]; vectors [N, ...]. SPDX-License-Identifier: MIT */
#include "data_array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data_columns.h"
#include "memory.h"

enum { LARGEST_SIDE = 16384 };
#define LARGEST_SAMPLE ((int64_t)1 << 30)

typedef struct array_source {
  array_file file;
  data_columns columns; /* of vectors that are rows of a table */
  bool table, planar, nonfinite;
  int64_t numbers; /* of x in a sample */
  uint8_t *raw;    /* one sample of x, or of the conditions */
} array_source;

/* ---- reading --------------------------------------------------------------------------------- */

static bool load_raw(const array_source *a, const data_array *from, int64_t index, int64_t numbers,
                     message error) {
  int64_t bytes = numbers * number_size(from->type);
  return from->read(from->state, index * bytes, a->raw, (size_t)bytes, error);
}

static bool to_float(const array_source *a, const data_array *from, int64_t index, int64_t i,
                     float *out, message error) {
  *out = (float)number_at(a->raw, i, from->type, from->big);
  return isfinite(*out) || (a->nonfinite && from == &a->file.x) ||
         data_fail(error, "%s: sample %lld of '%s': value %lld is not finite as float32",
                   a->file.path, (long long)index, a->file.name, (long long)i);
}

static bool to_byte(const array_source *a, int64_t index, int64_t i, uint8_t *out, message error) {
  double value = number_at(a->raw, i, a->file.x.type, a->file.x.big);
  if (value < 0.0 || value > 255.0)
    return data_fail(error, "%s: sample %lld of '%s': %g is not a pixel, which is 0 to 255",
                     a->file.path, (long long)index, a->file.name, value);
  *out = (uint8_t)value;
  return true;
}

/* Of a table; x is still in raw. */
static bool read_condition_columns(const array_source *a, int64_t index, float *to, message error) {
  const data_columns *n = &a->columns;
  for (int32_t i = 0; i < n->condition_count; i++)
    if (!to_float(a, &a->file.x, index, n->conditions[i], &to[i], error) ||
        !(isfinite(to[i]) || data_fail(error, "%s: sample %lld: condition %d is not finite",
                                       a->file.path, (long long)index, i)))
      return false;
  return true;
}

static bool read_condition(const array_source *a, int64_t index, int64_t count, float *to,
                           message error) {
  const data_array *c = &a->file.condition;
  if (!to || !count)
    return true;
  if (a->columns.condition_count)
    return read_condition_columns(a, index, to, error);
  if (!load_raw(a, c, index, count, error))
    return false;
  for (int64_t i = 0; i < count; i++)
    if (!to_float(a, c, index, i, &to[i], error))
      return false;
  return true;
}

/* Place in the file's sample of element i of the one that is made. */
static int64_t stored_at(const array_source *a, const data_reader *r, int64_t i) {
  int64_t at = a->planar ? data_planar(r, i) : i;
  return a->table ? a->columns.values[at] : at;
}

static bool read_sample(data_reader *r, int64_t index, data_sample *out, message error) {
  array_source *a = r->state;
  int64_t numbers = r->height * r->width * r->channels;
  if (!data_sample_shape(out, r->height, r->width, r->channels, r->floats, r->path, error) ||
      !load_raw(a, &a->file.x, index, a->numbers, error))
    return false;
  for (int64_t i = 0; i < numbers; i++) {
    int64_t at = stored_at(a, r, i);
    if (r->floats ? !to_float(a, &a->file.x, index, at, (float *)out->data + i, error)
                  : !to_byte(a, index, at, (uint8_t *)out->data + i, error))
      return false;
  }
  return read_condition(a, index, r->condition, out->condition, error);
}

static void close_array(data_reader *r) {
  array_source *a = r->state;
  a->file.close(a->file.state);
  data_columns_free(&a->columns);
  free(a->raw);
  free(a);
}

static const data_reader_ops array_ops = {read_sample, NULL, NULL, close_array};

/* ---- shapes ---------------------------------------------------------------------------------- */

static bool image_shape(const data_sources *s, array_source *a, data_reader *r, message error) {
  const data_options *o = &s->options;
  const int64_t *d = a->file.x.dims;
  int32_t rank = a->file.x.rank;
  if (rank == 2 && o->shape) {
    a->table = true;
    return data_columns_choose(o, NULL, a->numbers, r->path, &a->columns, error) &&
           data_row_shape(s, r, a->columns.value_count, error);
  }
  if (rank != 3 && rank != 4)
    return data_fail(error,
                     "%s: '%s' has %d dimensions, where images have 4, [N, H, W, C], or 3, [N, H, "
                     "W]%s",
                     r->path, a->file.name, rank,
                     rank == 2 ? "; --shape says what rows are, --model vector learns from them"
                               : "");
  r->height = o->planar && rank == 4 ? d[2] : d[1];
  r->width = o->planar && rank == 4 ? d[3] : d[2];
  r->channels = rank == 3 ? 1 : o->planar ? d[1] : d[3];
  if (rank == 4 && !o->planar && (d[1] == 1 || d[1] == 3) && d[3] != 1 && d[3] != 3)
    return data_fail(
        error,
        "%s: '%s' is [%lld, %lld, %lld, %lld]: if these are [N, C, H, W], say --planar; "
        "else images have %lld channels, and the last number should be 1 or 3",
        r->path, a->file.name, (long long)d[0], (long long)d[1], (long long)d[2], (long long)d[3],
        (long long)d[3]);
  if (r->height > LARGEST_SIDE || r->width > LARGEST_SIDE || r->channels > LARGEST_SIDE)
    return data_fail(error, "%s: '%s' holds images of %lld x %lld x %lld; at most %d are read",
                     r->path, a->file.name, (long long)r->height, (long long)r->width,
                     (long long)r->channels, LARGEST_SIDE);
  return data_check_image(s, r, error);
}

/* A table has columns that can be chosen; other arrays are taken as they are. */
static bool vector_shape(const data_options *o, array_source *a, data_reader *r, message error) {
  r->height = r->width = 1;
  r->channels = a->numbers;
  if (a->file.x.rank != 2)
    return !(o->columns || o->condition || o->label_column || o->id_column) ||
           data_fail(error, "%s: '%s' is not a table [N, D], whose columns can be chosen", r->path,
                     a->file.name);
  if (!data_columns_choose(o, NULL, a->numbers, r->path, &a->columns, error))
    return false;
  a->table = true;
  r->channels = a->columns.value_count;
  r->condition = a->columns.condition_count;
  return true;
}

/* Elements of a sample, and that they fit. */
static bool count_numbers(const data_array *x, const char *path, const char *name, int64_t *out,
                          message error) {
  *out = 1;
  if (!x->rank)
    return data_fail(error, "%s: '%s' is a single number", path, name);
  for (int32_t i = 1; i < x->rank; i++) {
    if (x->dims[i] < 1 || *out > LARGEST_SAMPLE / x->dims[i])
      return data_fail(error, "%s: '%s': dimension %d is %lld; a sample has 1 to %lld values", path,
                       name, i, (long long)x->dims[i], (long long)LARGEST_SAMPLE);
    *out *= x->dims[i];
  }
  return true;
}

static bool check_beside(const array_file *f, const data_array *a, const char *name,
                         message error) {
  if (a->rank >= 1 && a->dims[0] == f->x.dims[0])
    return true;
  return data_fail(error, "%s: '%s' is not of %lld samples, as '%s' is", f->path, name,
                   (long long)f->x.dims[0], f->name);
}

static bool find_condition(array_source *a, data_reader *r, int64_t *numbers, message error) {
  const array_file *f = &a->file;
  *numbers = a->numbers;
  if (f->condition.rank < 0 || r->condition)
    return true;
  if (!check_beside(f, &f->condition, "condition", error) ||
      !count_numbers(&f->condition, r->path, "condition", &r->condition, error))
    return false;
  if (f->condition.type == NUMBER_NONE)
    return data_fail(error, "%s: 'condition' is of a type that is not read", r->path);
  if (r->condition > *numbers)
    *numbers = r->condition;
  return true;
}

/* ---- labels ---------------------------------------------------------------------------------- */

bool data_array_labels(const data_array *a, int64_t count, const char *path, int32_t *out,
                       message error) {
  uint8_t raw[8 * 512];
  int64_t size = number_size(a->type);
  for (int64_t first = 0; first < count; first += 512) {
    int64_t now = count - first < 512 ? count - first : 512;
    if (!a->read(a->state, first * size, raw, (size_t)(now * size), error))
      return false;
    for (int64_t i = 0; i < now; i++) {
      double label = number_at(raw, i, a->type, a->big);
      if (label > 1e6 || label < -1e6)
        return data_fail(error, "%s: label %g of sample %lld is not the number of a class", path,
                         label, (long long)(first + i));
      out[first + i] = label < 0 ? -1 : (int32_t)label;
    }
  }
  return true;
}

static bool add_labels(const array_source *a, data_reader *r, message error) {
  const array_file *f = &a->file;
  if (a->columns.label >= 0) { /* in x itself */
    r->labels = malloc((size_t)r->count * sizeof *r->labels);
    for (int64_t i = 0; r->labels && i < r->count; i++) {
      if (!load_raw(a, &f->x, i, a->numbers, error))
        return false;
      double label = number_at(a->raw, a->columns.label, f->x.type, f->x.big);
      if (label != floor(label) || label > 1e6)
        return data_fail(error, "%s: label %g of sample %lld is not the number of a class", r->path,
                         label, (long long)i);
      r->labels[i] = label < 0 ? -1 : (int32_t)label;
    }
    return r->labels || data_fail(error, "%s: out of memory for labels", r->path);
  }
  if (f->y.rank < 0)
    return true;
  if (!check_beside(f, &f->y, "y", error))
    return false;
  if (f->y.rank != 1 || !number_whole(f->y.type))
    return data_fail(error, "%s: 'y' is not a vector of whole numbers", r->path);
  r->labels = malloc((size_t)r->count * sizeof *r->labels);
  return r->labels ? data_array_labels(&f->y, r->count, r->path, r->labels, error)
                   : data_fail(error, "%s: out of memory for labels", r->path);
}

/* ---- the reader ------------------------------------------------------------------------------ */

static bool open_array(data_sources *s, array_source *a, data_reader *r, message error) {
  const data_options *o = &s->options;
  const data_array *x = &a->file.x;
  int64_t left = data_left(s), most = 0;
  s->met |= x->rank == 2 ? MET_ARRAY | MET_TABLE : MET_ARRAY;
  bool vectors = o->as == DATA_VECTORS;
  if (x->type == NUMBER_NONE)
    return data_fail(error, "%s: '%s' is of a type that is not read", r->path, a->file.name);
  if (!count_numbers(x, r->path, a->file.name, &a->numbers, error))
    return false;
  if (x->dims[0] < 1)
    return data_fail(error, "%s: '%s' holds no samples", r->path, a->file.name);
  r->count = x->dims[0] < left ? x->dims[0] : left;
  r->floats = vectors || !number_whole(x->type);
  a->nonfinite = o->nonfinite;
  a->planar = !vectors && o->planar && (x->rank == 4 || x->rank == 2);
  if (!(vectors ? vector_shape(o, a, r, error) : image_shape(s, a, r, error)) ||
      !find_condition(a, r, &most, error))
    return false;
  if (!memory_fits(most * 8 + 8, r->path, "a sample", error))
    return false;
  a->raw = malloc((size_t)most * 8 + 8);
  if (!a->raw)
    return data_fail(error, "%s: out of memory for a sample", r->path);
  return add_labels(a, r, error);
}

bool data_add_array(data_sources *s, const array_file *file, message error) {
  array_source *a = calloc(1, sizeof *a);
  if (!a) {
    file->close(file->state);
    return data_fail(error, "out of memory for a file of arrays");
  }
  a->file = *file;
  a->columns.label = a->columns.id = -1;
  data_reader r = {.ops = &array_ops, .path = file->path, .state = a};
  if (open_array(s, a, &r, error))
    return data_add(s, &r, error);
  free(r.labels);
  close_array(&r);
  return false;
}
