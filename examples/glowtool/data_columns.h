/* Which columns of a table are data, conditions, labels and names. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_DATA_COLUMNS_H
#define GLOWTOOL_DATA_COLUMNS_H

#include "data_internal.h"

typedef struct data_columns {
  int32_t *values, *conditions; /* [value_count], [condition_count]: numbers of columns */
  int32_t value_count, condition_count;
  int32_t label, id; /* -1: none */
} data_columns;

/* names: [count], or NULL: columns are called by their numbers, from 0. */
bool data_columns_choose(const data_options *o, char *const *names, int64_t count, const char *path,
                         data_columns *out, message error);
void data_columns_free(data_columns *c);

#endif
