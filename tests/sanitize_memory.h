/* Put in front of every source by `sanitize.sh memory`: clang 14 does not know that the functions
 * of glibc 2.33 and later that tell about files fill their struct.
 * SPDX-License-Identifier: MIT */
#ifndef SANITIZE_MEMORY_H
#define SANITIZE_MEMORY_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sanitizer/msan_interface.h>
#include <sys/stat.h>

static inline int known_stat(int result, struct stat *about) {
  if (result == 0)
    __msan_unpoison(about, sizeof *about);
  return result;
}
#define stat(path, about) known_stat(stat(path, about), about)
#define lstat(path, about) known_stat(lstat(path, about), about)
#define fstat(file, about) known_stat(fstat(file, about), about)
#define fstatat(folder, path, about, flags) known_stat(fstatat(folder, path, about, flags), about)
#endif
