/* Reading tables. SPDX-License-Identifier: MIT */
#include "csv.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

enum { CHUNK = 1 << 16 };
/* Pointers to a field and a name, and the name. */
#define COLUMN_BYTES ((int64_t)64)
#define LONGEST_ROW ((int64_t)1 << 28)

/* ---- where rows are -------------------------------------------------------------------------- */

static bool add_row(csv_table *t, int64_t offset, message error) {
  if (t->rows + 2 > t->room) {
    int64_t room = t->room ? 2 * t->room : 1024,
            more_bytes = (room - t->room) * (int64_t)sizeof *t->offsets;
    if (!memory_take(more_bytes, t->file.path, "a list of its rows", error))
      return false;
    int64_t *more = realloc(t->offsets, (size_t)room * sizeof *more);
    if (!more) {
      memory_give(more_bytes);
      return data_fail(error, "%s: out of memory for its rows", t->file.path);
    }
    t->offsets = more;
    t->room = room;
  }
  t->offsets[t->rows++] = offset;
  return true;
}

/* State of the walk over all characters. */
typedef struct scan {
  int64_t begin; /* of the row */
  bool quoted, blank;
} scan;

static bool scan_chunk(csv_table *t, const char *chunk, size_t size, int64_t at, int64_t most,
                       scan *s, message error) {
  for (size_t i = 0; i < size; i++) {
    char c = chunk[i];
    if (c == '"')
      s->quoted = !s->quoted;
    if (c != '\n' || s->quoted) {
      s->blank &= isspace((unsigned char)c) != 0;
      continue;
    }
    if (!s->blank && !add_row(t, s->begin, error))
      return false;
    s->begin = at + (int64_t)i + 1;
    s->blank = true;
    if (t->rows == most)
      return true;
  }
  return true;
}

