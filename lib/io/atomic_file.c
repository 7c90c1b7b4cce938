/* Files that appear whole or not at all: written beside their target, synced, renamed.
 *
 * What a killed writer has left is removed by the next one: temporary_file.c. A file that replaces
 * another keeps its permissions and owner, and links stay: replaced_file.c.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* sync_file_range */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io.h"
#include "io/replaced_file.h"
#include "io/temporary_file.h"

enum { AHEAD = 1 << 23 }; /* bytes after which writing to the disk starts, while more are written */

static glow_status atomic_file_failed(const char *what, const char *path, int error) {
  return glow_error(glow__io_status(error), "%s '%s': %s", what, path, strerror(error));
}

/* Interrupted by a signal handler: try again. Not for close(), after which the descriptor is gone.
 * */
#define UNTIL_DONE(result, call)                                                                   \
  do                                                                                               \
    (result) = (call);                                                                             \
  while ((result) < 0 && errno == EINTR)

/* ---- opening --------------------------------------------------------------------------------- */

/* For the sync at the end; opened while a failure still changes nothing. A directory that may be
 * written to but not read cannot be synced. `buffer` has room for the path. */
static glow_status open_directory(glow__atomic_file *file, char *buffer) {
  strcpy(buffer, file->path);
  char *slash = strrchr(buffer, '/');
  if (!slash)
    strcpy(buffer, ".");
  else
    slash[slash == buffer] = '\0';
  UNTIL_DONE(file->directory, open(buffer, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return file->directory >= 0 || errno == EACCES
             ? GLOW_OK
             : atomic_file_failed("cannot write", file->path, errno);
}

static void free_all(glow__atomic_file *file) {
  if (file->descriptor >= 0)
    close(file->descriptor);
  if (file->directory >= 0)
    close(file->directory);
  glow_release(file->context, file->temporary);
  glow_release(file->context, file->path);
  glow_release(file->context, file->old);
  *file = (glow__atomic_file){.descriptor = -1, .directory = -1};
}

static glow_status find_old(glow__atomic_file *file, const char *path) {
  file->old = glow_allocate(file->context, sizeof *file->old);
  if (!file->old)
    return GLOW_E_MEMORY;
  int error = glow__replaced_find(path, file->old);
  if (error)
    return atomic_file_failed("cannot write", path, error);
  if (file->old->exists && !S_ISREG(file->old->about.st_mode))
    return glow_error(GLOW_E_IO, "cannot write '%s': it is not a regular file", path);
  return GLOW_OK;
}

/* All memory is taken here, so that nothing can fail once the file is in its place. */
static glow_status open_all(glow__atomic_file *file, const char *path) {
  GLOW_TRY(find_old(file, path));
  size_t size = strlen(file->old->place) + GLOW_TEMPORARY_BYTES;
  file->path = glow__strdup(file->context, file->old->place);
  file->temporary = file->path ? glow_allocate(file->context, size) : NULL;
  if (!file->temporary)
    return GLOW_E_MEMORY;
  GLOW_TRY(open_directory(file, file->temporary));
  mode_t mode = glow__replaced_create_mode(file->old);
  file->descriptor = glow__temporary_open(file->path, mode, file->temporary);
  return file->descriptor >= 0 ? GLOW_OK : atomic_file_failed("cannot write", file->path, errno);
}

glow_status glow__atomic_open(glow_context *context, const char *path, glow__atomic_file *file) {
  *file = (glow__atomic_file){.descriptor = -1, .directory = -1, .context = context};
  if (!*path)
    return glow_error(GLOW_E_IO, "cannot write: the path is empty");
  glow_status status = open_all(file, path);
  if (status != GLOW_OK)
    free_all(file);
  return status;
}

/* ---- writing --------------------------------------------------------------------------------- */

glow_status glow__atomic_write(const glow__atomic_file *file, int64_t offset, const void *data,
                               int64_t bytes) {
  const unsigned char *from = data;
  while (bytes > 0) {
    size_t most = bytes < (1 << 30) ? (size_t)bytes : (size_t)1 << 30;
    ssize_t wrote;
    UNTIL_DONE(wrote, pwrite(file->descriptor, from, most, (off_t)offset));
    if (wrote <= 0)
      return atomic_file_failed("cannot write", file->path, wrote < 0 ? errno : ENOSPC);
    from += wrote;
    offset += wrote;
    bytes -= wrote;
  }
  return GLOW_OK;
}

/* Starts writing to the disk what the sync at the end has to wait for. The sync reports errors of
 * this, too. */
void glow__atomic_push(const glow__atomic_file *file, int64_t *pushed, int64_t end) {
#ifdef SYNC_FILE_RANGE_WRITE
  if (end - *pushed < AHEAD)
    return;
  sync_file_range(file->descriptor, *pushed, end - *pushed, SYNC_FILE_RANGE_WRITE);
  *pushed = end;
#else
  (void)file;
  (void)pushed;
  (void)end;
#endif
}

/* The lock must outlive the file's temporary name: unlink first. */
void glow__atomic_abandon(glow__atomic_file *file) {
  int result;
  if (file->temporary && file->descriptor >= 0)
    UNTIL_DONE(result, unlink(file->temporary));
  free_all(file);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* 0, or an error number. After a failed fsync the kernel may have dropped what it could not write,
 * so it is not tried again. */
static int sync_data(int descriptor) {
  int result;
  UNTIL_DONE(result, fsync(descriptor));
  if (result != 0 && errno != EINVAL) /* EINVAL: the file system cannot sync */
    return errno;
  /* Some file systems report only at close() that data are lost. Closing a copy asks them, and
   * keeps the lock. */
  int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  return copy >= 0 && close(copy) != 0 && errno != EINTR ? errno : 0;
}

/* The rename itself must survive a power cut. */
static glow_status sync_directory(const glow__atomic_file *file) {
  int result;
  if (file->directory < 0)
    return GLOW_OK;
  UNTIL_DONE(result, fsync(file->directory));
  if (result == 0 || errno == EINVAL || errno == ENOTSUP)
    return GLOW_OK;
  return atomic_file_failed("written, but cannot sync the directory of", file->path, errno);
}

glow_status glow__atomic_commit(glow__atomic_file *file) {
  glow_status status = GLOW_OK;
  glow__replaced_keep(file->old, file->descriptor);
  int result, error = sync_data(file->descriptor);
  if (!error) {
    UNTIL_DONE(result, rename(file->temporary, file->path));
    error = result < 0 ? errno : 0;
  }
  if (error) {
    status = atomic_file_failed("cannot write", file->path, error);
  } else { /* the name is free again, and may be taken by another writer */
    glow_release(file->context, file->temporary);
    file->temporary = NULL;
    status = sync_directory(file);
  }
  glow__atomic_abandon(file);
  return status;
}
