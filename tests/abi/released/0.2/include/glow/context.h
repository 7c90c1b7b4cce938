/* The context: the allocator, executor, log, kernels and registry that a family of objects shares.
 *
 * There is no process-global state. References are counted: every object made from a context holds
 * it, and whatever is made from a model (workspace, optimizer, trainer, diagnosis) holds the model.
 * So the destroy functions may be called in any order and on any thread, as finalizers of garbage
 * collectors do: each gives up the caller's own reference, and what it led to goes with the last.
 * Creating and destroying objects of one context from several threads at once is allowed when its
 * allocator and log callback are thread-safe (the defaults are).
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_CONTEXT_H
#define GLOW_CONTEXT_H

#include <glow/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct glow_context glow_context;
typedef struct glow_pool glow_pool;

/* Memory. `allocate` returns at least `size` bytes, aligned as malloc does, or NULL. `release` gets
 * what `allocate` returned, never NULL. All allocations of the library go through this table. */
typedef struct glow_allocator {
  size_t struct_size;
  void *(*allocate)(size_t size, void *payload);
  void (*release)(void *memory, void *payload);
  void *payload;
} glow_allocator;
#define GLOW_ALLOCATOR_INIT                                                                        \
  { sizeof(glow_allocator), NULL, NULL, NULL }

/* One numbered task of a parallel run. `worker` is less than the executor's `workers`, and no two
 * tasks that run at the same time have the same one. */
typedef void (*glow_task_fn)(void *arg, uint32_t task, uint32_t worker);

/* What runs tasks. run() calls fn(arg, t, worker) once for each t in [0, tasks) and returns when
 * all of them are done. It may be called from several threads at once. Results never depend on
 * `workers`. */
typedef struct glow_executor {
  size_t struct_size;
  uint32_t workers;
  uint32_t reserved; /* 0 */
  void (*run)(void *payload, glow_task_fn fn, void *arg, uint32_t tasks);
  void *payload;
} glow_executor;
#define GLOW_EXECUTOR_INIT                                                                         \
  { sizeof(glow_executor), 0, 0, NULL, NULL }

/* Levels of messages, and the callback that gets them. `text` is valid during the call. */
enum { GLOW_LOG_DEBUG = 10, GLOW_LOG_INFO = 20, GLOW_LOG_WARNING = 30 };
typedef void (*glow_log_fn)(int32_t level, const char *text, void *payload);

/* Type of the elements of matrix products. With bfloat16, the nets of glow_conv_net_create() round
 * weights, activations and their gradients to bfloat16 before each product, forward and backward,
 * and add products in float32. That is about 1.7 times as fast where the CPU has AVX512-BF16, 2.5
 * to 4 times where it has AMX, and no faster elsewhere; the stored activations of training take
 * half the memory. All else stays float32: parameters, their gradients, every other net and layer,
 * and the output of the net. On a CPU with AMX, making such a context asks Linux to let the threads
 * of this process use its tiles. From then on a thread's own stack for signals (sigaltstack) must
 * hold sysconf(_SC_MINSIGSTKSZ) bytes, some 12 KB; where one is smaller already, Linux refuses, and
 * AMX is not used.
 *
 * A coupling moves what it passes on off the middles between two values that its net would tell
 * apart, by 2^-18 of size 1, so that the net sees the same input both ways. Through 24 couplings
 * x -> z -> x is then within 1e-5, as in float32; through 96, three samples in a hundred are still
 * 1e-3 off at places. Where each must come back, load the model in a context of float32. Spline
 * couplings, and layers of one's own, with such a net do not move anything, and are 1e-3 off. Nets
 * see values below 2^-8 as 0, so normalise what they see, as Glow does. The promises about batches
 * and threads hold, and models and checkpoints are the same files. docs/conventions.md says what is
 * rounded where. */
enum { GLOW_PRODUCTS_FLOAT32 = 1501, GLOW_PRODUCTS_BFLOAT16 = 1502 };

/* Called once, when a context and all that was made from it are gone: nothing of the library uses
 * its allocator, executor and payloads any more. */
typedef void (*glow_end_fn)(void *payload);

typedef struct glow_context_options {
  size_t struct_size;
  const glow_allocator *allocator; /* NULL: malloc and free. Copied. */
  const glow_executor *executor;   /* NULL: see threads. Copied; its payload must outlive the
                                      context and all that is made from it: see end. */
  uint32_t threads;  /* executor NULL: 0 or 1 runs on the caller's thread; n > 1 makes a
                        bundled pool of n threads (the caller's included) */
  uint32_t reserved; /* 0 */
  glow_log_fn log;   /* NULL: silent */
  void *log_payload;
  const char *kernels; /* NULL or "auto": the best for this CPU, but never "cblas"; or a name of
                          glow_kernels_name() */
  int32_t products;    /* GLOW_PRODUCTS_...; 0: float32 */
  int32_t reserved2;   /* 0 */
  glow_end_fn end;     /* NULL: none. Not called if the context could not be made */
  void *end_payload;
} glow_context_options;
#define GLOW_CONTEXT_OPTIONS_INIT                                                                  \
  { sizeof(glow_context_options), NULL, NULL, 0, 0, NULL, NULL, NULL, 0, 0, NULL, NULL }

