/* Prints hashes of what models compute, with each provider of kernels but CBLAS: one_file [STEP],
 * of every STEP-th of the subjects of tests/bits. one_file.sh compares those of glow.c with the
 * library's. SPDX-License-Identifier: MIT */
#include "../bits/bits.h"

static const char *kernels;
static int32_t step = 1;

static void print_subject(const bits_subject *subject) {
  uint64_t hashes[BITS_QUANTITIES];
  bits_measure(subject, 1, kernels, hashes);
  for (int q = 0; q < BITS_QUANTITIES; q++)
    if (q != BITS_BFLOAT16 || bits_has_bfloat16(subject))
      printf("%s %s %s %016llx\n", kernels, subject->name, bits_quantity_names[q],
             (unsigned long long)hashes[q]);
}

static void print_hashes(void **state) {
  (void)state;
  for (uint32_t k = 0; (kernels = glow_kernels_name(k)); k++)
    for (int32_t i = 0; !helper_is_cblas(kernels) && i < bits_subject_count(); i += step) {
      const bits_subject subject = bits_subject_at(i);
      print_subject(&subject);
    }
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(print_hashes)};
  step = argc > 1 ? (int32_t)atoi(argv[1]) : 1;
  return step < 1 ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
