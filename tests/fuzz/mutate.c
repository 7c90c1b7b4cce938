/* A mutator that knows what a safetensors file looks like: u64 length, JSON, data. Most changes are
 * to values, names and members of the JSON, with the length put right, and often the offsets and
 * the amount of data too, so that they get past the first checks. The architecture is JSON in a
 * string of the JSON; the changes do not tell the two apart. SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TEXT = 1 << 16 };

/* ---- random numbers -------------------------------------------------------------------------- */

static uint64_t state;

static uint64_t random_below(uint64_t limit) { /* splitmix64 (Steele, Lea, Flood 2014) */
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return limit ? (z ^ (z >> 31)) % limit : 0;
}

/* ---- a file in parts ------------------------------------------------------------------------- */

typedef struct parts {
  char text[MOST_TEXT];
  size_t length;
  uint8_t data[MOST_TEXT];
  size_t bytes;
} parts;

static void take_apart(const uint8_t *file, size_t size, parts *p) {
  uint64_t length = 0;
  for (int i = 7; i >= 0; i--)
    length = length << 8 | (size > (size_t)i ? file[i] : 0);
  size_t rest = size > 8 ? size - 8 : 0;
  p->length = length < rest ? (size_t)length : rest;
  p->bytes = rest - p->length;
  p->length = p->length < MOST_TEXT ? p->length : MOST_TEXT;
  p->bytes = p->bytes < MOST_TEXT ? p->bytes : MOST_TEXT;
  if (size > 8) {
    memcpy(p->text, file + 8, p->length);
    memcpy(p->data, file + size - p->bytes, p->bytes);
  }
}

static size_t put_together(const parts *p, uint8_t *file, size_t most) {
  size_t length = p->length, bytes = p->bytes;
  if (most < 8)
    return 0;
  length = length < most - 8 ? length : most - 8;
  bytes = bytes < most - 8 - length ? bytes : most - 8 - length;
  for (int i = 0; i < 8; i++)
    file[i] = (uint8_t)((uint64_t)length >> 8 * i);
  memcpy(file + 8, p->text, length);
  memcpy(file + 8 + length, p->data, bytes);
  return 8 + length + bytes;
}

/* Puts `with` in the place of text[from, to). */
static void replace(parts *p, size_t from, size_t to, const char *with, size_t count) {
  if (p->length - (to - from) + count > MOST_TEXT)
    return;
  memmove(p->text + from + count, p->text + to, p->length - to);
  memcpy(p->text + from, with, count);
  p->length = p->length - (to - from) + count;
}

/* ---- words and numbers of the text ----------------------------------------------------------- */

static const char *const words[] = {"U8",
                                    "I32",
                                    "F32",
                                    "F64",
                                    "I64",
                                    "BF16",
                                    "F16",
                                    "dtype",
                                    "shape",
                                    "data_offsets",
                                    "__metadata__",
                                    "glow.model",
                                    "glow.format_version",
                                    "glow.checkpoint",
                                    "note.a",
                                    "input",
                                    "bits",
                                    "initialised",
                                    "layers",
                                    "name",
                                    "type",
                                    "options",
                                    "true",
                                    "false",
                                    "null",
                                    "actnorm",
                                    "invconv",
                                    "permute",
                                    "coupling",
                                    "split",
                                    "squeeze",
                                    "prior",
                                    "conv",
                                    "mlp",
                                    "scaling",
                                    "flatten",
                                    "even_odd",
                                    "data_init",
                                    "net.context",
                                    "net.depth",
                                    "affine",
                                    "additive",
                                    "sigmoid",
                                    "sigmoid_floor",
                                    "exp",
                                    "tanh",
                                    "reverse",
                                    "shuffle",
                                    "optimizer_steps",
                                    "noise_position",
                                    "class_weight",
                                    "tanh_learned",
                                    "spline_coupling",
                                    "shift_scale",
                                    "scale_shift",
                                    "res",
                                    "logit",
                                    "standardise",
                                    "net.standardise",
                                    "logistic",
                                    "gaussian",
                                    "checkerboard",
                                    "channels",
                                    "batchnorm",
                                    "spatial",
                                    "parity",
                                    "order",
                                    "net.weight_norm",
                                    "net.edge",
                                    "net.blocks",
                                    "net.batch_norm",
                                    "momentum",
                                    "min_width",
                                    "min_height",
                                    "min_derivative",
                                    "mask",
                                    "lag",
                                    "invert",
                                    "fixed",
                                    "epsilon",
                                    "edge",
                                    "density",
                                    "classifier",
                                    "bound",
                                    "bins",
                                    "alpha",
                                    "floor",
                                    "kind",
                                    "scale",
                                    "net",
                                    "net.hidden",
                                    "net.actnorm",
                                    "lu",
                                    "learned",
                                    "classes",
                                    "weight",
                                    "bias",
                                    "logs",
                                    "perm",
                                    "index",
                                    "sign_s",
                                    "m",
                                    "v",
                                    "average",
                                    "adam",
                                    "adamax",
                                    "sgd",
                                    "stored",
                                    "reconstructed",
                                    "constant",
                                    "cosine",
                                    "exponential",
                                    "seed",
                                    "steps",
                                    "micro_batch",
                                    "",
                                    "a",
                                    "\\u0000",
                                    "\\u001b[2J",
                                    "\\ud800",
                                    "\xff",
                                    "\xc3\xa4"};

