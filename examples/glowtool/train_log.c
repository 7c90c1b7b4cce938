/* Reading an earlier run's log.jsonl back: the curves of the loss go on where they were. Lines are
 * those that progress.c writes; what does not look like one gives no point.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

/* Number behind a key of the line, NaN when there is none. In a text quotes are escaped, so that
 * the key cannot be found there. */
static double number(const char *line, const char *key) {
  char pattern[64], *end;
  snprintf(pattern, sizeof pattern, "\"%s\": ", key);
  const char *at = strstr(line, pattern);
  if (!at)
    return NAN;
  at += strlen(pattern);
  double value = strtod(at, &end);
  return end == at ? NAN : value;
}

static bool is_event(const char *line, const char *event) {
  char pattern[64];
  snprintf(pattern, sizeof pattern, "{\"event\": \"%s\"", event);
  return strncmp(line, pattern, strlen(pattern)) == 0;
}

static void add(curve *c, double step, double value) {
  if (isfinite(step) && isfinite(value))
    curve_add(c, step, value);
}

int64_t train_read_log(const char *path, int64_t step, curve *train, curve *tests,
                       curve *average_tests) {
  FILE *file = fopen(path, "rb");
  char *line = NULL;
  size_t room = 0;
  ssize_t bytes;
  int64_t kept = 0;
  if (!file)
    return 0;
  while ((bytes = getline(&line, &room, file)) > 0) {
    double at = number(line, "step");
    if (line[bytes - 1] != '\n' || at > (double)step)
      break;
    kept += bytes;
    if (is_event(line, "step"))
      add(train, at, number(line, "train"));
    if (!is_event(line, "test"))
      continue;
    add(tests, at, number(line, "test"));
    add(average_tests, at, number(line, "test_average"));
  }
  free(line);
  fclose(file);
  return kept;
}
