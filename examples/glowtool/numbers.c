/* Lists of numbers with commas. SPDX-License-Identifier: MIT */
#include "numbers.h"

#include <stdlib.h>

#include "tool.h"

static int refuse(const char *option, const char *text, double low, double high) {
  return complain("--%s: '%s' is not a number from %g to %g, or a list of at most %d of them with "
                  "commas",
                  option, text, low, high, MOST_NUMBERS);
}

int parse_numbers(const char *option, const char *text, double low, double high,
                  double values[MOST_NUMBERS], int *count) {
  const char *at = text;
  for (*count = 0; *count < MOST_NUMBERS; at++) {
    char *end;
    double value = strtod(at, &end);
    if (end == at || !(value >= low && value <= high))
      break;
    values[(*count)++] = value;
    at = end;
    if (!*at)
      return TOOL_FINE;
    if (*at != ',')
      break;
  }
  return refuse(option, text, low, high);
}
