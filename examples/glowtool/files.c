/* Folders and files for results. SPDX-License-Identifier: MIT */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

static bool is_folder(const char *path) {
  struct stat about;
  return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* Cuts the last part of the path off: "a/b/" to "a", "a" to ".", "/a" to "/". */
static void cut_last(char *path) {
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/')
    length--;
  while (length > 0 && path[length - 1] != '/')
    length--;
  while (length > 1 && path[length - 1] == '/')
    length--;
  path[length] = '\0';
  if (!length)
    memcpy(path, ".", 2);
}

/* access() says yes to root and knows no full disks: only a file that was made proves it. It has
 * no name while it is written, so that nothing of it can stay. */
static int try_writing(const char *folder) {
  char path[PATH_MAX];
  static const char probe[] = "can this be written to?\n";
  if (snprintf(path, sizeof path, "%s/.glowtool-XXXXXX", folder) >= (int)sizeof path)
    return complain("%s: the name is too long", folder);
  int file = mkstemp(path);
  if (file < 0)
    return complain("cannot write to folder %s: %s", folder, strerror(errno));
  unlink(path);
  ssize_t written = write(file, probe, sizeof probe);
  int error = written < 0 ? errno : ENOSPC;
  close(file);
  if (written != (ssize_t)sizeof probe)
    return complain("cannot write to folder %s: %s", folder, strerror(error));
  return TOOL_FINE;
}

static int make_folders(const char *folder, int *made) {
  char parent[PATH_MAX];
  if (is_folder(folder))
    return TOOL_FINE;
  if (snprintf(parent, sizeof parent, "%s", folder) >= (int)sizeof parent)
    return complain("%s: the name is too long", folder);
  cut_last(parent);
  int code = make_folders(parent, made);
  if (code != TOOL_FINE)
    return code;
  if (mkdir(folder, 0777) == 0) {
    ++*made;
    return TOOL_FINE;
  }
  return complain(errno == EEXIST ? "%s is a file, not a folder" : "cannot make folder %s: %s",
                  folder, strerror(errno));
}

int folder_prepare(const char *folder, int *made) {
  *made = 0;
  int code = make_folders(folder, made);
  if (code == TOOL_FINE)
    code = try_writing(folder);
  if (code != TOOL_FINE)
    folder_discard(folder, *made);
  return code;
}

void folder_discard(const char *folder, int made) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s", folder);
  for (; made > 0; made--) {
    if (rmdir(path) != 0 && errno != ENOENT)
      return;
    cut_last(path);
  }
}

int file_check_target(const char *path) {
  char folder[PATH_MAX];
  if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder)
    return complain("%s: the name is too long", path);
  if (is_folder(path))
    return complain("%s is a folder, not a file to write", path);
  cut_last(folder);
  if (!is_folder(folder))
    return complain("cannot write %s: there is no folder %s", path, folder);
  return try_writing(folder);
}

FILE *file_begin(const char *path, new_file *file) {
  int error = new_file_open(file, path), copy = -1;
  if (!error && (copy = fcntl(file->descriptor, F_DUPFD_CLOEXEC, 0)) < 0)
    error = errno;
  FILE *stream = error ? NULL : fdopen(copy, "wb");
  if (stream)
    return stream;
  complain("cannot write %s: %s", path, strerror(error ? error : errno));
  if (copy >= 0)
    close(copy);
  new_file_abandon(file);
  return NULL;
}

int file_end(FILE *stream, const char *path, new_file *file) {
  errno = 0;
  bool good = !ferror(stream) && fflush(stream) == 0;
  int error = good ? 0 : errno ? errno : EIO;
  if (fclose(stream) != 0 && !error)
    error = errno;
  if (!error)
    error = new_file_place(file);
  else
    new_file_abandon(file);
  return error ? complain("cannot write %s: %s", path, strerror(error)) : TOOL_FINE;
}

void file_abandon(FILE *stream, new_file *file) {
  fclose(stream);
  new_file_abandon(file);
}

int file_write_text(const char *path, const char *text, size_t bytes) {
  new_file file;
  FILE *stream = file_begin(path, &file);
  if (!stream)
    return TOOL_BAD;
  (void)fwrite(text, 1, bytes, stream); /* file_end tells a failure */
  return file_end(stream, path, &file);
}
