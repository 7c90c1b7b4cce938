/* Arguments from bytes. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))

uint8_t api_byte(api *a) {
  return a->at < RECORD ? a->record[a->at++] : 0;
}

bool api_rarely(api *a, int32_t in) {
  return api_byte(a) % in == in - 1;
}

void *api_scratch(api *a, size_t bytes) {
  PROMISE(a->scratch_count < COUNT(a->scratch));
  void *memory = malloc(bytes ? bytes : 1);
  PROMISE(memory);
  memset(memory, 0, bytes);
  return a->scratch[a->scratch_count++] = memory;
}

void api_scratch_free(api *a) {
  while (a->scratch_count > 0)
    free(a->scratch[--a->scratch_count]);
}

/* ---- options --------------------------------------------------------------------------------- */

/* Small ones first: a byte below 8 says itself. */
static const int64_t sides[] = {0,  1,  2,         3,         4,         5,         6,          8,
                                -1, 12, INT64_MAX, INT64_MIN, INT32_MAX, 1LL << 32, 3037000500, 16};
static const int32_t smalls[] = {0, 1, 2, 3, 4, 5, 7, 9, -1, INT32_MAX, INT32_MIN, 1 << 30};
static const double reals[] = {0.0,   1.0, 0.5,      1e-3, 0.9, 2.0,      0.05,      1e-300, -1.0,
                               1e300, NAN, INFINITY, -0.0, 4.0, 0.999999, -INFINITY, 1e-6,   1e6};

static double any_real(uint8_t byte) {
  return reals[byte % COUNT(reals)];
}

/* Most are possible: what is not is met often enough. */
static int64_t any_side(uint8_t byte) {
  return byte < 224 ? sides[byte % 8] : sides[byte % COUNT(sides)];
}

static int32_t any_small(uint8_t byte) {
  return byte < 224 ? smalls[byte % 8] : smalls[byte % COUNT(smalls)];
}

static void set_field(api *a, char *options, const api_field *f, uint8_t value) {
  union {
    int64_t side;
    int32_t whole;
    double real;
    uint64_t seed;
    glow_shape shape;
    void *pointer;
  } v;
  size_t size = sizeof v.whole;
  memset(&v, 0, sizeof v);
  switch (f->kind) {
  case FIELD_SIDE:
    v.side = any_side(value);
    size = sizeof v.side;
    break;
  case FIELD_SMALL: v.whole = any_small(value); break;
  case FIELD_FLAG: v.whole = value < 240 ? value % 2 : value - 241; break;
  case FIELD_ENUM: v.whole = f->base + value % 6 - (value > 240); break;
  case FIELD_REAL:
    v.real = any_real(value);
    size = sizeof v.real;
    break;
  case FIELD_SEED:
    v.seed = value < 200 ? value : UINT64_MAX - value;
    size = sizeof v.seed;
    break;
  case FIELD_SHAPE:
    v.shape = (glow_shape){any_side(value & 3), any_side(value >> 2 & 7), any_side(value >> 5)};
    if (value > 250)
      v.shape.channels = any_side(value);
    size = sizeof v.shape;
    break;
  case FIELD_POINTER:
    v.pointer = NULL;
    size = sizeof v.pointer;
    break;
  case FIELD_BYTES:
    v.seed = (uint64_t)value << (value % 4 * 5);
    size = sizeof v.seed;
    break;
  }
  memcpy(options + f->offset, &v, size);
  api_tell(a, "  .%s from byte %d (%lld, %g)", f->name, value,
           size == 4 ? (long long)v.whole : (long long)v.side, f->kind == FIELD_REAL ? v.real : 0);
}

static size_t size_without(size_t size, size_t cut) {
  return size > sizeof size + cut ? size - cut : sizeof size;
}

