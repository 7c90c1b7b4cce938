/* Fuzz target: the tool's readers of samples and labels, through the door that commands use. An
 * input is HEAD bytes that choose the options, then one file or two, read from memory files. What
 * opens has samples of one shape, labels of its classes, and the same bytes whenever it is read.
 * Memory that is counted is given back.
 * SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data.h"
#include "memory.h"

enum {
  HEAD = 12,
  MOST_PIXELS = 1 << 18, /* of a picture: larger ones only take longer */
  MOST_MIB = 32,
  MOST_READ = 24 /* samples that are read again */
};

/* ---- files ----------------------------------------------------------------------------------- */

/* A regular file without a disk. */
typedef struct memory_file {
  int descriptor;
  char path[64];
} memory_file;

static void put_file(memory_file *f, const uint8_t *bytes, size_t size) {
  f->descriptor = memfd_create("samples", MFD_CLOEXEC);
  PROMISE(f->descriptor >= 0);
  for (size_t done = 0; done < size;) {
    ssize_t now = write(f->descriptor, bytes + done, size - done);
    PROMISE(now > 0);
    done += (size_t)now;
  }
  snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->descriptor);
}

/* ---- options --------------------------------------------------------------------------------- */

enum { SECOND_NONE, SECOND_LABELS, SECOND_CLASSES, SECOND_DATA, SECOND_KINDS };

#define CHOOSE(list, byte) ((list)[(byte) % (sizeof(list) / sizeof *(list))])

static void choose_options(const uint8_t *head, data_options *o) {
  static const char *const formats[] = {
      "auto", "images",      "cifar10", "cifar100",  "cifar100-coarse", "mnist",     "emnist",
      "npy",  "npz",         "csv",     "raw:1x2x2", "safetensors",     "raw:3x4x4", "raw:1x1x1",
      "raw:", "raw:0x-1x99", "shapes",  "none such", "digits"};
  static const int64_t sides[] = {0, 0, 1, 2, 3, 8, 16, 16385, -1};
  static const char *const pads[] = {NULL, NULL, "4", "8x2", "", "0", "1x", "16384x1"};
  static const char *const backgrounds[] = {NULL, NULL, "black", "1,2,3", "256,0,0", "white "};
  static const char *const shapes[] = {NULL, NULL, "2x2", "1x1x3", "2x1x1", "x", "16384x16384x4"};
  static const char *const tensors[] = {NULL, NULL, "x", "a", "", "z"};
  static const char *const columns[] = {NULL, NULL, "a", "a,b", "0", "1,0", "b,b", ",", "label"};
  *o = (data_options){.format = CHOOSE(formats, head[0])};
  o->as = head[1] & 1 ? DATA_VECTORS : DATA_IMAGES;
  o->upsample = head[1] & 2;
  o->skip_small = head[1] & 4;
  o->skip_bad = head[1] & 8;
  o->planar = head[1] & 16;
  o->nonfinite = head[1] & 32;
  o->once = head[1] & 64;
  o->shared = head[1] & 128;
  o->width = CHOOSE(sides, head[2] & 15);
  o->height = CHOOSE(sides, head[2] >> 4);
  o->channels = head[3] % 4 == 2 ? 0 : head[3] % 4;
  o->classes_from = head[3] & 64 ? DATA_CLASSES_FOLDERS : DATA_CLASSES_FILES;
  o->own_names = head[3] & 128;
  o->limit = head[4] & 7;
  if (data_is_generated(o->format) && !o->limit) /* thousands */
    o->limit = 1;
  o->max_pixels = MOST_PIXELS;
  o->memory = 1 + (head[4] >> 7);
  o->pad = CHOOSE(pads, head[5] & 15);
  o->background = CHOOSE(backgrounds, head[5] >> 4);
  o->shape = CHOOSE(shapes, head[6] & 15);
  o->header = head[6] >> 4 & 3;
  o->tensor = o->own_names ? "z" : CHOOSE(tensors, head[7] & 15);
  o->columns = CHOOSE(columns, head[7] >> 4);
  o->condition = CHOOSE(columns, head[8] & 15);
  o->label_column = CHOOSE(columns, head[8] >> 4);
  o->id_column = CHOOSE(columns, head[9] >> 4);
}

/* ---- what opens ------------------------------------------------------------------------------ */

