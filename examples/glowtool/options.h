/* Command-line options from a table: parsing, ranges, defaults, help and presets in one place.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_OPTIONS_H
#define GLOWTOOL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Type of the field that an option sets. */
typedef enum option_kind {
  OPTION_END,     /* the row after the last */
  OPTION_HEADING, /* no option: a line in the help */
  OPTION_FLAG,    /* bool, set to true */
  OPTION_INT,     /* int64_t in [low, high] */
  OPTION_REAL,    /* double in [low, high] */
  OPTION_TEXT,    /* const char * */
  OPTION_CHOICE,  /* int64_t: the value of one of `choices` */
  OPTION_LIST     /* option_list: takes all words up to the next option; may be repeated */
} option_kind;

typedef struct option_choice {
  const char *name;
  int64_t value;
} option_choice;
/* Values of --products, which open_context (tool.h) takes. */
extern const option_choice product_types[];

typedef struct option_list {
  const char **items;
  int32_t count;
} option_list;

typedef struct option_row {
  const char *name; /* without the dashes */
  const char *word; /* of its value, in the help; NULL for flags */
  option_kind kind;
  size_t field;         /* offset in the settings */
  const char *fallback; /* default, as it would be typed; NULL: leave the field at zero */
  const char *help;
  double low, high;
  bool above, below;            /* the range leaves out low, high */
  const option_choice *choices; /* ends with a NULL name */
  const char *endings;          /* the file's name ends in one of these words; NULL: in anything */
} option_row;

/* Where options have a meaning. When one of `options` (words) is typed, one of the alternatives in
 * `needs`, with | between them, must hold, else the option is refused by name:
 *   NAME, !NAME                    that option is set, or is not: a flag, a path, a number but 0
 *   NAME=PATTERN, NAME!=PATTERN    its value, as it would be typed, is of that pattern of file
 *                                  names, or is not */
typedef struct option_rule {
  const char *options, *needs;
  const char *why; /* ends the message, or NULL */
} option_rule;

/* One command. */
typedef struct option_table {
  const char *command;
  const char *usage;        /* "MODEL --data PATH ... [options]" */
  const char *about;        /* paragraphs in front of the options */
  const char *notes;        /* paragraphs after them, or NULL */
  const option_row *rows;   /* up to OPTION_END */
  const option_rule *rules; /* up to one without options; NULL: none */
  size_t settings_size;
  size_t positional; /* offset of a const char *: the one word without option; SIZE_MAX: none */
  const char *positional_name;
} option_table;

enum { OPTIONS_MAX = 128 };

/* Settings as parsed, with what must outlive them. */
typedef struct option_state {
  const option_table *table;
  void *settings;
  bool given[OPTIONS_MAX]; /* by row: typed by the user or set by a preset */
  bool typed[OPTIONS_MAX];
  char **texts; /* values that are not words of the command line */
  int32_t text_count;
} option_state;

/* Parses argv, argv[0] being the command. Fields that are not given get their defaults. Returns
 * TOOL_FINE, or -1 when help was printed and nothing is to be done, or TOOL_BAD after a message.
 * In every case options_free is due. */
int options_parse(option_state *state, const option_table *table, void *settings, int argc,
                  char **argv);
/* Once all values are known: is every option that was typed of use here? Returns an exit code. */
int options_check(const option_state *state);
/* Sets options from name, value, name, value, ..., NULL, leaving those that the user gave. The
 * strings must outlive the settings. */
int options_preset(option_state *state, const char *const *values);
bool options_given(const option_state *state, const char *name);
bool options_typed(const option_state *state, const char *name);
/* Value of an OPTION_INT; 0 when the table has none of this name. */
int64_t options_int(const option_state *state, const char *name);
/* NULL when there is none of this name. */
const option_row *options_find(const option_table *table, const char *name);
/* Sets one option as if `value` had been typed. The string must outlive the settings. */
int options_set(option_state *state, const option_row *row, const char *value);
/* The value of an option as text that options_restore understands, in valid UTF-8. NULL for an
 * option without a value. Free it. *failed: no memory. */
char *options_text(const option_state *state, const option_row *row, bool *failed);
/* Sets an option from such a text, in the place of what it had. Returns an exit code. */
int options_restore(option_state *state, const option_row *row, const char *text);
/* Sets an option to a copy of `value`, as if that had been typed. */
int options_set_copy(option_state *state, const char *name, const char *value);
/* Name of the choice that an OPTION_CHOICE holds. */
const char *options_choice_name(const option_choice *choices, int64_t value);
void options_free(option_state *state);

#endif
