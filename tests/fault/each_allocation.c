/* Calls with failing memory. SPDX-License-Identifier: MIT */
#include "each_allocation.h"

enum { MOST = 100000 };

static int64_t total;

/* ---- one trial ------------------------------------------------------------------------------- */

static void start(trial *t, const operation *op, const void *choice) {
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  memset(t, 0, sizeof *t);
  t->allocator = helper_allocator(&t->memory);
  t->choice = choice;
  o.allocator = &t->allocator;
  OK(glow_context_create(&o, &t->context));
  if (op->make)
    op->make(t);
}

static void end(trial *t, const operation *op) {
  if (op->destroy)
    op->destroy(t);
  glow_context_destroy(&t->context);
  if (t->memory.live)
    fail_msg("%s: %lld blocks are left at the end", op->name, (long long)t->memory.live);
}

static glow_status call(trial *t, const operation *op) {
  t->result = HASH_INIT;
  return op->run(t);
}

static uint64_t state_of(const trial *t, const operation *op) {
  uint64_t hash = HASH_INIT;
  if (op->state)
    op->state(t, &hash);
  return hash;
}

/* ---- what must hold -------------------------------------------------------------------------- */

static const char untouched[] = "the text of an older error";

/* A call in which something failed. */
static void check_failed(const trial *t, const operation *op, int64_t n, glow_status status) {
  const char *text = glow_last_error();
  if (status != GLOW_E_MEMORY)
    fail_msg("%s, allocation %lld fails: %s (%s)", op->name, (long long)n, glow_status_name(status),
             text);
  if (!strstr(text, "out of memory"))
    fail_msg("%s, allocation %lld fails: the error text is '%s'", op->name, (long long)n, text);
  (void)t;
}

/* The call with allocation n failing. False: it has fewer. */
static bool fail_at(trial *t, const operation *op, int64_t n, bool fail_on) {
  const int64_t live = t->memory.live, bytes = t->memory.bytes;
  const uint64_t before = state_of(t, op);
  t->memory.failures = 0;
  t->memory.fail_on = fail_on;
  glow_error(GLOW_E_STATE, "%s", untouched);
  t->memory.fail_at = t->memory.calls + n;
  glow_status status = call(t, op);
  t->memory.fail_at = 0;
  if (!t->memory.failures) {
    helper_ok(status, op->name, __FILE__, __LINE__);
    return false;
  }
  check_failed(t, op, n, status);
  if (t->memory.live != live || t->memory.bytes != bytes)
    fail_msg("%s, allocation %lld fails: %lld blocks and %lld bytes leak", op->name, (long long)n,
             (long long)(t->memory.live - live), (long long)(t->memory.bytes - bytes));
  if (state_of(t, op) != before)
    fail_msg("%s, allocation %lld fails: what it works on has changed", op->name, (long long)n);
  return true;
}

/* After a call that succeeded both are the same. */
static void check_twins(const trial *t, const trial *twin, const operation *op, int64_t n) {
  if (t->result != twin->result)
    fail_msg("%s, after allocation %lld failed: the call gives something else", op->name,
             (long long)n);
  if (state_of(t, op) != state_of(twin, op))
    fail_msg("%s, after allocation %lld failed: what it works on becomes something else", op->name,
             (long long)n);
  if (t->memory.live != twin->memory.live || t->memory.bytes != twin->memory.bytes)
    fail_msg("%s, after allocation %lld failed: %lld blocks more", op->name, (long long)n,
             (long long)(t->memory.live - twin->memory.live));
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* The call leaves its twin as it is, so the twin need not make it again. */
static bool is_pure(const trial *twin, const operation *op, uint64_t before, int64_t live) {
  return twin->memory.live == live && state_of(twin, op) == before;
}

/* Fails allocations first, first + stride, ... Returns how many. */
static int64_t fail_each(const operation *op, const void *choice, bool fail_on, int64_t first,
                         int64_t stride) {
  trial t, twin;
  int64_t tried = 0;
  bool pure = false, failed = true;
  start(&t, op, choice);
  start(&twin, op, choice);
  for (int64_t n = first; failed; n += stride) {
    failed = fail_at(&t, op, n, fail_on);
    if (failed)
      helper_ok(call(&t, op), op->name, __FILE__, __LINE__);
    if (!pure) {
      const uint64_t before = state_of(&twin, op);
      const int64_t live = twin.memory.live;
      helper_ok(call(&twin, op), op->name, __FILE__, __LINE__);
      pure = is_pure(&twin, op, before, live);
    }
    check_twins(&t, &twin, op, n);
    tried += failed;
    if (n > MOST)
      fail_msg("%s: no end of allocations", op->name);
  }
  end(&t, op);
  end(&twin, op);
  return tried;
}

/* How many allocations the call makes. */
static int64_t count(const operation *op, const void *choice) {
  trial t;
  start(&t, op, choice);
  int64_t before = t.memory.calls;
  helper_ok(call(&t, op), op->name, __FILE__, __LINE__);
  int64_t calls = t.memory.calls - before;
  end(&t, op);
  return calls;
}

int64_t some_allocations(const operation *op, const void *choice, int64_t most) {
  const int64_t allocations = count(op, choice);
  const bool all = getenv("GLOW_TEST_EXHAUSTIVE") != NULL;
  const int64_t stride = all ? 1 : (allocations + most - 1) / most;
  static int64_t turn; /* each operation leaves others out */
  int64_t tried = 0;
  if (!allocations)
    fail_msg("%s allocates nothing", op->name);
  for (int fail_on = 0; fail_on < 2; fail_on++)
    tried += fail_each(op, choice, fail_on, 1 + turn++ % stride, stride);
  total += tried;
  return tried;
}

int64_t each_allocation(const operation *op, const void *choice) {
  return some_allocations(op, choice, INT32_MAX);
}

int64_t each_allocation_total(void) {
  return total;
}

int each_allocation_report(void **state) {
  (void)state;
  print_message("%lld failed allocations were tried\n", (long long)total);
  return 0;
}
