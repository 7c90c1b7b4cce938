/* The internal interface of base/: what all other folders of lib/ use. SPDX-License-Identifier: MIT
 * */
#ifndef GLOW_LIB_BASE_H
#define GLOW_LIB_BASE_H

#include <float.h>
#include <glow/base.h>
#include <glow/context.h>
#include <glow/rng.h>
#include <glow/sys/base.h>
#include <glow/sys/math.h>
#include <glow/sys/options.h>
#include <stdbool.h>

/* Results must have the type of their operands: docs/platforms.md, "32 bits". */
_Static_assert(FLT_EVAL_METHOD == 0, "compile with -msse2 -mfpmath=sse");

/* ---- errors: glow_error (sys/base.h) records and returns ------------------------------------- */

/* Puts "prefix: " in front of this thread's error text, keeping the status. */
glow_status glow__error_prefix(glow_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- options structs: struct_size first ----------------------------------------------------- */

/* Copies the caller's struct `from` (may be NULL) over the defaults in `to` (of to_size bytes, its
 * struct_size first). A struct shorter than `smallest` is an error, and so is a longer one whose
 * tail is not zero. */
glow_status glow__options_copy(void *to, size_t to_size, const void *from, size_t smallest,
                               const char *what);
/* The same for function tables: a longer one is accepted and cut. */
glow_status glow__table_copy(void *to, size_t to_size, const void *from, size_t smallest,
                             const char *what);
/* For structs that the library fills: copies min(struct_size) bytes and keeps the caller's size. */
glow_status glow__struct_fill(void *to, const void *from, size_t from_size, size_t smallest,
                              const char *what);

/* ---- options from tables (base/options.c) ---------------------------------------------------- */

struct glow__config;

/* Checks that a table describes its struct: fields of known types inside it, choices, ranges. NULL
 * is fine. On failure (GLOW_E_ARGUMENT) the error tells the table's author what is wrong. */
glow_status glow__options_table_check(const glow_options_table *table);
/* The parts of glow_options_read. */
void glow__options_default(const glow_options_table *table, void *to);
glow_status glow__options_check(const glow_options_table *table, const void *options);
/* Writes each field of checked options; table NULL: the type has no options. */
glow_status glow__options_save(const glow_options_table *table, const void *options,
                               struct glow__config *config);
/* Sets the defaults, then what `config` says; fields are checked later, when the layer or net is
 * made. Lists are in memory of the context, on failure too; glow__options_release gives it back. */
glow_status glow__options_load(const glow_options_table *table, glow_context *context,
                               const struct glow__config *config, void *to);
/* Replaces lists by copies in memory of the context. On failure, lists that were not copied are
 * empty. */
glow_status glow__options_own(const glow_options_table *table, glow_context *context,
                              void *options);
void glow__options_release(const glow_options_table *table, glow_context *context, void *options);

/* ---- memory: glow_allocate, glow_release (sys/base.h) ---------------------------------------- */

/* Like glow_allocate, from an allocator alone: a pool may exist before any context. */
void *glow__allocate(const glow_allocator *allocator, size_t bytes);
void glow__release(const glow_allocator *allocator, void *memory);
/* Large blocks ask for large pages, and ask for the memory of each such page before it is first
 * written. Fresh memory that is touched one small page at a time costs a page fault for each, which
 * on virtual machines takes longer than everything else that is done with the page. */
enum { GLOW_PIECE = 1 << 21 };
void glow__populate(void *memory, size_t bytes);
/* Like glow_allocate, for large blocks that all threads work on: the context's executor zeroes it,
 * a piece in each task, so that pages come to lie with the threads that have the same share of
 * other runs. Not to be called in a task. */
void *glow__allocate_spread(glow_context *context, size_t bytes);
/* Like glow_allocate, but not zeroed: for memory that is written as a whole at once. */
void *glow__allocate_unset(glow_context *context, size_t bytes);
char *glow__strdup(glow_context *context, const char *text);

/* ---- context --------------------------------------------------------------------------------- */

struct glow__kernels;   /* math/kernels.h */
struct glow__kernels16; /* math/kernels16.h */

/* The text of the last failed call on an object of the context (base/context_error.c). */
enum { GLOW_ERROR_BYTES = 1024 }; /* longer texts are cut */
typedef struct glow__context_error {
  uint32_t busy; /* atomic: 1 while a thread reads or writes the text */
  char text[GLOW_ERROR_BYTES];
} glow__context_error;

struct glow_context {
  uint32_t references; /* atomic: the callers', and one of each object */
  glow__context_error error;
  glow_end_fn end; /* or NULL */
  void *end_payload;
  glow_allocator allocator;
  glow_executor executor;
  glow_pool *pool; /* owned, or NULL */
  glow_log_fn log;
  void *log_payload;
  const struct glow__kernels *kernels;     /* owned */
  const struct glow__kernels16 *kernels16; /* owned; NULL: products are float32 */
  void *kernels_library;                   /* a reference to a library that was loaded, or NULL */
  struct glow__registry_entry *registry;   /* base/registry.c: a list */
};

/* A context in the caller's memory, with what another one has, borrowed from it. It is never freed:
 * its first reference is not given up. */
void glow__context_like(const glow_context *from, glow_context *to);
/* A reference for an object that is made from the context, which the object gives up last of all.
 * Returns the context. */
glow_context *glow__context_hold(glow_context *context);
void glow__context_drop(glow_context *context);
/* References are counted so that any thread may give up the last one: true for that one. */
static inline void glow__count_up(uint32_t *references) {
  __atomic_add_fetch(references, 1, __ATOMIC_RELAXED);
}
static inline bool glow__count_down(uint32_t *references) {
  return __atomic_sub_fetch(references, 1, __ATOMIC_ACQ_REL) == 0;
}

/* ---- whose call it is (base/context_error.c) ------------------------------------------------- */

/* The context of the objects that a public function of this thread was given, to which errors are
 * told besides the thread; and the one before, of the function that called it. */
typedef struct glow__scope {
  glow_context *before;
} glow__scope;
glow__scope glow__scope_enter(const void *handle, int kind);
void glow__scope_leave(const glow__scope *scope);
/* Tells the context of the present scope, if there is one. */
void glow__scope_tell(const char *text);

/* ---- live handles (base/live.c): in debug builds --------------------------------------------- */

#define GLOW_LIVE_LIST(X)                                                                          \
  X(CONTEXT, "context")                                                                            \
  X(POOL, "pool")                                                                                  \
  X(RNG, "random number generator")                                                                \
  X(NET, "net")                                                                                    \
  X(LAYER, "layer")                                                                                \
  X(BUILDER, "builder")                                                                            \
  X(MODEL, "model")                                                                                \
  X(WORKSPACE, "workspace")                                                                        \
  X(OPTIMIZER, "optimizer")                                                                        \
  X(TRAINER, "trainer")                                                                            \
  X(FILE, "tensor file")                                                                           \
  X(WRITER, "tensor writer")                                                                       \
  X(DIAGNOSIS, "diagnosis")
enum {
  GLOW_LIVE_NONE,
#define GLOW_LIVE_ENUM(name, text) GLOW_LIVE_##name,
  GLOW_LIVE_LIST(GLOW_LIVE_ENUM)
#undef GLOW_LIVE_ENUM
};
#ifdef GLOW_DEBUG
void glow__live_add(const void *handle, int kind);
void glow__live_remove(const void *handle, int kind);
/* NULL counts as one: what to make of it is the caller's. Otherwise there is an error text. */
bool glow__is_live(const void *handle, int kind, const char *function);
#else
static inline void glow__live_add(const void *handle, int kind) {
  (void)handle, (void)kind;
}
static inline void glow__live_remove(const void *handle, int kind) {
  (void)handle, (void)kind;
}
static inline bool glow__is_live(const void *handle, int kind, const char *function) {
  (void)handle, (void)kind, (void)function;
  return true;
}
#endif
/* At the start of public functions: returns `value`, or GLOW_E_ARGUMENT, if the handle is stale.
 * Until the function ends, errors are told to the context of the handle, too. Every handle but a
 * pool starts with its context. A function that destroys what it was given may take the context
 * along, so it records what is wrong before. */
#define GLOW_SCOPE_NAME_(number) glow_scope_##number##_
#define GLOW_SCOPE_(handle, kind, number)                                                          \
  __attribute__((cleanup(glow__scope_leave), unused)) const glow__scope GLOW_SCOPE_NAME_(number) = \
      glow__scope_enter((handle), GLOW_LIVE_##kind)
#define GLOW_SCOPE(handle, kind, number) GLOW_SCOPE_(handle, kind, number)
#define GLOW_LIVE_OR(handle, kind, value)                                                          \
  if (!glow__is_live((handle), GLOW_LIVE_##kind, __func__))                                        \
    return value;                                                                                  \
  GLOW_SCOPE(handle, kind, __COUNTER__)
#define GLOW_LIVE(handle, kind) GLOW_LIVE_OR(handle, kind, GLOW_E_ARGUMENT)
/* The same where a handle is destroyed. */
#define GLOW_LIVE_END(handle, kind)                                                                \
  do {                                                                                             \
    if (!glow__is_live((handle), GLOW_LIVE_##kind, __func__))                                      \
      return;                                                                                      \
    glow__live_remove((handle), GLOW_LIVE_##kind);                                                 \
  } while (0)

/* ---- registry (base/registry.c): tables of the types that files can name --------------------- */

struct glow_layer_ops;
struct glow_net_ops;
/* Size of the tables in their first version: docs/abi.md. */
#define GLOW_LAYER_OPS_SMALLEST sizeof(glow_layer_ops)
#define GLOW_NET_OPS_SMALLEST sizeof(glow_net_ops)

/* GLOW_E_NOT_FOUND, with the type's name, if the context has no such type. */
glow_status glow__registry_find_layer(const glow_context *context, const char *type,
                                      const struct glow_layer_ops **out);
glow_status glow__registry_find_net(const glow_context *context, const char *type,
                                    const struct glow_net_ops **out);
void glow__registry_destroy(glow_context *context);

/* ---- text (base/utf8.c) ---------------------------------------------------------------------- */

/* Number of bytes of the UTF-8 character at c; 0 if c does not point at one. */
int32_t glow__utf8_length(const char *c);
bool glow__is_utf8(const char *text);

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

/* A list of keys and values, or a view of those of its keys that start with `prefix`. */
typedef struct glow__config {
  struct glow__config_list *list;
  char prefix[72];
} glow__config;

glow_status glow__config_create(glow_context *context, glow__config *out);
void glow__config_destroy(glow__config *config); /* call it for the list, not for a view */
glow__config glow__config_view(const glow__config *config, const char *prefix);
glow_context *glow__config_context(const glow__config *config);
/* These two see the whole list, also through a view. */
int32_t glow__config_count(const glow__config *config);
const glow__config_entry *glow__config_at(const glow__config *config, int32_t index);
/* The first key that nobody has asked for, or NULL. */
const char *glow__config_unasked(const glow__config *config);
glow_status glow__config_set_int(glow__config *config, const char *key, int64_t value);
glow_status glow__config_set_real(glow__config *config, const char *key, double value);
glow_status glow__config_set_text(glow__config *config, const char *key, const char *value);
/* *out stays as it is if the key is missing. GLOW_E_FORMAT if the value has another type, or an
 * integer is outside [low, high]. */
glow_status glow__config_get_int(const glow__config *config, const char *key, int64_t low,
                                 int64_t high, int64_t *out);
glow_status glow__config_get_real(const glow__config *config, const char *key, double *out);
glow_status glow__config_get_text(const glow__config *config, const char *key, const char **out);

#endif
