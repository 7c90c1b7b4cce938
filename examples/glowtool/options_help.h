/* Help pages of the commands, from their option tables. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_OPTIONS_HELP_H
#define GLOWTOOL_OPTIONS_HELP_H

#include "options.h"

/* Prints it to stdout. */
void options_help(const option_table *table);
/* The same lists for the manual. */
void options_markdown(const option_table *table);

/* The same as a manual page in roff, `about` being the line under NAME; and the parts of which such
 * pages are made. */
void options_man(const option_table *table, const char *about);
void man_head(const char *page, const char *about);
void man_section(const char *title, const char *text);
void man_item(const char *name, const char *text);

/* Completions for bash, piece by piece: bash_begin, bash_values of each table, bash_options_begin,
 * bash_options of each, bash_end with the names of the commands, a blank behind each. */
void bash_begin(void);
void bash_values(const option_table *table);
void bash_options_begin(void);
void bash_options(const option_table *table);
void bash_end(const char *commands);
/* For fish: fish_begin, then each command and its options. */
void fish_begin(void);
void fish_command(const char *name, const char *about);
void fish_options(const option_table *table);

enum { OPTION_TEXT_BYTES = 640 };
/* What an option does, with the names that it takes. Returns text. */
const char *option_meaning(const option_row *row, char text[OPTION_TEXT_BYTES]);

#endif
