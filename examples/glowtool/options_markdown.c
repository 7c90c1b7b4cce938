/* The option lists of the manual, docs/glowtool.md, in Markdown. SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "options_help.h"

/* A bar would end the cell. */
static void put_cell(const char *text) {
  for (; *text; text++) {
    if (*text == '|')
      putchar('\\');
    putchar(*text == '\n' ? ' ' : *text);
  }
}

static void put_row(const option_row *row) {
  char text[OPTION_TEXT_BYTES];
  printf("| `--%s%s%s%s` | ", row->name, row->word ? " " : "", row->word ? row->word : "",
         row->kind == OPTION_LIST ? " ..." : "");
  if (row->fallback)
    printf("`%s` ", row->fallback);
  fputs("| ", stdout);
  put_cell(option_meaning(row, text));
  puts(" |");
}

void options_markdown(const option_table *table) {
  bool open = false;
  printf("\n### %s\n\n    glowtool %s %s\n", table->command, table->command, table->usage);
  for (const option_row *row = table->rows; row->kind != OPTION_END; row++) {
    if (row->kind == OPTION_HEADING) {
      printf("\n%s:\n", row->help);
      open = false;
      continue;
    }
    if (!open)
      puts("\n| option | default | |\n|---|---|---|");
    open = true;
    put_row(row);
  }
}
