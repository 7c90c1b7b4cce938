/* Files that appear whole or not at all: written beside their place, synced, renamed.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io.h"

enum { ATTEMPTS = 100 };

static glow_status failed(const char *what, const char *path, int error) {
  return glow_error(GLOW_E_IO, "%s '%s': %s", what, path, strerror(error));
}

/* All memory is taken here, so that nothing is left to fail once the file is in its place. */
static glow_status make_names(glow__atomic_file *file, size_t size) {
  file->temporary = file->path ? glow_allocate(file->context, size) : NULL;
  file->directory = file->temporary ? glow__strdup(file->context, file->path) : NULL;
  if (!file->directory)
    return GLOW_E_MEMORY;
  char *slash = strrchr(file->directory, '/');
  if (!slash)
    strcpy(file->directory, ".");
  else
    slash[slash == file->directory] = '\0';
  return GLOW_OK;
}

/* A name of its own for each process and attempt; O_EXCL makes sure. */
static glow_status open_temporary(glow__atomic_file *file, size_t size) {
  for (int i = 0; i < ATTEMPTS && file->descriptor < 0; i++) {
    snprintf(file->temporary, size, "%s.%ld-%d.tmp", file->path, (long)getpid(), i);
    file->descriptor = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->descriptor < 0 && errno != EEXIST)
      break;
  }
  return file->descriptor >= 0 ? GLOW_OK : failed("cannot write", file->path, errno);
}

static void free_names(glow__atomic_file *file) {
  glow_release(file->context, file->temporary);
  glow_release(file->context, file->directory);
  glow_release(file->context, file->path);
  file->temporary = file->directory = file->path = NULL;
}

glow_status glow__atomic_open(glow_context *context, const char *path, glow__atomic_file *file) {
  size_t size = strlen(path) + 48;
  struct stat place;
  *file = (glow__atomic_file){.descriptor = -1, .context = context};
  if (!*path)
    return glow_error(GLOW_E_IO, "cannot write: the path is empty");
  if (stat(path, &place) == 0 && !S_ISREG(place.st_mode))
    return glow_error(GLOW_E_IO, "cannot write '%s': it is not a regular file", path);
  file->path = glow__strdup(context, path);
  glow_status status = make_names(file, size);
  if (status == GLOW_OK)
    status = open_temporary(file, size);
  if (status != GLOW_OK)
    free_names(file);
  return status;
}

glow_status glow__atomic_write(const glow__atomic_file *file, int64_t offset, const void *data,
                               int64_t bytes) {
  const unsigned char *from = data;
  while (bytes > 0) {
    size_t most = bytes < (1 << 30) ? (size_t)bytes : (size_t)1 << 30;
    ssize_t wrote = pwrite(file->descriptor, from, most, (off_t)offset);
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote <= 0)
      return failed("cannot write", file->path, wrote < 0 ? errno : ENOSPC);
    from += wrote;
    offset += wrote;
    bytes -= wrote;
  }
  return GLOW_OK;
}

void glow__atomic_abandon(glow__atomic_file *file) {
  if (file->descriptor >= 0)
    close(file->descriptor);
  if (file->temporary)
    unlink(file->temporary);
  free_names(file);
  file->descriptor = -1;
}

/* The rename itself must survive a power cut. Some file systems cannot sync a directory: no error.
 * */
static glow_status sync_directory(const glow__atomic_file *file) {
  int descriptor = open(file->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    return GLOW_OK;
  int error = fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP ? 0 : errno;
  close(descriptor);
  return error ? failed("cannot sync the directory of", file->path, error) : GLOW_OK;
}

glow_status glow__atomic_commit(glow__atomic_file *file) {
  int error = 0;
  if (fsync(file->descriptor) != 0 && errno != EINVAL)
    error = errno;
  if (close(file->descriptor) != 0 && !error)
    error = errno;
  file->descriptor = -1;
  if (!error && rename(file->temporary, file->path) != 0)
    error = errno;
  else if (!error) { /* the name is free again, and may be another's */
    glow_release(file->context, file->temporary);
    file->temporary = NULL;
  }
  glow_status status = error ? failed("cannot write", file->path, error) : sync_directory(file);
  glow__atomic_abandon(file);
  return status;
}
