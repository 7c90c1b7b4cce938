/* Manual pages in roff, from the option tables. SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "options_help.h"

/* A dash stays one that can be typed; a point or quote at the start of a line is no request. */
static void man_put(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (i == 0 && (text[i] == '.' || text[i] == '\''))
      fputs("\\&", stdout);
    if (text[i] == '-')
      fputs("\\-", stdout);
    else if (text[i] == '\\')
      fputs("\\e", stdout);
    else
      putchar(text[i] == '\n' ? ' ' : text[i]);
  }
}

static void man_put_all(const char *text) {
  man_put(text, strlen(text));
}

/* Paragraphs: an empty line begins a new one, lines that begin with blanks stay as they are. */
static void man_text(const char *text) {
  bool kept = false, open = false; /* a line of the paragraph is there */
  for (size_t length; *text; text += length + (text[length] == '\n')) {
    length = strcspn(text, "\n");
    if ((length && *text == ' ') != kept) {
      kept = !kept;
      puts(kept ? ".PP\n.nf" : ".fi\n.PP");
    } else if (!length && open)
      puts(".PP");
    else if (open && !kept)
      puts(".br");
    open = length > 0;
    man_put(text, length);
    if (length)
      putchar('\n');
  }
  if (kept)
    puts(".fi");
}

void man_head(const char *page, const char *about) {
  printf(".\\\" Made by: sh tests/tool/test_man.sh GLOWTOOL docs/man --write\n"
         ".\\\" SPDX-License-Identifier"
         ": MIT\n.TH ");
  for (const char *c = page; *c; c++)
    putchar(toupper((unsigned char)*c));
  puts(" 1 \"\" libglow \"glowtool\"\n.SH NAME");
  man_put_all(page);
  fputs(" \\- ", stdout);
  man_put_all(about);
  putchar('\n');
}

void man_section(const char *title, const char *text) {
  printf(".SH %s\n", title);
  man_text(text);
}

void man_item(const char *name, const char *text) {
  fputs(".TP\n.B ", stdout);
  man_put_all(name);
  putchar('\n');
  man_put_all(text);
  putchar('\n');
}

static void man_row(const option_row *row) {
  char text[OPTION_TEXT_BYTES];
  fputs(".TP\n\\fB\\-\\-", stdout);
  man_put_all(row->name);
  fputs("\\fR", stdout);
  if (row->word) {
    fputs(" \\fI", stdout);
    man_put_all(row->word);
    fputs(row->kind == OPTION_LIST ? "\\fR ..." : "\\fR", stdout);
  }
  putchar('\n');
  man_put_all(option_meaning(row, text));
  if (row->fallback) {
    fputs(" [", stdout);
    man_put_all(row->fallback);
    putchar(']');
  }
  putchar('\n');
}

void options_man(const option_table *table, const char *about) {
  char page[64];
  snprintf(page, sizeof page, "glowtool-%s", table->command);
  man_head(page, about);
  fputs(".SH SYNOPSIS\n.B glowtool ", stdout);
  man_put_all(table->command);
  putchar('\n');
  man_put_all(table->usage);
  putchar('\n');
  man_section("DESCRIPTION", table->about);
  puts(".SH OPTIONS");
  for (const option_row *row = table->rows; row->kind != OPTION_END; row++) {
    if (row->kind == OPTION_HEADING)
      printf(".SS %s\n", row->help);
    else
      man_row(row);
  }
  man_item("-h, --help", "show a text like this one");
  if (table->notes)
    man_section("NOTES", table->notes);
  puts(".SH SEE ALSO\n.BR glowtool (1)");
}
