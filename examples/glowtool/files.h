/* Where results go: folders made and checked before work starts, text files written whole.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_FILES_H
#define GLOWTOOL_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "new_file.h"

/* Makes sure that `folder` is there and can be written to. *made: the folders that it had to make,
 * counted from the innermost, for folder_discard. Returns an exit code. */
int folder_prepare(const char *folder, int *made);
/* Removes what folder_prepare made, as far as it is empty. */
void folder_discard(const char *folder, int made);
/* Is the folder of `path` there and writable, and path itself no folder? Returns an exit code. */
int file_check_target(const char *path);
/* A new_file that is written piece by piece. NULL after a message. */
FILE *file_begin(const char *path, new_file *file);
/* Puts it in its place, or removes it. Returns an exit code. */
int file_end(FILE *stream, const char *path, new_file *file);
/* Closes and removes it. */
void file_abandon(FILE *stream, new_file *file);
/* Writes all of a file in this way. Returns an exit code. */
int file_write_text(const char *path, const char *text, size_t bytes);

#endif
