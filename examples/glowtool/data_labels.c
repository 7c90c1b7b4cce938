/* Labels that stand in files of their own: IDX or .npy, one for each file of samples; CSV with a
 * label a row, likewise; or CSV with rows of file and label, for pictures.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "data_npy.h"

/* ---- by order -------------------------------------------------------------------------------- */

typedef struct label_run {
  data_sources *s;
  const char *path;   /* of the labels */
  int32_t begin, end; /* readers that they are of */
} label_run;

static int64_t count_samples(const label_run *run) {
  return run->s->starts[run->end] - run->s->starts[run->begin];
}

/* Room for the labels of a reader: class numbers, or places in the table of classes. */
static int32_t *room_for(data_reader *r, bool named) {
  free(r->labels);
  r->labels = malloc(((size_t)r->count + 1) * sizeof *r->labels);
  r->named = named;
  return r->labels;
}

/* More labels than samples are fine where only so many samples were asked for. */
static bool check_count(const label_run *run, int64_t labels, message error) {
  int64_t samples = count_samples(run);
  if (labels == samples || (labels > samples && run->s->options.limit))
    return true;
  return data_fail(error, "%s: %lld labels for %lld images", run->path, (long long)labels,
                   (long long)samples);
}

/* All of them, also those of samples that are not read: they say how many classes there are.
 * EMNIST's letters are numbered from 1. */
static bool give_numbers(const label_run *run, const int32_t *labels, int64_t count, bool idx,
                         message error) {
  int32_t least = INT32_MAX, most = -1;
  int64_t at = 0;
  if (!check_count(run, count, error))
    return false;
  for (int64_t i = 0; i < count; i++) {
    least = labels[i] >= 0 && labels[i] < least ? labels[i] : least;
    most = labels[i] > most ? labels[i] : most;
  }
  bool shift = idx && least == 1 && count > 1 && most == 26;
  if (shift)
    data_note(run->s, "%s: labels 1 to 26, as EMNIST's letters have, become classes 0 to 25",
              run->path);
  for (int32_t i = run->begin; i < run->end; i++) {
    data_reader *r = &run->s->readers[i];
    if (!room_for(r, false))
      return data_fail(error, "%s: out of memory for labels", run->path);
    r->classes = most + 1 - shift > r->classes ? most + 1 - shift : r->classes;
    for (int64_t k = 0; k < r->count; k++, at++)
      r->labels[k] = labels[at] >= 0 ? labels[at] - shift : -1;
  }
  return true;
}

/* Digits have ten classes, whichever are there. */
enum { IDX_HEADER = 8, DIGITS = 10 };

static bool idx_labels(const label_run *run, message error) {
  file_bytes file;
  if (!data_read_whole(run->path, &file, error))
    return false;
  int64_t count = file.size < IDX_HEADER ? -1
                                         : (int64_t)file.data[4] << 24 | file.data[5] << 16 |
                                               file.data[6] << 8 | file.data[7];
  bool ok = count > 0 || data_fail(error, "%s: no labels", run->path);
  if (ok && (int64_t)file.size != IDX_HEADER + count)
    ok = data_fail(error, "%s: truncated, or too long: %zu bytes where %lld labels need %lld",
                   run->path, file.size, (long long)count, (long long)(IDX_HEADER + count));
  int32_t *labels = ok ? malloc((size_t)count * sizeof *labels) : NULL;
  if (ok && !labels)
    ok = data_fail(error, "%s: out of memory for labels", run->path);
  for (int64_t i = 0; ok && i < count; i++)
    labels[i] = file.data[IDX_HEADER + i];
  ok = ok && give_numbers(run, labels, count, true, error);
  for (int32_t i = run->begin; ok && i < run->end; i++)
    if (run->s->readers[i].classes < DIGITS)
      run->s->readers[i].classes = DIGITS;
  free(labels);
  free(file.data);
  return ok;
}