/* Makes a context with the built-in layers and nets registered. options NULL: the defaults. On
 * failure *out is NULL. */
GLOW_API glow_status glow_context_create(const glow_context_options *options, glow_context **out);
/* One more reference for the caller, who calls glow_context_destroy once more: for programs whose
 * parts share a context, each for as long as it likes. Returns context; NULL if it is NULL. */
GLOW_API glow_context *glow_context_retain(glow_context *context);
/* Gives up the caller's reference, and sets *context to NULL. The context goes with the last object
 * made from it, or now if there is none. NULL and a pointer to NULL are fine. */
GLOW_API void glow_context_destroy(glow_context **context);
/* Copies to `out`, of `size` bytes, what went wrong in the last call that failed, on any thread,
 * and was given an object of this context: for languages that may go on on another thread after a
 * call, where glow_last_error() says nothing. "" if none has failed. It is cut to fit; 1024 bytes
 * hold any. Calls without an object (NULL) are told to glow_last_error() alone. When several
 * threads fail at once it is the text of one of them. GLOW_E_ARGUMENT if a pointer is NULL or size
 * is 0. */
GLOW_API glow_status glow_context_last_error(const glow_context *context, char *out, size_t size);
/* Number of workers of the context's executor; 1 if it is serial. */
GLOW_API uint32_t glow_context_workers(const glow_context *context);
/* Name of the kernels in use: "avx512", "avx2", "neon", "c", "cblas". Owned by the library; context
 * NULL: NULL. */
GLOW_API const char *glow_context_kernels(const glow_context *context);
/* The context's GLOW_PRODUCTS_...; context NULL: float32. */
GLOW_API int32_t glow_context_products(const glow_context *context);

/* Names of the kernel providers that this build and CPU can run: index 0, 1, ... until NULL. The
 * first is what "auto" chooses. The last may be "cblas", which does not promise that a sample
 * has the same bits in any batch, and is used only where it is named: the BLAS library is then
 * loaded, and stays until the process ends. (OpenBLAS starts threads of its own as it is
 * loaded.) If it is not installed, making the context gives GLOW_E_UNSUPPORTED and names it. */
GLOW_API const char *glow_kernels_name(uint32_t index);

/* 1 if this build of the library has the feature and the CPU can run it, otherwise 0, also for a
 * name that it does not know (and for NULL). A name of glow_kernels_name(), or
 *   "threads"   pools of threads
 *   "files"     model and tensor files, checkpoints and import (-Dfiles)
 *   "bfloat16"  products in bfloat16 that are faster than those in float32; GLOW_PRODUCTS_BFLOAT16
 *               is possible in any case
 *   "debug"     handles that were destroyed are recognised, and error texts end with their place in
 *               the source */
GLOW_API int32_t glow_feature(const char *name);
/* Names of all that this library has: index 0, 1, ... until NULL. */
GLOW_API const char *glow_feature_name(uint32_t index);

/* Loads the BLAS library, if it is not loaded, and asks it to run each product on `threads`
 * threads. That is state of the whole process, so libglow never does it by itself. Call it with 1
 * before using the "cblas" kernels with a threaded executor. GLOW_E_UNSUPPORTED if there is no BLAS
 * library, or if it has no such call. */
GLOW_API glow_status glow_blas_set_threads(int32_t threads);

/* A pool of threads for contexts to share: `threads` including the thread that calls run(). Workers
 * sleep when idle, with all signals blocked. allocator NULL: malloc and free.
 *
 * A child of fork() has none of the threads. There the pool, and a context that has one, may be
 * used and destroyed as before: runs are serial, with the same results, and destroying joins no
 * threads. What other threads were doing at the time of fork() stays half done in the child's copy,
 * so the child must not use models and workspaces that were in use by them. A child made inside a
 * task must not return from the task: end it by exec() or _exit(). */
GLOW_API glow_status glow_pool_create(const glow_allocator *allocator, uint32_t threads,
                                      glow_pool **out);
/* Fills *out, whose struct_size the caller has set, with an executor that runs on the pool. The
 * pool must outlive its use. */
GLOW_API glow_status glow_pool_executor(glow_pool *pool, glow_executor *out);
/* Joins the threads, and sets *pool to NULL. No run may be in progress, and no context may still
 * use the pool. NULL and a pointer to NULL are fine. */
GLOW_API void glow_pool_destroy(glow_pool **pool);

#ifdef __cplusplus
}
#endif
#endif
