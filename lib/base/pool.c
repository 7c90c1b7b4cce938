/* The bundled pool of threads. Workers sleep on a condition variable. Around a run, both sides
 * first spin for a bounded time, because the next run usually follows at once. The caller takes
 * tasks too. A worker that wakes up late finds the run closed, and nobody waits for it.
 *
 * A run() that comes while another is in progress, from another thread or from inside a task, is
 * run serially by its caller: it never waits for workers, so it cannot deadlock.
 *
 * In a child of fork() the threads do not exist, and whatever they held, the lock included, stays
 * held for ever. The child is recognised by its process number. It runs tasks serially, touches
 * neither the lock nor the condition variables, and destroys the pool by only giving back its
 * memory.
 * SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

enum { SPINS = 2000, STACK_BYTES = 4 << 20, MAX_THREADS = 1024 };

typedef struct worker {
  glow_pool *pool;
  uint32_t index; /* 1, 2, ...; 0 is the caller of run() */
  pthread_t thread;
} worker;

struct glow_pool {
  glow_allocator allocator;
  pid_t process; /* the process that made the threads */
  uint32_t threads;
  uint32_t started;          /* entries of workers whose thread exists */
  worker *workers;           /* [threads - 1] */
  atomic_bool busy;          /* a run is in progress */
  atomic_uint_fast64_t next; /* next task to take; 64 bits: may exceed `tasks` by one per thread */

  pthread_mutex_t lock; /* for everything below */
  pthread_cond_t wake, done;
  atomic_uint_fast64_t generation; /* number of the run; written under the lock */
  atomic_uint inside;              /* workers in the run; grows only under the lock */
  uint32_t sleeping;
  bool open; /* workers may enter the run */
  bool stop;
  glow_task_fn fn;
  void *arg;
  uint32_t tasks;
};

static void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

/* Is this a child of fork()? Costs one system call for each run, 0.1 us; waking a thread takes
 * longer. */
static bool inherited(const glow_pool *pool) {
  return getpid() != pool->process;
}

static void serial(glow_task_fn fn, void *arg, uint32_t tasks) {
  for (uint32_t t = 0; t < tasks; t++)
    fn(arg, t, 0);
}

static void take_tasks(glow_pool *pool, uint32_t index) {
  for (;;) {
    uint_fast64_t t = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
    if (t >= pool->tasks)
      return;
    pool->fn(pool->arg, (uint32_t)t, index);
  }
}

/* Waits for a run newer than *seen and enters it; false when the pool stops. */
static bool enter_run(glow_pool *pool, uint_fast64_t *seen) {
  for (int i = 0; i < SPINS && atomic_load(&pool->generation) == *seen; i++)
    pause_cpu();
  pthread_mutex_lock(&pool->lock);
  for (;;) {
    bool fresh = atomic_load(&pool->generation) != *seen;
    *seen = atomic_load(&pool->generation);
    if (pool->stop || (fresh && pool->open))
      break;
    pool->sleeping++;
    pthread_cond_wait(&pool->wake, &pool->lock);
    pool->sleeping--;
  }
  bool enter = !pool->stop;
  if (enter)
    atomic_fetch_add(&pool->inside, 1);
  pthread_mutex_unlock(&pool->lock);
  return enter;
}

static void leave_run(glow_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  if (atomic_fetch_sub(&pool->inside, 1) == 1 && !pool->open)
    pthread_cond_signal(&pool->done);
  pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg) {
  worker *self = arg;
  uint_fast64_t seen = 0;
  while (enter_run(self->pool, &seen)) {
    take_tasks(self->pool, self->index);
    leave_run(self->pool);
  }
  return NULL;
}

