/* Named sets of options. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_PRESETS_H
#define GLOWTOOL_PRESETS_H

typedef struct preset {
  const char *name;
  const char *about;
  const char *values[40]; /* option, value, option, value, ..., NULL */
} preset;

/* The list ends with a NULL name. */
extern const preset presets[];
/* NULL, after a message that lists the names, when there is none of this name. */
const preset *preset_find(const char *name);
/* Prints name and about of each. */
void presets_print(void);

#endif
