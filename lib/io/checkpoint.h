/* What the parts of checkpoints share. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_CHECKPOINT_H
#define GLOW_LIB_CHECKPOINT_H

#include <glow/checkpoint.h>

#include "io/io.h"
#include "train/rates.h"
#include "train/train.h"

/* Keys of a file's metadata. */
#define GLOW_CHECKPOINT_KEY "glow.checkpoint"
#define GLOW_RATES_KEY "glow.rates"
#define GLOW_NOTE_PREFIX "note."

/* ---- the record: JSON text in the metadata, written and read from tables of fields ----------- */

enum {
  GLOW_FIELD_INT32 = 1,
  GLOW_FIELD_INT64 = 2,
  GLOW_FIELD_REAL = 3,
  GLOW_FIELD_UINT64 = 4, /* as text: JSON's integers have 63 bits here */
  GLOW_FIELD_NAME = 5    /* int32_t k, as the string names[k - first] */
};
typedef struct glow__field {
  const char *key;
  size_t offset;
  int32_t type;
  bool later; /* not in the first version: if it is missing, it has its default */
  const char *const *names;
  int32_t first;
} glow__field;

/* One struct, an object of the record. */
typedef struct glow__field_group {
  const char *key;
  size_t offset; /* of the struct in the record */
  const glow__field *fields;
  int32_t count;
} glow__field_group;
enum { GLOW_FIELD_GROUPS = 4 };
extern const glow__field_group glow__checkpoint_groups[GLOW_FIELD_GROUPS];

size_t glow__field_size(int32_t type);

typedef struct glow__record {
  glow_trainer_options trainer; /* its pointers lead to the next two */
  glow_optimizer_options optimizer;
  glow_schedule schedule;
  glow__progress progress;
  int64_t loop; /* 1: of an optimizer alone, without trainer and schedule; as wide as the struct is
                   aligned, so that there is no padding */
} glow__record;

/* JSON text, owned by the caller (glow_release). */
glow_status glow__record_write(glow_context *context, const glow__record *record, char **out);
/* Checks types and names; the trainer and optimizer check the values. */
glow_status glow__record_read(glow_context *context, const char *text, glow__record *out);

/* ---- rate factors (checkpoint_rates.c) ------------------------------------------------------- */

/* JSON text, owned by the caller (glow_release); NULL if all factors are 1. */
glow_status glow__rates_write(glow_context *context, const glow__rates *rates, char **out);
/* Those of the file, if it has any. */
glow_status glow__rates_read(const glow_tensor_file *file, glow__rates *rates);

/* ---- the parts: one more tensor of each kind, NAME/PART, for each trainable NAME ------------- */

enum { GLOW_CHECKPOINT_PARTS = 3 }; /* m, v, average */
/* Names of the parts that a checkpoint with these options has. Returns how many there are. */
int32_t glow__record_parts(const glow__record *record, const char *parts[GLOW_CHECKPOINT_PARTS]);

#endif
