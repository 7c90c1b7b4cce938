/* The help page of a command, from its option table. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_OPTIONS_HELP_H
#define GLOWTOOL_OPTIONS_HELP_H

#include "options.h"

/* Prints it to stdout. */
void options_help(const option_table *table);

#endif
