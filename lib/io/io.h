/* The internal interface of io/. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_IO_H
#define GLOW_LIB_IO_H

#include <glow/io.h>

#include "base/base.h"

/* Version of model files: docs/format.md. */
enum { GLOW_FORMAT_MAJOR = 1, GLOW_FORMAT_MINOR = 2 };

/* Bytes of a tensor's name in a model. */
enum { GLOW_IO_MAX_NAME = 4096 };
/* Data of a file that we write start at a multiple of this many bytes. */
enum { GLOW_IO_ALIGN = 64 };

/* Name of an element type in a file ("F32"), its size, and back; NULL and 0 when there is none. */
/* The status for a failed system call: GLOW_E_NOT_FOUND if something does not exist; GLOW_E_MEMORY
 * if the process or the system has run out of memory or of descriptors, which is no fault of the
 * file; otherwise GLOW_E_IO. */
glow_status glow__io_status(int error);

const char *glow__type_name(int32_t type);
int64_t glow__type_size(int32_t type);
int32_t glow__type_of(const char *name);

/* ---- the order of bytes (byte_order.c) ------------------------------------------------------- */

enum { GLOW_BIG_ENDIAN = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ };

/* Reverses the bytes of each element, of `size` bytes. */
void glow__reverse_elements(void *elements, int64_t bytes, int64_t size);
/* Elements as they were read from a file become those of this machine. */
static inline void glow__machine_order(void *elements, int64_t bytes, int64_t size) {
  if (GLOW_BIG_ENDIAN)
    glow__reverse_elements(elements, bytes, size);
}
/* The first of these elements, as they stand in a file: out->data, as many bytes as are returned.
 * They are the elements themselves or a copy in out->room. */
typedef struct glow__ordered {
  const void *data;
  unsigned char room[4096]; /* of whole elements of any size */
} glow__ordered;
int64_t glow__file_order(const void *elements, int64_t bytes, int64_t size, glow__ordered *out);

/* ---- where bytes come from (input.c) --------------------------------------------------------- */

typedef struct glow__source {
  glow_context *context;
  char *path;                /* of a file, for messages; or NULL */
  int descriptor;            /* of an open file, or -1 */
  const unsigned char *data; /* bytes in memory, or mapped; or NULL */
  bool mapped;
  glow_read_fn read;
  void *payload;
  int64_t size;
} glow__source;

/* The caller's limits, or NULL, completed with the defaults. */
glow_status glow__limits_copy(const glow_limits *from, glow_limits *to);
/* Of a model whose layers are all there: whether it is prepared in the time that is allowed, and
 * whether its values and passes take the memory that is. (limits.c) */
glow_status glow__limits_check_model(const glow_limits *limits, const glow_builder *builder);
/* Copies the caller's struct, checks it, and fills *limits with the limits in force. */
glow_status glow__input_copy(const glow_input *from, glow_input *to, glow_limits *limits);
/* input: from glow__input_copy. *source must be closed, after a failure too. */
glow_status glow__source_open(glow_context *context, const glow_input *input,
                              const glow_limits *limits, glow__source *source);
glow_status glow__source_read(const glow__source *source, int64_t offset, void *buffer,
                              int64_t bytes);
void glow__source_close(glow__source *source);
/* Puts the name of the source before the error text about something wrong in its bytes. */
glow_status glow__source_blame(const glow__source *source, glow_status status);
void glow__unmap(void *memory, int64_t bytes);

/* ---- where bytes go (output.c over atomic_file.c) -------------------------------------------- */

/* A file that appears whole or not at all. */
typedef struct glow__atomic_file {
  char *path;                 /* at the end of the links */
  struct glow__replaced *old; /* what is replaced */
  char *temporary;            /* NULL once it was renamed */
  int descriptor, directory;  /* -1: not open */
  glow_context *context;
} glow__atomic_file;

glow_status glow__atomic_open(glow_context *context, const char *path, glow__atomic_file *file);
glow_status glow__atomic_write(const glow__atomic_file *file, int64_t offset, const void *data,
                               int64_t bytes);
/* Starts writing to the disk the bytes from *pushed to `end`, if there are enough. */
void glow__atomic_push(const glow__atomic_file *file, int64_t *pushed, int64_t end);
/* Syncs and renames. The temporary file is gone afterwards, also on failure. */
glow_status glow__atomic_commit(glow__atomic_file *file);
/* Removes the temporary file. */
void glow__atomic_abandon(glow__atomic_file *file);

