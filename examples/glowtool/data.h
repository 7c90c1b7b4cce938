/* Where glowtool's samples come from: pictures, CIFAR, MNIST's IDX, raw records, NumPy arrays,
 * safetensors, CSV tables, or generated pictures. Samples are read by number; those that fit are
 * kept in memory, others are read again whenever they are wanted, with the same bits. Errors are
 * written to a caller's text buffer. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_DATA_H
#define GLOWTOOL_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DATA_IMAGES = 0, DATA_VECTORS = 1 };
/* Is the first row of a table the names of its columns? AUTO: when none of them is a number. */
enum { DATA_HEADER_AUTO = 0, DATA_HEADER_YES = 1, DATA_HEADER_NO = 2 };
#define DATA_MOST_PIXELS 64000000
/* Labels of pictures: from files of labels, or the folders that they are in. */
enum { DATA_CLASSES_FILES = 0, DATA_CLASSES_FOLDERS = 1 };

/* Fields that options of the command line set are texts and whole numbers of 64 bits. */
typedef struct data_options {
  const char *format;    /* NULL or "auto": by the contents; or one of those in data.c */
  int32_t as;            /* DATA_IMAGES; DATA_VECTORS: rows of float32 */
  int64_t width, height; /* images are cropped and resized to this; 0: as they are, all alike */
  int64_t channels;      /* 1 or 3: images of the other kind are converted; 0: to the wider */
  int64_t limit;   /* at most so many samples; 0: all. Number to make where they are generated */
  uint64_t seed;   /* of generated pictures */
  const char *pad; /* "N", "WxH": to the middle of a black image of this size; NULL: not */
  const char *background;   /* "R,G,B" under transparent pixels; NULL: white */
  bool upsample;            /* images smaller than the size are enlarged, */
  bool skip_small;          /* or left out; neither: they are an error */
  bool skip_bad;            /* files and rows that cannot be read are left out; else an error */
  bool planar;              /* arrays of images are [N, C, H, W], not [N, H, W, C] */
  bool test;                /* of a folder of CIFAR's, the part to test on */
  int64_t classes_from;     /* DATA_CLASSES_... */
  const char *classes;      /* file with the names of the classes; NULL: they are found */
  char *const *class_names; /* [class_count]: the same, in memory */
  int32_t class_count;
  const char *class_lines;  /* the same, one a line, as models have them; or NULL */
  const char *shape;        /* "WxH", "WxHxC": rows of a table are images of this; NULL: vectors */
  int64_t header;           /* of a table: DATA_HEADER_... */
  const char *tensor;       /* name of the samples in safetensors and .npz files; NULL: "x" */
  const char *columns;      /* of a table, to learn from, with commas; NULL: all others */
  const char *condition;    /* of a table, to be conditioned on; NULL: none */
  const char *label_column; /* of a table; NULL: none */
  const char *id_column;    /* of a table, its rows' names; NULL: their numbers */
  bool own_names;     /* of a table that encode wrote: TENSOR0, ..., condition0, ..., y, name */
  bool nonfinite;     /* values that are not finite are let through; else an error */
  bool shared;        /* these options are of other data too: some may mean nothing here */
  bool once;          /* samples are read one after the other: none are kept */
  int64_t memory;     /* MiB of samples to keep in memory; 0: half of the machine's */
  int64_t max_pixels; /* of an image; one that has more is refused. 0: DATA_MOST_PIXELS */
  const char *const *labels; /* [label_files]: one for each path, or one for all by file names */
  int32_t label_files;
} data_options;

/* Samples of one shape [height, width, channels]: pixels of 8 bits, or float32. */
typedef struct sample_set {
  int64_t count, height, width, channels;
  int64_t condition;  /* elements of each sample's condition; 0: none */
  bool floats;        /* float32, not pixels */
  int32_t *labels;    /* [count], -1 where there is none; NULL: none has one */
  int32_t classes;    /* number of classes, 0 without labels */
  char **class_names; /* [classes], or NULL: they are numbers */
  void *samples;      /* those in memory; NULL: they are read when they are wanted */
  float *conditions;  /* [.., condition], likewise */
  int64_t *rows;      /* [count]: which of them; NULL: 0, 1, ... */
  int64_t *places;    /* [count]: where they are in the sources; NULL: 0, 1, ... */
  struct data_sources *sources;
  const char *notes; /* lines for the user: what was skipped or converted; NULL: none */
} sample_set;

/* Opens files and folders. False: the error (error_size bytes) says which file and what. */
bool data_open(const char *const *paths, int32_t count, const data_options *options,
               sample_set *out, char *error, size_t error_size);
/* Samples [first, first + count) to `samples`, and what they are conditioned on to `conditions`
 * [count, condition], which may be NULL. */
bool data_read(const sample_set *set, int64_t first, int64_t count, void *samples,
               float *conditions, char *error, size_t error_size);
/* Keeps the samples whose `keep` is true. False: out of memory. */
bool data_keep(sample_set *set, const bool *keep);
/* What a sample is called: a file, an id, or a row's number. Returns out. */
const char *data_name(const sample_set *set, int64_t index, char *out, size_t size);
/* Do rows have names besides their numbers? */
bool data_named(const sample_set *set);
/* Elements of a sample; bytes that it takes. */
int64_t data_dims(const sample_set *set);
size_t data_bytes(const sample_set *set);
/* Bytes of the whole set in memory: its samples, unless they are read when they are wanted, their
 * labels and places. */
int64_t data_held(const sample_set *set);
void data_free(sample_set *set);

/* What a file's first bytes say it is: "a JPEG image"; NULL when they say nothing. */
const char *data_kind_of(const char *path);
/* Reads "N" or "WxH". */
bool data_parse_size(const char *text, int64_t *width, int64_t *height);

/* Formats that draw their images instead of reading files: "digits" and "shapes". */
bool data_is_generated(const char *format);
/* Handwritten digits in white on black: picture `number` of `seed`, size x size x 1. Returns the
 * digit, which is number mod 10. */
int32_t digits_draw(uint64_t seed, uint64_t number, int64_t size, uint8_t *pixels);
/* Anti-aliased coloured shapes on shaded backgrounds: picture `number` of `seed`, size x size x 3.
 * */
void shapes_draw(uint64_t seed, uint64_t number, int64_t size, uint8_t *pixels);

#endif
