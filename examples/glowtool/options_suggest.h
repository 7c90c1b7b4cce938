/* What a name that does not exist may have been meant for. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_OPTIONS_SUGGEST_H
#define GLOWTOOL_OPTIONS_SUGGEST_H

#include "options.h"

/* Refuses `word`, "--lern-rate=1" or "-o", with the option that it may stand for: one that other
 * programs call by that word, or one that is spelt almost like it. Returns an exit code. */
int options_refuse_unknown(const option_table *table, const char *word);
/* Edits of a letter that make one word of the other: Levenshtein's distance. */
int word_distance(const char *a, const char *b);

#endif
