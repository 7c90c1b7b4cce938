/* Rows of an option table. The file that includes this defines FIELD(member), the offset in its
 * settings. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_OPTIONS_ROWS_H
#define GLOWTOOL_OPTIONS_ROWS_H

#include "options.h"

/* Seeds stay exact in JSON, where numbers are doubles. */
#define SEED_MAX 9007199254740991.0

#define HEADING(text)                                                                              \
  { .kind = OPTION_HEADING, .help = text }
#define FLAG(id, member, text)                                                                     \
  { .name = id, .kind = OPTION_FLAG, .field = FIELD(member), .help = text }
#define INT(id, member, standard, least, most, text)                                               \
  {                                                                                                \
    .name = id, .word = "N", .kind = OPTION_INT, .field = FIELD(member), .fallback = standard,     \
    .low = least, .high = most, .help = text                                                       \
  }
#define REAL(id, member, standard, least, most, text, ...)                                         \
  {                                                                                                \
    .name = id, .word = "X", .kind = OPTION_REAL, .field = FIELD(member), .fallback = standard,    \
    .low = least, .high = most, .help = text, __VA_ARGS__                                          \
  }
#define TEXT(id, value, member, standard, text)                                                    \
  {                                                                                                \
    .name = id, .word = value, .kind = OPTION_TEXT, .field = FIELD(member), .fallback = standard,  \
    .help = text                                                                                   \
  }
/* A file to write, whose ending says what is written. */
#define OUTPUT(id, member, standard, ends, text)                                                   \
  {                                                                                                \
    .name = id, .word = "FILE", .kind = OPTION_TEXT, .field = FIELD(member), .fallback = standard, \
    .endings = ends, .help = text                                                                  \
  }
/* A row of a table of rules. */
#define RULE(names, condition, reason)                                                             \
  { .options = names, .needs = condition, .why = reason }
#define CHOICE(id, member, standard, list, text)                                                   \
  {                                                                                                \
    .name = id, .word = "NAME", .kind = OPTION_CHOICE, .field = FIELD(member),                     \
    .fallback = standard, .choices = list, .help = text                                            \
  }
#define LIST(id, member, text)                                                                     \
  { .name = id, .word = "PATH", .kind = OPTION_LIST, .field = FIELD(member), .help = text }

/* For the commands that run samples through a model: rows.h. */
#define STRICT_ROW FLAG("strict", strict, "end with code 1 when a sample is not finite")

/* The limit of memory.h. */
#define MEMORY_ROW                                                                                 \
  INT("max-memory", max_memory, "0", 0, 1e9,                                                       \
      "MiB that files may make the program take beyond their own size: compressed data, pictures " \
      "while they are decoded (0: 1024, or half of the machine's memory if that is less), and "    \
      "passes of a model, or a training run in all (0: the machine's memory)")

/* For every command that computes. */
#define MACHINE_ROWS                                                                               \
  INT("threads", threads, "0", 0, 1024, "threads; 0: one for each processor that may be used"),    \
      TEXT("kernels", "NAME", kernels, NULL,                                                       \
           "kernels to compute with; default $GLOW_KERNELS, or auto"),                             \
      CHOICE("products", products, "float32", product_types,                                       \
             "type of the factors of the products in networks"),                                   \
      MEMORY_ROW

#endif
