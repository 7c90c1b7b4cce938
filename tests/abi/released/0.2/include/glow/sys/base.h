/* For people who extend libglow: errors, memory, the log, running tasks, checked sizes.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_BASE_H
#define GLOW_SYS_BASE_H

#include <glow/context.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GLOW_PRINTF(format_, first_) __attribute__((format(printf, format_, first_)))
#else
#define GLOW_PRINTF(format_, first_)
#endif

/* Records the error text of this thread, printf-like, and returns `status`. The model puts the name
 * of the layer in front. Where GLOW_DEBUG is defined (debug builds), the text ends with file and
 * line of the call. glow_error_at is what GLOW_DEBUG uses for that. */
GLOW_API glow_status glow_error(glow_status status, const char *format, ...) GLOW_PRINTF(2, 3);
GLOW_API glow_status glow_error_at(const char *file, int32_t line, glow_status status,
                                   const char *format, ...) GLOW_PRINTF(4, 5);
#ifdef GLOW_DEBUG
#define glow_error(...) glow_error_at(__FILE__, __LINE__, __VA_ARGS__)
#endif

/* Returns from the calling function when `expression` is not GLOW_OK. */
#define GLOW_TRY(expression)                                                                       \
  do {                                                                                             \
    glow_status try_status_ = (expression);                                                        \
    if (try_status_ != GLOW_OK)                                                                    \
      return try_status_;                                                                          \
  } while (0)

/* Allocates memory through the context's allocator, zeroed and aligned to 64 bytes. Returns NULL,
 * with the error recorded, if there is none. */
GLOW_API void *glow_allocate(glow_context *context, size_t bytes);
/* Releases what glow_allocate returned. NULL is fine. */
GLOW_API void glow_release(glow_context *context, void *memory);

/* Sends a text of at most 1023 bytes, printf-like, to the context's log; level: GLOW_LOG_... Does
 * nothing if the context has no log. */
GLOW_API void glow_context_log(const glow_context *context, int32_t level, const char *format, ...)
    GLOW_PRINTF(3, 4);

/* Runs fn(arg, t, worker) for t in [0, tasks) on the context's executor, and returns when all of
 * them are done. With one task or one worker, everything runs on the caller's thread. Split work
 * into tasks by shapes and sample counts only, so that results never depend on the number of
 * workers. */
GLOW_API void glow_context_run(glow_context *context, uint32_t tasks, glow_task_fn fn, void *arg);

/* Allocations and regions start at multiples of this many bytes. */
#define GLOW_ALIGN 64
/* `floats` rounded up so that what follows is aligned too. The result must fit. */
static inline int64_t glow_aligned_floats(int64_t floats) {
  const int64_t unit = GLOW_ALIGN / (int64_t)sizeof(float);
  return (floats + unit - 1) / unit * unit;
}

/* *out = a + b. Returns 0 if that does not fit; *out must not be used then. */
static inline int32_t glow_size_add(int64_t a, int64_t b, int64_t *out) {
  return !__builtin_add_overflow(a, b, out);
}
/* *out = a b. Returns 0 if that does not fit; *out must not be used then. */
static inline int32_t glow_size_multiply(int64_t a, int64_t b, int64_t *out) {
  return !__builtin_mul_overflow(a, b, out);
}
/* Elements of one sample of this shape, which must have been checked. */
static inline int64_t glow_shape_size(const glow_shape *shape) {
  return shape->height * shape->width * shape->channels;
}

#ifdef __cplusplus
}
#endif
#endif
