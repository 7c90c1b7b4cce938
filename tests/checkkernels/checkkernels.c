/* Checks every slot of every table of kernels that this CPU can run, and times them.
 *
 *   checkkernels [--test=TEXT] [--kernels=NAME] [--seed=N] [--bench[=MILLISECONDS]] [--list]
 *
 *   --test     only rows whose name contains TEXT
 *   --kernels  only this provider
 *   --seed     of the random shapes and numbers; else GLOW_TEST_SEED, else 1
 *   --bench    times each slot after its check, MILLISECONDS (default 50) for each case
 *   --list     names the rows and providers, and does nothing else
 *
 * A slot whose meaning is a formula in real numbers is held against the formula in double, plain C
 * as well; within a bound that a row gives a reason for. What must not depend on the instruction
 * set is compared with plain C bit by bit. Each row says what it does. Shapes are random, up to
 * sizes that have all kinds of edges. Reads and writes beyond an array meet a page that cannot be
 * touched; a kernel that crashes fails its row.
 *
 * The last line is `N passed, N failed`, a row of a provider counting as one.
 * SPDX-License-Identifier: MIT */
#include "checkkernels/checkkernels.h"

#include <glow/context.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkkernels/arrays.h"
#include "checkkernels/bench.h"

glow__kernels plain;
glow__kernels16 plain16;

/* ---- the list -------------------------------------------------------------------------------- */

enum { MOST_LISTS = 4 };

/* Rows over one kind of table. */
typedef struct family {
  const char *name;
  size_t first_slot, end; /* the slots of the table: places of functions, without gaps */
  const row *lists[MOST_LISTS];
} family;

static const family families[] = {
    {"float32",
     offsetof(glow__kernels, pack),
     sizeof(glow__kernels),
     {product_rows, function_rows, pointwise_rows, spline_rows}},
    {"bfloat16", offsetof(glow__kernels16, round), sizeof(glow__kernels16), {product16_rows}}};
enum { FAMILIES = sizeof families / sizeof *families, MOST_PROVIDERS = 8 };

static provider providers[FAMILIES][MOST_PROVIDERS]; /* each ends with one without a name */
static glow__kernels tables[MOST_PROVIDERS];
static glow__kernels16 tables16[MOST_PROVIDERS];

static void fill_providers(void) {
  const char *name;
  if (glow__kernels_fill(&plain, "c") != GLOW_OK)
    exit(2);
  glow__kernels16_fill(&plain16, "c");
  for (uint32_t i = 0; i + 1 < MOST_PROVIDERS && (name = glow_kernels_name(i)) != NULL; i++) {
    if (glow__kernels_fill(&tables[i], name) != GLOW_OK) {
      fprintf(stderr, "%s\n", glow_last_error());
      exit(2);
    }
    providers[0][i] = (provider){tables[i].name, &tables[i], NULL};
  }
  for (uint32_t i = 0; i + 1 < MOST_PROVIDERS && (name = glow__kernels16_name(i)) != NULL; i++) {
    glow__kernels16_fill(&tables16[i], name);
    providers[1][i] = (provider){tables16[i].name, NULL, &tables16[i]};
  }
}

/* ---- failures -------------------------------------------------------------------------------- */

static sigjmp_buf escape;
static const char *current_provider, *current_row;
static uint64_t seed = 1;

void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("FAILED %s, %s (seed %llu): ", current_provider, current_row, (unsigned long long)seed);
  vprintf(format, arguments);
  printf("\n");
  va_end(arguments);
  siglongjmp(escape, 1);
}

static void crashed(int signal) {
  siglongjmp(escape, signal + 1);
}

static void catch_crashes(void) {
  static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
  struct sigaction action = {.sa_handler = crashed};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    sigaction(signals[i], &action, NULL);
}

void same_bits(const char *what, const void *got, const void *expected, size_t bytes) {
  const unsigned char *a = got, *b = expected;
  for (size_t i = 0; i < bytes; i++)
    if (a[i] != b[i])
      fail("%s: byte %zu of %zu is %02x, not %02x", what, i, bytes, a[i], b[i]);
}

void near_to(const char *what, int64_t i, int64_t j, double got, double expected, double bound) {
  if (!isfinite(bound)) /* a term is infinite, and ReLU or the end of it leaves 0 */
    bound = 0;
  bool right = isnan(expected)   ? isnan(got)
               : isinf(expected) ? got == expected
                                 : fabs(got - expected) <= bound;
  if (!right)
    fail("%s: element (%lld, %lld) is %.9g, not %.9g within %.3g", what, (long long)i, (long long)j,
         got, expected, bound);
}

/* ---- what the rows of products share --------------------------------------------------------- */

glow_epilogue random_epilogue(const float *bias, const float *scale) {
  glow_epilogue e = {0};
  e.bias = below(2) ? bias : NULL;
  e.scale = below(2) ? scale : NULL;
  e.relu = (int32_t)below(2);
  e.accumulate = (int32_t)below(2);
  return e;
}