static void open_run(glow_pool *pool, glow_task_fn fn, void *arg, uint32_t tasks) {
  pthread_mutex_lock(&pool->lock);
  pool->fn = fn;
  pool->arg = arg;
  pool->tasks = tasks;
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  pool->open = true;
  atomic_fetch_add(&pool->generation, 1);
  uint32_t wanted = tasks - 1 < pool->sleeping ? tasks - 1 : pool->sleeping;
  for (uint32_t i = 0; i < wanted; i++)
    pthread_cond_signal(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
}

static void close_run(glow_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  pool->open = false;
  pthread_mutex_unlock(&pool->lock);
  for (int i = 0; i < SPINS && atomic_load(&pool->inside); i++)
    pause_cpu();
  pthread_mutex_lock(&pool->lock);
  while (atomic_load(&pool->inside))
    pthread_cond_wait(&pool->done, &pool->lock);
  pthread_mutex_unlock(&pool->lock);
}

static void pool_run(void *payload, glow_task_fn fn, void *arg, uint32_t tasks) {
  glow_pool *pool = payload;
  if (tasks <= 1 || pool->threads <= 1 || inherited(pool) || atomic_exchange(&pool->busy, true)) {
    serial(fn, arg, tasks);
    return;
  }
  open_run(pool, fn, arg, tasks);
  take_tasks(pool, 0);
  close_run(pool);
  atomic_store(&pool->busy, false);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void stop_threads(glow_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  pool->stop = true;
  atomic_fetch_add(&pool->generation, 1); /* ends the spinning */
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
  for (uint32_t i = 0; i < pool->started; i++)
    pthread_join(pool->workers[i].thread, NULL);
}

/* Threads inherit the signal mask of their creator: block all signals while creating them. */
static int start_threads(glow_pool *pool) {
  pthread_attr_t attributes;
  int error = pthread_attr_init(&attributes);
  if (error)
    return error;
  sigset_t all, before;
  sigfillset(&all);
  error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
  if (!error)
    error = pthread_sigmask(SIG_SETMASK, &all, &before);
  if (!error) {
    while (!error && pool->started + 1 < pool->threads) {
      worker *w = &pool->workers[pool->started];
      w->pool = pool;
      w->index = pool->started + 1;
      error = pthread_create(&w->thread, &attributes, worker_main, w);
      if (!error)
        pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
  pthread_attr_destroy(&attributes);
  return error;
}

static int init_sync(glow_pool *pool) {
  int error = pthread_mutex_init(&pool->lock, NULL);
  if (error)
    return error;
  error = pthread_cond_init(&pool->wake, NULL);
  if (!error) {
    error = pthread_cond_init(&pool->done, NULL);
    if (error)
      pthread_cond_destroy(&pool->wake);
  }
  if (error)
    pthread_mutex_destroy(&pool->lock);
  return error;
}

static void destroy_sync(glow_pool *pool) {
  pthread_cond_destroy(&pool->done);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->lock);
}

static void release_pool(glow_pool *pool) {
  glow_allocator allocator = pool->allocator; /* a copy: the pool holds the table */
  glow__release(&allocator, pool->workers);
  glow__release(&allocator, pool);
}

glow_status glow_pool_create(const glow_allocator *allocator, uint32_t threads, glow_pool **out) {
  glow_allocator table = GLOW_ALLOCATOR_INIT;
  if (!out)
    return glow_error(GLOW_E_ARGUMENT, "glow_pool_create: NULL argument");
  *out = NULL;
  GLOW_TRY(glow__table_copy(&table, sizeof table, allocator, sizeof table, "glow_allocator"));
  if (!table.allocate != !table.release)
    return glow_error(GLOW_E_ARGUMENT, "glow_allocator: allocate and release must be set together");
  if (threads < 1 || threads > MAX_THREADS)
    return glow_error(GLOW_E_ARGUMENT, "a pool has 1 to %d threads, not %lu", (int)MAX_THREADS,
                      (unsigned long)threads);
  glow_pool *pool = glow__allocate(&table, sizeof *pool);
  if (!pool)
    return GLOW_E_MEMORY;
  pool->allocator = table;
  pool->process = getpid();
  pool->threads = threads;
  pool->workers = glow__allocate(&table, threads * sizeof *pool->workers);
  if (!pool->workers) {
    release_pool(pool);
    return GLOW_E_MEMORY;
  }
  int error = init_sync(pool);
  if (!error) {
    error = start_threads(pool);
    if (error) {
      stop_threads(pool);
      destroy_sync(pool);
    }
  }
  if (error) {
    uint32_t started = pool->started;
    release_pool(pool);
    return glow_error(GLOW_E_MEMORY, "only %lu of a pool's %lu threads could be started: %s",
                      (unsigned long)started + 1, (unsigned long)threads, strerror(error));
  }
  glow__live_add(pool, GLOW_LIVE_POOL);
  *out = pool;
  return GLOW_OK;
}

glow_status glow_pool_executor(glow_pool *pool, glow_executor *out) {
  GLOW_LIVE(pool, POOL);
  if (!pool || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_pool_executor: NULL argument");
  const glow_executor executor = {sizeof executor, pool->threads, 0, pool_run, pool};
  return glow__struct_fill(out, &executor, sizeof executor, sizeof executor, "glow_executor");
}

void glow_pool_destroy(glow_pool **pool) {
  if (!pool || !*pool)
    return;
  GLOW_LIVE_END(*pool, POOL);
  if (!inherited(*pool)) {
    stop_threads(*pool);
    destroy_sync(*pool);
  }
  release_pool(*pool);
  *pool = NULL;
}