static bool find_rows(csv_table *t, int64_t most, message error) {
  char *chunk = malloc(CHUNK);
  scan s = {.blank = true};
  int64_t at = 0;
  size_t got = 0;
  bool ok = chunk || data_fail(error, "%s: out of memory", t->file.path);
  while (ok && t->rows < most) {
    ok = data_file_some(&t->file, at, chunk, CHUNK, &got, error);
    if (!ok || !got)
      break;
    if (at == 0 && got >= 3 && memcmp(chunk, "\xef\xbb\xbf", 3) == 0) { /* UTF-8's mark */
      memset(chunk, ' ', 3);
      s.begin = 3;
    }
    ok = scan_chunk(t, chunk, got, at, most, &s, error);
    at += (int64_t)got;
  }
  free(chunk);
  if (ok && t->rows < most && !s.blank) { /* without a line's end */
    ok = add_row(t, s.begin, error);
    s.begin = at;
  }
  if (ok && s.quoted && t->rows < most)
    ok = data_fail(error, "%s: a quote is opened and never closed", t->file.path);
  if (ok && !t->rows)
    ok = data_fail(error, "%s: no rows", t->file.path);
  if (ok)
    t->offsets[t->rows] = s.begin;
  return ok;
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* One field at *at, ended with a NUL in place; *at moves behind the separator, or becomes NULL. */
static char *take_field(char **at, char separator) {
  char *from = *at, *to, *field;
  while (*from == ' ' || (*from == '\t' && separator != '\t'))
    from++;
  if (*from == '"') {
    field = to = ++from;
    while (*from && (*from != '"' || from[1] == '"')) {
      from += *from == '"';
      *to++ = *from++;
    }
    from += *from == '"';
    while (*from && *from != separator)
      from++;
  } else {
    field = from;
    while (*from && *from != separator)
      from++;
    to = from;
    while (to > field && isspace((unsigned char)to[-1]))
      to--;
  }
  *at = *from ? from + 1 : NULL;
  *to = '\0';
  return field;
}

static bool load_text(csv_table *t, int64_t row, message error) {
  int64_t begin = t->offsets[t->first + row], size = t->offsets[t->first + row + 1] - begin;
  if (size > LONGEST_ROW)
    return data_fail(error, "%s: row %lld has %lld bytes", t->file.path, (long long)row,
                     (long long)size);
  if (t->text_room < (size_t)size + 1) {
    if (!memory_fits(size, t->file.path, "a row", error))
      return false;
    char *more = realloc(t->text, (size_t)size + 1);
    if (!more)
      return data_fail(error, "%s: out of memory for a row", t->file.path);
    t->text = more;
    t->text_room = (size_t)size + 1;
  }
  if (!data_file_read(&t->file, begin, t->text, (size_t)size, error))
    return false;
  while (size > 0 && (t->text[size - 1] == '\n' || t->text[size - 1] == '\r'))
    size--;
  t->text[size] = '\0';
  const char *zero = memchr(t->text, '\0', (size_t)size);
  return !zero || data_fail(error, "%s: byte %lld, in row %lld, is zero: not a text in UTF-8",
                            t->file.path, (long long)(begin + (zero - t->text)), (long long)row);
}

bool csv_read(csv_table *t, int64_t row, message error) {
  int32_t count = 0;
  if (!load_text(t, row, error))
    return false;
  for (char *at = t->text; at; count++) {
    char *field = take_field(&at, t->separator);
    if (count < t->columns)
      t->fields[count] = field;
  }
  return count == t->columns ||
         data_fail(error, "%s: row %lld has %d fields where the first has %d", t->file.path,
                   (long long)row, count, t->columns);
}

/* The separator that occurs most often in the first row, outside of quotes. */
static void find_separator(csv_table *t) {
  static const char known[] = ",;\t";
  int32_t counts[3] = {0}, best = 0;
  bool quoted = false;
  for (const char *c = t->text; *c; c++) {
    quoted ^= *c == '"';
    const char *found = quoted ? NULL : strchr(known, *c);
    if (found)
      counts[found - known]++;
  }
  for (int32_t i = 1; i < 3; i++)
    best = counts[i] > counts[best] ? i : best;
  t->separator = known[best];
}

static bool find_columns(csv_table *t, message error) {
  if (!load_text(t, 0, error))
    return false;
  find_separator(t);
  for (char *at = t->text; at; t->columns++)
    take_field(&at, t->separator);
  if (!memory_fits(t->columns * COLUMN_BYTES, t->file.path, "a list of its columns", error))
    return false;
  t->fields = malloc((size_t)t->columns * sizeof *t->fields);
  return t->fields || data_fail(error, "%s: out of memory", t->file.path);
}

bool csv_open(csv_table *t, const char *path, int64_t most, message error) {
  *t = (csv_table){.file.descriptor = -1};
  if (!data_file_open(&t->file, path, error))
    return false;
  if (find_rows(t, most, error) && find_columns(t, error))
    return true;
  csv_close(t);
  return false;
}

bool csv_take_header(csv_table *t, message error) {
  if (!csv_read(t, 0, error))
    return false;
  t->names = calloc((size_t)t->columns, sizeof *t->names);
  bool ok = t->names != NULL;
  for (int32_t i = 0; ok && i < t->columns; i++)
    ok = (t->names[i] = strdup(t->fields[i])) != NULL;
  t->first = 1;
  t->rows--;
  return ok || data_fail(error, "%s: out of memory", t->file.path);
}

void csv_close(csv_table *t) {
  for (int32_t i = 0; t->names && i < t->columns; i++)
    free(t->names[i]);
  free(t->names);
  free(t->fields);
  free(t->text);
  free(t->offsets);
  memory_give(t->room * (int64_t)sizeof *t->offsets);
  data_file_close(&t->file);
  *t = (csv_table){.file.descriptor = -1};
}

/* ---- one field ------------------------------------------------------------------------------- */

bool csv_number(const char *field, double *value) {
  char *end;
  *value = strtod(field, &end);
  return end != field && !*end;
}

void csv_put(char **at, const char *end, const char *field) {
  bool quote = field[strcspn(field, ",;\t\"\r\n")] != '\0';
  char *to = *at;
  if (quote && to < end)
    *to++ = '"';
  for (; *field && to + 2 < end; field++) {
    if (*field == '"')
      *to++ = '"';
    *to++ = *field;
  }
  if (quote && to < end)
    *to++ = '"';
  *to = '\0';
  *at = to;
}
