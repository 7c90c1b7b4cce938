/* The wrapped calls. Where off_t has 64 bits by choice, the C library's names end in 64. fsync does
 * nothing here: a test of what happens when it fails has no need to wait for a disk.
 * SPDX-License-Identifier: MIT */
#include "wrap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>

wrap_fault wrap;
void (*wrap_watch)(const wrap_event *event);

const char *const wrap_names[WRAP_CALLS] = {
    "open",   "pread", "pwrite", "fsync", "fcntl",   "close",   "rename",
    "unlink", "flock", "fstat",  "mmap",  "opendir", "readdir", "thread",
};

/* Does this call fail? Those of the last kinds are never interrupted by a signal. */
static bool fails(enum wrap_call call) {
  if (!wrap.active || (wrap.only_moves && call != WRAP_PWRITE && call != WRAP_PREAD) ||
      (wrap.error == EINTR && call >= WRAP_FSTAT && call != WRAP_OPENDIR))
    return false;
  wrap.calls++;
  wrap.of[call]++;
  if (wrap.calls < wrap.first || wrap.calls - wrap.first > wrap.more)
    return false;
  wrap.failures++;
  wrap.failed[call]++;
  errno = wrap.error > 0 ? wrap.error : 0;
  return true;
}

static void tell(wrap_event event) {
  if (wrap.active && wrap_watch)
    wrap_watch(&event);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int opened(int descriptor, int folder, const char *path, int flags) {
  if (descriptor >= 0)
    tell((wrap_event){WRAP_OPEN, descriptor, .path = path, .folder = folder,
                      .created = (flags & O_CREAT) != 0});
  return descriptor;
}

#define OPEN(name)                                                                                 \
  int __real_##name(const char *path, int flags, ...);                                             \
  int __wrap_##name(const char *path, int flags, ...);                                             \
  int __wrap_##name(const char *path, int flags, ...) {                                            \
    va_list arguments;                                                                             \
    va_start(arguments, flags);                                                                    \
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;                                 \
    va_end(arguments);                                                                             \
    return fails(WRAP_OPEN) ? -1 : opened(__real_##name(path, flags, mode), -1, path, flags);      \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                               \
  int __real_##name(int folder, const char *path, int flags, ...);                                 \
  int __wrap_##name(int folder, const char *path, int flags, ...);                                 \
  int __wrap_##name(int folder, const char *path, int flags, ...) {                                \
    va_list arguments;                                                                             \
    va_start(arguments, flags);                                                                    \
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;                                 \
    va_end(arguments);                                                                             \
    return fails(WRAP_OPEN)                                                                        \
               ? -1                                                                                \
               : opened(__real_##name(folder, path, flags, mode), folder, path, flags);            \
  }
OPENAT(openat)
OPENAT(openat64)

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path) {
  return fails(WRAP_OPENDIR) ? NULL : __real_opendir(path);
}

#define READDIR(name)                                                                              \
  void *__real_##name(DIR *directory);                                                             \
  void *__wrap_##name(DIR *directory);                                                             \
  void *__wrap_##name(DIR *directory) {                                                            \
    return fails(WRAP_READDIR) ? NULL : __real_##name(directory);                                  \
  }
READDIR(readdir)
READDIR(readdir64)

/* ---- moving bytes ---------------------------------------------------------------------------- */

static size_t half(size_t bytes) {
  return bytes > 1 ? bytes / 2 : bytes;
}

#define PREAD(name)                                                                                \
  ssize_t __real_##name(int descriptor, void *data, size_t bytes, int64_t offset);                 \
  ssize_t __wrap_##name(int descriptor, void *data, size_t bytes, int64_t offset);                 \
  ssize_t __wrap_##name(int descriptor, void *data, size_t bytes, int64_t offset) {                \
    if (fails(WRAP_PREAD)) {                                                                       \
      if (wrap.error != WRAP_SHORT)                                                                \
        return wrap.error == WRAP_END_OF_FILE ? 0 : -1;                                            \
      bytes = half(bytes);                                                                         \
    }                                                                                              \
    return __real_##name(descriptor, data, bytes, offset);                                         \
  }
PREAD(pread)
PREAD(pread64)

