/* No bit of any result changes unless that is meant: hashes of what every layer and preset computes
 * are those of expected-KERNELS.txt, for each provider of kernels but CBLAS, and the same on 1 and
 * on 3 threads.
 *
 *   test_bits DIR            compares with the files in DIR
 *   test_bits --record DIR   writes them (record.sh)
 *
 * The lines of a file are `NAME QUANTITY HASH`, sorted; the quantities are those of bits.h. A line
 * at its head is a hash of what libm computes, which decides bits too: another version, or a CPU
 * for which it has other code, may round otherwise. Where it differs the comparison is skipped;
 * exit status 77 when nothing was compared. gcc 12 and clang 14, with -O2 and -O3, give the same
 * bits but for arrays of splines, in which they fuse other products with sums. So does bfloat16
 * with and without instructions for it, but for AMX. Its bits have lines of their own, "amx" in
 * place of "bfloat16"; lines of the one or the other that this CPU does not compute are passed
 * over, and stay in the file.
 * SPDX-License-Identifier: MIT */
#include "bits.h"
#include "math/kernels16.h"

enum { LINE = 160, THREADS = 3, MOST_KERNELS = 8, SKIPPED = 77 };

static const char *folder;
static int compared; /* providers */

/* ---- the machine ----------------------------------------------------------------------------- */

/* Functions of libm that the library calls, some of which choose their code by the CPU. */
static uint64_t hash_of_libm(void) {
  uint64_t hash = HASH_INIT;
  for (int i = 0; i < 128; i++) {
    volatile double argument = (i + 0.01) / 8; /* not known to the compiler */
    const double x = argument;
    const double values[] = {exp(x),  exp(-x), log(x), log1p(x),     expm1(-x),  tanh(x),
                             sqrt(x), sin(x),  cos(x), pow(x, 0.37), pow(0.9, x)};
    const float floats[] = {expf((float)x), expf((float)-x), log1pf((float)x), sqrtf((float)x)};
    hash_elements(&hash, values, sizeof values / sizeof *values, sizeof *values);
    hash_elements(&hash, floats, sizeof floats / sizeof *floats, sizeof *floats);
  }
  return hash;
}

static void describe_machine(char line[LINE]) {
  snprintf(line, LINE, "# machine: libm %012llx", (unsigned long long)hash_of_libm() >> 16);
}

/* ---- lines ----------------------------------------------------------------------------------- */

typedef struct lines {
  char (*at)[LINE];
  int32_t count;
} lines;

static void add_line(lines *all, const char *text) {
  all->at = realloc(all->at, (size_t)(all->count + 1) * sizeof *all->at);
  if (!all->at)
    fail_msg("no memory for the test");
  snprintf(all->at[all->count++], LINE, "%s", text);
}

static int by_text(const void *a, const void *b) {
  return strcmp(a, b);
}

/* What lines call products in bfloat16 with these kernels, on this CPU and on others. */
static const char *bfloat16_name(const char *kernels, bool here) {
  bool amx = strcmp(glow__kernels16_of(kernels), "amx") == 0;
  return amx == here ? "amx" : bits_quantity_names[BITS_BFLOAT16];
}

static bool is_computed_here(const char *line, const char *kernels) {
  char part[32];
  snprintf(part, sizeof part, " %s ", bfloat16_name(kernels, false));
  return !strstr(line, part);
}

/* Everything, measured again. 48 of the 64 bits of a hash are enough to notice a change. */
static lines measure(const char *kernels, uint32_t threads) {
  lines all = {NULL, 0};
  for (int32_t i = 0; i < bits_subject_count(); i++) {
    const bits_subject subject = bits_subject_at(i);
    uint64_t hashes[BITS_QUANTITIES];
    bits_measure(&subject, threads, kernels, hashes);
    for (int q = 0; q < BITS_QUANTITIES; q++) {
      char text[LINE];
      if (q == BITS_BFLOAT16 && !bits_has_bfloat16(&subject))
        continue;
      snprintf(text, sizeof text, "%s %s %012llx", subject.name,
               q == BITS_BFLOAT16 ? bfloat16_name(kernels, true) : bits_quantity_names[q],
               (unsigned long long)hashes[q] >> 16);
      add_line(&all, text);
    }
  }
  qsort(all.at, (size_t)all.count, sizeof *all.at, by_text);
  return all;
}

/* `NAME QUANTITY` of two lines, in the order of the lines. */
static int compare_keys(const char *a, const char *b) {
  size_t lengths[2] = {(size_t)(strrchr(a, ' ') - a), (size_t)(strrchr(b, ' ') - b)};
  size_t shorter = lengths[0] < lengths[1] ? lengths[0] : lengths[1];
  int order = memcmp(a, b, shorter);
  return order ? order : (lengths[0] > lengths[1]) - (lengths[0] < lengths[1]);
}

static void print_key(const char *line, const char *what) {
  print_error("  %.*s: %s\n", (int)(strrchr(line, ' ') - line), line, what);
}