packing random_packing(bool special) {
  packing b = {.k = 1 + below(below(4) ? 40 : MOST_K), .n = 1 + below(MOST_N)};
  int64_t layout = below(3);
  b.rs = layout == 0 ? 1 : layout == 1 ? b.n : 2 * b.n;
  b.cs = layout == 0 ? b.k : layout == 1 ? 1 : 2;
  int64_t size = (b.k - 1) * b.rs + (b.n - 1) * b.cs + 1;
  b.b = numbers(size);
  if (special)
    sprinkle(b.b, size);
  return b;
}

double finish_exactly(double sum, float before, int64_t j, const glow_epilogue *e) {
  if (e->accumulate)
    sum += (double)before;
  if (e->bias)
    sum += (double)e->bias[j];
  if (e->scale)
    sum *= (double)e->scale[j];
  return e->relu && sum < 0 ? 0 : sum;
}

/* ---- checks that belong to no slot ----------------------------------------------------------- */

typedef void (*any_function)(void);

static any_function slot_at(const void *table, size_t slot) {
  any_function function;
  memcpy(&function, (const char *)table + slot, sizeof function);
  return function;
}

static const void *table_of(const provider *p) {
  return p->kernels ? (const void *)p->kernels : (const void *)p->kernels16;
}

static bool has_row(const family *f, size_t slot) {
  for (int l = 0; l < MOST_LISTS && f->lists[l]; l++)
    for (const row *r = f->lists[l]; r->name; r++)
      if (r->slot == slot)
        return true;
  return false;
}

/* Every slot is filled and has a row; and of a vector provider it is not plain C's, so that nothing
 * becomes slow unseen. */
static void check_slots(const provider *p) {
  const family *f = &families[p->kernels ? 0 : 1];
  bool vector = strcmp(p->name, "c") != 0 && strcmp(p->name, "cblas") != 0;
  const void *c = p->kernels ? (const void *)&plain : (const void *)&plain16;
  for (size_t slot = f->first_slot; slot < f->end; slot += sizeof(any_function)) {
    any_function function = slot_at(table_of(p), slot);
    if (!function)
      fail("the slot at byte %zu is empty", slot);
    if (!has_row(f, slot))
      fail("the slot at byte %zu has no row here", slot);
    if (vector && function == slot_at(c, slot))
      fail("the slot at byte %zu is plain C's", slot);
  }
}

static bool no_vectors(const char *name) {
  return strcmp(name, "c") == 0 || strcmp(name, "cblas") == 0;
}
static bool no_avx512(const char *name) {
  return strncmp(name, "avx512", 6) != 0;
}

static void expect_choice(const char *wanted, bool (*usable)(const char *), const char *expected) {
  const char *name = glow__kernels_choose(wanted, usable);
  bool right = name && expected ? strcmp(name, expected) == 0 : name == expected;
  if (!right)
    fail("%s chooses %s, not %s", wanted ? wanted : "NULL", name ? name : "nothing",
         expected ? expected : "nothing");
}

/* "auto" takes the first usable provider and never CBLAS; the others are found by name. */
static void check_choice(const provider *p) {
  (void)p;
  expect_choice(NULL, glow__kernels_cpu_has, glow_kernels_name(0));
  expect_choice("auto", glow__kernels_cpu_has, glow_kernels_name(0));
  expect_choice("none such", glow__kernels_cpu_has, NULL);
  for (uint32_t i = 0; glow_kernels_name(i); i++)
    expect_choice(glow_kernels_name(i), glow__kernels_cpu_has, glow_kernels_name(i));
  expect_choice(NULL, no_vectors, "c");
  expect_choice("auto", no_vectors, "c");
  expect_choice("avx2", no_vectors, NULL);
  expect_choice("neon", no_vectors, NULL);
#ifdef GLOW_BLAS_LIBRARY
  expect_choice("cblas", no_vectors, "cblas");
#endif
#ifdef GLOW_HAVE_X86_KERNELS
  expect_choice("auto", no_avx512, "avx2");
  expect_choice("avx512", no_avx512, NULL);
#else
  (void)no_avx512;
#endif
}

/* Which bfloat16 products go with this provider of float32. */
static void check_choice16(const provider *p) {
  const char *name = glow__kernels16_of(p->name);
  bool right = strcmp(p->name, "cblas") == 0 ? strcmp(name, "c") == 0
               : strcmp(name, "avx512bf16") == 0 || strcmp(name, "amx") == 0
                   ? strcmp(p->name, "avx512") == 0
                   : strcmp(name, p->name) == 0;
  if (!right)
    fail("bfloat16 products are those of %s", name);
}

static const row slots_row = {"slots", 0, 1, check_slots, NULL};
static const row choice_rows[] = {{"choice", 0, 1, check_choice, NULL},
                                  {"choice of bfloat16", 0, 1, check_choice16, NULL}};

