/* Help pages of the commands, from their option tables. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_OPTIONS_HELP_H
#define GLOWTOOL_OPTIONS_HELP_H

#include "options.h"

/* Prints it to stdout. */
void options_help(const option_table *table);
/* The same lists for the manual. */
void options_markdown(const option_table *table);

enum { OPTION_TEXT_BYTES = 640 };
/* What an option does, with the names that it takes. Returns text. */
const char *option_meaning(const option_row *row, char text[OPTION_TEXT_BYTES]);

#endif
