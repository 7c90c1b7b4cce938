/* Internal face of base/: what all other folders of lib/ use. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_BASE_H
#define GLOW_LIB_BASE_H

#include <glow/base.h>
#include <glow/context.h>
#include <glow/rng.h>
#include <glow/sys/pass.h>
#include <stdbool.h>

/* ---- errors: glow_error (sys/pass.h) records and returns ------------------------------------ */

/* Puts "prefix: " in front of this thread's error text, keeping the status. */
glow_status glow__error_prefix(glow_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define GLOW_TRY(expression)                                                                       \
  do {                                                                                             \
    glow_status try_status_ = (expression);                                                        \
    if (try_status_ != GLOW_OK)                                                                    \
      return try_status_;                                                                          \
  } while (0)

/* ---- options structs: struct_size first ----------------------------------------------------- */

/* Copies the caller's struct `from` (may be NULL) over the defaults in `to` (of to_size bytes, its
 * struct_size first). Smaller than smallest: error. Longer with a non-zero tail: error. */
glow_status glow__options_copy(void *to, size_t to_size, const void *from, size_t smallest,
                               const char *what);
/* The same for function tables: a longer one is accepted and cut. */
glow_status glow__table_copy(void *to, size_t to_size, const void *from, size_t smallest,
                             const char *what);
/* For structs that the library fills: copies min(struct_size) bytes and keeps the caller's size. */
glow_status glow__struct_fill(void *to, const void *from, size_t from_size, size_t smallest,
                              const char *what);

/* ---- memory: glow_allocate, glow_release (sys/pass.h) ---------------------------------------- */

#define GLOW_ALIGN 64
/* `floats` up to the next aligned place; for sizes that fit. */
static inline int64_t glow__aligned_floats(int64_t floats) {
  const int64_t unit = GLOW_ALIGN / (int64_t)sizeof(float);
  return (floats + unit - 1) / unit * unit;
}
/* Like glow_allocate for a table alone (the pool may exist before any context). */
void *glow__allocate(const glow_allocator *allocator, size_t bytes);
void glow__release(const glow_allocator *allocator, void *memory);
/* Large blocks ask for large pages, and are written for the first time in pieces of the size of
 * one, after asking for its memory. Touched page by page, fresh memory costs an interrupt for each,
 * which on virtual machines takes longer than all that is done with the page. */
enum { GLOW_PIECE = 1 << 21 };
void glow__populate(void *memory, size_t bytes);
/* Like glow_allocate, but not zeroed: for what is written whole at once. */
void *glow__allocate_unset(glow_context *context, size_t bytes);
char *glow__strdup(glow_context *context, const char *text);

/* ---- checked arithmetic: false when the result does not fit ---------------------------------- */

static inline bool glow__add(int64_t a, int64_t b, int64_t *out) {
  return !__builtin_add_overflow(a, b, out);
}
static inline bool glow__mul(int64_t a, int64_t b, int64_t *out) {
  return !__builtin_mul_overflow(a, b, out);
}

/* ---- executor -------------------------------------------------------------------------------- */

/* Runs tasks on the context's executor; on the caller's thread when there is one task or worker. */
void glow__run(glow_context *context, uint32_t tasks, glow_task_fn fn, void *arg);

/* ---- random numbers by position -------------------------------------------------------------- */

/* Element `position + i` of the sequence of (seed, stream). stream keeps uses apart. */
void glow__rng_uniform(uint64_t seed, uint64_t stream, uint64_t position, float *out,
                       int64_t count);
void glow__rng_normal(uint64_t seed, uint64_t stream, uint64_t position, float *out, int64_t count);
void glow__rng_permutation(uint64_t seed, uint64_t stream, uint64_t position, int32_t *out,
                           int64_t count);
/* A seed for part `index` of something seeded, so that parts differ. */
uint64_t glow__rng_derive(uint64_t seed, uint64_t index);

enum { GLOW_STREAM_USER = 0, GLOW_STREAM_BUILD = 1, GLOW_STREAM_SAMPLE = 2, GLOW_STREAM_NOISE = 3 };

/* ---- context --------------------------------------------------------------------------------- */

struct glow__kernels;   /* math/kernels.h */
struct glow__kernels16; /* math/kernels16.h */

struct glow_context {
  glow_allocator allocator;
  glow_executor executor;
  glow_pool *pool; /* ours, or NULL */
  glow_log_fn log;
  void *log_payload;
  const struct glow__kernels *kernels;
  const struct glow__kernels16 *kernels16; /* NULL: products are float32 */
  struct glow__registry_entry *registry;   /* base/registry.c: a list */
};

void glow__log(const glow_context *context, int32_t level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- registry (base/registry.c): types of layers and nets that files can name ---------------- */

struct glow_layer;
struct glow_net;

glow_status glow__registry_make_layer(glow_context *context, const char *type,
                                      const glow_config *config, struct glow_layer **out);
glow_status glow__registry_make_net(glow_context *context, const char *type,
                                    const glow_config *config, struct glow_net **out);
void glow__registry_destroy(glow_context *context);

/* ---- configuration (base/config.c) ----------------------------------------------------------- */

enum { GLOW_CONFIG_INT = 1, GLOW_CONFIG_REAL = 2, GLOW_CONFIG_TEXT = 3 };
typedef struct glow__config_entry {
  char *key;
  int32_t type;
  int64_t integer;
  double real;
  char *text;
  bool asked; /* a value of this key was asked for */
} glow__config_entry;

glow_status glow__config_create(glow_context *context, glow_config **out);
void glow__config_destroy(glow_config **config);
int32_t glow__config_count(const glow_config *config);
const glow__config_entry *glow__config_at(const glow_config *config, int32_t index);
/* The first key that nobody has asked for, or NULL. */
const char *glow__config_unasked(const glow_config *config);

#endif