static bool read_some(const sample_set *set, int64_t first, int64_t count, void *samples,
                      float *conditions) {
  char error[700] = "";
  bool ok = data_read(set, first, count, samples, conditions, error, sizeof error);
  PROMISE(ok || *error);
  return ok;
}

static bool all_finite(const float *values, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(values[i]))
      return false;
  return true;
}

/* Sample by sample, then all at once: the same. */
static void read_again(const sample_set *set, const data_options *o) {
  int64_t count = set->count < MOST_READ ? set->count : MOST_READ;
  size_t size = data_bytes(set), conditions = (size_t)set->condition * sizeof(float);
  char *all = malloc((size_t)count * size + 1), *one = malloc(size + 1);
  float *all_conditions = malloc((size_t)count * conditions + 1),
        *one_condition = malloc(conditions + 1);
  PROMISE(all && one && all_conditions && one_condition);
  if (read_some(set, 0, count, all, all_conditions)) {
    for (int64_t i = count - 1; i >= 0; i--) {
      PROMISE(read_some(set, i, 1, one, one_condition));
      PROMISE(memcmp(one, all + (size_t)i * size, size) == 0);
      PROMISE(memcmp(one_condition, all_conditions + i * set->condition, conditions) == 0);
    }
    PROMISE(o->nonfinite || !set->floats ||
            all_finite((const float *)(const void *)all, count * data_dims(set)));
    PROMISE(o->nonfinite || all_finite(all_conditions, count * set->condition));
  }
  free(all);
  free(one);
  free(all_conditions);
  free(one_condition);
}

static void check(sample_set *set, const data_options *o) {
  PROMISE(set->count > 0 && set->height > 0 && set->width > 0 && set->channels > 0);
  PROMISE(set->condition >= 0 && set->classes >= 0);
  PROMISE(!o->limit || set->count <= o->limit);
  for (int64_t i = 0; set->labels && i < set->count; i++)
    PROMISE(set->labels[i] >= -1 && set->labels[i] < set->classes);
  for (int32_t i = 0; set->class_names && i < set->classes; i++)
    PROMISE(set->class_names[i] && *set->class_names[i]);
  PROMISE(!set->notes || *set->notes);
  for (int64_t i = 0; i < set->count && i < MOST_READ; i++) {
    char name[300];
    PROMISE(data_name(set, i, name, sizeof name) == name && strlen(name) < sizeof name);
  }
  data_named(set);
  read_again(set, o);
  bool *keep = malloc((size_t)set->count);
  PROMISE(keep);
  for (int64_t i = 0; i < set->count; i++)
    keep[i] = i % 3 != 1;
  PROMISE(data_keep(set, keep));
  free(keep);
  read_again(set, o);
}

/* ---- the target ------------------------------------------------------------------------------ */

static void open_files(const memory_file *files, int32_t second, data_options *o) {
  const char *paths[2] = {files[0].path, files[1].path}, *labels = files[1].path;
  sample_set set;
  char error[700] = "";
  if (second == SECOND_LABELS) {
    o->labels = &labels;
    o->label_files = 1;
  }
  if (second == SECOND_CLASSES)
    o->classes = files[1].path;
  bool ok = data_open(paths, second == SECOND_DATA ? 2 : 1, o, &set, error, sizeof error);
  PROMISE(ok || *error);
  if (fuzz_traces())
    fprintf(stderr, "%s: %lld samples of %lld x %lld x %lld%s\n", ok ? "opened" : error,
            (long long)set.count, (long long)set.height, (long long)set.width,
            (long long)set.channels, set.labels ? ", with labels" : "");
  if (ok)
    check(&set, o);
  data_free(&set);
  data_kind_of(files[0].path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  memory_file files[2];
  data_options options;
  if (size < HEAD)
    return 0;
  int32_t second = data[9] % 16 < SECOND_KINDS ? data[9] % 16 : SECOND_NONE;
  size_t rest = size - HEAD, last = second ? (size_t)(data[10] | data[11] << 8) : 0;
  last = last < rest ? last : rest;
  const uint8_t *first = data + HEAD;
  memory_limit(MOST_MIB);
  int64_t left = memory_left();
  choose_options(data, &options);
  put_file(&files[0], first, rest - last);
  put_file(&files[1], first + rest - last, last);
  open_files(files, second, &options);
  PROMISE(memory_left() == left);
  close(files[0].descriptor);
  close(files[1].descriptor);
  return 0;
}