static bool npy_labels(const label_run *run, message error) {
  data_file file;
  npy_place place = {.file = &file};
  data_array array;
  if (!data_file_open(&file, run->path, error))
    return false;
  bool ok = data_file_size(&file, &place.size, error) &&
            npy_open(&place, run->path, "the array", &array, error);
  if (ok && (array.rank != 1 || !number_whole(array.type)))
    ok = data_fail(error, "%s: not a vector of whole numbers", run->path);
  int32_t *labels = ok ? malloc(((size_t)array.dims[0] + 1) * sizeof *labels) : NULL;
  if (ok && !labels)
    ok = data_fail(error, "%s: out of memory for labels", run->path);
  ok = ok && data_array_labels(&array, array.dims[0], run->path, labels, error) &&
       give_numbers(run, labels, array.dims[0], false, error);
  free(labels);
  data_file_close(&file);
  return ok;
}

/* ---- CSV ------------------------------------------------------------------------------------- */

static bool column_of_labels(const label_run *run, csv_table *t, message error) {
  double value;
  char where[300];
  data_sources *s = run->s;
  int64_t row = 0;
  if (!csv_read(t, 0, error))
    return false;
  /* one row more than there are samples is a header's */
  bool header = t->rows == count_samples(run) + 1 ||
                (!csv_number(t->fields[0], &value) && strcmp(t->fields[0], "label") == 0);
  if ((header && !csv_take_header(t, error)) || !check_count(run, t->rows, error))
    return false;
  for (int32_t i = run->begin; i < run->end; i++) {
    data_reader *r = &s->readers[i];
    if (!room_for(r, true))
      return data_fail(error, "%s: out of memory for labels", run->path);
    for (int64_t k = 0; k < r->count; k++, row++) {
      snprintf(where, sizeof where, "%.200s: row %lld", run->path, (long long)row);
      if (!csv_read(t, row, error) ||
          !classes_place(&s->classes, t->fields[0], where, &r->labels[k], error))
        return false;
    }
  }
  return true;
}

/* ---- by name --------------------------------------------------------------------------------- */

typedef struct named {
  char *file;
  int32_t label;
  bool met;
} named;

static int by_file(const void *a, const void *b) {
  return strcmp(((const named *)a)->file, ((const named *)b)->file);
}

static bool load_names(data_sources *s, csv_table *t, const char *path, named *all, message error) {
  char where[300];
  for (int64_t i = 0; i < t->rows; i++) {
    snprintf(where, sizeof where, "%.200s: row %lld", path, (long long)i);
    if (!csv_read(t, i, error) ||
        !classes_place(&s->classes, t->fields[1], where, &all[i].label, error))
      return false;
    all[i].file = strdup(t->fields[0]);
    if (!all[i].file)
      return data_fail(error, "%s: out of memory for labels", path);
  }
  qsort(all, (size_t)t->rows, sizeof *all, by_file);
  for (int64_t i = 1; i < t->rows; i++)
    if (strcmp(all[i - 1].file, all[i].file) == 0 && all[i - 1].label != all[i].label)
      return data_fail(error, "%s: '%s' has two labels", path, all[i].file);
  return true;
}

/* The row of a path: the whole of it, or as much of its end as the table has. */
static named *find_name(named *all, int64_t count, char *path) {
  for (char *at = path; at; at = strchr(at, '/')) {
    at += *at == '/';
    named wanted = {.file = at};
    named *row = bsearch(&wanted, all, (size_t)count, sizeof *all, by_file);
    if (row)
      return row;
  }
  return NULL;
}

