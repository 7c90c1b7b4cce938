/* Temporary files beside those that they are to become. Uses nothing of the library, so that the
 * tool's own files go through it, too. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_TEMPORARY_FILE_H
#define GLOW_LIB_TEMPORARY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { GLOW_TEMPORARY_BYTES = 32 }; /* of a temporary file's name beside its target's, with NUL */

/* Makes and locks a new file beside `place`; what killed writers of the same place have left is
 * removed. Its name goes to `name`, which has room for strlen(place) + GLOW_TEMPORARY_BYTES.
 * Returns a descriptor, or -1 and errno. */
int glow__temporary_open(const char *place, mode_t mode, char *name);
/* Is this the name of a temporary file, and how much of it is the name of the target? */
bool glow__temporary_is(const char *name, size_t *length);
/* Removes a temporary file unless a writer holds it. directory: a descriptor, or AT_FDCWD. False:
 * no file has this name. */
bool glow__temporary_remove_left_over(int directory, const char *name);

#endif