/* Prints what differs; how many lines do. */
static int32_t differences(const lines *expected, const lines *found) {
  int32_t e = 0, f = 0, count = 0;
  while (e < expected->count || f < found->count) {
    int order = e == expected->count ? 1
                : f == found->count  ? -1
                                     : compare_keys(expected->at[e], found->at[f]);
    if (order < 0)
      print_key(expected->at[e], "was not computed");
    else if (order > 0)
      print_key(found->at[f], "is not among those expected");
    else if (strcmp(expected->at[e], found->at[f]) != 0)
      print_key(found->at[f], "other bits");
    count += order != 0 || strcmp(expected->at[e], found->at[f]) != 0;
    e += order <= 0;
    f += order >= 0;
  }
  return count;
}

/* ---- files ----------------------------------------------------------------------------------- */

static void name_file(const char *kernels, char path[512]) {
  snprintf(path, 512, "%s/expected-%s.txt", folder, kernels);
}

/* What this CPU computes, or what others do. machine: the line of it, empty without a file. */
static lines read_file(const char *kernels, bool here, char machine[LINE]) {
  char path[512], text[LINE];
  lines all = {NULL, 0};
  machine[0] = 0;
  name_file(kernels, path);
  FILE *file = fopen(path, "r");
  while (file && fgets(text, sizeof text, file)) {
    text[strcspn(text, "\n")] = 0;
    if (strncmp(text, "# machine", 9) == 0)
      memcpy(machine, text, LINE);
    else if (text[0] != '#' && strrchr(text, ' ') && is_computed_here(text, kernels) == here)
      add_line(&all, text);
  }
  if (file)
    fclose(file);
  return all;
}

static void write_file(const char *kernels, const lines *all) {
  char path[512], machine[LINE];
  name_file(kernels, path);
  describe_machine(machine);
  FILE *file = fopen(path, "w");
  bool good = file && fprintf(file, "# Written by tests/bits/record.sh.\n%s\n", machine) > 0;
  for (int32_t i = 0; good && i < all->count; i++)
    good = fprintf(file, "%s\n", all->at[i]) > 0;
  if (!file || fclose(file) != 0 || !good)
    fail_msg("cannot write %s", path);
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* The same for any number of threads, on every machine. */
static lines measure_twice(const char *kernels) {
  lines one = measure(kernels, 1), more = measure(kernels, THREADS);
  int32_t count = differences(&one, &more);
  free(more.at);
  if (count)
    fail_msg("%s: %d lines have other bits on %d threads than on 1", kernels, count, THREADS);
  return one;
}

static void record(void **state) {
  const char *kernels = *state;
  char machine[LINE];
  lines all = measure_twice(kernels), others = read_file(kernels, false, machine);
  for (int32_t i = 0; i < others.count; i++)
    add_line(&all, others.at[i]);
  qsort(all.at, (size_t)all.count, sizeof *all.at, by_text);
  write_file(kernels, &all);
  free(all.at);
  free(others.at);
}

/* Why there is nothing to compare with; NULL: there is. */
static const char *reason_to_skip(const char *expected_machine) {
  char machine[LINE];
  describe_machine(machine);
  if (!expected_machine[0])
    return "skipped: no bits are recorded for these kernels";
  if (strcmp(machine, expected_machine) == 0)
    return NULL;
  print_message("recorded on: %s, this is: %s\n", expected_machine + 2, machine + 2);
  return "skipped: bits were recorded with a libm that rounds otherwise";
}

static void check(void **state) {
  const char *kernels = *state;
  char machine[LINE];
  lines found = measure_twice(kernels), expected = read_file(kernels, true, machine);
  const char *reason = reason_to_skip(machine);
  int32_t count = reason ? 0 : differences(&expected, &found);
  free(found.at);
  free(expected.at);
  if (reason) {
    print_message("%s: %s\n", kernels, reason);
    skip();
  }
  compared++;
  if (count)
    fail_msg("%s: %d lines differ from expected-%s.txt (tests/bits/record.sh, if that is meant)",
             kernels, count, kernels);
}

int main(int argc, char **argv) {
  struct CMUnitTest tests[MOST_KERNELS];
  size_t count = 0;
  bool recording = argc == 3 && strcmp(argv[1], "--record") == 0;
  if (argc != 2 && !recording) {
    fprintf(stderr, "usage: test_bits [--record] DIR\n");
    return 2;
  }
  folder = argv[argc - 1];
  for (uint32_t i = 0; glow_kernels_name(i) && count < MOST_KERNELS; i++) {
    const char *name = glow_kernels_name(i);
    if (!helper_is_cblas(name))
      tests[count++] = (struct CMUnitTest){name, recording ? record : check, NULL, NULL,
                                           (void *)(uintptr_t)name};
  }
  int failed = _cmocka_run_group_tests("bits", tests, count, NULL, NULL);
  return failed ? 1 : compared || recording ? 0 : SKIPPED;
}
