/* Options by getopt_long. SPDX-License-Identifier: MIT */
#include "settings.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static const settings defaults = {.held_out = 10,
                                  .steps = 1000,
                                  .batch = 32,
                                  .every = 50,
                                  .patience = 5,
                                  .threads = 2,
                                  .rate = 1e-4};

static const struct {
  const char *name;
  size_t field;
  int64_t low, high;
  const char *help;
} numbers[] = {
    {"held-out", offsetof(settings, held_out), 1, 90,
     "per cent of the data that are not trained on"},
    {"steps", offsetof(settings, steps), 1, 100000000, "most steps to make"},
    {"batch", offsetof(settings, batch), 1, 65536, "samples in a step"},
    {"every", offsetof(settings, every), 1, 100000000, "steps between looks at what is held out"},
    {"patience", offsetof(settings, patience), 0, 1000000,
     "looks without a new best after which training ends; 0: never"},
    {"seed", offsetof(settings, seed), 0, INT32_MAX, "seed of the order and of the noise"},
    {"threads", offsetof(settings, threads), 1, 1024, "threads"},
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static void usage(FILE *to) {
  fprintf(to,
          "usage: finetune --model FILE --out FILE [--hold PREFIX]... [options] DATA...\n\n"
          "Goes on training a model on data of one's own: pictures, arrays or a table.\n\n"
          "  --hold PREFIX      these tensors stay as they are; may be given again\n"
          "  --weights FILE     takes the values of the tensors from this file, by their names\n"
          "  --condition NAME,...  columns of a table that the model is conditioned on\n"
          "  --rate X           learning rate (%g)\n",
          defaults.rate);
  for (int i = 0; i < NUMBERS; i++) {
    const char *field = (const char *)&defaults + numbers[i].field;
    fprintf(to, "  --%-9s N      %s (%lld)\n", numbers[i].name, numbers[i].help,
            (long long)*(const int64_t *)(const void *)field);
  }
}

static void refuse(const char *what, const char *value) {
  fprintf(stderr, "finetune: %s%s%s\n", what, value ? " " : "", value ? value : "");
  usage(stderr);
  exit(2);
}

static int64_t parse_number(int index, const char *text) {
  char *end = NULL;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (!*text || *end || errno || value < numbers[index].low || value > numbers[index].high)
    refuse(numbers[index].name, text);
  return value;
}

static double parse_rate(const char *text) {
  char *end = NULL;
  double value = strtod(text, &end);
  if (!*text || *end || !isfinite(value) || value <= 0.0)
    refuse("rate", text);
  return value;
}

enum { MODEL = NUMBERS, WEIGHTS, OUT, HOLD, CONDITION, RATE, HELP, ALL };

static void take(settings *s, int found, const char *value) {
  switch (found) {
  case MODEL: s->model = value; break;
  case WEIGHTS: s->weights = value; break;
  case OUT: s->out = value; break;
  case HOLD: s->hold[s->holds++] = value; break;
  case CONDITION: s->condition = value; break;
  case RATE: s->rate = parse_rate(value); break;
  case HELP: usage(stdout); exit(0);
  case '?': refuse("this is not understood", NULL); break;
  default:
    *(int64_t *)(void *)((char *)s + numbers[found].field) = parse_number(found, value);
    break;
  }
}

settings settings_parse(int argc, char **argv) {
  struct option options[ALL + 1] = {
      [MODEL] = {"model", required_argument, NULL, MODEL},
      [WEIGHTS] = {"weights", required_argument, NULL, WEIGHTS},
      [OUT] = {"out", required_argument, NULL, OUT},
      [HOLD] = {"hold", required_argument, NULL, HOLD},
      [CONDITION] = {"condition", required_argument, NULL, CONDITION},
      [RATE] = {"rate", required_argument, NULL, RATE},
      [HELP] = {"help", no_argument, NULL, HELP},
  };
  settings s = defaults;
  int found;
  for (int i = 0; i < NUMBERS; i++)
    options[i] = (struct option){numbers[i].name, required_argument, NULL, i};
  s.hold = calloc((size_t)argc, sizeof *s.hold);
  s.data = calloc((size_t)argc, sizeof *s.data);
  if (!s.hold || !s.data)
    refuse("out of memory", NULL);
  while ((found = getopt_long(argc, argv, "", options, NULL)) != -1)
    take(&s, found, optarg);
  while (optind < argc)
    s.data[s.files++] = argv[optind++];
  if (!s.model || !s.out)
    refuse("missing:", s.model ? "--out" : "--model");
  if (!s.files)
    refuse("missing: DATA, files or folders to train on", NULL);
  return s;
}

void settings_free(settings *s) {
  free(s->hold);
  free(s->data);
}
