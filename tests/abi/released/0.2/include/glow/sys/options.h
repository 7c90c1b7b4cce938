/* Options of a layer or net, described once. From one table come the defaults, the check of what a
 * caller gives and its message, what is written to files, and making the layer or net again from a
 * file.
 *
 * Options are a struct whose first member is struct_size. A caller's struct may be shorter than the
 * library's (fields added later then have their defaults) and, where all of the rest is 0, longer.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_OPTIONS_H
#define GLOW_SYS_OPTIONS_H

#include <glow/sys/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a field is: its type in the struct, and in files. */
enum {
  GLOW_OPTION_INT32 = 1601, /* int32_t; an integer */
  GLOW_OPTION_INT64 = 1602, /* int64_t; an integer */
  GLOW_OPTION_UINT64 =
      1603, /* uint64_t; any value. Not written: what a seed has done is in the tensors */
  GLOW_OPTION_REAL = 1604,    /* double; a finite real number */
  GLOW_OPTION_CHOICE = 1605,  /* int32_t, one of `choices`; in files its name */
  GLOW_OPTION_INDICES = 1606, /* const int32_t *, followed by their count, an int64_t. Copied. In
                                 files a list "0,2,5". low and high bound each of them */
  GLOW_OPTION_RESERVED = 1607 /* int32_t, must be 0. Not written */
};

enum {
  GLOW_OPTION_ABOVE_LOW = 1,  /* low itself is not allowed */
  GLOW_OPTION_BELOW_HIGH = 2, /* high itself is not allowed */
  GLOW_OPTION_ADDED = 4,      /* added after the first version: 0 means the default */
  GLOW_OPTION_QUIET = 8       /* not written to files while it has its default */
};

/* A value of an enumeration and its name in files. A list of choices ends with a NULL name. */
typedef struct glow_choice {
  int32_t value;
  int32_t reserved; /* 0 */
  const char *name;
} glow_choice;

/* One field. The structs of a table are constant, and live as long as what was made with them. */
typedef struct glow_option {
  const char *name; /* of the field, for messages */
  const char *key;  /* its name in files; NULL: the same */
  size_t offset;    /* in the options struct */
  int32_t type;     /* GLOW_OPTION_... */
  uint32_t flags;   /* GLOW_OPTION_... */
  double low,
      high;        /* INT32, INT64, REAL: the range, its ends included unless flags say otherwise */
  double fallback; /* the default; for a CHOICE its value */
  const glow_choice *choices;
  const char *prefix; /* of the constants of a CHOICE, for messages: "GLOW_MASK_" */
} glow_option;

typedef struct glow_options_table {
  size_t struct_size;
  const char *name; /* of the options struct, for messages */
  size_t size;      /* of the options struct */
  size_t smallest;  /* of the options struct in its first version */
  const glow_option *options;
  int32_t count;
  int32_t reserved; /* 0 */
  /* Checks what ranges cannot express, on options whose fields are each valid. Optional. */
  glow_status (*check)(const void *options);
} glow_options_table;

/* A row of a table: GLOW_OPTION(glow_actnorm_options, floor, REAL, .high = 1, .fallback = 1e-6),
 * where members of glow_option follow the type; and the members of the table itself. For C only. */
#define GLOW_OPTION(struct_, field_, type_, ...)                                                   \
  { .name = #field_, .offset = offsetof(struct_, field_), .type = GLOW_OPTION_##type_, __VA_ARGS__ }
#define GLOW_OPTIONS_TABLE(struct_, rows_)                                                         \
  .struct_size = sizeof(glow_options_table), .name = #struct_, .size = sizeof(struct_),            \
  .smallest = sizeof(struct_), .options = (rows_), .count = sizeof(rows_) / sizeof *(rows_)

/* Fills *to, of table->size bytes, with the defaults and then with the fields of `from` (NULL: only
 * the defaults), and checks every field. GLOW_E_ARGUMENT names the field, what was found and what
 * is expected. */
GLOW_API glow_status glow_options_read(const glow_options_table *table, const void *from, void *to);

#ifdef __cplusplus
}
#endif
#endif
