/* Operations with failing system calls. SPDX-License-Identifier: MIT */
#include "each_call.h"

#include <errno.h>
#include <time.h>

enum { MOST = 5000 };

const way reading_ways[] = {
    {"EIO once", EIO, 0, false, false, GLOW_E_IO, NULL},
    {"EIO from then on", EIO, INT64_MAX, false, false, GLOW_E_IO, NULL},
    {"EACCES from then on", EACCES, INT64_MAX, false, false, GLOW_E_IO, NULL},
    {"EMFILE once", EMFILE, 0, false, false, GLOW_E_MEMORY, NULL},
    {"ENFILE from then on", ENFILE, INT64_MAX, false, false, GLOW_E_MEMORY, NULL},
    {"ENOMEM once", ENOMEM, 0, false, false, GLOW_E_MEMORY, NULL},
    {"ENOMEM from then on", ENOMEM, INT64_MAX, false, false, GLOW_E_MEMORY, NULL},
    {"EINTR once", EINTR, 0, false, true, 0, NULL},
    {"EINTR some times", EINTR, 2, false, true, 0, NULL},
    {"one short read", WRAP_SHORT, 0, true, true, 0, NULL},
    {"short reads from then on", WRAP_SHORT, INT64_MAX, true, true, 0, NULL},
    {"the file ends early", WRAP_END_OF_FILE, 0, true, false, GLOW_E_IO, "shrank"},
    {.name = NULL},
};

const way thread_ways[] = {
    {"EAGAIN once", EAGAIN, 0, false, false, GLOW_E_MEMORY, NULL},
    {"EAGAIN from then on", EAGAIN, INT64_MAX, false, false, GLOW_E_MEMORY, NULL},
    {"ENOMEM once", ENOMEM, 0, false, false, GLOW_E_MEMORY, NULL},
    {"EPERM from then on", EPERM, INT64_MAX, false, false, GLOW_E_MEMORY, NULL},
    {.name = NULL},
};

/* ---- counting -------------------------------------------------------------------------------- */

static int64_t total, totals[WRAP_CALLS];

void each_call_count(void) {
  total += wrap.failures > 0;
  for (int k = 0; k < WRAP_CALLS; k++)
    totals[k] += wrap.failed[k] > 0;
}

int64_t each_call_total(void) {
  return total;
}

int each_call_report(void **state) {
  (void)state;
  print_message("%lld faults were tried; of these in", (long long)total);
  for (int k = 0; k < WRAP_CALLS; k++)
    if (totals[k])
      print_message(" %s %lld", wrap_names[k], (long long)totals[k]);
  print_message("\n");
  return 0;
}

/* ---- what is left ---------------------------------------------------------------------------- */

typedef struct left {
  int64_t blocks;
  int descriptors, mappings, threads;
} left;

static left look(const call_operation *op) {
  return (left){op->memory->live, count_descriptors(), count_mappings(), count_threads()};
}

/* A thread that was joined is listed for a moment still, also before the run. */
static bool nothing_is_left(const left *now, const left *before) {
  return now->blocks == before->blocks && now->descriptors == before->descriptors &&
         now->mappings == before->mappings && now->threads <= before->threads;
}

static void check_left(const call_operation *op, const way *w, int64_t n, const left *before) {
  const struct timespec moment = {0, 1000000};
  left now = look(op);
  for (int i = 0; i < 1000 && now.threads > before->threads; i++) {
    nanosleep(&moment, NULL);
    now = look(op);
  }
  if (!nothing_is_left(&now, before))
    fail_msg("%s, %s at call %lld: left over are %lld blocks, %d descriptors, %d mappings, %d "
             "threads",
             op->name, w->name, (long long)n, (long long)(now.blocks - before->blocks),
             now.descriptors - before->descriptors, now.mappings - before->mappings,
             now.threads - before->threads);
}

/* ---- one fault ------------------------------------------------------------------------------- */

/* Closing a file that was read can fail: nothing is lost. */
static bool only_closing(void) {
  return wrap.failures == wrap.failed[WRAP_CLOSE];
}

static void check_failed(const call_operation *op, const way *w, int64_t n, glow_status status) {
  const char *text = glow_last_error();
  const char *expected = w->text ? w->text : strerror(w->error);
  if (w->harmless)
    fail_msg("%s, %s at call %lld: not overcome: %s", op->name, w->name, (long long)n, text);
  if (status != w->status || !strstr(text, op->words) || !strstr(text, expected))
    fail_msg("%s, %s at call %lld: %s, '%s'", op->name, w->name, (long long)n,
             glow_status_name(status), text);
}

/* False: the run has fewer calls. */
static bool run_with_fault(const call_operation *op, const way *w, int64_t n, uint64_t expected) {
  const left before = look(op);
  uint64_t result = HASH_INIT;
  wrap = (wrap_fault){
      .active = true, .first = n, .more = w->more, .error = w->error, .only_moves = w->only_moves};
  glow_status status = op->run(op, &result);
  wrap.active = false;
  each_call_count();
  if (status != GLOW_OK)
    check_failed(op, w, n, status);
  else if (result != expected)
    fail_msg("%s, %s at call %lld: something else is read", op->name, w->name, (long long)n);
  else if (wrap.failures && !w->harmless && !only_closing())
    fail_msg("%s, %s at call %lld: passed over", op->name, w->name, (long long)n);
  check_left(op, w, n, &before);
  return wrap.failures > 0;
}

static void check_again(const call_operation *op, const way *w, int64_t n, uint64_t expected) {
  uint64_t result = HASH_INIT;
  helper_ok(op->run(op, &result), op->name, __FILE__, __LINE__);
  if (result != expected)
    fail_msg("%s, after %s at call %lld: something else", op->name, w->name, (long long)n);
}

int64_t each_call(const call_operation *op, const way *ways) {
  const int64_t before = total;
  uint64_t expected = HASH_INIT;
  helper_ok(op->run(op, &expected), op->name, __FILE__, __LINE__);
  for (const way *w = ways; w->name; w++) {
    int64_t n = 1;
    while (run_with_fault(op, w, n, expected)) {
      check_again(op, w, n++, expected);
      if (n > MOST)
        fail_msg("%s: no end of calls", op->name);
    }
    if (n == 1 && !w->only_moves)
      fail_msg("%s: no call fails", op->name);
  }
  return total - before;
}
