/* One temporary folder for the files that a test program writes. SPDX-License-Identifier: MIT */
#ifndef GLOW_TESTS_TEMP_FOLDER_H
#define GLOW_TESTS_TEMP_FOLDER_H

#include <stdbool.h>

/* Its path, after temp_folder_make. */
extern char temp_folder[256];

/* Makes it in `parent`; NULL: in $TMPDIR, or else in /tmp. */
bool temp_folder_make(const char *parent);
/* The path of a file in it. Four paths are valid at the same time. */
const char *temp_path(const char *name);
/* Removes it with all that is in it. */
bool temp_folder_remove(void);

#endif
