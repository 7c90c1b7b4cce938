/* What the command line says. SPDX-License-Identifier: MIT */
#ifndef FINETUNE_SETTINGS_H
#define FINETUNE_SETTINGS_H

#include <stdint.h>

typedef struct settings {
  const char *model, *weights, *out; /* weights NULL: those of the model file */
  const char **hold, **data;         /* [holds], [files] */
  int32_t holds, files;
  const char *condition; /* columns of a table, with commas; NULL: none */
  int64_t held_out, steps, batch, every, patience, seed, threads;
  double rate;
} settings;

/* Ends the program if the command line is not understood, or asks for help. */
settings settings_parse(int argc, char **argv);
void settings_free(settings *s);

#endif
