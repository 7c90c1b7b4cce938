/* The pool of threads: every task once, whoever calls and from wherever.
 * SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

enum { MOST_TASKS = 5000, MOST_WORKERS = 100 };

typedef struct record {
  glow_executor executor;
  uint32_t tasks;
  atomic_int ran[MOST_TASKS];
  atomic_int on_worker[MOST_WORKERS]; /* tasks of this run in progress on a worker */
  atomic_int bad;
  atomic_int nested;
} record;

static void count_task(void *arg, uint32_t task, uint32_t worker) {
  record *r = arg;
  if (task >= r->tasks || worker >= r->executor.workers || worker >= MOST_WORKERS) {
    atomic_fetch_add(&r->bad, 1);
    return;
  }
  if (atomic_fetch_add(&r->on_worker[worker], 1) != 0)
    atomic_fetch_add(&r->bad, 1); /* two tasks at once with one number */
  atomic_fetch_add(&r->ran[task], 1);
  atomic_fetch_sub(&r->on_worker[worker], 1);
}

static void expect_once(record *r) {
  assert_int_equal(atomic_load(&r->bad), 0);
  for (uint32_t t = 0; t < MOST_TASKS; t++)
    assert_int_equal(atomic_load(&r->ran[t]), t < r->tasks);
}

static record *new_record(const glow_executor *executor, uint32_t tasks) {
  record *r = calloc(1, sizeof *r);
  assert_non_null(r);
  r->executor = *executor;
  r->tasks = tasks;
  return r;
}

static glow_pool *new_pool(uint32_t threads, glow_executor *executor) {
  glow_pool *pool = NULL;
  assert_int_equal(glow_pool_create(NULL, threads, &pool), GLOW_OK);
  *executor = (glow_executor)GLOW_EXECUTOR_INIT;
  assert_int_equal(glow_pool_executor(pool, executor), GLOW_OK);
  assert_int_equal(executor->workers, threads);
  assert_int_equal(executor->struct_size, sizeof *executor);
  return pool;
}

static void test_every_task_once(void **state) {
  static const uint32_t threads[] = {1, 2, 3, 4, 7, 9, 16, 64, MOST_WORKERS};
  static const uint32_t tasks[] = {0, 1, 2, 3, 4, 5, 7, 8, 16, 63, 64, 65, 1000, MOST_TASKS};
  (void)state;
  for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
    glow_executor executor;
    glow_pool *pool = new_pool(threads[i], &executor);
    for (size_t k = 0; k < sizeof tasks / sizeof *tasks; k++) {
      record *r = new_record(&executor, tasks[k]);
      executor.run(executor.payload, count_task, r, tasks[k]);
      expect_once(r);
      free(r);
    }
    glow_pool_destroy(&pool);
    assert_null(pool);
  }
}

typedef struct shares {
  atomic_int first[2]; /* of workers 0 and 1: the first task of the run, or -1 */
} shares;

static void note_first(void *arg, uint32_t task, uint32_t worker) {
  shares *s = arg;
  int none = -1;
  atomic_compare_exchange_strong(&s->first[worker], &none, (int)task);
  for (int spin = 0; spin < 100000 && atomic_load(&s->first[!worker]) < 0; spin++)
    sched_yield(); /* both have begun, unless one of them is very late */
}

/* Of two workers each begins at a share of its own, so that it finds in its cache what it wrote.
 * One may be so late that the other has taken its tasks, but not in every run. */
static void test_shares(void **state) {
  glow_executor executor;
  glow_pool *pool = new_pool(2, &executor);
  int as_told = 0;
  (void)state;
  for (int run = 0; run < 100; run++) {
    shares s = {{-1, -1}};
    executor.run(executor.payload, note_first, &s, 10);
    as_told += atomic_load(&s.first[0]) == 0 && atomic_load(&s.first[1]) == 5;
  }
  assert_true(as_told > 0);
  glow_pool_destroy(&pool);
}

/* Many short runs, with the workers asleep, spinning and late; the number of tasks changes, so some
 * groups of workers are left out of some runs. */
