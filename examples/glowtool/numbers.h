/* Lists of numbers on the command line. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_NUMBERS_H
#define GLOWTOOL_NUMBERS_H

enum { MOST_NUMBERS = 64 };

/* "0.7" or "0.7,0.8,0.9", each from low to high, to values[*count]. `option` names it in messages.
 * Returns an exit code. */
int parse_numbers(const char *option, const char *text, double low, double high,
                  double values[MOST_NUMBERS], int *count);

#endif
