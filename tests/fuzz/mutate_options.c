/* A mutator of command lines that knows the names of options and the values that they take.
 * SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <stdio.h>
#include <string.h>

#include "commands.h"

enum { MOST_WORD = 256 };

static const option_table *const tables[] = {
#define TABLE(name, about) &name##_table,
    COMMANDS(TABLE)
#undef TABLE
};

static uint64_t state;

static size_t random_below(size_t limit) { /* splitmix64 (Steele, Lea, Flood 2014) */
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return limit ? (size_t)((z ^ (z >> 31)) % limit) : 0;
}

/* ---- words ----------------------------------------------------------------------------------- */

static const option_row *any_row(const option_table *table) {
  size_t count = 0;
  while (table->rows[count].kind != OPTION_END)
    count++;
  return &table->rows[random_below(count)];
}

static void put_value(char *word, const option_row *row) {
  static const char *const values[] = {"0",
                                       "1",
                                       "-1",
                                       "1e9",
                                       "nan",
                                       "inf",
                                       "1e400",
                                       "0x10",
                                       "",
                                       "3",
                                       "600M",
                                       "digits",
                                       "shapes",
                                       "cifar10",
                                       "a,b",
                                       "2x3x1",
                                       "16",
                                       "x.png",
                                       "x.csv",
                                       "x.npy",
                                       "vector",
                                       "realnvp",
                                       "nice",
                                       "glow",
                                       "x.safetensors",
                                       "\xff",
                                       "--",
                                       "-",
                                       "99999999999999999999",
                                       "0.5",
                                       "\x1b[2J"};
  size_t choices = 0;
  while (row->choices && row->choices[choices].name)
    choices++;
  if (choices && random_below(8))
    snprintf(word, MOST_WORD, "%s", row->choices[random_below(choices)].name);
  else if (row->endings && random_below(4))
    snprintf(word, MOST_WORD, "x%.*s", (int)strcspn(row->endings, " "), row->endings);
  else if (row->kind == OPTION_INT && random_below(3))
    snprintf(word, MOST_WORD, "%.0f", row->low + (double)random_below(3));
  else if (row->fallback && random_below(3) == 0)
    snprintf(word, MOST_WORD, "%s", row->fallback);
  else
    snprintf(word, MOST_WORD, "%s", values[random_below(sizeof values / sizeof *values)]);
}

/* An option with its value, as one word or two; or its name alone, cut or misspelt. */
static void new_words(char *words, const option_table *table) {
  char value[MOST_WORD] = "";
  const option_row *row = any_row(table);
  if (!row->name) {
    snprintf(words, MOST_WORD, random_below(2) ? "--help" : "file");
    return;
  }
  if (row->kind != OPTION_FLAG)
    put_value(value, row);
  bool apart = row->kind == OPTION_FLAG || random_below(2);
  snprintf(words, MOST_WORD, "--%s%s%s", row->name,
           row->kind == OPTION_FLAG ? ""
           : apart                  ? "\n"
                                    : "=",
           value);
  if (random_below(16) == 0)
    words[random_below(strlen(words))] = (char)('a' + random_below(26));
  if (random_below(16) == 0)
    words[random_below(strlen(words) + 1)] = '\0';
}

/* ---- the interface --------------------------------------------------------------------------- */

/* Begin and end of some line. */
static void find_line(const uint8_t *data, size_t size, size_t *from, size_t *to) {
  *from = 1 + random_below(size - 1);
  while (*from > 1 && data[*from - 1] != '\n')
    --*from;
  for (*to = *from; *to < size && data[*to] != '\n';)
    ++*to;
  *to += *to < size;
}

static size_t add_words(uint8_t *data, size_t size, size_t most, const option_table *table) {
  char words[MOST_WORD + 2] = "";
  size_t from = size, to = size;
  new_words(words + 1, table);
  words[0] = '\n';
  if (size > 1 && random_below(2))
    find_line(data, size, &from, &to);
  const char *put = from == 1 ? words + 1 : words;
  if (from > 1 && data[from - 1] == '\n')
    put = words + 1;
  size_t length = strlen(put) + (from < size);
  if (size + length > most)
    return size;
  memmove(data + from + length, data + from, size - from);
  memcpy(data + from, put, strlen(put));
  if (from < size)
    data[from + length - 1] = '\n';
  return size + length;
}

static size_t remove_line(uint8_t *data, size_t size) {
  size_t from, to;
  if (size < 2)
    return size;
  find_line(data, size, &from, &to);
  memmove(data + from, data + to, size - to);
  return size - (to - from);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
  state = seed;
  if (!size)
    return LLVMFuzzerMutate(data, size, max_size);
  const option_table *table = tables[data[0] % (sizeof tables / sizeof *tables)];
  switch (random_below(8)) {
  case 0: return LLVMFuzzerMutate(data, size, max_size);
  case 1:
  case 2: return remove_line(data, size);
  case 3: data[0] = (uint8_t)random_below(sizeof tables / sizeof *tables); return size;
  default: return add_words(data, size, max_size, table);
  }
}
