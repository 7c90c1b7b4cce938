/* System calls of the library, made to fail, and watched. The linker leads them here (--wrap).
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_WRAP_H
#define GLOW_TEST_WRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wrap_call {
  WRAP_OPEN,
  WRAP_PREAD,
  WRAP_PWRITE,
  WRAP_FSYNC,
  WRAP_FCNTL,
  WRAP_CLOSE,
  WRAP_RENAME,
  WRAP_UNLINK,
  WRAP_FLOCK,
  WRAP_FSTAT,
  WRAP_MMAP,
  WRAP_OPENDIR,
  WRAP_READDIR,
  WRAP_THREAD, /* pthread_create and what it needs before */
  WRAP_CALLS
};
extern const char *const wrap_names[WRAP_CALLS];

/* For wrap_fault.error: what is not an error of the call. */
enum {
  WRAP_SHORT = 0,       /* pread and pwrite move half of what they are given, at least a byte */
  WRAP_END_OF_FILE = -1 /* pread finds no more bytes */
};

/* Call number `first` and the `more` calls after it fail. */
typedef struct wrap_fault {
  bool active;        /* else calls are neither counted nor failed */
  int64_t first;      /* from 1 */
  int64_t more;       /* INT64_MAX: all that follow */
  int error;          /* errno, or one of the above */
  bool only_moves;    /* count pread and pwrite alone */
  bool without_locks; /* flock fails, whatever else holds */
  /* what happened: */
  int64_t calls, failures;
  int64_t of[WRAP_CALLS];     /* calls by kind */
  int64_t failed[WRAP_CALLS]; /* failures by kind */
} wrap_fault;
extern wrap_fault wrap;

/* ---- watching -------------------------------------------------------------------------------- */

/* A call that succeeded and that changes what is on a disk, or closes a file. */
typedef struct wrap_event {
  enum wrap_call call; /* OPEN, PWRITE, FSYNC, CLOSE, RENAME, UNLINK */
  int descriptor;
  const char *path, *to; /* of OPEN, UNLINK, RENAME; of paths in another folder the whole path is
                            not known: `folder` is its descriptor, else -1 */
  int folder;
  bool created; /* OPEN: with O_CREAT */
  const void *data;
  size_t bytes;
  int64_t offset;
} wrap_event;
/* NULL: nobody watches. Called while wrap.active. */
extern void (*wrap_watch)(const wrap_event *event);

#endif
