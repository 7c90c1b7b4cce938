/* The n-th thread of a pool cannot be started, or what it needs cannot be made: the threads that
 * run end, and memory and the signal mask are as before. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>

#include "each_call.h"

enum { THREADS = 4 };

static helper_memory memory;

/* Each task writes its square. */
static void square(void *arg, uint32_t task, uint32_t worker) {
  uint32_t *squares = arg;
  (void)worker;
  squares[task] = task * task;
}

static void run_squares(const glow_executor *executor, uint64_t *result) {
  uint32_t squares[64] = {0};
  executor->run(executor->payload, square, squares, 64);
  hash_fold(result, squares, sizeof squares);
}

static void check_signals(const sigset_t *before) {
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, NULL, &after);
  for (int s = 1; s < 32; s++)
    assert_int_equal(sigismember(before, s), sigismember(&after, s));
}

static glow_status make_pool(const call_operation *op, uint64_t *result) {
  const glow_allocator allocator = helper_allocator(op->memory);
  glow_executor executor = GLOW_EXECUTOR_INIT;
  glow_pool *pool = NULL;
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, NULL, &before);
  glow_status status = glow_pool_create(&allocator, THREADS, &pool);
  check_signals(&before);
  assert_int_equal(status == GLOW_OK, pool != NULL);
  if (pool) {
    OK(glow_pool_executor(pool, &executor));
    run_squares(&executor, result);
  }
  glow_pool_destroy(&pool);
  return status;
}

static glow_status make_context(const call_operation *op, uint64_t *result) {
  const glow_allocator allocator = helper_allocator(op->memory);
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  o.allocator = &allocator;
  o.threads = THREADS;
  glow_status status = glow_context_create(&o, &context);
  assert_int_equal(status == GLOW_OK, context != NULL);
  hash_number(result, glow_context_workers(context));
  glow_context_destroy(&context);
  return status;
}

static void test_pool(void **state) {
  (void)state;
  each_call(&(call_operation){"pool", "a pool's 4 threads", make_pool, NULL, &memory}, thread_ways);
}

static void test_context(void **state) {
  (void)state;
  each_call(&(call_operation){"context", "a pool's 4 threads", make_context, NULL, &memory},
            thread_ways);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_pool), cmocka_unit_test(test_context)};
  return cmocka_run_group_tests(tests, NULL, each_call_report);
}
