/* Columns by their names, or by their numbers where they have none. SPDX-License-Identifier: MIT */
#include "data_columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

/* The names that there are, as far as they fit into a message. */
static const char *list_names(char *const *names, int64_t count, char *out, size_t size) {
  size_t used = 0;
  if (!names)
    snprintf(out, size, "0 to %lld", (long long)count - 1);
  for (int64_t i = 0; names && i < count && used + 1 < size; i++)
    used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", names[i]);
  return out;
}

static bool find_column(char *const *names, int64_t count, const char *name, size_t length,
                        const char *path, int32_t *out, message error) {
  char shown[300], wanted[200], number[24];
  snprintf(wanted, sizeof wanted, "%.*s", (int)length, name);
  for (int32_t i = 0; i < count; i++) {
    snprintf(number, sizeof number, "%d", i);
    if (strcmp(names ? names[i] : number, wanted) == 0) {
      *out = i;
      return true;
    }
  }
  return data_fail(error, "%s: there is no column '%s'; there are %s", path, wanted,
                   list_names(names, count, shown, sizeof shown));
}

/* "a,b,c"; a name with a comma in it cannot be said. used: [count], columns with a part already. */
static bool find_list(char *const *names, int64_t count, const char *list, const char *path,
                      bool *used, int32_t *columns, int32_t *found, message error) {
  for (const char *at = list; at;) {
    size_t length = strcspn(at, ",");
    if (!find_column(names, count, at, length, path, &columns[*found], error))
      return false;
    if (used[columns[*found]])
      return data_fail(error, "%s: column '%.*s' is named twice", path, (int)length, at);
    used[columns[(*found)++]] = true;
    at = at[length] ? at + length + 1 : NULL;
    if (*found == count && at)
      return data_fail(error, "%s: more columns are named than there are", path);
  }
  return true;
}

/* A name of its own may have commas. */
static bool find_single(char *const *names, int64_t count, const char *name, const char *path,
                        bool *used, int32_t *out, message error) {
  *out = -1;
  if (!name)
    return true;
  if (!find_column(names, count, name, strlen(name), path, out, error))
    return false;
  if (used[*out])
    return data_fail(error, "%s: column '%s' is named twice", path, name);
  used[*out] = true;
  return true;
}

/* Is it BASE and a number? */
static bool numbered(const char *name, const char *base) {
  size_t length = strlen(base);
  return strncmp(name, base, length) == 0 && name[length] &&
         name[length + strspn(name + length, "0123456789")] == '\0';
}

/* A table of this program's own: the latents, and what stands beside them, by their names. */
static void choose_own(const data_options *o, char *const *names, int64_t count,
                       data_columns *out) {
  for (int32_t i = 0; i < count; i++) {
    if (numbered(names[i], o->tensor))
      out->values[out->value_count++] = i;
    else if (numbered(names[i], "condition") && !o->condition)
      out->conditions[out->condition_count++] = i;
    else if (strcmp(names[i], "y") == 0 && !o->label_column)
      out->label = i;
    else if (strcmp(names[i], "name") == 0 && !o->id_column)
      out->id = i;
  }
}

static bool choose(const data_options *o, char *const *names, int64_t count, const char *path,
                   bool *used, data_columns *out, message error) {
  if (!find_single(names, count, o->label_column, path, used, &out->label, error) ||
      !find_single(names, count, o->id_column, path, used, &out->id, error))
    return false;
  if (o->condition && !find_list(names, count, o->condition, path, used, out->conditions,
                                 &out->condition_count, error))
    return false;
  if (o->own_names && names && !o->columns)
    choose_own(o, names, count, out);
  if (out->value_count)
    return true;
  if (o->columns)
    return find_list(names, count, o->columns, path, used, out->values, &out->value_count, error);
  for (int32_t i = 0; i < count; i++)
    if (!used[i])
      out->values[out->value_count++] = i;
  return out->value_count || data_fail(error, "%s: no columns are left to learn from", path);
}

bool data_columns_choose(const data_options *o, char *const *names, int64_t count, const char *path,
                         data_columns *out, message error) {
  *out = (data_columns){.label = -1, .id = -1};
  if (count > INT32_MAX)
    return data_fail(error, "%s: %lld columns are too many", path, (long long)count);
  if (!memory_fits((count + 1) * 9, path, "a list of its columns", error))
    return false;
  bool *used = calloc((size_t)count + 1, sizeof *used);
  out->values = malloc(((size_t)count + 1) * sizeof *out->values);
  out->conditions = malloc(((size_t)count + 1) * sizeof *out->conditions);
  bool ok = used && out->values && out->conditions;
  ok = ok ? choose(o, names, count, path, used, out, error)
          : data_fail(error, "%s: out of memory for its columns", path);
  free(used);
  if (!ok)
    data_columns_free(out);
  return ok;
}

void data_columns_free(data_columns *c) {
  free(c->values);
  free(c->conditions);
  *c = (data_columns){.label = -1, .id = -1};
}
