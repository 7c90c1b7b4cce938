/* A file that is replaced by a rename is a new file. So that it does not show, the new one takes
 * the place at the end of the links, and owner, group, POSIX access list and permissions of the old
 * one.
 *
 * Links are followed here, and the kernel's rules for whom it lets follow which link (those of
 * others in /tmp, for instance) must hold all the same: stat(), which keeps to them, has to find
 * the same file.
 * SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* readlink, fchown: the tool sets it for all its files */
#endif
#include "io/replaced_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/xattr.h>
#endif

enum { MOST_LINKS = 40 }; /* as many as Linux follows */

/* ---- links ----------------------------------------------------------------------------------- */

/* Puts in the place of the last part of `path` what a link there says. */
static int replaced_join(char path[GLOW_PLACE_BYTES], const char *target) {
  char *slash = strrchr(path, '/');
  size_t folder = *target != '/' && slash ? (size_t)(slash - path) + 1 : 0;
  size_t length = strlen(target);
  if (folder + length >= GLOW_PLACE_BYTES)
    return ENAMETOOLONG;
  memcpy(path + folder, target, length + 1);
  return 0;
}

static int replaced_follow(char path[GLOW_PLACE_BYTES]) {
  char target[GLOW_PLACE_BYTES];
  for (int i = 0; i <= MOST_LINKS; i++) {
    ssize_t length = readlink(path, target, sizeof target);
    if (length < 0) /* EINVAL: it is not a link; ENOENT: nothing is there yet */
      return errno == EINVAL || errno == ENOENT ? 0 : errno;
    if ((size_t)length >= sizeof target)
      return ENAMETOOLONG;
    target[length] = '\0';
    int error = replaced_join(path, target);
    if (error)
      return error;
  }
  return ELOOP;
}

int glow__replaced_find(const char *path, glow__replaced *out) {
  struct stat end;
  size_t length = strlen(path);
  out->exists = false;
  if (length >= sizeof out->place)
    return ENAMETOOLONG;
  memcpy(out->place, path, length + 1);
  int error = replaced_follow(out->place);
  if (error)
    return error;
  if (stat(path, &out->about) != 0)
    return errno == ENOENT ? 0 : errno;
  out->exists = true;
  if (!S_ISREG(out->about.st_mode))
    return 0; /* a link to a pipe leads to no name */
  if (lstat(out->place, &end) != 0)
    return errno;
  bool same = end.st_dev == out->about.st_dev && end.st_ino == out->about.st_ino;
  return same ? 0 : EAGAIN; /* somebody changed a link meanwhile */
}

/* ---- access ---------------------------------------------------------------------------------- */

/* Copies the POSIX access list, or removes the one that a folder gives to new files. False: there
 * is one that could not be copied. */
static bool replaced_keep_list(const glow__replaced *old, int descriptor, bool allowed) {
#ifdef __linux__
  static const char name[] = "system.posix_acl_access";
  char list[4096];
  ssize_t bytes = getxattr(old->place, name, list, sizeof list);
  if (bytes > 0 && allowed && fsetxattr(descriptor, name, list, (size_t)bytes, 0) == 0)
    return true;
  bool none = bytes == 0 || (bytes < 0 && (errno == ENODATA || errno == ENOTSUP));
  fremovexattr(descriptor, name);
  return none;
#else
  (void)old, (void)descriptor, (void)allowed;
  return true;
#endif
}

static bool replaced_keep_owner(const glow__replaced *old, int descriptor) {
  struct stat now;
  if (fstat(descriptor, &now) != 0)
    return false;
  if (now.st_uid == old->about.st_uid && now.st_gid == old->about.st_gid)
    return true;
  return fchown(descriptor, old->about.st_uid, old->about.st_gid) == 0 ||
         now.st_gid == old->about.st_gid || fchown(descriptor, (uid_t)-1, old->about.st_gid) == 0;
}

mode_t glow__replaced_create_mode(const glow__replaced *old) {
  return old->exists ? 0600 : 0666;
}

/* Where the group is another one, or its share of an access list is not known, the group and all
 * others get only what both had. */
void glow__replaced_keep(const glow__replaced *old, int descriptor) {
  if (!old->exists)
    return;
  mode_t mode = old->about.st_mode & 0777;
  bool group = replaced_keep_owner(old, descriptor);
  if (!replaced_keep_list(old, descriptor, group) || !group) {
    mode_t both = mode >> 3 & mode & 7;
    mode = (mode & 0700) | both << 3 | both;
  }
  if (fchmod(descriptor, mode) != 0)
    return; /* the file stays private, or as its file system has all files */
}
