/* Between the files that read samples: one reader for each format, all behind one interface.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_DATA_INTERNAL_H
#define GLOWTOOL_DATA_INTERNAL_H

#include "data.h"
#include "data_file.h"

/* ---- samples --------------------------------------------------------------------------------- */

/* One sample, as its source has it or as the set wants it. */
typedef struct data_sample {
  int64_t height, width, channels;
  bool floats;
  void *data; /* bytes or floats [height, width, channels] */
  size_t room;
  float *condition; /* the caller's room for what it is conditioned on, or NULL */
} data_sample;

/* Gives a sample this shape, and room for it. */
bool data_sample_shape(data_sample *s, int64_t height, int64_t width, int64_t channels, bool floats,
                       const char *path, message error);

/* ---- readers --------------------------------------------------------------------------------- */

typedef struct data_reader data_reader;
typedef struct data_reader_ops {
  /* Sample `index` to *out, with its shape. */
  bool (*read)(data_reader *r, int64_t index, data_sample *out, message error);
  /* Its shape alone. NULL: that of the reader. */
  bool (*shape)(data_reader *r, int64_t index, data_sample *out, message error);
  /* What it is called. NULL: its number. */
  void (*name)(data_reader *r, int64_t index, char *out, size_t size);
  void (*close)(data_reader *r);
} data_reader_ops;

struct data_reader {
  const data_reader_ops *ops;
  const char *path; /* what messages name; borrowed from the state */
  void *state;      /* of the format; freed by close */
  int64_t count;
  int64_t height, width, channels; /* of all samples, where ops->shape is NULL */
  int64_t condition;
  bool floats;
  int32_t *labels; /* [count], -1: none, or NULL; taken over by the sources */
  bool named;      /* they are places in the sources' table of classes, not numbers */
  int32_t classes; /* least number of classes */
};

/* ---- classes --------------------------------------------------------------------------------- */

/* Names of classes in the order in which they were met, until they are numbered. */
typedef struct class_table {
  char **names;
  int32_t count, room;
  bool given; /* by a file: no others may come */
} class_table;

bool classes_load(class_table *t, const char *path, message error);
bool classes_copy(class_table *t, char *const *names, int32_t count, message error);
/* The same for names that stand one a line. */
bool classes_split(class_table *t, const char *lines, message error);
/* The place of a name; -1 after a message. An empty name is no class: *place is -1 then. */
bool classes_place(class_table *t, const char *name, const char *where, int32_t *place,
                   message error);
/* Numbers: names that are all whole numbers stand for themselves, and then the table is emptied;
 * others are sorted, unless they were given. numbers: [count], by place. */
bool classes_number(class_table *t, int32_t *numbers, message error);
void classes_free(class_table *t);

/* ---- what is opened -------------------------------------------------------------------------- */

/* What has been met, for options that would mean nothing else. */
enum { MET_PICTURES = 1, MET_ARRAY = 2, MET_NAMED = 4, MET_TABLE = 8, MET_CSV = 16 };

/* Opening in progress: options, what has been found, what there is to say. */
typedef struct data_sources {
  data_options options;
  int64_t pad_width, pad_height; /* 0: not padded */
  int64_t row_shape[3];          /* of images that are rows: height, width, channels; or 0 */
  uint8_t background[3];
  data_reader *readers;
  int32_t reader_count;
  int64_t *starts;    /* [reader_count + 1]: place of each reader's first sample */
  data_sample wanted; /* the shape of the set; wanted.data is room for reading */
  data_sample scratch;
  class_table classes;
  uint32_t met;
  int64_t bad; /* samples that cannot be read and are left out */
  char first_bad[700];
  char *notes;
  size_t note_bytes;
} data_sources;

