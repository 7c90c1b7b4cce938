/* Options of a layer or net, described once: from one table come the defaults, the check of what a
 * caller gives and its message, what is written to files, and making the thing again from a file.
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
      1603, /* uint64_t; any value, not written: the work of a seed is in the tensors */
  GLOW_OPTION_REAL = 1604,    /* double; a finite real number */
  GLOW_OPTION_CHOICE = 1605,  /* int32_t, one of `choices`; its name */
  GLOW_OPTION_INDICES = 1606, /* const int32_t *, followed by an int64_t that tells how many; a list
                                 "0,2,5". low and high bound each. Copied. */
  GLOW_OPTION_RESERVED = 1607 /* int32_t, must be 0; not written */
};

enum {
  GLOW_OPTION_ABOVE_LOW = 1,  /* low itself is not allowed */
  GLOW_OPTION_BELOW_HIGH = 2, /* high itself is not allowed */
  GLOW_OPTION_ADDED = 4,      /* added after the first version: 0 means the default */
  GLOW_OPTION_QUIET = 8       /* not written to files while it has its default */
};

/* A value of an enumeration and its name in files. A list of them ends with a NULL name. */
typedef struct glow_choice {
  int32_t value;
  int32_t reserved; /* 0 */
  const char *name;
} glow_choice;

/* One field. The structs of a table are constant and live as long as what was made with them. */
typedef struct glow_option {
  const char *name; /* of the field, for messages */
  const char *key;  /* in files; NULL: the name */
  size_t offset;    /* in the options struct */
  int32_t type;     /* GLOW_OPTION_... */
  uint32_t flags;   /* GLOW_OPTION_... */
  double low,
      high;        /* INT32, INT64, REAL: the range, its ends included unless flags say otherwise */
  double fallback; /* the default; of a CHOICE its value */
  const glow_choice *choices;
  const char *prefix; /* of the constants of a CHOICE, for messages: "GLOW_MASK_" */
} glow_option;

typedef struct glow_options_table {
  size_t struct_size;
  const char *name; /* of the options struct, for messages */
  size_t size;      /* of the options struct, */
  size_t smallest;  /* and of its first version */
  const glow_option *options;
  int32_t count;
  int32_t reserved; /* 0 */
  /* What ranges cannot say, on options whose fields are each right. Optional. */
  glow_status (*check)(const void *options);
} glow_options_table;

/* A row of a table: GLOW_OPTION(glow_actnorm_options, floor, REAL, .high = 1, .fallback = 1e-6),
 * where what follows the type are members of glow_option; and the table itself. For C. */
#define GLOW_OPTION(struct_, field_, type_, ...)                                                   \
  { .name = #field_, .offset = offsetof(struct_, field_), .type = GLOW_OPTION_##type_, __VA_ARGS__ }
#define GLOW_OPTIONS_TABLE(struct_, rows_)                                                         \
  .struct_size = sizeof(glow_options_table), .name = #struct_, .size = sizeof(struct_),            \
  .smallest = sizeof(struct_), .options = (rows_), .count = sizeof(rows_) / sizeof *(rows_)

/* Fills *to, of table->size bytes, with the defaults, and then with what `from` (NULL: nothing)
 * says; checks every field. GLOW_E_ARGUMENT names the field, what was found and what is
 * expected. */
GLOW_API glow_status glow_options_read(const glow_options_table *table, const void *from, void *to);

#ifdef __cplusplus
}
#endif
#endif
