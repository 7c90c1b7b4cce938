/* Help pages, 80 columns wide. SPDX-License-Identifier: MIT */
#include "options_help.h"

#include <stdio.h>
#include <string.h>

enum { PAGE = 79, HELP_COLUMN = 26 };

/* Prints text from `column` on, broken at spaces, later lines indented by `indent`. A newline in
 * the text starts a new line. */
static void wrap(const char *text, int column, int indent) {
  while (*text) {
    int word = (int)strcspn(text, " \n");
    if (column + word > PAGE && column > indent) {
      printf("\n%*s", indent, "");
      column = indent;
    }
    printf("%.*s", word, text);
    column += word;
    text += word;
    if (*text == '\n') {
      printf("\n%*s", text[1] && text[1] != '\n' ? indent : 0, "");
      column = indent;
      text++;
    } else if (*text == ' ') {
      if (column + 1 + (int)strcspn(text + 1, " \n") <= PAGE) {
        putchar(' ');
        column++;
      } else {
        printf("\n%*s", indent, "");
        column = indent;
      }
      text++;
    }
  }
  putchar('\n');
}

const char *option_meaning(const option_row *row, char text[OPTION_TEXT_BYTES]) {
  size_t used = (size_t)snprintf(text, OPTION_TEXT_BYTES, "%s", row->help);
  if (row->kind != OPTION_CHOICE)
    return text;
  for (const option_choice *c = row->choices; c->name; c++)
    used += (size_t)snprintf(text + used, OPTION_TEXT_BYTES - used, "%s%s%s",
                             c == row->choices ? " (" : "", c->name, c[1].name ? ", " : ")");
  return text;
}

static void help_row(const option_row *row) {
  char left[64], text[OPTION_TEXT_BYTES];
  snprintf(left, sizeof left, "  --%s%s%s%s", row->name, row->word ? " " : "",
           row->word ? row->word : "", row->kind == OPTION_LIST ? " ..." : "");
  option_meaning(row, text);
  size_t used = strlen(text);
  if (row->fallback)
    snprintf(text + used, sizeof text - used, " [%s]", row->fallback);
  int column = (int)strlen(left);
  printf("%s", left);
  if (column > HELP_COLUMN - 2) {
    putchar('\n');
    column = 0;
  }
  printf("%*s", HELP_COLUMN - column, "");
  wrap(text, HELP_COLUMN, HELP_COLUMN);
}

void options_help(const option_table *table) {
  printf("Usage: glowtool %s ", table->command);
  wrap(table->usage, 17 + (int)strlen(table->command), 10);
  putchar('\n');
  wrap(table->about, 0, 0);
  for (const option_row *row = table->rows; row->kind != OPTION_END; row++) {
    if (row->kind == OPTION_HEADING)
      printf("\n%s:\n", row->help);
    else
      help_row(row);
  }
  printf("  %-*s%s\n", HELP_COLUMN - 2, "-h, --help", "show this text");
  if (table->notes) {
    putchar('\n');
    wrap(table->notes, 0, 0);
  }
}
