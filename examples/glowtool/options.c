/* Options from a table over getopt_long. Every value, a default and a preset's too, goes through
 * the same parser and range check. SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options_help.h"
#include "options_suggest.h"
#include "tool.h"

enum { FIRST_CODE = 1000, HELP_CODE = 999, HELP_SHOWN = -1 };

static bool last_row(const option_row *row) {
  return row->kind == OPTION_END;
}

static void *field_of(const option_state *state, const option_row *row) {
  return (char *)state->settings + row->field;
}

/* ---- values ---------------------------------------------------------------------------------- */

static int unexpected(const char *what) {
  complain("%s: this is a bug", what);
  return TOOL_UNEXPECTED;
}

static int refuse(const option_row *row, const char *value, const char *wanted) {
  return complain("--%s: '%s' is not %s", row->name, value, wanted);
}

static int set_int(const option_row *row, const char *value, int64_t *out) {
  char wanted[128], *end;
  errno = 0;
  long long number = strtoll(value, &end, 10);
  if (end != value && !*end && !errno && (double)number >= row->low &&
      (double)number <= row->high) {
    *out = number;
    return TOOL_FINE;
  }
  if (row->high >= 1e9)
    snprintf(wanted, sizeof wanted, "a whole number of at least %.0f", row->low);
  else
    snprintf(wanted, sizeof wanted, "a whole number from %.0f to %.0f", row->low, row->high);
  return refuse(row, value, wanted);
}

static int set_real(const option_row *row, const char *value, double *out) {
  char wanted[128], *end;
  double number = strtod(value, &end);
  bool fits = end != value && !*end && isfinite(number) &&
              (row->above ? number > row->low : number >= row->low) &&
              (row->below ? number < row->high : number <= row->high);
  if (fits) {
    *out = number;
    return TOOL_FINE;
  }
  snprintf(wanted, sizeof wanted, "a number %s %g and %s %g", row->above ? "above" : "of at least",
           row->low, row->below ? "below" : "at most", row->high);
  return refuse(row, value, wanted);
}

static int set_choice(const option_row *row, const char *value, int64_t *out) {
  char wanted[256] = "one of";
  size_t used = strlen(wanted);
  for (const option_choice *c = row->choices; c->name; c++) {
    if (strcmp(c->name, value) == 0) {
      *out = c->value;
      return TOOL_FINE;
    }
    if (used < sizeof wanted)
      used += (size_t)snprintf(wanted + used, sizeof wanted - used, " %s", c->name);
  }
  return refuse(row, value, wanted);
}

static bool ends_in(const char *value, const char *ending, size_t length) {
  size_t all = strlen(value);
  return all > length && memcmp(value + all - length, ending, length) == 0;
}

static int set_text(const option_row *row, const char *value, const char **out) {
  char list[128] = "";
  size_t used = 0;
  *out = value;
  if (!row->endings)
    return TOOL_FINE;
  for (const char *next = row->endings; *next; next += strspn(next, " ")) {
    size_t length = strcspn(next, " ");
    if (ends_in(value, next, length))
      return TOOL_FINE;
    if (used < sizeof list)
      used += (size_t)snprintf(list + used, sizeof list - used, "%s%.*s", used ? " or " : "",
                               (int)length, next);
    next += length;
  }
  return complain("--%s: '%s' does not end in %s, which says what is written", row->name, value,
                  list);
}

static int append(option_list *list, const char *value) {
  const char **items = realloc(list->items, (size_t)(list->count + 1) * sizeof *items);
  if (!items) {
    complain("out of memory");
    return TOOL_FAILED;
  }
  list->items = items;
  list->items[list->count++] = value;
  return TOOL_FINE;
}

int options_set(option_state *state, const option_row *row, const char *value) {
  void *field = field_of(state, row);
  if (row->kind != OPTION_FLAG && !*value)
    return refuse(row, value, "a value");
  switch (row->kind) {
  case OPTION_FLAG: *(bool *)field = true; return TOOL_FINE;
  case OPTION_INT: return set_int(row, value, field);
  case OPTION_REAL: return set_real(row, value, field);
  case OPTION_TEXT: return set_text(row, value, field);
  case OPTION_CHOICE: return set_choice(row, value, field);
  case OPTION_LIST: return append(field, value);
  case OPTION_END:
  case OPTION_HEADING: break;
  }
  return unexpected("a row that is no option");
}

static int set_defaults(option_state *state) {
  for (const option_row *row = state->table->rows; !last_row(row); row++) {
    int code = row->fallback ? options_set(state, row, row->fallback) : TOOL_FINE;
    if (code != TOOL_FINE)
      return code;
  }
  return TOOL_FINE;
}

/* ---- finding --------------------------------------------------------------------------------- */

static const option_row *find_row(const option_table *table, const char *name, size_t length) {
  for (const option_row *row = table->rows; !last_row(row); row++)
    if (row->name && strlen(row->name) == length && memcmp(row->name, name, length) == 0)
      return row;
  return NULL;
}

/* getopt_long's '?': the option is unknown, an unclear abbreviation, or a flag that was given a
 * value. */