/* Something for the user to know, on a line of its own. */
__attribute__((format(printf, 2, 3))) void data_note(data_sources *s, const char *format, ...);
/* Counts a sample that cannot be read, for the reason in `error`. Is it left out? */
bool data_bad(data_sources *s, message error);
/* What a sample is called in messages: its own name, or its source's. Returns out. */
const char *data_place_name(const data_sources *s, int64_t place, char *out, size_t size);
/* Adds a reader, which is taken over, on failure too. */
bool data_add(data_sources *s, const data_reader *reader, message error);
/* The reader of a sample, and the sample's number in it. */
data_reader *data_reader_at(const data_sources *s, int64_t place, int64_t *index);
/* How many samples the options let be read beyond those that are there: INT64_MAX, or less. */
int64_t data_left(const data_sources *s);

/* Refuses options that mean nothing to what has been met. */
bool data_check_meaning(const data_sources *s, message error);
void data_close_sources(data_sources *s);
/* Sample number `place` of all, in the shape of the others. */
bool data_read_place(data_sources *s, int64_t place, void *to, float *condition, message error);
/* The set of all samples that are used. */
bool data_fill(data_sources *s, sample_set *set, message error);

/* ---- formats --------------------------------------------------------------------------------- */

typedef enum data_kind {
  KIND_UNKNOWN,
  KIND_PICTURE, /* PNG, JPEG, WebP */
  KIND_IDX,
  KIND_IDX_LABELS,
  KIND_NPY,
  KIND_ZIP,
  KIND_TENSORS,
  KIND_CIFAR10,
  KIND_CIFAR100,
  KIND_TEXT,
  KIND_OTHER /* known, but not read */
} data_kind;
/* Looks at the first bytes (of what is compressed, too). *name: "a PNG image". False: the file
 * cannot be read. */
bool data_find_kind(const char *path, data_kind *kind, const char **name, message error);

/* Each adds readers for one path. */
bool data_open_cifar(data_sources *s, const char *path, int32_t variant, message error);
enum { CIFAR_10 = 10, CIFAR_100 = 100, CIFAR_100_COARSE = 20 };
/* *found: the folder is one of CIFAR's, and its readers have been added. */
bool data_open_cifar_folder(data_sources *s, const char *path, bool *found, message error);
bool data_open_idx(data_sources *s, const char *path, bool emnist, message error);
bool data_open_raw(data_sources *s, const char *path, message error);
bool data_open_generated(data_sources *s, message error);
bool data_open_npy(data_sources *s, const char *path, message error);
bool data_open_npz(data_sources *s, const char *path, message error);
bool data_open_tensors(data_sources *s, const char *path, message error);
bool data_open_csv(data_sources *s, const char *path, message error);
/* Pictures: files one by one, and folders with all that is below. */
typedef struct picture_list {
  char **paths;
  int32_t *labels; /* places in the sources' classes, -1: none; NULL: not asked for */
  int64_t count, room;
  int64_t other, hidden; /* files that were left out */
} picture_list;
bool data_list_file(data_sources *s, picture_list *list, const char *path, int32_t label,
                    message error);
bool data_list_folder(data_sources *s, picture_list *list, const char *path, message error);
bool data_open_pictures(data_sources *s, picture_list *list, message error);
void data_list_free(picture_list *list);

/* ---- labels ---------------------------------------------------------------------------------- */

/* Labels from files, as the options say, to the readers: path i's readers are
 * [begin[i], begin[i + 1]). */
bool data_read_labels(data_sources *s, int32_t count, const int32_t *begin, message error);

/* ---- making samples alike -------------------------------------------------------------------- */

/* Makes a sample of s->wanted's shape of s->scratch. */
bool data_fit(data_sources *s, const char *path, void *to, message error);
/* Is an image of this shape smaller than the options' size? */
bool data_too_small(const data_options *o, const data_sample *shape);
/* May a file's images be as large as its header says? */
bool data_check_image(const data_sources *s, const data_reader *r, message error);
/* The shape of images that are rows of `numbers` values of a table, as the options say. */
bool data_row_shape(const data_sources *s, data_reader *r, int64_t numbers, message error);
/* Place of element i of an image [height, width, channels] that is stored in planes. */
int64_t data_planar(const data_reader *r, int64_t i);
/* Looks at the shapes of all samples: which are used (`use` [total]), and s->wanted. */
bool data_choose_shape(data_sources *s, bool *use, message error);

#endif
