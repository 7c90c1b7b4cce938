/* One run at a time in a folder. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_LOCK_H
#define GLOWTOOL_LOCK_H

#include <limits.h>

typedef struct folder_lock {
  int file; /* descriptor, -1: not held */
  char path[PATH_MAX];
} folder_lock;

/* Locks the folder; refuses with the other's process number when another run holds it. Returns an
 * exit code. folder_unlock is due in any case. */
int folder_lock_take(folder_lock *lock, const char *folder);
void folder_unlock(folder_lock *lock);

#endif
