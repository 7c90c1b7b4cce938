/* AMX is used where Linux allows it, and not where a stack for signals has no room for its tiles.
 * What Linux has allowed it does not take back, so the refusal comes first.
 * SPDX-License-Identifier: MIT */
#include <signal.h>

#include "../support/model_helpers.h"
#include "math/kernels16.h"

static glow_context *bfloat16_context(void) {
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  o.products = GLOW_PRODUCTS_BFLOAT16;
  OK(glow_context_create(&o, &context));
  return context;
}

static void test_small_stack(void **state) {
  static char small[4096];
  const stack_t stack = {.ss_sp = small, .ss_size = sizeof small};
  stack_t before;
  (void)state;
  if (sigaltstack(&stack, &before) != 0) /* 4096 bytes are too few for some CPUs in any case */
    skip();
  assert_string_not_equal(glow__kernels16_of("avx512"), "amx");
  glow_context *context = bfloat16_context();
  assert_string_not_equal(glow__context_kernels16(context)->name, "amx");
  glow_context_destroy(&context);
  assert_int_equal(sigaltstack(&before, NULL), 0);
}

static bool cpu_has_tiles(void) {
  FILE *file = fopen("/proc/cpuinfo", "r");
  char line[8192];
  bool found = false;
  while (file && fgets(line, sizeof line, file))
    found |= strncmp(line, "flags", 5) == 0 && strstr(line, " amx_bf16 ");
  if (file)
    fclose(file);
  return found;
}

static void test_enough_room(void **state) {
  (void)state;
#ifdef GLOW_HAVE_AMX
  if (!cpu_has_tiles() || strcmp(glow_kernels_name(0), "avx512") != 0)
    skip();
  glow_context *context = bfloat16_context();
  assert_string_equal(glow__context_kernels16(context)->name, "amx");
  glow_context_destroy(&context);
#else
  (void)cpu_has_tiles;
  skip();
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_small_stack),
                                     cmocka_unit_test(test_enough_room)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
