/* Temporary files are called PATH.glow-N.tmp, with the first N = 0, 1, ... that is free. Their
 * writer holds a lock on them (flock), which ends with its process. So one that exists but is not
 * locked was left by a writer that was killed, and the next writer of PATH removes it: they do not
 * pile up. A lock tells more than a process number would, which looks different from inside a
 * container and is used again. SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* flock: the tool sets it for all its files */
#endif
#include "io/temporary_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ATTEMPTS = 100, LOOK_FOR = 3 };
#define SUFFIX ".glow-%d.tmp"

/* Interrupted by a signal handler: try again. */
#define UNTIL_DONE(result, call)                                                                   \
  do                                                                                               \
    (result) = (call);                                                                             \
  while ((result) < 0 && errno == EINTR)

/* ---- what was left --------------------------------------------------------------------------- */

/* Is this a file without a lock, and does the name still lead to it? */
static bool temporary_is_left_over(int directory, const char *name, int descriptor) {
  struct stat opened, named;
  int result;
  if (fstat(descriptor, &opened) != 0 || !S_ISREG(opened.st_mode))
    return false;
  UNTIL_DONE(result, flock(descriptor, LOCK_EX | LOCK_NB));
  return result == 0 && fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

bool glow__temporary_remove_left_over(int directory, const char *name) {
  const int flags = O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  int descriptor, result = -1;
  UNTIL_DONE(descriptor, openat(directory, name, flags));
  if (descriptor < 0)
    return errno != ENOENT;
  if (temporary_is_left_over(directory, name, descriptor))
    UNTIL_DONE(result, unlinkat(directory, name, 0));
  close(descriptor);
  return true;
}

bool glow__temporary_is(const char *name, size_t *length) {
  const char *suffix = strstr(name, ".glow-");
  char again[GLOW_TEMPORARY_BYTES];
  int number = -1;
  if (!suffix || sscanf(suffix, SUFFIX, &number) != 1 || number < 0 || number >= ATTEMPTS)
    return false;
  snprintf(again, sizeof again, SUFFIX, number);
  *length = (size_t)(suffix - name);
  return strcmp(suffix, again) == 0;
}

/* ---- a new one ------------------------------------------------------------------------------- */

static void temporary_name(const char *place, int number, char *name) {
  snprintf(name, strlen(place) + GLOW_TEMPORARY_BYTES, "%s" SUFFIX, place, number);
}

/* Several writers may have been killed at once, not only those with the first numbers. */
static void temporary_remove_all(const char *place, char *name) {
  for (int i = 0; i < ATTEMPTS; i++) {
    temporary_name(place, i, name);
    if (!glow__temporary_remove_left_over(AT_FDCWD, name) && i >= LOOK_FOR)
      break;
  }
}

/* O_EXCL makes sure that it is ours. */
static int temporary_create(const char *name, mode_t mode) {
  int descriptor;
  UNTIL_DONE(descriptor, open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  return descriptor;
}

/* Locks a file that was just made. False: another writer has taken it for one that was left over.
 * */
static bool temporary_hold(int descriptor) {
  struct stat about;
  int result;
  UNTIL_DONE(result, flock(descriptor, LOCK_EX | LOCK_NB));
  if (result != 0)
    return errno != EWOULDBLOCK; /* file systems without locks */
  return fstat(descriptor, &about) == 0 && about.st_nlink > 0;
}

int glow__temporary_open(const char *place, mode_t mode, char *name) {
  temporary_remove_all(place, name);
  for (int i = 0; i < ATTEMPTS; i++) {
    temporary_name(place, i, name);
    int descriptor = temporary_create(name, mode);
    /* On file systems without locks, old files cannot be told from those in use; but this many are
     * never written at once. */
    if (descriptor < 0 && errno == EEXIST && i == ATTEMPTS - 1 && unlink(name) == 0)
      descriptor = temporary_create(name, mode);
    if (descriptor >= 0 && temporary_hold(descriptor))
      return descriptor;
    if (descriptor >= 0)
      close(descriptor);
    else if (errno != EEXIST)
      break;
  }
  return -1;
}
