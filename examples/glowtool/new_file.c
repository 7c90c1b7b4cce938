/* The tool's own files, over the pieces that the library's files are made of.
 * SPDX-License-Identifier: MIT */
#include "new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int new_file_open(new_file *f, const char *path) {
  int error = glow__replaced_find(path, &f->old);
  f->descriptor = -1;
  if (error)
    return error;
  mode_t mode = glow__replaced_create_mode(&f->old);
  f->descriptor = glow__temporary_open(f->old.place, mode, f->temporary);
  return f->descriptor >= 0 ? 0 : errno;
}

int new_file_write(const new_file *f, const void *data, size_t bytes) {
  const char *from = data;
  while (bytes > 0) {
    ssize_t wrote = write(f->descriptor, from, bytes);
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote <= 0)
      return wrote < 0 ? errno : ENOSPC;
    from += wrote;
    bytes -= (size_t)wrote;
  }
  return 0;
}

/* Some file systems report only at close() that data are lost. Closing a copy asks them, and keeps
 * the lock. */
static int sync_all(int descriptor) {
  if (fsync(descriptor) != 0)
    return errno;
  int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  return copy >= 0 && close(copy) != 0 && errno != EINTR ? errno : 0;
}

int new_file_place(new_file *f) {
  glow__replaced_keep(&f->old, f->descriptor);
  int error = sync_all(f->descriptor);
  if (!error && rename(f->temporary, f->old.place) != 0)
    error = errno;
  if (error) {
    new_file_abandon(f);
    return error;
  }
  close(f->descriptor);
  f->descriptor = -1;
  return 0;
}

/* The lock must outlive the temporary name. */
void new_file_abandon(new_file *f) {
  if (f->descriptor < 0)
    return;
  unlink(f->temporary);
  close(f->descriptor);
  f->descriptor = -1;
}