static bool give_names(const label_run *run, named *all, int64_t count, message error) {
  int64_t met = 0, rows = 0;
  for (int32_t i = run->begin; i < run->end; i++) {
    data_reader *r = &run->s->readers[i];
    if (!r->ops->name || !room_for(r, true))
      return data_fail(error, "%s: labels by the names of files are for pictures", run->path);
    for (int64_t k = 0; k < r->count; k++) {
      char name[4096];
      r->ops->name(r, k, name, sizeof name);
      named *row = find_name(all, count, name);
      r->labels[k] = row ? row->label : -1;
      met += row != NULL;
      if (row)
        row->met = true;
    }
  }
  for (int64_t i = 0; i < count; i++)
    rows += !all[i].met;
  if (!met)
    return data_fail(error, "%s: none of its rows (the first: '%s') names one of the images",
                     run->path, all[0].file);
  if (rows && !run->s->options.limit)
    data_note(run->s, "%s: %lld rows name no image", run->path, (long long)rows);
  return true;
}

static bool names_of_files(const label_run *run, csv_table *t, message error) {
  double value;
  if (!csv_read(t, 0, error))
    return false;
  /* "file,label": a header's second field is no label of the others' kind */
  bool header = strcmp(t->fields[1], "label") == 0 || strcmp(t->fields[1], "class") == 0;
  if (!header && !csv_number(t->fields[1], &value) && t->rows > 1) {
    if (!csv_read(t, 1, error))
      return false;
    header = csv_number(t->fields[1], &value);
  }
  if (header && !csv_take_header(t, error))
    return false;
  if (!t->rows)
    return data_fail(error, "%s: no labels", run->path);
  named *all = calloc((size_t)t->rows, sizeof *all);
  bool ok = all ? load_names(run->s, t, run->path, all, error)
                : data_fail(error, "%s: out of memory for labels", run->path);
  ok = ok && give_names(run, all, t->rows, error);
  for (int64_t i = 0; all && i < t->rows; i++)
    free(all[i].file);
  free(all);
  return ok;
}

static bool csv_labels(const label_run *run, bool *by_name, message error) {
  csv_table t;
  if (!csv_open(&t, run->path, INT64_MAX, error))
    return false;
  *by_name = t.columns == 2;
  bool ok = t.columns == 1   ? column_of_labels(run, &t, error)
            : t.columns == 2 ? names_of_files(run, &t, error)
                             : data_fail(error,
                                         "%s: %d columns, where there should be one of "
                                         "labels, or two, of files and labels",
                                         run->path, t.columns);
  csv_close(&t);
  return ok;
}

/* ---- all ------------------------------------------------------------------------------------- */

static bool read_file(const label_run *run, bool *by_name, message error) {
  data_kind kind;
  const char *name;
  *by_name = false;
  for (int32_t i = run->begin; i < run->end; i++)
    if (run->s->readers[i].labels)
      return data_fail(error, "%s: --labels means nothing here: it holds its own labels",
                       run->s->readers[i].path);
  if (!data_find_kind(run->path, &kind, &name, error))
    return false;
  if (kind == KIND_IDX_LABELS)
    return idx_labels(run, error);
  if (kind == KIND_NPY)
    return npy_labels(run, error);
  if (kind == KIND_TEXT)
    return csv_labels(run, by_name, error);
  return data_fail(error, "%s: %s, where labels are wanted: IDX, .npy or CSV", run->path, name);
}

bool data_read_labels(data_sources *s, int32_t count, const int32_t *begin, message error) {
  const data_options *o = &s->options;
  bool by_name = false;
  if (o->label_files == 1) {
    label_run run = {s, o->labels[0], 0, s->reader_count};
    if (!read_file(&run, &by_name, error))
      return false;
    return by_name || count == 1 ||
           data_fail(error,
                     "one file of labels (%s) for %d of data: give one for each, in their "
                     "order",
                     o->labels[0], count);
  }
  if (o->label_files != count)
    return data_fail(error, "%d files of labels for %d of data: give one for each, in their order",
                     o->label_files, count);
  for (int32_t i = 0; i < count; i++) {
    label_run run = {s, o->labels[i], begin[i], begin[i + 1]};
    if (run.begin == run.end) /* beyond what is asked for */
      continue;
    if (!read_file(&run, &by_name, error))
      return false;
  }
  return true;
}
