/* Options as texts, to be kept in a file and restored. A text or a list becomes its words, ended by
 * newlines; in a word every byte that is a control character, a backslash or not UTF-8 stands as
 * \\xNN, so that any path comes back byte for byte. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "tool.h"

static const void *field_of(const option_state *state, const option_row *row) {
  return (const char *)state->settings + row->field;
}

/* ---- to text --------------------------------------------------------------------------------- */

static void put_word(FILE *file, const char *word) {
  while (*word) {
    unsigned char byte = (unsigned char)*word;
    int length = utf8_length(word);
    if (length == 0 || byte < 0x20 || byte == 0x7F || byte == '\\') {
      fprintf(file, "\\x%02x", byte);
      length = 1;
    } else {
      (void)fwrite(word, 1, (size_t)length, file);
    }
    word += length;
  }
  putc('\n', file);
}

static void put_value(FILE *file, const option_row *row, const void *field) {
  const option_list *list = field;
  switch (row->kind) {
  case OPTION_FLAG: putc(*(const bool *)field ? '1' : '0', file); break;
  case OPTION_INT: fprintf(file, "%lld", (long long)*(const int64_t *)field); break;
  case OPTION_REAL: fprintf(file, "%.17g", *(const double *)field); break;
  case OPTION_TEXT: put_word(file, *(const char *const *)field); break;
  case OPTION_CHOICE:
    fputs(options_choice_name(row->choices, *(const int64_t *)field), file);
    break;
  case OPTION_LIST:
    for (int32_t i = 0; i < list->count; i++)
      put_word(file, list->items[i]);
    break;
  case OPTION_END:
  case OPTION_HEADING: break;
  }
}

char *options_text(const option_state *state, const option_row *row, bool *failed) {
  const void *field = field_of(state, row);
  char *text = NULL;
  size_t bytes;
  *failed = false;
  if ((row->kind == OPTION_TEXT && !*(const char *const *)field) ||
      (row->kind == OPTION_LIST && !((const option_list *)field)->count))
    return NULL;
  FILE *file = open_memstream(&text, &bytes);
  if (!file) {
    *failed = true;
    return NULL;
  }
  put_value(file, row, field);
  *failed = ferror(file);
  *failed |= fclose(file) != 0;
  return text;
}

/* ---- from text ------------------------------------------------------------------------------- */

static int hex(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. False when an escape is none, or means a zero byte. */
static bool decode(char *word) {
  char *to = word;
  for (const char *from = word; *from; from++, to++) {
    *to = *from;
    if (*from != '\\')
      continue;
    int high = from[1] == 'x' ? hex(from[2]) : -1;
    int low = high >= 0 ? hex(from[3]) : -1;
    if (low < 0 || high + low == 0)
      return false;
    *to = (char)(16 * high + low);
    from += 3;
  }
  *to = '\0';
  return true;
}

/* A copy that lives as long as the settings. */
static char *own(option_state *state, const char *text) {
  char **texts = realloc(state->texts, (size_t)(state->text_count + 1) * sizeof *texts);
  char *copy = strdup(text);
  if (texts)
    state->texts = texts;
  if (!texts || !copy) {
    free(copy);
    complain("out of memory");
    return NULL;
  }
  return state->texts[state->text_count++] = copy;
}

static int restore_words(option_state *state, const option_row *row, char *at) {
  while (*at) {
    char *end = strchr(at, '\n');
    if (!end)
      return complain("--%s: a word has no end", row->name);
    *end = '\0';
    if (!decode(at))
      return complain("--%s: '%s' has a wrong escape", row->name, at);
    int code = options_set(state, row, at);
    if (code != TOOL_FINE)
      return code;
    at = end + 1;
  }
  return TOOL_FINE;
}

int options_restore(option_state *state, const option_row *row, const char *text) {
  void *field = (char *)state->settings + row->field;
  char *copy;
  switch (row->kind) {
  case OPTION_FLAG:
    if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
      return complain("--%s: '%s' is neither 0 nor 1", row->name, text);
    *(bool *)field = *text == '1';
    return TOOL_FINE;
  case OPTION_LIST: ((option_list *)field)->count = 0; /* fall through */
  case OPTION_TEXT:
    copy = own(state, text);
    return copy ? restore_words(state, row, copy) : TOOL_FAILED;
  default: return options_set(state, row, text);
  }
}

int options_set_copy(option_state *state, const char *name, const char *value) {
  char *copy = own(state, value);
  return copy ? options_set(state, options_find(state->table, name), copy) : TOOL_FAILED;
}
