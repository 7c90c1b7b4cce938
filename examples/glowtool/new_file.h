/* A file that appears whole or not at all: written to a temporary one beside its place, which is
 * where the links at its path lead, then synced and renamed. It gets permissions and owner of the
 * file that it replaces. What a killed program has left at this path is removed.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_NEW_FILE_H
#define GLOWTOOL_NEW_FILE_H

#include "../../lib/io/replaced_file.h"
#include "../../lib/io/temporary_file.h"

typedef struct new_file {
  glow__replaced old;
  char temporary[GLOW_PLACE_BYTES + GLOW_TEMPORARY_BYTES];
  int descriptor;
} new_file;

/* These return 0 or an error number. new_file_place and new_file_abandon end it, and one of them is
 * due after a successful new_file_open. */
int new_file_open(new_file *f, const char *path);
int new_file_write(const new_file *f, const void *data, size_t bytes);
/* Puts it in its place, or, after a failure, removes it. */
int new_file_place(new_file *f);
void new_file_abandon(new_file *f);

#endif
