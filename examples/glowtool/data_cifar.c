/* CIFAR's binary files (https://www.cs.toronto.edu/~kriz/cifar.html): records of a label, or in
 * CIFAR-100 a coarse and a fine one, and three planes of 32 x 32.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data_internal.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, PIXELS = 3 * PLANE };

typedef struct cifar {
  data_file file;
  int64_t record;
} cifar;

static bool read_record(data_reader *r, int64_t index, data_sample *out, message error) {
  cifar *c = r->state;
  uint8_t planes[PIXELS];
  int64_t at = index * c->record + (c->record - PIXELS);
  if (!data_file_read(&c->file, at, planes, sizeof planes, error) ||
      !data_sample_shape(out, SIDE, SIDE, 3, false, r->path, error))
    return false;
  uint8_t *pixels = out->data;
  for (int p = 0; p < PLANE; p++)
    for (int k = 0; k < 3; k++)
      pixels[3 * p + k] = planes[k * PLANE + p];
  return true;
}

static void close_file(data_reader *r) {
  cifar *c = r->state;
  data_file_close(&c->file);
  free(c);
}

static const data_reader_ops cifar_ops = {read_record, NULL, NULL, close_file};

/* Both labels of a record of CIFAR-100 must be good, whichever is wanted. */
static bool read_labels(data_reader *r, cifar *c, int32_t variant, message error) {
  static const int32_t hundred[] = {20, 100}, ten[] = {10};
  int64_t count = c->record - PIXELS;
  r->labels = malloc((size_t)r->count * sizeof *r->labels);
  if (!r->labels)
    return data_fail(error, "%s: out of memory for labels", r->path);
  for (int64_t i = 0; i < r->count; i++) {
    uint8_t labels[2];
    if (!data_file_read(&c->file, i * c->record, labels, (size_t)count, error))
      return false;
    for (int64_t k = 0; k < count; k++)
      if (labels[k] >= (variant == CIFAR_10 ? ten : hundred)[k])
        return data_fail(error, "%s: byte %lld: label %d of record %lld is not 0 to %d", r->path,
                         (long long)(i * c->record + k), labels[k], (long long)i,
                         (variant == CIFAR_10 ? ten : hundred)[k] - 1);
    r->labels[i] = labels[variant == CIFAR_100];
  }
  return true;
}

static bool open_records(data_sources *s, data_reader *r, cifar *c, int32_t variant,
                         message error) {
  int64_t size = 0;
  if (!data_file_size(&c->file, &size, error))
    return false;
  if (size % c->record)
    return data_fail(error,
                     "%s: %lld bytes are not a whole number of records of %lld bytes: truncated, "
                     "or not a binary file of CIFAR-%d",
                     r->path, (long long)size, (long long)c->record,
                     variant == CIFAR_10 ? 10 : 100);
  r->count = size / c->record;
  if (r->count > data_left(s))
    r->count = data_left(s);
  return read_labels(r, c, variant, error);
}

bool data_open_cifar(data_sources *s, const char *path, int32_t variant, message error) {
  cifar *c = malloc(sizeof *c);
  if (!c || !data_file_open(&c->file, path, error)) {
    free(c);
    return c ? false : data_fail(error, "%s: out of memory", path);
  }
  c->record = PIXELS + (variant == CIFAR_10 ? 1 : 2);
  data_reader r = {.ops = &cifar_ops,
                   .path = c->file.path,
                   .state = c,
                   .height = SIDE,
                   .width = SIDE,
                   .channels = 3,
                   .classes = variant};
  if (open_records(s, &r, c, variant, error))
    return data_add(s, &r, error);
  free(r.labels);
  close_file(&r);
  return false;
}

/* ---- a folder as it is unpacked -------------------------------------------------------------- */

static bool there(const char *folder, const char *name, char path[4096]) {
  struct stat info;
  int length = snprintf(path, 4096, "%s/%s", folder, name);
  return length < 4096 && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool open_ten(data_sources *s, const char *path, bool *found, message error) {
  char file[4096], name[32];
  *found = there(path, "data_batch_1.bin", file) || there(path, "test_batch.bin", file);
  if (!*found)
    return true;
  data_note(s, "%s: CIFAR-10, its %s", path,
            s->options.test ? "test_batch.bin" : "data_batch_*.bin, without test_batch.bin");
  for (int i = 1; i <= 5 && !s->options.test; i++) {
    snprintf(name, sizeof name, "data_batch_%d.bin", i);
    if (there(path, name, file) && !data_open_cifar(s, file, CIFAR_10, error))
      return false;
  }
  if (!s->options.test)
    return true;
  return there(path, "test_batch.bin", file) ? data_open_cifar(s, file, CIFAR_10, error)
                                             : data_fail(error, "%s: no test_batch.bin", path);
}

static bool open_hundred(data_sources *s, const char *path, bool *found, message error) {
  char file[4096];
  const char *name = s->options.test ? "test.bin" : "train.bin";
  bool coarse = strcmp(s->options.format, "cifar100-coarse") == 0;
  *found = there(path, "fine_label_names.txt", file);
  if (!*found)
    return true;
  if (!there(path, name, file))
    return data_fail(error, "%s: a folder of CIFAR-100's without %s", path, name);
  data_note(s, "%s: CIFAR-100, its %s, with the %s labels", path, name,
            coarse ? "20 coarse" : "100 fine");
  return data_open_cifar(s, file, coarse ? CIFAR_100_COARSE : CIFAR_100, error);
}

bool data_open_cifar_folder(data_sources *s, const char *path, bool *found, message error) {
  if (!open_ten(s, path, found, error))
    return false;
  return *found || open_hundred(s, path, found, error);
}