static void run_in_a_row(uint32_t threads, uint32_t most_tasks) {
  glow_executor executor;
  glow_pool *pool = new_pool(threads, &executor);
  for (int run = 0; run < 3000; run++) {
    uint32_t tasks = 1 + (uint32_t)run % most_tasks;
    atomic_int sum = 0;
    record small = {.executor = executor, .tasks = tasks};
    executor.run(executor.payload, count_task, &small, tasks);
    for (uint32_t t = 0; t < tasks; t++)
      atomic_fetch_add(&sum, atomic_load(&small.ran[t]));
    assert_int_equal(atomic_load(&sum), tasks);
    assert_int_equal(atomic_load(&small.bad), 0);
  }
  glow_pool_destroy(&pool);
}

static void test_runs_in_a_row(void **state) {
  (void)state;
  run_in_a_row(4, 9);
  run_in_a_row(20, 37);
}

/* Seconds of processor time that this process has had, on all its threads. */
static double processor_time(void) {
  struct timespec t;
  assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Workers that wait for work sleep: in 0.4 s that eight of them would spin through, as much as the
 * machine lets them, they take less than 0.05 s of a processor. */
static void test_quiet_when_idle(void **state) {
  const struct timespec rest = {.tv_nsec = 400000000};
  glow_executor executor;
  glow_pool *pool = new_pool(9, &executor);
  (void)state;
  record *r = new_record(&executor, MOST_TASKS);
  executor.run(executor.payload, count_task, r, MOST_TASKS);
  expect_once(r);
  free(r);
  nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* they may spin for a moment */
  double before = processor_time();
  nanosleep(&rest, NULL);
  assert_true(processor_time() - before < 0.05);
  glow_pool_destroy(&pool);
}

typedef struct caller {
  const glow_executor *executor;
  int wrong;
} caller;

static void *call_often(void *arg) {
  caller *c = arg;
  for (uint32_t run = 0; run < 300; run++) {
    record r = {.executor = *c->executor, .tasks = 1 + run % 40};
    c->executor->run(c->executor->payload, count_task, &r, r.tasks);
    c->wrong += atomic_load(&r.bad);
    for (uint32_t t = 0; t < r.tasks; t++)
      c->wrong += atomic_load(&r.ran[t]) != 1;
  }
  return NULL;
}

static void test_several_callers(void **state) {
  glow_executor executor;
  glow_pool *pool = new_pool(3, &executor);
  pthread_t threads[4];
  caller callers[4];
  (void)state;
  for (int i = 0; i < 4; i++) {
    callers[i] = (caller){&executor, 0};
    assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
  }
  for (int i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(callers[i].wrong, 0);
  }
  glow_pool_destroy(&pool);
}

static void count_nested(void *arg, uint32_t task, uint32_t worker) {
  record *r = arg;
  (void)task;
  if (worker >= r->executor.workers)
    atomic_fetch_add(&r->bad, 1);
  atomic_fetch_add(&r->nested, 1);
}

static void run_nested(void *arg, uint32_t task, uint32_t worker) {
  record *r = arg;
  r->executor.run(r->executor.payload, count_nested, r, 10);
  count_task(arg, task, worker);
}

static void test_run_inside_a_task(void **state) {
  glow_executor executor;
  glow_pool *pool = new_pool(4, &executor);
  record *r = new_record(&executor, 200);
  (void)state;
  executor.run(executor.payload, run_nested, r, 200);
  expect_once(r);
  assert_int_equal(atomic_load(&r->nested), 2000);
  free(r);
  glow_pool_destroy(&pool);
}

/* ---- threads --------------------------------------------------------------------------------- */

typedef struct meeting {
  atomic_int here;
  atomic_int blocked; /* threads other than the caller's that block SIGTERM */
  pthread_t caller;
} meeting;

/* Two tasks that wait for each other: they need two threads. */
static void meet(void *arg, uint32_t task, uint32_t worker) {
  meeting *m = arg;
  sigset_t mask;
  (void)task;
  (void)worker;
  atomic_fetch_add(&m->here, 1);
  while (atomic_load(&m->here) < 2) {
  }
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  if (!pthread_equal(pthread_self(), m->caller))
    atomic_fetch_add(&m->blocked, sigismember(&mask, SIGTERM) && sigismember(&mask, SIGINT));
}

static void test_threads_run_together_with_signals_blocked(void **state) {
  glow_executor executor;
  glow_pool *pool = new_pool(2, &executor);
  meeting m = {.caller = pthread_self()};
  sigset_t mask;
  (void)state;
  executor.run(executor.payload, meet, &m, 2);
  assert_int_equal(atomic_load(&m.blocked), 1);
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  assert_false(sigismember(&mask, SIGTERM)); /* ours is as before */
  glow_pool_destroy(&pool);
}

/* ---- children of fork() ---------------------------------------------------------------------- */

enum { CHILD_SECONDS = 20 /* an alarm ends a child that hangs; what it does takes milliseconds */ };

/* In the child, where CMocka's assertions would go on with the parent's tests. */
static void child_needs(bool fact, int code) {
  if (!fact)
    _exit(code);
}

static void child_runs(const glow_executor *executor) {
  record *r = calloc(1, sizeof *r);
  child_needs(r, 2);
  r->executor = *executor;
  r->tasks = 500;
  executor->run(executor->payload, count_task, r, r->tasks);
  child_needs(!atomic_load(&r->bad), 3);
  for (uint32_t t = 0; t < MOST_TASKS; t++)
    child_needs(atomic_load(&r->ran[t]) == (t < r->tasks), 4);
  free(r);
}

static void child_destroys(glow_pool **pool) {
  glow_pool_destroy(pool);
  child_needs(!*pool, 5);
  _exit(0);
}

static void expect_child_is_well(pid_t child) {
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  if (WIFSIGNALED(status))
    fail_msg("the child was ended by signal %d%s", WTERMSIG(status),
             WTERMSIG(status) == SIGALRM ? ": it hung" : "");
  assert_int_equal(WEXITSTATUS(status), 0);
}

static pid_t new_child(void) {
  pid_t child = fork();
  assert_true(child >= 0);
  if (!child)
    alarm(CHILD_SECONDS);
  return child;
}

static void test_child_runs_and_destroys(void **state) {
  glow_executor executor;
  glow_pool *pool = new_pool(4, &executor);
  (void)state;
  for (int runs_first = 0; runs_first < 2; runs_first++) {
    record *r = new_record(&executor, 1000);
    executor.run(executor.payload, count_task, r, 1000); /* the workers are spinning or asleep */
    pid_t child = new_child();
    if (!child) {
      if (runs_first)
        child_runs(&executor);
      child_destroys(&pool);
    }
    expect_child_is_well(child);
    expect_once(r);
    memset(r->ran, 0, sizeof r->ran);
    executor.run(executor.payload, count_task, r, 1000); /* the parent goes on */
    expect_once(r);
    free(r);
  }
  glow_pool_destroy(&pool);
}

static void test_child_destroys_its_context(void **state) {
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  (void)state;
  options.threads = 3;
  assert_int_equal(glow_context_create(&options, &context), GLOW_OK);
  pid_t child = new_child();
  if (!child) {
    child_runs(&context->executor);
    glow_context_destroy(&context);
    _exit(context ? 6 : 0);
  }
  expect_child_is_well(child);
  record *r = new_record(&context->executor, 100);
  glow_context_run(context, 100, count_task, r);
  expect_once(r);
  free(r);
  glow_context_destroy(&context);
}

typedef struct busy_thread {
  const glow_executor *executor;
  atomic_bool stop;
} busy_thread;

static void do_nothing(void *arg, uint32_t task, uint32_t worker) {
  (void)arg;
  (void)task;
  (void)worker;
}

static void *run_until_told(void *arg) {
  busy_thread *b = arg;
  while (!atomic_load(&b->stop))
    b->executor->run(b->executor->payload, do_nothing, NULL, 3);
  return NULL;
}

/* Some of 200 children are made while the other thread or a worker holds the lock, and most while a
 * run is in progress. */
static void test_child_of_a_pool_in_use(void **state) {
  glow_executor executor;
  glow_pool *pool = new_pool(3, &executor);
  busy_thread busy = {.executor = &executor};
  pthread_t thread;
  (void)state;
  assert_int_equal(pthread_create(&thread, NULL, run_until_told, &busy), 0);
  for (int i = 0; i < 200; i++) {
    pid_t child = new_child();
    if (!child) {
      executor.run(executor.payload, do_nothing, NULL, 10);
      child_destroys(&pool);
    }
    expect_child_is_well(child);
  }
  atomic_store(&busy.stop, true);
  pthread_join(thread, NULL);
  glow_pool_destroy(&pool);
}

typedef struct forking {
  const glow_executor *executor;
  pid_t children[8];
} forking;

/* The child runs more tasks and ends inside this one. */
static void fork_in_task(void *arg, uint32_t task, uint32_t worker) {
  forking *f = arg;
  (void)worker;
  f->children[task] = fork();
  if (!f->children[task]) {
    alarm(CHILD_SECONDS);
    child_runs(f->executor);
    _exit(0);
  }
}

static void test_child_made_inside_a_task(void **state) {
  glow_executor executor;
  glow_pool *pool = new_pool(4, &executor);
  forking f = {.executor = &executor};
  (void)state;
  executor.run(executor.payload, fork_in_task, &f, 8);
  for (int i = 0; i < 8; i++) {
    assert_true(f.children[i] > 0);
    expect_child_is_well(f.children[i]);
  }
  glow_pool_destroy(&pool);
}

/* ---- arguments and memory -------------------------------------------------------------------- */

typedef struct counter {
  size_t live, calls, fail_at;
} counter;

static void *counted_alloc(size_t size, void *payload) {
  counter *c = payload;
  if (++c->calls == c->fail_at)
    return NULL;
  void *memory = malloc(size);
  c->live += memory != NULL;
  return memory;
}

static void counted_free(void *memory, void *payload) {
  ((counter *)payload)->live--;
  free(memory);
}

static void test_arguments(void **state) {
  glow_pool *pool = (glow_pool *)state;
  glow_executor executor = GLOW_EXECUTOR_INIT;
  glow_allocator half = {sizeof half, counted_alloc, NULL, NULL};
  assert_int_equal(glow_pool_create(NULL, 2, NULL), GLOW_E_ARGUMENT);
  assert_int_equal(glow_pool_create(NULL, 0, &pool), GLOW_E_ARGUMENT);
  assert_null(pool);
  assert_int_equal(glow_pool_create(NULL, UINT32_MAX, &pool), GLOW_E_ARGUMENT);
  assert_int_equal(glow_pool_create(&half, 2, &pool), GLOW_E_ARGUMENT);
  assert_int_equal(glow_pool_executor(NULL, &executor), GLOW_E_ARGUMENT);
  assert_int_equal(glow_pool_create(NULL, 2, &pool), GLOW_OK);
  assert_int_equal(glow_pool_executor(pool, NULL), GLOW_E_ARGUMENT);
  executor.struct_size = 8;
  assert_int_equal(glow_pool_executor(pool, &executor), GLOW_E_ARGUMENT);
  glow_pool_destroy(&pool);
  glow_pool_destroy(&pool);
  glow_pool_destroy(NULL);
}

static void test_without_memory(void **state) {
  glow_status status = GLOW_E_MEMORY;
  (void)state;
  for (size_t n = 1; status != GLOW_OK; n++) {
    counter c = {0, 0, n};
    glow_allocator table = {sizeof table, counted_alloc, counted_free, &c};
    glow_pool *pool = NULL;
    status = glow_pool_create(&table, 3, &pool);
    assert_true(status == GLOW_OK || (status == GLOW_E_MEMORY && !pool));
    glow_pool_destroy(&pool);
    assert_int_equal(c.live, 0);
  }
}

/* ---- glow_context_run
 * ------------------------------------------------------------------------------- */

static void test_context_runs_tasks(void **state) {
  glow_executor executor;
  glow_pool *pool = new_pool(3, &executor);
  glow_context parallel = {.executor = executor};
  glow_context serial = {.executor = {sizeof(glow_executor), 1, 0, NULL, NULL}};
  (void)state;
  for (uint32_t tasks = 0; tasks < 50; tasks++) {
    record *r = new_record(&executor, tasks);
    glow_context_run(&parallel, tasks, count_task, r);
    expect_once(r);
    free(r);
    r = new_record(&serial.executor, tasks);
    glow_context_run(&serial, tasks, count_task, r);
    expect_once(r);
    free(r);
  }
  glow_pool_destroy(&pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_task_once),
      cmocka_unit_test(test_shares),
      cmocka_unit_test(test_runs_in_a_row),
      cmocka_unit_test(test_quiet_when_idle),
      cmocka_unit_test(test_several_callers),
      cmocka_unit_test(test_run_inside_a_task),
      cmocka_unit_test(test_threads_run_together_with_signals_blocked),
      cmocka_unit_test(test_child_runs_and_destroys),
      cmocka_unit_test(test_child_destroys_its_context),
      cmocka_unit_test(test_child_of_a_pool_in_use),
      cmocka_unit_test(test_child_made_inside_a_task),
      cmocka_unit_test(test_arguments),
      cmocka_unit_test(test_without_memory),
      cmocka_unit_test(test_context_runs_tasks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
