/* Tables as text: rows of fields between commas, semicolons or tabs, in quotes where need be
 * (RFC 4180). Rows are read by number. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_CSV_H
#define GLOWTOOL_CSV_H

#include "data_file.h"

typedef struct csv_table {
  data_file file;
  char separator;
  int64_t rows, room, first; /* rows without those in front of `first`: the header's */
  int64_t *offsets;          /* [first + rows + 1] */
  char **names;              /* [columns]; NULL: there is no header */
  int32_t columns;
  char **fields; /* [columns]: the row that was read last */
  char *text;    /* theirs */
  size_t text_room;
} csv_table;

/* Finds the rows, at most `most` of them; all have as many fields as the first, which is seen when
 * they are read. */
bool csv_open(csv_table *t, const char *path, int64_t most, message error);
/* The first row that is left becomes the names. */
bool csv_take_header(csv_table *t, message error);
/* Row `row` to t->fields, without the blanks around them. */
bool csv_read(csv_table *t, int64_t row, message error);
void csv_close(csv_table *t);

/* Is a field a number, and which one? Not finite ones are numbers. */
bool csv_number(const char *field, double *value);
/* Appends a field, in quotes where it needs them, to text that is written. */
void csv_put(char **at, const char *end, const char *field);

#endif
