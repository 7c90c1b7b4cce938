/* Names of classes, from folders, tables or a file, and the numbers that stand for them.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data_internal.h"

enum { MOST_CLASSES = 100000 };

static bool append(class_table *t, const char *name, size_t length, message error) {
  if (t->count == t->room) {
    int32_t room = t->room ? 2 * t->room : 16;
    char **more = realloc(t->names, (size_t)room * sizeof *more);
    if (!more)
      return data_fail(error, "out of memory for the names of classes");
    t->names = more;
    t->room = room;
  }
  t->names[t->count] = strndup(name, length);
  return t->names[t->count++] || data_fail(error, "out of memory for the names of classes");
}

/* A line "NUMBER,NAME", as training writes them, or "NAME". */
static bool load_line(class_table *t, char *line, const char *path, message error) {
  char *end, *name = line;
  long number = strtol(line, &end, 10);
  if (strcmp(line, "class,name") == 0 || !*line)
    return true;
  if (end != line && *end == ',') {
    if (number != t->count)
      return data_fail(error, "%s: class %ld stands where %d belongs", path, number, t->count);
    name = end + 1;
  }
  if (!*name)
    return data_fail(error, "%s: class %d has no name", path, t->count);
  return append(t, name, strlen(name), error);
}

/* Where the text of a file begins: behind UTF-8's mark. NULL: it is no text. */
static char *text_of(const file_bytes *file, const char *path, message error) {
  static const char mark[] = "\xef\xbb\xbf";
  char *text = (char *)file->data;
  size_t length = strlen(text);
  if (length < file->size) {
    data_fail(error, "%s: byte %zu is zero: not a text in UTF-8", path, length);
    return NULL;
  }
  return strncmp(text, mark, strlen(mark)) == 0 ? text + strlen(mark) : text;
}

bool classes_load(class_table *t, const char *path, message error) {
  file_bytes file;
  if (!data_read_whole(path, &file, error))
    return false;
  char *at = text_of(&file, path, error), *next;
  bool ok = at != NULL;
  for (; ok && at; at = next) {
    next = strchr(at, '\n');
    if (next)
      *next++ = '\0';
    at[strcspn(at, "\r")] = '\0';
    ok = load_line(t, at, path, error);
  }
  free(file.data);
  t->given = true;
  return ok && (t->count > 0 || data_fail(error, "%s: no names of classes", path));
}

bool classes_copy(class_table *t, char *const *names, int32_t count, message error) {
  for (int32_t i = 0; i < count; i++)
    if (!append(t, names[i], strlen(names[i]), error))
      return false;
  t->given = true;
  return true;
}

bool classes_split(class_table *t, const char *lines, message error) {
  for (size_t length; *lines; lines += length + (lines[length] == '\n')) {
    length = strcspn(lines, "\n");
    if (!append(t, lines, length, error))
      return false;
  }
  t->given = true;
  return true;
}

/* The last class below `end` of this name, or -1: the last one comes again most often. */
static int32_t find_class(const class_table *t, const char *name, int32_t end) {
  while (--end >= 0 && strcmp(t->names[end], name) != 0)
    ;
  return end;
}

bool classes_place(class_table *t, const char *name, const char *where, int32_t *place,
                   message error) {
  *place = -1;
  if (!*name)
    return true;
  *place = find_class(t, name, t->count);
  int32_t other = t->given ? find_class(t, name, *place) : -1;
  if (other >= 0)
    return data_fail(error, "%s: '%s' is the name of two classes, %d and %d", where, name, other,
                     *place);
  if (*place >= 0)
    return true;
  if (t->given)
    return data_fail(error, "%s: class '%s' is not one of the %d that are known", where, name,
                     t->count);
  if (t->count == MOST_CLASSES)
    return data_fail(error, "%s: more than %d classes: are these labels?", where, MOST_CLASSES);
  *place = t->count;
  return append(t, name, strlen(name), error);
}

/* ---- numbering ------------------------------------------------------------------------------- */

static bool whole(const char *name, int32_t *number) {
  char *end;
  errno = 0;
  long value = strtol(name, &end, 10);
  *number = (int32_t)value;
  return name[0] >= '0' && name[0] <= '9' && !*end && !errno && value < MOST_CLASSES;
}

static bool all_whole(const class_table *t, int32_t *numbers) {
  for (int32_t i = 0; i < t->count; i++)
    if (!whole(t->names[i], &numbers[i]))
      return false;
  return true;
}

typedef struct ranked {
  char *name;
  int32_t place;
} ranked;

static int by_name(const void *a, const void *b) {
  return strcmp(((const ranked *)a)->name, ((const ranked *)b)->name);
}

bool classes_number(class_table *t, int32_t *numbers, message error) {
  for (int32_t i = 0; i < t->count; i++)
    numbers[i] = i;
  if (t->given)
    return true;
  if (all_whole(t, numbers)) {
    for (int32_t i = 0; i < t->count; i++)
      free(t->names[i]);
    t->count = 0;
    return true;
  }
  ranked *all = malloc(((size_t)t->count + 1) * sizeof *all);
  if (!all)
    return data_fail(error, "out of memory for the names of classes");
  for (int32_t i = 0; i < t->count; i++)
    all[i] = (ranked){t->names[i], i};
  qsort(all, (size_t)t->count, sizeof *all, by_name);
  for (int32_t i = 0; i < t->count; i++) {
    t->names[i] = all[i].name;
    numbers[all[i].place] = i;
  }
  free(all);
  return true;
}

void classes_free(class_table *t) {
  for (int32_t i = 0; i < t->count; i++)
    free(t->names[i]);
  free(t->names);
  *t = (class_table){0};
}