#define PWRITE(name)                                                                               \
  ssize_t __real_##name(int descriptor, const void *data, size_t bytes, int64_t offset);           \
  ssize_t __wrap_##name(int descriptor, const void *data, size_t bytes, int64_t offset);           \
  ssize_t __wrap_##name(int descriptor, const void *data, size_t bytes, int64_t offset) {          \
    if (fails(WRAP_PWRITE)) {                                                                      \
      if (wrap.error != WRAP_SHORT)                                                                \
        return -1;                                                                                 \
      bytes = half(bytes);                                                                         \
    }                                                                                              \
    ssize_t wrote = __real_##name(descriptor, data, bytes, offset);                                \
    if (wrote > 0)                                                                                 \
      tell((wrap_event){WRAP_PWRITE, descriptor, .data = data, .bytes = (size_t)wrote,             \
                        .offset = offset});                                                        \
    return wrote;                                                                                  \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

#define MMAP(name)                                                                                 \
  void *__real_##name(void *at, size_t bytes, int protection, int flags, int descriptor,           \
                      int64_t offset);                                                             \
  void *__wrap_##name(void *at, size_t bytes, int protection, int flags, int descriptor,           \
                      int64_t offset);                                                             \
  void *__wrap_##name(void *at, size_t bytes, int protection, int flags, int descriptor,           \
                      int64_t offset) {                                                            \
    return fails(WRAP_MMAP) ? MAP_FAILED                                                           \
                            : __real_##name(at, bytes, protection, flags, descriptor, offset);     \
  }
MMAP(mmap)
MMAP(mmap64)

/* ---- questions and locks --------------------------------------------------------------------- */

#define FSTAT(name)                                                                                \
  int __real_##name(int descriptor, void *out);                                                    \
  int __wrap_##name(int descriptor, void *out);                                                    \
  int __wrap_##name(int descriptor, void *out) {                                                   \
    return fails(WRAP_FSTAT) ? -1 : __real_##name(descriptor, out);                                \
  }
FSTAT(fstat)
FSTAT(fstat64)

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
#ifdef __GLIBC__ /* musl has no such name */
FCNTL(fcntl64)
#endif

int __real_flock(int descriptor, int operation);
int __wrap_flock(int descriptor, int operation);
int __wrap_flock(int descriptor, int operation) {
  if (wrap.without_locks) {
    errno = ENOLCK;
    return -1;
  }
  return fails(WRAP_FLOCK) ? -1 : __real_flock(descriptor, operation);
}

/* ---- ends ------------------------------------------------------------------------------------ */

int __wrap_fsync(int descriptor);
int __wrap_fsync(int descriptor) {
  if (fails(WRAP_FSYNC))
    return -1;
  tell((wrap_event){WRAP_FSYNC, descriptor, .path = NULL});
  return 0;
}

/* The descriptor is gone even when an error is reported, as on Linux. */
int __real_close(int descriptor);
int __wrap_close(int descriptor);
int __wrap_close(int descriptor) {
  tell((wrap_event){WRAP_CLOSE, descriptor, .path = NULL});
  int result = __real_close(descriptor);
  return fails(WRAP_CLOSE) ? -1 : result;
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to) {
  if (fails(WRAP_RENAME))
    return -1;
  int result = __real_rename(from, to);
  if (result == 0)
    tell((wrap_event){WRAP_RENAME, -1, .path = from, .to = to, .folder = -1});
  return result;
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path) {
  if (fails(WRAP_UNLINK))
    return -1;
  int result = __real_unlink(path);
  if (result == 0)
    tell((wrap_event){WRAP_UNLINK, -1, .path = path, .folder = -1});
  return result;
}

int __real_unlinkat(int folder, const char *path, int flags);
int __wrap_unlinkat(int folder, const char *path, int flags);
int __wrap_unlinkat(int folder, const char *path, int flags) {
  if (fails(WRAP_UNLINK))
    return -1;
  int result = __real_unlinkat(folder, path, flags);
  if (result == 0)
    tell((wrap_event){WRAP_UNLINK, -1, .path = path, .folder = folder});
  return result;
}

/* ---- threads: these return the error itself -------------------------------------------------- */

#define THREAD(name, parameters, arguments)                                                        \
  int __real_##name parameters;                                                                    \
  int __wrap_##name parameters;                                                                    \
  int __wrap_##name parameters {                                                                   \
    return fails(WRAP_THREAD) ? wrap.error : __real_##name arguments;                              \
  }
THREAD(pthread_create,
       (pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *), void *arg),
       (thread, attributes, start, arg))
THREAD(pthread_attr_init, (pthread_attr_t * attributes), (attributes))
THREAD(pthread_attr_setstacksize, (pthread_attr_t * attributes, size_t bytes), (attributes, bytes))
THREAD(pthread_mutex_init, (pthread_mutex_t * lock, const pthread_mutexattr_t *attributes),
       (lock, attributes))
THREAD(pthread_cond_init, (pthread_cond_t * condition, const pthread_condattr_t *attributes),
       (condition, attributes))
