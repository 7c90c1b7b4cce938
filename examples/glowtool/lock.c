/* The lock of a folder of results: a file .lock in it, which has the number of the process, and a
 * lock on that file (flock), which the kernel takes back when the process ends, however it ends.
 *
 * A run that ends removes the file. Between another's open() and flock() that may happen, and the
 * lock is then one on a file without a name; so the name is looked up once more after locking.
 * SPDX-License-Identifier: MIT */
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

enum { ATTEMPTS = 20 };

static bool has_name(int file, const char *path) {
  struct stat opened, named;
  return fstat(file, &opened) == 0 && lstat(path, &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

static int refuse(int file, const char *folder) {
  char text[32] = "", process[64] = "";
  if (pread(file, text, sizeof text - 1, 0) > 0 && atol(text) > 0)
    snprintf(process, sizeof process, " (process %ld)", atol(text));
  return complain(
      "another run%s is at work in %s: wait until it has ended, or choose another --out", process,
      folder);
}

/* For people, and for the message above. The lock holds without it, as on a full disk. */
static void write_number(int file) {
  char text[32];
  int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
  if (ftruncate(file, 0) != 0 || pwrite(file, text, (size_t)length, 0) != length)
    return;
}

/* *held: the lock is ours. Not held and TOOL_FINE: once more. */
static int try_lock(folder_lock *lock, const char *folder, bool *held) {
  int file = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  *held = false;
  if (file < 0)
    return complain("cannot write %s: %s", lock->path, strerror(errno));
  int code = TOOL_FINE;
  if (flock(file, LOCK_EX | LOCK_NB) == 0)
    *held = has_name(file, lock->path);
  else if (errno == EWOULDBLOCK)
    code = refuse(file, folder);
  else if (errno != EINTR) {
    mention("warning: this file system has no locks (%s): nothing keeps a second run out of %s",
            strerror(errno), folder);
    *held = true;
  }
  if (*held)
    lock->file = file;
  else
    close(file);
  return code;
}

int folder_lock_take(folder_lock *lock, const char *folder) {
  bool held = false;
  lock->file = -1;
  if (snprintf(lock->path, sizeof lock->path, "%s/.lock", folder) >= (int)sizeof lock->path)
    return complain("%s: the name is too long", folder);
  for (int i = 0; i < ATTEMPTS; i++) {
    int code = try_lock(lock, folder, &held);
    if (code != TOOL_FINE)
      return code;
    if (held) {
      write_number(lock->file);
      return TOOL_FINE;
    }
  }
  return complain("%s cannot be locked: other runs keep starting and ending there", lock->path);
}

void folder_unlock(folder_lock *lock) {
  if (lock->file < 0)
    return;
  unlink(lock->path); /* before the lock goes */
  close(lock->file);
  lock->file = -1;
}
