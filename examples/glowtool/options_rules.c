/* Options that mean nothing where they are typed: refused by name, with what they would need.
 * SPDX-License-Identifier: MIT */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "tool.h"

enum { LONGEST_NAME = 48 };

/* One alternative of a rule, taken apart. */
typedef struct condition {
  const option_row *row;
  bool negated;
  char pattern[LONGEST_NAME]; /* empty: is it set at all? */
} condition;

/* False when there is no such option, or the text is too long: a bug. */
static bool take_apart(const option_table *table, const char *text, size_t length, condition *out) {
  char name[LONGEST_NAME];
  out->negated = *text == '!';
  text += out->negated;
  length -= out->negated;
  const char *equals = memchr(text, '=', length);
  size_t named = equals ? (size_t)(equals - text) : length;
  size_t valued = equals ? length - named - 1 : 0;
  if (named > 0 && equals && text[named - 1] == '!') {
    out->negated = true;
    named--;
  }
  if (named >= sizeof name || valued >= sizeof out->pattern)
    return false;
  memcpy(name, text, named);
  name[named] = '\0';
  if (valued)
    memcpy(out->pattern, equals + 1, valued);
  out->pattern[valued] = '\0';
  out->row = options_find(table, name);
  return out->row != NULL;
}

/* ---- what an option holds -------------------------------------------------------------------- */

static bool is_set(const option_state *state, const option_row *row) {
  const void *field = (const char *)state->settings + row->field;
  switch (row->kind) {
  case OPTION_FLAG: return *(const bool *)field;
  case OPTION_INT: return *(const int64_t *)field != 0;
  case OPTION_REAL: return *(const double *)field != 0.0;
  case OPTION_TEXT: return *(const char *const *)field != NULL;
  case OPTION_LIST: return ((const option_list *)field)->count > 0;
  case OPTION_CHOICE:
  case OPTION_END:
  case OPTION_HEADING: break;
  }
  return true;
}

static bool fits(const option_state *state, const option_row *row, const char *pattern) {
  const void *field = (const char *)state->settings + row->field;
  const option_list *list = field;
  bool found = false;
  switch (row->kind) {
  case OPTION_INT: return *(const int64_t *)field == strtoll(pattern, NULL, 10);
  case OPTION_REAL: return *(const double *)field == strtod(pattern, NULL);
  case OPTION_TEXT:
    return *(const char *const *)field && fnmatch(pattern, *(const char *const *)field, 0) == 0;
  case OPTION_CHOICE:
    return strcmp(options_choice_name(row->choices, *(const int64_t *)field), pattern) == 0;
  case OPTION_LIST:
    for (int32_t i = 0; i < list->count; i++)
      found |= fnmatch(pattern, list->items[i], 0) == 0;
    return found;
  case OPTION_FLAG:
  case OPTION_END:
  case OPTION_HEADING: break;
  }
  return false;
}

static bool holds(const option_state *state, const condition *c) {
  bool plain = *c->pattern ? fits(state, c->row, c->pattern) : is_set(state, c->row);
  return plain != c->negated;
}

/* ---- rules ----------------------------------------------------------------------------------- */

static int bug(const option_rule *rule) {
  complain("the rule '%s' needs '%s' names an option that does not exist: this is a bug",
           rule->options, rule->needs);
  return TOOL_UNEXPECTED;
}

/* "without --schedule cosine or --schedule exponential", "with --format shapes". */
static int refuse(const option_state *state, const option_rule *rule, const char *option,
                  int length) {
  char text[512] = "";
  size_t used = 0;
  for (const char *at = rule->needs; *at; at += strspn(at, "|")) {
    condition c;
    size_t all = strcspn(at, "|");
    take_apart(state->table, at, all, &c);
    const char *joint = used ? " or" : c.negated ? "with" : "without";
    used += (size_t)snprintf(text + used, sizeof text - used, "%s --%s%s%s", joint, c.row->name,
                             *c.pattern ? " " : "", c.pattern);
    at += all;
  }
  return complain("--%.*s means nothing %s%s%s", length, option, text, rule->why ? ": " : "",
                  rule->why ? rule->why : "");
}

/* *good: does one of the alternatives hold? False when the rule cannot be read. */
static bool judge(const option_state *state, const option_rule *rule, bool *good) {
  *good = false;
  for (const char *at = rule->needs; *at; at += strspn(at, "|")) {
    condition c;
    size_t length = strcspn(at, "|");
    if (!take_apart(state->table, at, length, &c))
      return false;
    *good |= holds(state, &c);
    at += length;
  }
  return true;
}

static int check_rule(const option_state *state, const option_rule *rule) {
  bool good;
  if (!judge(state, rule, &good))
    return bug(rule);
  for (const char *at = rule->options; *at; at += strspn(at, " ")) {
    char name[LONGEST_NAME];
    int length = (int)strcspn(at, " ");
    snprintf(name, sizeof name, "%.*s", length, at);
    if (!options_find(state->table, name))
      return bug(rule);
    if (!good && options_typed(state, name))
      return refuse(state, rule, at, length);
    at += length;
  }
  return TOOL_FINE;
}

int options_check(const option_state *state) {
  const option_rule *rule = state->table->rules;
  int code = TOOL_FINE;
  for (; rule && rule->options && code == TOOL_FINE; rule++)
    code = check_rule(state, rule);
  return code;
}