const void *api_options(api *a, const void *options, size_t size, const api_field *fields,
                        int32_t field_count, int32_t pokes) {
  uint8_t form = api_byte(a);
  size_t room = size, told = size;
  if (form == 255)
    return NULL;
  if (form > 251) /* of a newer library */
    told = room = size + 8 * (size_t)(form - 250);
  else if (form > 248) /* of an older one; the size itself is in all */
    told = room = size_without(size, 4 * (size_t)(form - 248));
  if (form == 248)
    told = 0;
  if (form == 247)
    told = SIZE_MAX;
  char *copy = api_scratch(a, room < size ? size : room);
  memcpy(copy, options, size);
  for (int32_t i = 0; i < pokes; i++) {
    uint8_t field = api_byte(a), value = api_byte(a);
    if (field)
      set_field(a, copy, &fields[(field - 1) % field_count], value);
  }
  if (form == 246) { /* a field of a library to come */
    char *wide = api_scratch(a, size + 8);
    memcpy(wide, copy, size);
    wide[size] = 1;
    copy = wide;
    told = size + 8;
  }
  if (room < size) { /* only so much of it is there */
    char *cut = api_scratch(a, room);
    memcpy(cut, copy, room);
    copy = cut;
  }
  memcpy(copy, &told, sizeof told < room ? sizeof told : room);
  if (told != size)
    api_tell(a, "  .struct_size = %zu", told);
  return copy;
}

glow_shape api_shape(api *a) {
  static const glow_shape usual[] = {{2, 2, 2}, {1, 1, 2}, {4, 4, 1}, {1, 1, 1},
                                     {4, 2, 3}, {1, 1, 5}, {2, 2, 4}, {8, 8, 1}};
  uint8_t byte = api_byte(a);
  if (byte < 224)
    return usual[byte % 8];
  return (glow_shape){any_side(api_byte(a)), any_side(api_byte(a)), any_side(byte ^ api_byte(a))};
}

/* ---- arrays ---------------------------------------------------------------------------------- */

int64_t api_count(api *a) {
  uint8_t byte = api_byte(a);
  if (byte > 248)
    return byte == 249 ? 0 : byte == 250 ? INT64_MIN : -1;
  return 1 + byte % MOST_COUNT;
}

/* In [-0.5, 0.5), as images are; different for each form. */
static float ordinary(uint8_t form, int64_t i) {
  uint32_t x = (uint32_t)i * 2654435761u + form * 40503u + 12345u;
  x ^= x >> 15;
  x *= 2246822519u;
  x ^= x >> 13;
  return (float)(x >> 8) / (float)(1 << 24) - 0.5f;
}

float *api_floats(api *a, int64_t elements) {
  static const float odd[] = {NAN,    INFINITY, -INFINITY, 1e30f,    -1e30f, 3e38f,
                              1e-40f, 0.0f,     100.0f,    -1000.0f, 1e15f,  -0.0f};
  uint8_t form = api_byte(a);
  if (form == 255 || elements < 0)
    return NULL;
  float *values = api_scratch(a, (size_t)elements * sizeof *values);
  for (int64_t i = 0; i < elements; i++)
    values[i] = ordinary(form, i);
  if (form < 128 || !elements)
    return values;
  uint8_t place = api_byte(a);
  float value = odd[form % COUNT(odd)];
  if (form > 192) { /* all of them */
    for (int64_t i = 0; i < elements; i++)
      values[i] = value * (place % 2 ? values[i] : 1.0f);
  } else {
    values[place % elements] = value;
  }
  api_tell(a, "  array: %s %g", form > 192 ? "all" : "one", (double)value);
  return values;
}

const int32_t *api_labels(api *a, const glow_model *model, int64_t count) {
  uint8_t form = api_byte(a);
  int32_t classes = glow_model_class_count(model);
  if (form == 255 || count < 0 || (!classes && form < 250))
    return NULL;
  int32_t *labels = api_scratch(a, (size_t)count * sizeof *labels);
  for (int64_t i = 0; i < count; i++)
    labels[i] = classes > 0 ? (int32_t)((i + form) % classes) : 0;
  if (count > 0 && form > 200)
    labels[form % count] = form > 230 ? (form % 2 ? classes : INT32_MIN) : -1;
  return labels;
}

float *api_room(api *a, int64_t elements) {
  size_t count = elements > 0 ? (size_t)elements : 0;
  float *room = api_scratch(a, count * sizeof *room);
  for (size_t i = 0; i < count; i++)
    room[i] = NAN;
  return room;
}

double *api_room_real(api *a, int64_t elements) {
  size_t count = elements > 0 ? (size_t)elements : 0;
  double *room = api_scratch(a, count * sizeof *room);
  for (size_t i = 0; i < count; i++)
    room[i] = NAN;
  return room;
}

bool api_all_finite(const float *values, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(values[i]))
      return false;
  return true;
}
