/* Fuzz target: the tool's parser of options, with the rules of every command. The first byte of the
 * input chooses the command; the words are what follows, with newlines between them. A refusal says
 * why in printable text. What is accepted becomes text, as in a checkpoint, and comes back from it
 * as it was. SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "options_help.h"
#include "tool.h"
#include "train_options.h"

enum { MOST_WORDS = 64 };

static const option_table *const tables[] = {
#define TABLE(name, about) &name##_table,
    COMMANDS(TABLE)
#undef TABLE
};
enum { COMMAND_COUNT = sizeof tables / sizeof *tables };

/* ---- what is printed ------------------------------------------------------------------------- */

typedef struct printed {
  FILE *out, *error;     /* the program's */
  char *out_text, *text; /* what was written instead */
  size_t out_bytes, bytes;
} printed;

static void listen(printed *p) {
  p->out = stdout;
  p->error = stderr;
  stdout = open_memstream(&p->out_text, &p->out_bytes);
  stderr = open_memstream(&p->text, &p->bytes);
  PROMISE(stdout && stderr);
}

static void stop_listening(printed *p) {
  fclose(stdout);
  fclose(stderr);
  stdout = p->out;
  stderr = p->error;
}

/* Whole lines, each "glowtool: TEXT", of harmless characters. */
static void check_message(const printed *p) {
  PROMISE(p->bytes > 0 && p->text[p->bytes - 1] == '\n' && strlen(p->text) == p->bytes);
  for (const char *line = p->text; *line; line = strchr(line, '\n') + 1)
    PROMISE(strncmp(line, "glowtool: ", 10) == 0);
  for (const char *at = p->text; *at; at += utf8_length(at)) {
    PROMISE(utf8_length(at) > 0);
    PROMISE(*at == '\n' || ((unsigned char)*at >= 0x20 && *at != 0x7f));
  }
}

/* ---- to text and back ------------------------------------------------------------------------ */

static void check_row(const option_state *state, option_state *other, const option_row *row) {
  bool failed = false;
  char *text = options_text(state, row, &failed);
  PROMISE(!failed);
  if (!text)
    return;
  for (const char *at = text; *at; at += utf8_length(at))
    PROMISE(utf8_length(at) > 0);
  PROMISE(options_restore(other, row, text) == TOOL_FINE);
  char *again = options_text(other, row, &failed);
  PROMISE(again && strcmp(text, again) == 0);
  free(text);
  free(again);
}

/* Into settings that hold the defaults. */
static void check_texts(const option_state *state) {
  static char command[] = "command", word[] = "word";
  char *argv[] = {command, word, NULL};
  bool has_word = state->table->positional != SIZE_MAX;
  option_state other;
  void *settings = malloc(state->table->settings_size);
  PROMISE(settings);
  PROMISE(options_parse(&other, state->table, settings, has_word ? 2 : 1, argv) == TOOL_FINE);
  for (const option_row *row = state->table->rows; row->kind != OPTION_END; row++)
    if (row->kind != OPTION_HEADING)
      check_row(state, &other, row);
  options_free(&other);
  free(settings);
}

/* ---- the target ------------------------------------------------------------------------------ */

static int parse(option_state *state, const option_table *table, void *settings, int argc,
                 char **argv) {
  if (table == &train_table)
    return train_parse(state, settings, argc, argv);
  int code = options_parse(state, table, settings, argc, argv);
  return code == TOOL_FINE ? options_check(state) : code;
}

static void run(const option_table *table, int argc, char **argv) {
  option_state state;
  printed p;
  void *settings = malloc(table->settings_size);
  PROMISE(settings);
  listen(&p);
  int code = parse(&state, table, settings, argc, argv);
  stop_listening(&p);
  if (fuzz_traces())
    fprintf(stderr, "%s: %d %s\n", table->command, code, p.text);
  PROMISE(code == TOOL_FINE || code == TOOL_BAD || code == -1);
  PROMISE(code != -1 || p.out_bytes > 0);
  if (code == TOOL_BAD)
    check_message(&p);
  else
    PROMISE(p.bytes == 0);
  if (code == TOOL_FINE)
    check_texts(&state);
  free(p.text);
  free(p.out_text);
  options_free(&state);
  free(settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char command[] = "command";
  char *words[MOST_WORDS + 2] = {command};
  int count = 1;
  if (!size)
    return 0;
  char *text = malloc(size);
  PROMISE(text);
  memcpy(text, data + 1, size - 1);
  text[size - 1] = '\0';
  for (char *at = size > 1 ? text : NULL; at && count <= MOST_WORDS; count++) {
    char *end = strchr(at, '\n');
    if (end)
      *end++ = '\0';
    words[count] = strdup(at); /* of this size alone, for the sanitizer */
    PROMISE(words[count]);
    at = end;
  }
  run(tables[data[0] % COMMAND_COUNT], count, words);
  for (int i = 1; i < count; i++)
    free(words[i]);
  free(text);
  return 0;
}