static int refuse_option(const option_table *table, const char *word, int code) {
  char letter[3] = {'-', (char)code, '\0'};
  if (code >= FIRST_CODE || code == HELP_CODE)
    return complain("%.*s takes no value", (int)strcspn(word, "="), word);
  return options_refuse_unknown(table, code > 0 ? letter : word);
}

/* ---- parsing --------------------------------------------------------------------------------- */

static int fill_getopt(const option_table *table, struct option *out) {
  int used = 0;
  for (int i = 0; !last_row(&table->rows[i]); i++) {
    const option_row *row = &table->rows[i];
    if (i >= OPTIONS_MAX - 2)
      return unexpected("too many options");
    if (!row->name)
      continue;
    int value = row->kind == OPTION_FLAG ? no_argument : required_argument;
    out[used++] = (struct option){row->name, value, NULL, FIRST_CODE + i};
  }
  out[used++] = (struct option){"help", no_argument, NULL, HELP_CODE};
  out[used] = (struct option){NULL, 0, NULL, 0};
  return TOOL_FINE;
}

static int take_positional(option_state *state, const char *word) {
  const option_table *table = state->table;
  if (table->positional == SIZE_MAX)
    return complain("unexpected word '%s'; see 'glowtool %s --help'", word, table->command);
  const char **field = (const char **)(void *)((char *)state->settings + table->positional);
  if (*field)
    return complain("one %s is wanted, not '%s' and '%s'", table->positional_name, *field, word);
  *field = word;
  return TOOL_FINE;
}

/* *list is the list option that plain words belong to, NULL after any other option. */
static int take(option_state *state, int code, char **argv, const option_row **list) {
  if (code == HELP_CODE || code == 'h') {
    options_help(state->table);
    return HELP_SHOWN;
  }
  if (code == 1)
    return *list ? options_set(state, *list, optarg) : take_positional(state, optarg);
  if (code == ':')
    return complain("%s needs a value", argv[optind - 1]);
  if (code == '?')
    return refuse_option(state->table, argv[optind - 1], optopt);
  const option_row *row = &state->table->rows[code - FIRST_CODE];
  *list = row->kind == OPTION_LIST ? row : NULL;
  if (state->typed[code - FIRST_CODE] && !*list)
    return complain("--%s is given twice", row->name);
  state->given[code - FIRST_CODE] = state->typed[code - FIRST_CODE] = true;
  return options_set(state, row, row->kind == OPTION_FLAG ? "" : optarg);
}

int options_parse(option_state *state, const option_table *table, void *settings, int argc,
                  char **argv) {
  struct option long_options[OPTIONS_MAX];
  const option_row *list = NULL;
  memset(state, 0, sizeof *state);
  memset(settings, 0, table->settings_size);
  state->table = table;
  state->settings = settings;
  int code = fill_getopt(table, long_options);
  if (code != TOOL_FINE)
    return code;
  code = set_defaults(state);
  opterr = 0;
  optind = 0; /* glibc: start afresh */
  while (code == TOOL_FINE) {
    int found = getopt_long(argc, argv, "-:h", long_options, NULL);
    if (found == -1)
      break;
    code = take(state, found, argv, &list);
  }
  for (; code == TOOL_FINE && optind < argc; optind++) /* after "--" */
    code = take_positional(state, argv[optind]);
  if (code == TOOL_FINE && table->positional != SIZE_MAX &&
      !*(const char **)(void *)((char *)settings + table->positional))
    return complain("%s is missing; see 'glowtool %s --help'", table->positional_name,
                    table->command);
  return code;
}

int options_preset(option_state *state, const char *const *values) {
  for (; *values; values += 2) {
    const option_row *row = find_row(state->table, values[0], strlen(values[0]));
    if (!row)
      return unexpected("a preset names an option that does not exist");
    bool *given = &state->given[row - state->table->rows];
    int code = *given ? TOOL_FINE : options_set(state, row, values[1]);
    if (code != TOOL_FINE)
      return code;
    *given = true;
  }
  return TOOL_FINE;
}

const option_row *options_find(const option_table *table, const char *name) {
  return find_row(table, name, strlen(name));
}

bool options_given(const option_state *state, const char *name) {
  const option_row *row = options_find(state->table, name);
  return row && state->given[row - state->table->rows];
}

bool options_typed(const option_state *state, const char *name) {
  const option_row *row = options_find(state->table, name);
  return row && state->typed[row - state->table->rows];
}

int64_t options_int(const option_state *state, const char *name) {
  const option_row *row = options_find(state->table, name);
  return row ? *(const int64_t *)field_of(state, row) : 0;
}

const char *options_choice_name(const option_choice *choices, int64_t value) {
  for (; choices->name; choices++)
    if (choices->value == value)
      return choices->name;
  return "?";
}

void options_free(option_state *state) {
  for (const option_row *row = state->table->rows; !last_row(row); row++)
    if (row->kind == OPTION_LIST)
      free(((option_list *)field_of(state, row))->items);
  for (int32_t i = 0; i < state->text_count; i++)
    free(state->texts[i]);
  free(state->texts);
}
