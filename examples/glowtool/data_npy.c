/* Reading .npy files. Nothing in them is run: objects, which are pickles, are refused.
 * SPDX-License-Identifier: MIT */
#include "data_npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_HEADER = 1 << 16 };

static bool read_place(void *state, int64_t offset, void *to, size_t bytes, message error) {
  const npy_place *p = state;
  if (!p->memory)
    return data_file_read(p->file, p->base + p->start + offset, to, bytes, error);
  memcpy(to, p->memory + p->start + offset, bytes);
  return true;
}

/* ---- the header ------------------------------------------------------------------------------ */

/* What stands behind 'key': in the header. */
static const char *value_of(const char *header, const char *key) {
  char quoted[40];
  snprintf(quoted, sizeof quoted, "'%s':", key);
  const char *at = strstr(header, quoted);
  if (!at)
    return NULL;
  at += strlen(quoted);
  return at + strspn(at, " ");
}

static number_type type_of(const char *descr, bool *big) {
  static const struct {
    const char *code;
    number_type type;
  } types[] = {{"u1", NUMBER_U8},  {"b1", NUMBER_U8},  {"i1", NUMBER_I8},  {"u2", NUMBER_U16},
               {"i2", NUMBER_I16}, {"u4", NUMBER_U32}, {"i4", NUMBER_I32}, {"u8", NUMBER_U64},
               {"i8", NUMBER_I64}, {"f2", NUMBER_F16}, {"f4", NUMBER_F32}, {"f8", NUMBER_F64}};
  if (*descr != '\'' || !strchr("<>|=", descr[1]))
    return NUMBER_NONE;
  *big = descr[1] == '>';
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (strncmp(descr + 2, types[i].code, 2) == 0 && descr[4] == '\'')
      return types[i].type;
  return NUMBER_NONE;
}

static bool read_shape(const char *at, data_array *out) {
  if (*at++ != '(')
    return false;
  while (*at != ')') {
    char *end;
    long long dim = strtoll(at, &end, 10);
    if (end == at || dim < 0 || out->rank == ARRAY_RANK)
      return false;
    out->dims[out->rank++] = dim;
    at = end + strspn(end, "L ");
    if (*at == ',')
      at += 1 + strspn(at + 1, " ");
    else if (*at != ')')
      return false;
  }
  return true;
}

static bool read_header(const char *header, const char *path, const char *name, data_array *out,
                        message error) {
  const char *descr = value_of(header, "descr"), *shape = value_of(header, "shape");
  const char *fortran = value_of(header, "fortran_order");
  if (!descr || !shape || !fortran || !read_shape(shape, out))
    return data_fail(error, "%s: '%s' has no NumPy header that can be read", path, name);
  out->type = type_of(descr, &out->big);
  if (out->type == NUMBER_NONE)
    return data_fail(error,
                     "%s: '%s' is of type %.*s; float16, float32, float64 and whole numbers "
                     "are read",
                     path, name, (int)strcspn(descr, ",}"), descr);
  int64_t above_one = 0;
  for (int32_t i = 0; i < out->rank; i++)
    above_one += out->dims[i] > 1;
  if (strncmp(fortran, "True", 4) == 0 && above_one > 1)
    return data_fail(error, "%s: '%s' is in Fortran's order: save numpy.ascontiguousarray of it",
                     path, name);
  return true;
}

static bool check_size(const npy_place *p, const char *path, const char *name, const data_array *a,
                       message error) {
  int64_t bytes = number_size(a->type);
  for (int32_t i = 0; i < a->rank; i++)
    if (__builtin_mul_overflow(bytes, a->dims[i], &bytes))
      return data_fail(error, "%s: '%s': its size does not fit 64 bits", path, name);
  if (bytes > p->size - p->start)
    return data_fail(error,
                     "%s: '%s' is truncated: it has %lld bytes of data, but its shape needs %lld",
                     path, name, (long long)(p->size - p->start), (long long)bytes);
  return true;
}

static bool load_header(npy_place *p, const char *path, const char *name, char *header,
                        message error) {
  uint8_t start[12] = {0};
  p->start = 0;
  if (p->size < 12 || !read_place(p, 0, start, sizeof start, error))
    return data_fail(error, "%s: '%s' is truncated", path, name);
  if (memcmp(start, "\x93NUMPY", 6) != 0 || start[6] < 1 || start[6] > 3)
    return data_fail(error, "%s: '%s' is not a NumPy array of version 1 to 3", path, name);
  int64_t at = start[6] == 1 ? 10 : 12, length = start[8] | start[9] << 8;
  if (start[6] > 1)
    length |= (int64_t)start[10] << 16 | (int64_t)start[11] << 24;
  if (length >= LONGEST_HEADER || length > p->size - at)
    return data_fail(error, "%s: '%s': a header of %lld bytes", path, name, (long long)length);
  if (!read_place(p, at, header, (size_t)length, error))
    return false;
  header[length] = '\0';
  p->start = at + length;
  return true;
}

bool npy_open(npy_place *p, const char *path, const char *name, data_array *out, message error) {
  char *header = malloc(LONGEST_HEADER);
  *out = (data_array){.read = read_place, .state = p};
  bool ok = header || data_fail(error, "%s: out of memory", path);
  ok = ok && load_header(p, path, name, header, error) &&
       read_header(header, path, name, out, error) && check_size(p, path, name, out, error);
  free(header);
  return ok;
}

/* ---- one array ------------------------------------------------------------------------------- */

typedef struct npy_file {
  data_file file;
  npy_place place;
} npy_file;

static void close_npy(void *state) {
  npy_file *f = state;
  data_file_close(&f->file);
  free(f);
}

bool data_open_npy(data_sources *s, const char *path, message error) {
  npy_file *f = calloc(1, sizeof *f);
  if (!f || !data_file_open(&f->file, path, error)) {
    free(f);
    return f ? false : data_fail(error, "%s: out of memory", path);
  }
  array_file a = {.path = f->file.path,
                  .name = "the array",
                  .y.rank = -1,
                  .condition.rank = -1,
                  .state = f,
                  .close = close_npy};
  f->place.file = &f->file;
  if (data_file_size(&f->file, &f->place.size, error) &&
      npy_open(&f->place, a.path, a.name, &a.x, error))
    return data_add_array(s, &a, error);
  close_npy(f);
  return false;
}