/* ---- running --------------------------------------------------------------------------------- */

static struct {
  const char *test, *kernels;
  bool bench, list;
} options;
static volatile int passed, failed;

static bool wanted_row(const row *r) {
  return !options.test || strstr(r->name, options.test);
}
static bool wanted_provider(const provider *p) {
  return !options.kernels || strcmp(p->name, options.kernels) == 0;
}

static void check_row(const provider *p, const row *r) {
  if (!wanted_row(r) || !wanted_provider(p))
    return;
  current_provider = p->name;
  current_row = r->name;
  guard_reads(strcmp(p->name, "cblas") != 0); /* BLIS reads whole vectors at the end of rows */
  seed_random(seed, r->name);
  int reason = sigsetjmp(escape, 1);
  if (reason == 0) {
    for (int round = 0; round < r->rounds; round++) {
      r->check(p);
      check_arrays();
      free_arrays();
    }
    passed++;
  } else {
    failed++;
    if (reason > 1)
      printf("FAILED %s, %s (seed %llu): crashed with signal %d\n", p->name, r->name,
             (unsigned long long)seed, reason - 1);
  }
  free_arrays();
}

/* Plain C first, seen or not. */
static void bench_slot(const provider *list, const row *r) {
  if (!options.bench || !r->bench || !wanted_row(r))
    return;
  if (sigsetjmp(escape, 1) != 0) {
    failed++;
    return;
  }
  for (int others = 0; others < 2; others++)
    for (const provider *p = list; p->name; p++)
      if ((strcmp(p->name, "c") != 0) == others && (!others || wanted_provider(p))) {
        current_provider = p->name;
        current_row = r->name;
        seed_random(seed, r->name);
        bench_row(p, r, wanted_provider(p));
        free_arrays();
      }
}

static void run_family(const family *f, const provider *list) {
  for (const provider *p = list; p->name; p++) {
    int before = failed;
    check_row(p, &slots_row);
    for (size_t i = 0; p->kernels && i < sizeof choice_rows / sizeof *choice_rows; i++)
      check_row(p, &choice_rows[i]);
    for (int l = 0; l < MOST_LISTS && f->lists[l]; l++)
      for (const row *r = f->lists[l]; r->name; r++)
        check_row(p, r);
    if (wanted_provider(p))
      printf("%s, %s: %s\n", f->name, p->name, failed == before ? "in order" : "NOT IN ORDER");
    fflush(stdout);
  }
  for (int l = 0; l < MOST_LISTS && f->lists[l]; l++)
    for (const row *r = f->lists[l]; r->name; r++)
      bench_slot(list, r);
}

static void print_list(void) {
  for (int i = 0; i < FAMILIES; i++) {
    printf("%s:", families[i].name);
    for (const provider *p = providers[i]; p->name; p++)
      printf(" %s", p->name);
    printf("\n");
    for (int l = 0; l < MOST_LISTS && families[i].lists[l]; l++)
      for (const row *r = families[i].lists[l]; r->name; r++)
        printf("  %s%s\n", r->name, r->bench ? " (timed)" : "");
  }
}

static bool read_number(const char *text, double *value) {
  char *end;
  *value = strtod(text, &end);
  return end != text && !*end && *value >= 0 && *value < 0x1p53;
}

static bool read_option(const char *argument) {
  double value;
  const char *text = strchr(argument, '=');
  size_t length = text ? (size_t)(text++ - argument) : strlen(argument);
#define IS(option) (length == sizeof option - 1 && strncmp(argument, option, length) == 0)
  if (IS("--list") && !text)
    return options.list = true;
  if (IS("--test") && text)
    return (options.test = text) != NULL;
  if (IS("--kernels") && text)
    return (options.kernels = text) != NULL;
  if (IS("--seed") && text && read_number(text, &value)) {
    seed = (uint64_t)value;
    return true;
  }
  if (IS("--bench") && (!text || read_number(text, &value))) {
    if (text)
      bench_set_budget(value * 1e-3);
    return options.bench = true;
  }
#undef IS
  fprintf(stderr,
          "checkkernels: no option %s; there are --test=TEXT, --kernels=NAME, --seed=N, "
          "--bench[=MILLISECONDS] and --list\n",
          argument);
  return false;
}

int main(int argc, char **argv) {
  const char *text = getenv("GLOW_TEST_SEED");
  if (text)
    seed = strtoull(text, NULL, 10);
  for (int i = 1; i < argc; i++)
    if (!read_option(argv[i]))
      return 2;
  fill_providers();
  if (options.list) {
    print_list();
    return 0;
  }
  printf("seed %llu\n", (unsigned long long)seed);
  catch_crashes();
  for (int i = 0; i < FAMILIES; i++)
    run_family(&families[i], providers[i]);
  if (passed + failed == 0) {
    printf("no row of that name and provider\n");
    return 2;
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed ? 1 : 0;
}
