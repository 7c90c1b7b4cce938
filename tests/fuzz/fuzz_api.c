/* Fuzz target: sequences of calls of the library, legal and not, on a few small objects. Checked
 * after every call: the status is one of the known ones; a refusal has a text, gives no object and
 * changes nothing; a call in which an allocation failed says so; results are finite, or it is told
 * that they are not. At the end everything is destroyed, in an order of the input's choice, and no
 * memory is left.
 *
 * The same bytes make the same calls. With GLOW_FUZZ_TRACE=1 in the environment each is printed
 * with what it gave. SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glow/sys/base.h>

#include "api.h"

enum { MOST_CALLS = 64 };
static const char no_text[] = "no text";

/* ---- the trace ------------------------------------------------------------------------------- */

void api_tell(api *a, const char *format, ...) {
  va_list list;
  if (!a->trace)
    return;
  va_start(list, format);
  vfprintf(stderr, format, list);
  va_end(list);
  fputc('\n', stderr);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static bool is_known(glow_status status) {
  static const glow_status known[] = {
#define VALUE(name, value, text) value,
      GLOW_STATUS_LIST(VALUE)
#undef VALUE
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (status == known[i])
      return true;
  return false;
}

/* What is done to check must not fail, and must not take what is to fail from the next call. */
static uint64_t fingerprint(api *a) {
  api_memory held = a->memory;
  a->memory.fail_at = 0;
  uint64_t print = api_fingerprint(a);
  a->memory.fail_at = held.fail_at;
  a->memory.calls = held.calls;
  a->memory.failures = held.failures;
  return print;
}

void api_begin(api *a) {
  a->before = fingerprint(a);
  a->memory.failures = 0;
  glow_error(GLOW_E_STATE, "%s", no_text);
}

glow_status api_end(api *a, glow_status status, const char *text) {
  api_tell(a, "%s -> %s%s%s", text, glow_status_name(status), status ? ": " : "",
           status ? glow_last_error() : "");
  PROMISE(is_known(status));
  if (status == GLOW_OK) {
    a->may_change = false;
    return status;
  }
  PROMISE(strncmp(glow_last_error(), no_text, strlen(no_text)) != 0 && *glow_last_error());
  PROMISE(a->memory.failures == 0 || status == GLOW_E_MEMORY);
  PROMISE(a->memory.failures > 0 || status != GLOW_E_MEMORY);
  PROMISE(status != GLOW_E_CHECK);
  if (a->memory.failures) /* the next call has memory again */
    a->memory.fail_at = 0;
  if (!a->may_change)
    PROMISE(fingerprint(a) == a->before);
  a->may_change = false;
  return status;
}

/* ---- objects --------------------------------------------------------------------------------- */

int32_t api_number(const api *a, api_kind kind, const api_slot *slot) {
  return slot ? (int32_t)(slot - a->slots[kind]) : -1;
}

glow_context *api_context(api *a, int32_t *number) {
  uint8_t byte = api_byte(a);
  *number = byte % CONTEXTS;
  return byte == 255 ? NULL : a->contexts[*number];
}

static const char *const kind_names[] = {"net",       "layer",     "builder", "model",
                                         "workspace", "optimizer", "trainer", "rng"};

api_slot *api_pick(api *a, api_kind kind) {
  uint8_t byte = api_byte(a);
  for (int32_t i = 0; i < SLOTS; i++) {
    api_slot *slot = &a->slots[kind][(byte + i) % SLOTS];
    if (!slot->object)
      continue;
    api_tell(a, "  with %s %d", kind_names[kind], api_number(a, kind, slot));
    return slot;
  }
  return NULL;
}

void *api_object(api *a, api_slot *slot) {
  return slot && !api_rarely(a, 64) ? slot->object : NULL;
}

/* Those that work on a model go before it. */
static void destroy_users(api *a, int32_t model) {
  static const api_kind kinds[] = {API_WORKSPACE, API_OPTIMIZER, API_TRAINER};
  for (int32_t k = 0; k < 3; k++)
    for (int32_t i = 0; i < SLOTS; i++)
      if (a->slots[kinds[k]][i].object && a->slots[kinds[k]][i].model == model)
        api_remove(a, kinds[k], &a->slots[kinds[k]][i]);
}

#define DESTROY(type)                                                                              \
  do {                                                                                             \
    glow_##type *object = slot->object;                                                            \
    glow_##type##_destroy(&object);                                                                \
    slot->object = object;                                                                         \
  } while (0)

void api_remove(api *a, api_kind kind, api_slot *slot) {
  if (kind == API_MODEL)
    destroy_users(a, api_number(a, kind, slot));
  api_tell(a, "glow_%s_destroy(&%s %d)", kind_names[kind], kind_names[kind],
           api_number(a, kind, slot));
  switch (kind) {
  case API_NET: DESTROY(net); break;
  case API_LAYER: DESTROY(layer); break;
  case API_BUILDER: DESTROY(builder); break;
  case API_MODEL: DESTROY(model); break;
  case API_WORKSPACE: DESTROY(workspace); break;
  case API_OPTIMIZER: DESTROY(optimizer); break;
  case API_TRAINER: DESTROY(trainer); break;
  case API_RNG: DESTROY(rng); break;
  case API_KINDS: break;
  }
  PROMISE(!slot->object);
  free(slot->lent);
  memset(slot, 0, sizeof *slot);
}

api_slot *api_place(api *a, api_kind kind) {
  for (int32_t i = 0; i < SLOTS; i++)
    if (!a->slots[kind][i].object)
      return &a->slots[kind][i];
  api_slot *oldest = &a->slots[kind][0];
  api_remove(a, kind, oldest);
  return oldest;
}

void api_keep(api *a, api_kind kind, glow_status status, void *object, int32_t context,
              int32_t model) {
  PROMISE((status == GLOW_OK) == (object != NULL));
  if (!object)
    return;
  api_slot *slot = api_place(a, kind);
  *slot = (api_slot){.object = object, .context = context, .model = model};
  api_tell(a, "  gives %s %d", kind_names[kind], api_number(a, kind, slot));
}

/* ---- calls about objects of any kind --------------------------------------------------------- */

void api_destroy(api *a) {
  api_kind kind = (api_kind)(api_byte(a) % API_KINDS);
  api_slot *slot = api_pick(a, kind);
  if (slot)
    api_remove(a, kind, slot);
}

/* The next call that allocates so often meets it. */
void api_fail_allocation(api *a) {
  a->memory.calls = 0;
  a->memory.fail_at = 1 + api_byte(a);
  a->memory.fail_on = api_byte(a) % 2;
  api_tell(a, "allocation %d fails%s", a->memory.fail_at,
           a->memory.fail_on ? ", and all after it" : "");
}

/* Threads that nobody uses. */
static void other_pool(api *a) {
  glow_allocator allocator = api_allocator(&a->memory);
  glow_executor executor = GLOW_EXECUTOR_INIT;
  glow_pool *pool = NULL;
  uint8_t threads = api_byte(a), wrong = api_byte(a);
  if (wrong == 1)
    executor.struct_size = 4;
  glow_status status =
      CALL(a, glow_pool_create(&allocator, threads < 250 ? threads % 3 : UINT32_MAX, &pool));
  PROMISE((status == GLOW_OK) == (pool != NULL));
  CALL(a, glow_pool_executor(pool, wrong == 2 ? NULL : &executor));
  glow_pool_destroy(&pool);
  PROMISE(!pool);
  glow_pool_destroy(NULL);
}

/* A context of its own, which is not kept. */
void api_other_context(api *a) {
  static const char *const kernels[] = {NULL, "auto", "c", "", "none such", "avx2", "cblas"};
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_allocator allocator = api_allocator(&a->memory);
  glow_executor executor = GLOW_EXECUTOR_INIT;
  glow_context *context = NULL;
  uint8_t wrong = api_byte(a);
  if (wrong == 9) {
    other_pool(a);
    return;
  }
  if (wrong == 1)
    allocator.allocate = NULL;
  if (wrong == 2)
    allocator.struct_size = 8;
  o.allocator = &allocator;
  o.executor = wrong == 3 ? &executor : NULL; /* without a function */
  o.threads = wrong == 4 ? 2 : wrong == 5 ? UINT32_MAX : 0;
  o.kernels = kernels[api_byte(a) % 7];
  o.products = wrong == 6 ? GLOW_PRODUCTS_BFLOAT16 : wrong == 7 ? 1 : 0;
  o.reserved = wrong == 8;
  glow_status status =
      CALL(a, glow_context_create(api_options(a, &o, sizeof o, NULL, 0, 0), &context));
  PROMISE((status == GLOW_OK) == (context != NULL));
  glow_context_destroy(&context);
  PROMISE(!context);
  glow_context_destroy(&context);
  glow_context_destroy(NULL);
  glow_model_destroy(NULL);
  glow_workspace_destroy(NULL);
}

void api_random_numbers(api *a) {
  int32_t number;
  glow_context *context = api_context(a, &number);
  glow_rng *rng = NULL;
  api_slot *slot = api_pick(a, API_RNG);
  if (!slot || api_rarely(a, 4)) {
    glow_status status = CALL(a, glow_rng_create(context, api_byte(a), &rng));
    api_keep(a, API_RNG, status, rng, number, -1);
    return;
  }
  int64_t count = api_count(a);
  float *out = api_room(a, count);
  int32_t *order = api_scratch(a, sizeof *order * (size_t)(count > 0 ? count : 0));
  uint8_t which = api_byte(a);
  rng = slot->object;
  uint64_t position = glow_rng_position(rng);
  glow_status status = which % 4 == 0   ? CALL(a, glow_rng_uniform(rng, out, count))
                       : which % 4 == 1 ? CALL(a, glow_rng_normal(rng, out, count))
                       : which % 4 == 2 ? CALL(a, glow_rng_permutation(rng, order, count))
                                        : CALL(a, glow_rng_set_position(rng, UINT64_MAX - which));
  PROMISE(status == GLOW_OK || glow_rng_position(rng) == position);
  PROMISE(status != GLOW_OK || which % 4 > 1 || api_all_finite(out, count));
}

/* ---- the target ------------------------------------------------------------------------------ */

/* Tasks in the wrong order on three workers: results do not depend on it. */
static void run_backwards(void *payload, glow_task_fn fn, void *arg, uint32_t tasks) {
  (void)payload;
  for (uint32_t t = tasks; t-- > 0;)
    fn(arg, t, t % 3);
}

/* Two contexts: the best kernels on the caller's thread; and others, as the first byte says. */
static void make_contexts(api *a, uint8_t form) {
  glow_executor backwards = GLOW_EXECUTOR_INIT;
  glow_allocator allocator = api_allocator(&a->memory);
  backwards.workers = 3;
  backwards.run = run_backwards;
  for (int32_t i = 0; i < CONTEXTS; i++) {
    glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
    o.allocator = &allocator;
    if (i == 1) {
      o.executor = &backwards;
      o.kernels = form % 2 ? "c" : NULL;
      o.products = form % 4 > 1 ? GLOW_PRODUCTS_BFLOAT16 : GLOW_PRODUCTS_FLOAT32;
    }
    PROMISE(glow_context_create(&o, &a->contexts[i]) == GLOW_OK);
  }
}

static void make_call(api *a, const uint8_t *record) {
  static const api_call calls[] = {
#define ADDRESS(name) api_##name,
      API_CALLS(ADDRESS)
#undef ADDRESS
  };
  a->record = record;
  a->at = 1;
  calls[record[0] % API_CALL_COUNT](a);
  api_scratch_free(a);
}

static void end(api *a, uint8_t first) {
  a->memory.fail_at = 0;
  for (int32_t k = 0; k < API_KINDS; k++)
    for (int32_t i = 0; i < SLOTS; i++) {
      api_kind kind = (api_kind)((k + first) % API_KINDS);
      if (a->slots[kind][i].object)
        api_remove(a, kind, &a->slots[kind][i]);
    }
  for (int32_t i = 0; i < CONTEXTS; i++)
    glow_context_destroy(&a->contexts[i]);
  PROMISE(a->memory.live == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  api a;
  memset(&a, 0, sizeof a);
  if (size < 2)
    return 0;
  a.trace = fuzz_traces();
  make_contexts(&a, data[0]);
  for (size_t at = 2, calls = 0; at < size && calls < MOST_CALLS; at += RECORD, calls++) {
    uint8_t record[RECORD] = {0};
    memcpy(record, data + at, size - at < RECORD ? size - at : RECORD);
    make_call(&a, record);
  }
  end(&a, data[1]);
  return 0;
}
