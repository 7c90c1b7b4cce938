/* What a new file takes over from the one that it replaces. Uses nothing of the library, so that
 * the tool's own files go through it, too. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_REPLACED_FILE_H
#define GLOW_LIB_REPLACED_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

enum { GLOW_PLACE_BYTES = 4096 }; /* of a path, with its NUL: PATH_MAX of Linux */

typedef struct glow__replaced {
  char place[GLOW_PLACE_BYTES]; /* where the links at the path lead: what is to be replaced */
  bool exists;
  struct stat about; /* if it exists */
} glow__replaced;

/* Looks at what a file written to `path` would replace. Returns 0 or an error number: of links in a
 * circle, or that the system does not let this process follow. */
int glow__replaced_find(const char *path, glow__replaced *out);
/* The mode to create the new file with: private until glow__replaced_keep, if there is an old one.
 */
mode_t glow__replaced_create_mode(const glow__replaced *old);
/* Gives the new file the owner, group, access list and permissions of the old one, as far as that
 * is allowed; where it is not, nobody gains access that the old file did not give. */
void glow__replaced_keep(const glow__replaced *old, int descriptor);

#endif