static const char *const numbers[] = {"0",
                                      "-1",
                                      "1",
                                      "2",
                                      "3",
                                      "4",
                                      "7",
                                      "8",
                                      "9",
                                      "16",
                                      "64",
                                      "255",
                                      "256",
                                      "1000",
                                      "4096",
                                      "65536",
                                      "1048576",
                                      "2147483647",
                                      "2147483648",
                                      "4294967295",
                                      "4294967296",
                                      "1099511627776",
                                      "4611686018427387904",
                                      "9223372036854775807",
                                      "9223372036854775808",
                                      "-9223372036854775808",
                                      "18446744073709551615",
                                      "0.5",
                                      "-0.0",
                                      "1e308",
                                      "1e309",
                                      "1e-320",
                                      "00",
                                      "1e5"};

#define COUNT(list) (sizeof list / sizeof *list)

static bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '.' || c == '-';
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* Another word, or another number, in the place of a random one. */
static void change_word(parts *p) {
  size_t from = (size_t)random_below(p->length), to;
  char near[32];
  while (from < p->length && !is_word(p->text[from]))
    from++;
  while (from > 0 && is_word(p->text[from - 1]))
    from--;
  for (to = from; to < p->length && is_word(p->text[to]);)
    to++;
  const char *with = words[random_below(COUNT(words))];
  if (from < to && (is_digit(p->text[from]) || p->text[from] == '-') && random_below(8)) {
    with = numbers[random_below(COUNT(numbers))];
    if (random_below(2) && to - from < sizeof near) { /* or one nearby */
      memcpy(near, p->text + from, to - from);
      near[to - from] = '\0';
      long long number = strtoll(near, NULL, 10);
      number = random_below(2) ? (long long)((uint64_t)number + random_below(5) - 2)
                               : (long long)((uint64_t)number * 2);
      snprintf(near, sizeof near, "%lld", number);
      with = near;
    }
  }
  replace(p, from, to, with, strlen(with));
}

/* ---- members of objects and arrays ----------------------------------------------------------- */

/* The member around `at`: from behind a comma or bracket to before the next one of its level. */
static void find_member(const parts *p, size_t at, size_t *from, size_t *to) {
  int depth = 0;
  for (*from = at; *from > 0; --*from) {
    char c = p->text[*from - 1];
    if (depth == 0 && (c == ',' || c == '{' || c == '['))
      break;
    depth += c == '}' || c == ']' ? 1 : c == '{' || c == '[' ? -1 : 0;
  }
  depth = 0;
  for (*to = at; *to < p->length; ++*to) {
    char c = p->text[*to];
    if (depth == 0 && (c == ',' || c == '}' || c == ']'))
      break;
    depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
  }
}

static void remove_member(parts *p) {
  size_t from, to;
  find_member(p, (size_t)random_below(p->length), &from, &to);
  if (to < p->length && p->text[to] == ',')
    to++;
  else if (from > 0 && p->text[from - 1] == ',')
    from--;
  replace(p, from, to, "", 0);
}

/* Copies a member in front of another, or over it. */
static void copy_member(parts *p, const parts *source) {
  static char member[MOST_TEXT];
  size_t from, to, at, end;
  find_member(source, (size_t)random_below(source->length), &from, &to);
  size_t count = to - from;
  if (count + 1 >= MOST_TEXT)
    return;
  memcpy(member, source->text + from, count);
  find_member(p, (size_t)random_below(p->length), &at, &end);
  if (random_below(2))
    member[count++] = ',', end = at;
  replace(p, at, end, member, count);
}

