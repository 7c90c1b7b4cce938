/* The wrapped calls. Where off_t has 64 bits by choice, the C library's names end in 64. fsync does
 * nothing here: a test of what happens when it fails has no need to wait for a disk.
 * SPDX-License-Identifier: MIT */
#include "wrap.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/types.h>

wrap_fault wrap;

/* Does this call fail? */
static bool fails(enum wrap_call call) {
  if (!wrap.active || (wrap.only_pwrites && call != WRAP_PWRITE))
    return false;
  wrap.calls++;
  wrap.of[call]++;
  if (wrap.calls < wrap.first || wrap.calls - wrap.first > wrap.more)
    return false;
  wrap.failures++;
  wrap.failed[call]++;
  errno = wrap.error;
  return true;
}

#define OPEN(name)                                                                                 \
  int __real_##name(const char *path, int flags, ...);                                             \
  int __wrap_##name(const char *path, int flags, ...);                                             \
  int __wrap_##name(const char *path, int flags, ...) {                                            \
    va_list arguments;                                                                             \
    va_start(arguments, flags);                                                                    \
    mode_t mode = va_arg(arguments, mode_t);                                                       \
    va_end(arguments);                                                                             \
    return fails(WRAP_OPEN) ? -1 : __real_##name(path, flags, mode);                               \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                               \
  int __real_##name(int directory, const char *path, int flags, ...);                              \
  int __wrap_##name(int directory, const char *path, int flags, ...);                              \
  int __wrap_##name(int directory, const char *path, int flags, ...) {                             \
    return fails(WRAP_OPEN) ? -1 : __real_##name(directory, path, flags);                          \
  }
OPENAT(openat)
OPENAT(openat64)

#define PWRITE(name)                                                                               \
  ssize_t __real_##name(int descriptor, const void *data, size_t bytes, int64_t offset);           \
  ssize_t __wrap_##name(int descriptor, const void *data, size_t bytes, int64_t offset);           \
  ssize_t __wrap_##name(int descriptor, const void *data, size_t bytes, int64_t offset) {          \
    if (fails(WRAP_PWRITE)) {                                                                      \
      if (wrap.error)                                                                              \
        return -1;                                                                                 \
      bytes = bytes > 1 ? bytes / 2 : bytes;                                                       \
    }                                                                                              \
    return __real_##name(descriptor, data, bytes, offset);                                         \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

#define FCNTL(name)                                                                                \
  int __real_##name(int descriptor, int command, ...);                                             \
  int __wrap_##name(int descriptor, int command, ...);                                             \
  int __wrap_##name(int descriptor, int command, ...) {                                            \
    va_list arguments;                                                                             \
    va_start(arguments, command);                                                                  \
    int argument = va_arg(arguments, int);                                                         \
    va_end(arguments);                                                                             \
    return fails(WRAP_FCNTL) ? -1 : __real_##name(descriptor, command, argument);                  \
  }
FCNTL(fcntl)
FCNTL(fcntl64)

int __wrap_fsync(int descriptor);
int __wrap_fsync(int descriptor) {
  (void)descriptor;
  return fails(WRAP_FSYNC) ? -1 : 0;
}

/* The descriptor is gone even when an error is reported, as on Linux. */
int __real_close(int descriptor);
int __wrap_close(int descriptor);
int __wrap_close(int descriptor) {
  int result = __real_close(descriptor);
  return fails(WRAP_CLOSE) ? -1 : result;
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to) {
  return fails(WRAP_RENAME) ? -1 : __real_rename(from, to);
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path) {
  return fails(WRAP_UNLINK) ? -1 : __real_unlink(path);
}

int __real_unlinkat(int directory, const char *path, int flags);
int __wrap_unlinkat(int directory, const char *path, int flags);
int __wrap_unlinkat(int directory, const char *path, int flags) {
  return fails(WRAP_UNLINK) ? -1 : __real_unlinkat(directory, path, flags);
}

int __real_flock(int descriptor, int operation);
int __wrap_flock(int descriptor, int operation);
int __wrap_flock(int descriptor, int operation) {
  if (wrap.without_locks) {
    errno = ENOLCK;
    return -1;
  }
  return fails(WRAP_FLOCK) ? -1 : __real_flock(descriptor, operation);
}
