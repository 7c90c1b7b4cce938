/* The bundled pool of threads. Worker 0 is the caller of run(), which takes tasks too. Workers are
 * in groups of up to eight, of one each if they are eight or fewer. Each group has a share of the
 * tasks, in order, which its workers take from a counter of their own; when it is used up they go
 * on with the other groups' shares. So a counter is fought for by few, and a worker mostly gets the
 * tasks that it had in the run before: what it wrote then is in its own cache.
 *
 * Between runs workers spin for a bounded time, because the next run usually follows at once, and
 * then sleep. They are woken along a tree: whoever enters a run wakes workers 2i + 1 and 2i + 2. A
 * worker that wakes up late finds the run closed. The caller closes it when no task is left to be
 * taken, and waits for those who are inside: for each group one number to look at.
 *
 * Why nothing is missed (all these operations are sequentially consistent): a worker counts itself
 * in before it looks whether the run is open, and the caller closes it before it looks at the
 * count; a worker says that it sleeps before it looks for a new run, and a run is announced before
 * anybody looks for sleepers. So of the two at least one sees the other.
 *
 * A run() that comes while another is in progress, from another thread or from inside a task, is
 * run serially by its caller: it never waits for workers, so it cannot deadlock.
 *
 * In a child of fork() the threads do not exist, and whatever they held, locks included, stays
 * held for ever. The child is recognised by its process number. It runs tasks serially, touches
 * neither locks nor condition variables, and destroys the pool by only giving back its memory.
 * SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

enum { SPINS = 2000, STACK_BYTES = 4 << 20, MAX_THREADS = 1024, GROUPS = 8, MOST_IN_GROUP = 8 };

/* What the workers of a group share, on a line of its own. */
typedef struct group {
  _Alignas(GLOW_ALIGN) atomic_uint_fast64_t generation; /* number of its last run */
  atomic_uint_fast64_t next; /* next task to take; may be past `end` by one per thread */
  uint64_t end;
  atomic_uint inside; /* its workers in the run */
  atomic_bool open;   /* they may enter it */
  glow_task_fn fn;
  void *arg;
} group;

typedef struct worker {
  _Alignas(GLOW_ALIGN) atomic_bool asleep;
  uint32_t index; /* 1, 2, ... */
  uint64_t seen;  /* number of the last run that it looked at */
  glow_pool *pool;
  pthread_t thread;
  pthread_mutex_t lock; /* of `wake` */
  pthread_cond_t wake;
} worker;

