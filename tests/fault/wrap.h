/* System calls of the library that writes files, made to fail. The linker leads them here (--wrap).
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_WRAP_H
#define GLOW_TEST_WRAP_H

#include <stdbool.h>
#include <stdint.h>

enum wrap_call {
  WRAP_OPEN,
  WRAP_PWRITE,
  WRAP_FSYNC,
  WRAP_FCNTL,
  WRAP_CLOSE,
  WRAP_RENAME,
  WRAP_UNLINK,
  WRAP_FLOCK,
  WRAP_CALLS
};

/* Call number `first` and the `more` calls after it fail. */
typedef struct wrap_fault {
  bool active;        /* else calls are neither counted nor failed */
  int64_t first;      /* from 1 */
  int64_t more;       /* INT64_MAX: all that follow */
  int error;          /* errno; 0: pwrite() writes half of what it is given, at least a byte */
  bool only_pwrites;  /* count these alone */
  bool without_locks; /* flock fails, whatever else holds */
  /* what happened: */
  int64_t calls, failures;
  int64_t of[WRAP_CALLS];     /* calls by kind */
  int64_t failed[WRAP_CALLS]; /* failures by kind */
} wrap_fault;
extern wrap_fault wrap;

#endif
