/* Status codes, error text, version: what every other header of libglow uses.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_BASE_H
#define GLOW_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define GLOW_API
#elif defined(GLOW_BUILDING)
#define GLOW_API __attribute__((visibility("default")))
#else
#define GLOW_API
#endif

/* Before a declaration: compilers warn where it is used, unless GLOW_ALLOW_DEPRECATED is defined.
 * The text says since when, and what to use instead. docs/abi.md. */
#if defined(__GNUC__) && !defined(GLOW_ALLOW_DEPRECATED) && !defined(GLOW_BUILDING)
#define GLOW_DEPRECATED(text) __attribute__((deprecated(text)))
#else
#define GLOW_DEPRECATED(text)
#endif

/* Version of these headers. The library's own is glow_version(). */
#define GLOW_VERSION_MAJOR 0
#define GLOW_VERSION_MINOR 3
#define GLOW_VERSION_PATCH 0
/* The same as a number, as glow_version_number() gives it; and whether these headers are of a
 * version or a later one: #if GLOW_VERSION_AT_LEAST(0, 2, 0) */
#define GLOW_VERSION_AT_LEAST(major, minor, patch)                                                 \
  (GLOW_VERSION_NUMBER >= (major)*10000 + (minor)*100 + (patch))
#define GLOW_VERSION_NUMBER                                                                        \
  (GLOW_VERSION_MAJOR * 10000 + GLOW_VERSION_MINOR * 100 + GLOW_VERSION_PATCH)
/* Version of the binary interface: the N of libglow.so.N. */
#define GLOW_SOVERSION 0

/* Every function that can fail returns GLOW_OK (0) or one of these negative values. The values are
 * part of the ABI and never change; the gaps leave room for finer ones. */
#define GLOW_STATUS_LIST(X)                                                                        \
  X(OK, 0, "success")                                                                              \
  X(E_ARGUMENT, -10, "invalid argument")                                                           \
  X(E_NOT_FOUND, -15, "not there")                                                                 \
  X(E_SHAPE, -20, "shapes do not fit")                                                             \
  X(E_STATE, -30, "not possible in this state")                                                    \
  X(E_MEMORY, -40, "out of memory")                                                                \
  X(E_NUMERIC, -50, "not finite or singular")                                                      \
  X(E_IO, -60, "input or output failed")                                                           \
  X(E_FORMAT, -70, "malformed file")                                                               \
  X(E_LIMIT, -80, "a limit is exceeded")                                                           \
  X(E_UNSUPPORTED, -90, "not supported by this build")                                             \
  X(E_CANCELLED, -100, "cancelled by the caller")                                                  \
  X(E_CHECK, -110, "a check found a fault")

typedef int32_t glow_status;

enum {
#define GLOW_STATUS_ENUM(name, value, text) GLOW_##name = value,
  GLOW_STATUS_LIST(GLOW_STATUS_ENUM)
#undef GLOW_STATUS_ENUM
};

/* Name of a status ("GLOW_E_SHAPE"). Never NULL. */
GLOW_API const char *glow_status_name(glow_status status);
/* A short general text for a status ("shapes do not fit"). Never NULL. */
GLOW_API const char *glow_status_text(glow_status status);

/* What went wrong in the last call that failed on this thread; the text names the layer, shape,
 * file or byte. It is valid until the next call that fails on the thread, and "" if none has
 * failed. Never NULL. */
GLOW_API const char *glow_last_error(void);

/* Version of the running library: "major.minor.patch". */
GLOW_API const char *glow_version(void);
/* The same as a number: major*10000 + minor*100 + patch. */
GLOW_API int32_t glow_version_number(void);

/* Shape of one sample: an image stored row by row, pixel by pixel, channels together (HWC). A
 * vector of D elements is {1, 1, D}. A batch is `count` samples, one after the other (NHWC). */
typedef struct glow_shape {
  int64_t height;
  int64_t width;
  int64_t channels;
} glow_shape;

#ifdef __cplusplus
}
#endif
#endif