/* ---- offsets and data ------------------------------------------------------------------------ */

static int64_t size_of_type(const char *name) {
  return strncmp(name, "U8\"", 3) == 0                                      ? 1
         : strncmp(name, "BF16", 4) == 0                                    ? 2
         : strncmp(name, "F64\"", 4) == 0 || strncmp(name, "I64\"", 4) == 0 ? 8
                                                                            : 4;
}

static char *find(char *text, const char *what) {
  char *found = strstr(text, what);
  return found ? found + strlen(what) : NULL;
}

/* Gives each tensor, written as libglow writes them, the offsets that follow from the shapes. */
static void tile(parts *p) {
  static char text[MOST_TEXT + 1];
  int64_t at = 0;
  size_t place = 0;
  for (;;) {
    char offsets[64], *end = NULL;
    memcpy(text, p->text, p->length);
    text[p->length < MOST_TEXT ? p->length : MOST_TEXT] = '\0';
    char *type = find(text + place, "{\"dtype\":\"");
    char *shape = type ? find(type, "\"shape\":[") : NULL;
    char *old = shape ? find(shape, "\"data_offsets\":[") : NULL;
    char *close = old ? strchr(old, ']') : NULL;
    if (!close)
      break;
    int64_t bytes = size_of_type(type);
    for (char *d = shape; *d && *d != ']' && bytes < MOST_TEXT; d = *end == ',' ? end + 1 : end) {
      bytes *= (int64_t)(strtoll(d, &end, 10) & 0xffff);
      if (end == d)
        break;
    }
    snprintf(offsets, sizeof offsets, "%lld,%lld", (long long)at, (long long)(at + bytes));
    at += bytes;
    replace(p, (size_t)(old - text), (size_t)(close - text), offsets, strlen(offsets));
    place = (size_t)(old - text);
  }
  if (at > MOST_TEXT)
    return;
  if ((size_t)at > p->bytes)
    memset(p->data + p->bytes, 0, (size_t)at - p->bytes);
  p->bytes = (size_t)at;
}

static void change_data(parts *p) {
  static const uint32_t values[] = {0,          1,          0x3f800000, 0xbf800000, 0x7fc00000,
                                    0x7f800000, 0xff800000, 0x80000000, 1u << 31,   0xffffffff,
                                    2,          3,          0x7f7fffff, 0x42c80000, 0xc2c80000};
  if (p->bytes < 4)
    return;
  size_t words_there = p->bytes / 4, count = 1 + (size_t)random_below(random_below(4) ? 2 : 64);
  size_t at = (size_t)random_below(words_there);
  uint32_t value = values[random_below(COUNT(values))];
  for (size_t i = 0; i < count && at + i < words_there; i++)
    memcpy(p->data + 4 * (at + i), &value, 4);
}

/* ---- the interface --------------------------------------------------------------------------- */

static void change(parts *p) {
  if (!p->length)
    return;
  switch (random_below(10)) {
  case 0: p->length = LLVMFuzzerMutate((uint8_t *)p->text, p->length, MOST_TEXT); break;
  case 1: remove_member(p); break;
  case 2: copy_member(p, p); break;
  case 3: change_data(p); break;
  case 4:
    if (p->bytes)
      p->bytes = LLVMFuzzerMutate(p->data, p->bytes, MOST_TEXT);
    break;
  default: change_word(p); break;
  }
}

static size_t finish(parts *p, uint8_t *out, size_t most) {
  if (p->length && random_below(2))
    tile(p);
  return put_together(p, out, most);
}

static parts first, second;

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
  state = seed;
  if (random_below(16) == 0 || size < 8)
    return LLVMFuzzerMutate(data, size, max_size);
  take_apart(data, size, &first);
  for (uint64_t i = 0, times = 1 + random_below(3); i < times; i++)
    change(&first);
  return finish(&first, data, max_size);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2,
                                 size_t size2, uint8_t *out, size_t max_out_size,
                                 unsigned int seed) {
  state = seed;
  take_apart(data1, size1, &first);
  take_apart(data2, size2, &second);
  if (!first.length || !second.length || random_below(4) == 0) {
    memcpy(first.data, second.data, second.bytes); /* one's header, the other's data */
    first.bytes = second.bytes;
  } else {
    copy_member(&first, &second);
  }
  return finish(&first, out, max_out_size);
}