typedef struct glow__sink {
  glow_output output;
  glow__atomic_file file; /* with output.path */
  int64_t at, size;       /* bytes taken so far, of the whole file */
  int64_t pushed;         /* on their way to the disk */
} glow__sink;

glow_status glow__output_copy(const glow_output *from, glow_output *to);
/* False: the caller only asks for the size, and nothing is to be written. */
bool glow__output_wants_bytes(const glow_output *output);
/* For `size` bytes. On failure nothing is left behind. */
glow_status glow__sink_open(glow_context *context, const glow_output *output, int64_t size,
                            glow__sink *sink);
glow_status glow__sink_write(glow__sink *sink, const void *data, int64_t bytes);
/* Elements of `size` bytes. */
glow_status glow__sink_elements(glow__sink *sink, const void *data, int64_t bytes, int64_t size);
/* One of these two ends it. */
glow_status glow__sink_commit(glow__sink *sink);
void glow__sink_abandon(glow__sink *sink);

/* ---- pieces ---------------------------------------------------------------------------------- */

/* qsort in place: the C library's may allocate. (sort.c) */
void glow__sort(void *items, size_t count, size_t size,
                int (*compare)(const void *a, const void *b));

/* A text that grows (text.c). Starts as {.context = context}. */
typedef struct glow__text {
  glow_context *context;
  char *bytes; /* glow_release; NULL while it is empty; otherwise ends with a NUL */
  int64_t length, capacity;
  glow_status status; /* of the first failure; later calls do nothing */
} glow__text;
void glow__text_bytes(glow__text *text, const char *bytes, size_t count);
void glow__text_put(glow__text *text, const char *string);
void glow__text_number(glow__text *text, int64_t number);
/* As a JSON number with a point or an exponent, which identifies the double exactly. Must be
 * finite. */
void glow__text_real(glow__text *text, double real);
/* As a JSON string. Must be UTF-8. */
void glow__text_quoted(glow__text *text, const char *string);

/* ---- the header of a tensor file ------------------------------------------------------------- */

typedef struct glow__entry {
  const char *name;
  int16_t type;
  uint8_t rank, size; /* size: bytes of an element */
  int32_t number;     /* position in the order of the data */
  int64_t dims[GLOW_FILE_MAX_RANK];
  int64_t begin, bytes; /* of the data */
} glow__entry;

typedef struct glow__header {
  glow_context *context;
  char *text; /* names and metadata are in it, decoded in place */
  glow__entry *entries;
  glow__entry **by_offset, **by_name;
  int64_t count;
  const char **metadata; /* keys, sorted; a value follows its key's NUL */
  int64_t metadata_count;
} glow__header;

/* Takes the JSON text over, `bytes` bytes and a NUL, on failure too; parses and checks it. The data
 * have data_bytes. *header must be freed, after a failure too. (header_reader.c) */
glow_status glow__header_parse(glow_context *context, char *text, int64_t bytes, int64_t data_bytes,
                               const glow_limits *limits, glow__header *header);
const glow__entry *glow__header_find(const glow__header *header, const char *name);
const char *glow__header_metadata(const glow__header *header, const char *key);
void glow__header_free(glow__header *header);

/* The bytes of a file up to its data: length, JSON text, padding. Does not read the tensors' data.
 * (header_writer.c) */
typedef struct glow__preamble {
  unsigned char *bytes; /* glow_release */
  int64_t size;
  int64_t data_bytes;
} glow__preamble;
glow_status glow__preamble_make(glow_context *context, const glow_file_tensor *tensors,
                                int64_t count, const char *const *metadata, int64_t pairs,
                                glow__preamble *out);

/* ---- inside a tensor file (tensor_reader.c) -------------------------------------------------- */

const glow__entry *glow__tensor_file_entry(const glow_tensor_file *file, int64_t index);
/* Copies elements of `size` bytes, where `begin` is counted from the start of the data. They must
 * exist. */
glow_status glow__tensor_file_copy(const glow_tensor_file *file, int64_t begin, void *buffer,
                                   int64_t bytes, int64_t size);