struct glow_pool {
  glow_allocator allocator;
  pid_t process; /* the process that made the threads */
  uint32_t threads;
  uint32_t ready;      /* workers that have their lock and condition, */
  uint32_t started;    /* and their thread */
  worker *workers;     /* [threads]; that of the caller is not used */
  uint32_t group_size; /* workers of a group */
  group *groups;
  uint32_t used;    /* groups in the present run, */
  uint32_t wanted;  /* and workers, the caller among them */
  atomic_bool busy; /* a run is in progress */
  atomic_bool stop;
  atomic_bool waiting; /* the caller sleeps until nobody is inside */
  pthread_mutex_t lock;
  pthread_cond_t done;
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

/* Few groups, because a run looks at a line of each, but small ones, because the workers of a group
 * fight for its counter: up to 64 threads there are at most eight, then more groups of eight. */
static uint32_t group_size_for(uint32_t threads) {
  uint32_t size = (threads + GROUPS - 1) / GROUPS;
  return size < MOST_IN_GROUP ? size : MOST_IN_GROUP;
}

static group *group_of(const glow_pool *pool, uint32_t index) {
  return &pool->groups[index / pool->group_size];
}

/* Groups that so many workers are in. */
static uint32_t groups_of(const glow_pool *pool, uint32_t workers) {
  return (workers + pool->group_size - 1) / pool->group_size;
}

static void serial(glow_task_fn fn, void *arg, uint32_t tasks) {
  for (uint32_t t = 0; t < tasks; t++)
    fn(arg, t, 0);
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void take_share(group *g, uint32_t index) {
  while (atomic_load_explicit(&g->next, memory_order_relaxed) < g->end) {
    uint_fast64_t t = atomic_fetch_add_explicit(&g->next, 1, memory_order_relaxed);
    if (t < g->end)
      g->fn(g->arg, (uint32_t)t, index);
  }
}

/* The shares of all groups, from the worker's own on. */
static void take_tasks(glow_pool *pool, uint32_t index) {
  for (uint32_t i = 0, at = index / pool->group_size; i < pool->used; i++, at++)
    take_share(&pool->groups[at % pool->used], index);
}

static void wake_worker(glow_pool *pool, uint32_t index) {
  if (index >= pool->wanted || !atomic_load(&pool->workers[index].asleep))
    return;
  worker *w = &pool->workers[index];
  pthread_mutex_lock(&w->lock);
  pthread_cond_signal(&w->wake);
  pthread_mutex_unlock(&w->lock);
}

static void wake_children(glow_pool *pool, uint32_t index) {
  wake_worker(pool, 2 * index + 1);
  wake_worker(pool, 2 * index + 2);
}

/* Is there a run that the worker has not looked at, or are there to be none any more? */
static bool has_news(worker *w) {
  const group *g = group_of(w->pool, w->index);
  return atomic_load(&g->generation) != w->seen || atomic_load(&w->pool->stop);
}

static void wait_for_news(worker *w) {
  for (int i = 0; i < SPINS && !has_news(w); i++)
    pause_cpu();
  if (has_news(w))
    return;
  pthread_mutex_lock(&w->lock);
  atomic_store(&w->asleep, true);
  while (!has_news(w))
    pthread_cond_wait(&w->wake, &w->lock);
  atomic_store(&w->asleep, false);
  pthread_mutex_unlock(&w->lock);
}

static void leave_run(glow_pool *pool, group *g) {
  atomic_fetch_sub(&g->inside, 1);
  if (!atomic_load(&pool->waiting))
    return;
  pthread_mutex_lock(&pool->lock);
  pthread_cond_signal(&pool->done);
  pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg) {
  worker *w = arg;
  glow_pool *pool = w->pool;
  group *g = group_of(pool, w->index);
  for (;;) {
    wait_for_news(w);
    if (atomic_load(&pool->stop))
      return NULL;
    atomic_fetch_add(&g->inside, 1);
    w->seen = atomic_load(&g->generation);
    if (atomic_load(&g->open) && w->index < pool->wanted) {
      wake_children(pool, w->index);
      take_tasks(pool, w->index);
    }
    leave_run(pool, g);
  }
}

/* The group's share of the tasks, by the number of its workers. */
static void set_share(glow_pool *pool, uint32_t at, glow_task_fn fn, void *arg, uint32_t tasks) {
  group *g = &pool->groups[at];
  uint64_t first = (uint64_t)at * pool->group_size, last = first + pool->group_size;
  if (last > pool->wanted)
    last = pool->wanted;
  g->fn = fn;
  g->arg = arg;
  g->end = tasks * last / pool->wanted;
  atomic_store_explicit(&g->next, tasks * first / pool->wanted, memory_order_relaxed);
}

/* All shares are there before any group is open, for its workers may go on to those of others. */
static void open_run(glow_pool *pool, glow_task_fn fn, void *arg, uint32_t tasks) {
  pool->wanted = tasks < pool->threads ? tasks : pool->threads;
  pool->used = groups_of(pool, pool->wanted);
  for (uint32_t i = 0; i < pool->used; i++)
    set_share(pool, i, fn, arg, tasks);
  for (uint32_t i = pool->used; i-- > 0;) { /* first those that others wake */
    atomic_store(&pool->groups[i].open, true);
    atomic_fetch_add(&pool->groups[i].generation, 1);
  }
  wake_children(pool, 0);
}

static bool anybody_inside(glow_pool *pool) {
  for (uint32_t i = 0; i < pool->used; i++)
    if (atomic_load(&pool->groups[i].inside))
      return true;
  return false;
}

static void close_run(glow_pool *pool) {
  for (uint32_t i = 0; i < pool->used; i++)
    atomic_store(&pool->groups[i].open, false);
  for (int i = 0; i < SPINS && anybody_inside(pool); i++)
    pause_cpu();
  if (!anybody_inside(pool))
    return;
  pthread_mutex_lock(&pool->lock);
  atomic_store(&pool->waiting, true);
  while (anybody_inside(pool))
    pthread_cond_wait(&pool->done, &pool->lock);
  atomic_store(&pool->waiting, false);
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
  atomic_store(&pool->stop, true);
  for (uint32_t i = 1; i <= pool->started; i++) {
    worker *w = &pool->workers[i];
    pthread_mutex_lock(&w->lock);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
  }
  for (uint32_t i = 1; i <= pool->started; i++)
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
      worker *w = &pool->workers[pool->started + 1];
      error = pthread_create(&w->thread, &attributes, worker_main, w);
      if (!error)
        pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
  pthread_attr_destroy(&attributes);
  return error;
}

/* A lock and its condition: both or neither. */
static int sync_init(pthread_mutex_t *lock, pthread_cond_t *condition) {
  int error = pthread_mutex_init(lock, NULL);
  if (error)
    return error;
  error = pthread_cond_init(condition, NULL);
  if (error)
    pthread_mutex_destroy(lock);
  return error;
}

static void sync_destroy(pthread_mutex_t *lock, pthread_cond_t *condition) {
  pthread_cond_destroy(condition);
  pthread_mutex_destroy(lock);
}

static void destroy_syncs(glow_pool *pool) {
  for (; pool->ready; pool->ready--)
    sync_destroy(&pool->workers[pool->ready].lock, &pool->workers[pool->ready].wake);
  sync_destroy(&pool->lock, &pool->done);
}

static int init_syncs(glow_pool *pool) {
  int error = sync_init(&pool->lock, &pool->done);
  if (error)
    return error;
  while (!error && pool->ready + 1 < pool->threads) {
    worker *w = &pool->workers[pool->ready + 1];
    w->pool = pool;
    w->index = pool->ready + 1;
    error = sync_init(&w->lock, &w->wake);
    if (!error)
      pool->ready++;
  }
  if (error)
    destroy_syncs(pool);
  return error;
}

static void release_pool(glow_pool *pool) {
  glow_allocator allocator = pool->allocator; /* a copy: the pool holds the table */
  glow__release(&allocator, pool->groups);
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
  pool->group_size = group_size_for(threads);
  pool->workers = glow__allocate(&table, threads * sizeof *pool->workers);
  if (pool->workers)
    pool->groups = glow__allocate(&table, groups_of(pool, threads) * sizeof *pool->groups);
  if (!pool->groups) {
    release_pool(pool);
    return GLOW_E_MEMORY;
  }
  int error = init_syncs(pool);
  if (!error) {
    error = start_threads(pool);
    if (error) {
      stop_threads(pool);
      destroy_syncs(pool);
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
    destroy_syncs(*pool);
  }
  release_pool(*pool);
  *pool = NULL;
}