/* Puts the file's name before an error text about it. */
glow_status glow__tensor_file_blame(const glow_tensor_file *file, glow_status status);
/* The data if they are mapped, otherwise NULL. */
unsigned char *glow__tensor_file_mapped(const glow_tensor_file *file);
/* Gives the mapping away; the file may be read for as long as the new owner keeps the mapping. */
void glow__tensor_file_give_mapping(glow_tensor_file *file, void **memory, int64_t *bytes);

/* ---- elements of any type (elements.c) ------------------------------------------------------- */

/* The bits of an element of `size` bytes at `p`, which need not be aligned. */
uint64_t glow__bits_at(const unsigned char *p, int64_t size);
/* The element at `p` of a type of reals (F64, F32, BF16, F16) or of whole numbers (I64, I32). */
double glow__real_at(const unsigned char *p, int32_t type);
int64_t glow__whole_at(const unsigned char *p, int32_t type);
bool glow__type_is_real(int32_t type);
bool glow__type_is_whole(int32_t type);
/* "[3, 3, 7, 512]". Returns out. */
const char *glow__dims_text(int32_t rank, const int64_t *dims, char *out, size_t size);

/* ---- float32 and bfloat16 (bfloat16.c) ------------------------------------------------------- */

/* Index of the first NaN or infinity; -1 if there is none. Any alignment. */
int64_t glow__first_nonfinite(const void *floats, int64_t count);
/* Refuses float32 data, of any alignment, that contain a NaN or infinity. */
glow_status glow__tensor_check_finite(const char *name, const void *data, int64_t elements);
/* Rounds to the nearest, ties to even. Returns the index of the first value whose result is not
 * finite; -1 if there is none. */
int64_t glow__to_bfloat16(const float *from, uint16_t *to, int64_t count);
void glow__from_bfloat16(const uint16_t *from, float *to, int64_t count);

/* ---- model files with more in them (model_writer.c, model_reader.c) -------------------------- */

/* In front of the keys of the model's own metadata. */
#define GLOW_METADATA_PREFIX "model."
/* What a checkpoint adds to the file of its model. */
typedef struct glow__model_extras {
  const float *parameters;         /* instead of the model's own */
  const glow_file_tensor *tensors; /* after the model's */
  int64_t count;
  const char *const *metadata; /* key, value, ... after the model's */
  int64_t pairs;
} glow__model_extras;
/* Refuses a model that no reader would accept, because its layers cannot prepare the parameters. */
glow_status glow__model_check_saves(const glow_model *model, const float *parameters);
/* extras NULL: a plain model file. */
glow_status glow__model_file_write(const glow_model *model, const glow_output *output,
                                   const glow__model_extras *extras);
/* The model of an open file. part NULL: its parameters are the tensors NAME; otherwise NAME/part.
 * limits: complete ones, or NULL for the defaults. The error text does not name the file. If the
 * file is mapped and the parameters can stay where they are, the model takes the mapping over. */
glow_status glow__model_file_read(glow_context *context, glow_tensor_file *file, const char *part,
                                  const glow_limits *limits, glow_model **out);

/* The model's own metadata (model_metadata.c): pairs of a key with its prefix and a value, and the
 * memory of the keys, which is the caller's (glow_release; NULL if there are none). `pairs` has
 * room for glow_model_metadata_count(). */
glow_status glow__model_metadata_list(const glow_model *model, const char **pairs, char **keys);
/* Those of a file: that they can be a model's, within `most` bytes; and giving them to it. */
glow_status glow__model_metadata_check(const glow_tensor_file *file, int64_t most);
glow_status glow__model_metadata_read(const glow_tensor_file *file, glow_model *model);

/* ---- architecture as JSON -------------------------------------------------------------------- */

/* JSON text, owned by the caller (glow_release). */
glow_status glow__architecture_write(const glow_model *model, char **out);
/* Looks at a model that has just got one more layer. */
typedef glow_status (*glow__layer_check)(const glow_model *model, void *arg);
/* A builder with all layers, at most `layers`, and whether the model was initialised. check is
 * called after each layer. */
glow_status glow__architecture_read(glow_context *context, const char *text, int64_t layers,
                                    glow__layer_check check, void *arg, glow_builder **out,
                                    bool *initialised);

#endif
