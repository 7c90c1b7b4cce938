/* The engine of libglow-mpi on the ranks that mpirun starts: sums of all types, many at a time, in
 * the same bits on all ranks; broadcasts; refusals; and how a job ends. Usage: test_engine sums |
 * train | waits SECONDS | aborts | mismatch SECONDS. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <glow/glow.h>
#include <glow/mpi.h>

static int wrong;

static void expect_at(int line, const char *what, int good) {
  if (good)
    return;
  fprintf(stderr, "WRONG, line %d: %s (last error: %s)\n", line, what, glow_last_error());
  wrong = 1;
}
#define EXPECT(condition) expect_at(__LINE__, #condition, (condition))

typedef struct subject {
  glow_context *context;
  glow_mpi *mpi;
  glow_collective table;
} subject;

static void on_log(int32_t level, const char *text, void *payload) {
  (void)payload;
  if (level >= GLOW_LOG_WARNING)
    fprintf(stderr, "log: %s\n", text);
}

static subject start(double timeout) {
  subject s = {NULL, NULL, GLOW_COLLECTIVE_INIT};
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_mpi_options mpi_options = GLOW_MPI_OPTIONS_INIT;
  options.log = on_log;
  if (timeout > 0.0)
    mpi_options.timeout = timeout;
  EXPECT(glow_context_create(&options, &s.context) == GLOW_OK);
  EXPECT(glow_mpi_create(s.context, MPI_COMM_WORLD, &mpi_options, &s.mpi) == GLOW_OK);
  EXPECT(glow_mpi_collective(s.mpi, &s.table) == GLOW_OK);
  return s;
}

static void end(subject *s) {
  glow_mpi_destroy(&s->mpi);
  glow_mpi_destroy(&s->mpi);
  glow_context_destroy(&s->context);
}

static glow_status sum(const subject *s, void *elements, int64_t count, int32_t type) {
  void *request = NULL;
  glow_status status = s->table.sum_start(elements, count, type, &request, s->table.payload);
  return status == GLOW_OK ? s->table.sum_wait(request, s->table.payload) : status;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* In [-1, 1), of many magnitudes, so that another order of additions gives other bits. */
static double value(int rank, int64_t i) {
  uint64_t x = (uint64_t)(i + 1) * UINT64_C(0x9E3779B97F4A7C15) + (uint64_t)rank * 77003u;
  x = (x ^ x >> 31) * UINT64_C(0xBF58476D1CE4E5B9);
  x ^= x >> 29;
  return ldexp((double)(int64_t)x, -63 - (int)(x % 12));
}

/* The upper half of a float32, which is exactly a bfloat16. */
static uint16_t half_of(float v) {
  uint32_t bits;
  memcpy(&bits, &v, sizeof bits);
  return (uint16_t)(bits >> 16);
}

static float float_of(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

/* The same bits as on rank 0? */
static int same_bits(const subject *s, const void *elements, int64_t bytes) {
  void *other = malloc((size_t)bytes);
  if (!other)
    return 0;
  memcpy(other, elements, (size_t)bytes);
  int good = s->table.broadcast(other, bytes, 0, s->table.payload) == GLOW_OK &&
             memcmp(other, elements, (size_t)bytes) == 0;
  free(other);
  return good;
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* Elements from 1 to so many that Open MPI takes its algorithms for long messages. */
static const int64_t counts[] = {1, 3, 1000, 65537, 1 << 20};
enum { COUNTS = sizeof counts / sizeof *counts };

static void check_float32(const subject *s, int64_t count) {
  float *v = malloc((size_t)count * sizeof *v);
  for (int64_t i = 0; i < count; i++)
    v[i] = (float)value(s->table.rank, i);
  EXPECT(sum(s, v, count, GLOW_SUM_FLOAT32) == GLOW_OK);
  EXPECT(same_bits(s, v, count * (int64_t)sizeof *v));
  double worst = 0.0;
  for (int64_t i = 0; i < count; i++) {
    double exact = 0.0;
    for (int r = 0; r < s->table.size; r++)
      exact += (double)(float)value(r, i);
    worst = fmax(worst, fabs((double)v[i] - exact));
  }
  EXPECT(worst <= s->table.size * s->table.size * 0x1p-24); /* N - 1 roundings of at most N */
  free(v);
}

static void check_float64(const subject *s, int64_t count) {
  double *v = malloc((size_t)count * sizeof *v);
  for (int64_t i = 0; i < count; i++)
    v[i] = value(s->table.rank, i);
  EXPECT(sum(s, v, count, GLOW_SUM_FLOAT64) == GLOW_OK);
  EXPECT(same_bits(s, v, count * (int64_t)sizeof *v));
  double worst = 0.0;
  for (int64_t i = 0; i < count; i++) {
    long double exact = 0.0L;
    for (int r = 0; r < s->table.size; r++)
      exact += (long double)value(r, i);
    worst = fmax(worst, fabs((double)((long double)v[i] - exact)));
  }
  EXPECT(worst <= s->table.size * s->table.size * 0x1p-53);
  free(v);
}

static void check_bfloat16(const subject *s, int64_t count) {
  uint16_t *v = malloc((size_t)count * sizeof *v);
  for (int64_t i = 0; i < count; i++)
    v[i] = half_of((float)value(s->table.rank, i));
  EXPECT(sum(s, v, count, GLOW_SUM_BFLOAT16) == GLOW_OK);
  EXPECT(same_bits(s, v, count * (int64_t)sizeof *v));
  double worst = 0.0;
  for (int64_t i = 0; i < count; i++) {
    double exact = 0.0;
    for (int r = 0; r < s->table.size; r++)
      exact += (double)float_of(half_of((float)value(r, i)));
    worst = fmax(worst, fabs((double)float_of(v[i]) - exact));
  }
  EXPECT(worst <= s->table.size * s->table.size * 0x1p-8);
  free(v);
}

/* 256 + 1 is half-way between 256 and 258, and 258 + 1 between 258 and 260: ties go to even. */
static void check_ties(const subject *s) {
  const int first = s->table.rank == 0, second = s->table.rank == 1;
  uint16_t v[4] = {half_of(first    ? 256.0f
                           : second ? 1.0f
                                    : -0.0f),
                   half_of(first    ? 258.0f
                           : second ? 1.0f
                                    : -0.0f),
                   half_of(first ? (float)NAN : 0.0f), half_of(first ? INFINITY : 1.0f)};
  if (s->table.size < 2)
    return;
  EXPECT(sum(s, v, 4, GLOW_SUM_BFLOAT16) == GLOW_OK);
  EXPECT(float_of(v[0]) == 256.0f);
  EXPECT(float_of(v[1]) == 260.0f);
  EXPECT(isnan(float_of(v[2])));
  EXPECT(isinf(float_of(v[3])));
}

/* Zeros, also negative ones, change nothing. */
static void check_zeros(const subject *s) {
  float v[2] = {s->table.rank ? -0.0f : 0.1f, -0.0f};
  EXPECT(sum(s, v, 2, GLOW_SUM_FLOAT32) == GLOW_OK);
  EXPECT(v[0] == 0.1f && v[1] == 0.0f && signbit(v[1]));
}

enum { MANY = 300, PART = 5000 };

/* More at a time than the engine has room for at first. */
static void check_many(const subject *s) {
  static float v[MANY][PART];
  void *requests[MANY];
  for (int64_t k = 0; k < MANY; k++) {
    for (int64_t i = 0; i < PART; i++)
      v[k][i] = (float)(k + s->table.rank);
    EXPECT(s->table.sum_start(v[k], PART, GLOW_SUM_FLOAT32, &requests[k], s->table.payload) ==
           GLOW_OK);
    s->table.progress(s->table.payload);
  }
  EXPECT(s->table.sum_wait(requests[1], s->table.payload) == GLOW_E_STATE); /* not the first */
  for (int k = 0; k < MANY; k++)
    EXPECT(s->table.sum_wait(requests[k], s->table.payload) == GLOW_OK);
  const int n = s->table.size;
  int good = 1;
  for (int k = 0; k < MANY; k++)
    for (int i = 0; i < PART; i++)
      good &= v[k][i] == (float)(n * k + n * (n - 1) / 2);
  EXPECT(good);
}

static int all_are(const float *v, int64_t count, float wanted) {
  for (int64_t i = 0; i < count; i++)
    if (v[i] != wanted)
      return 0;
  return 1;
}

/* Progress alone ends all sums, long ones also after a short one that began before: that is looked
 * at before they are waited for, which callers must not do. A minute is for machines that are busy.
 */
static void check_progress(const subject *s) {
  enum { SUMS = 3, FLOATS = 1 << 20 };
  static const int64_t floats[SUMS] = {1, FLOATS, FLOATS};
  static float v[SUMS][FLOATS];
  void *requests[SUMS];
  const float wanted = (float)s->table.size;
  for (int k = 0; k < SUMS; k++) {
    for (int64_t i = 0; i < floats[k]; i++)
      v[k][i] = 1.0f;
    EXPECT(s->table.sum_start(v[k], floats[k], GLOW_SUM_FLOAT32, &requests[k], s->table.payload) ==
           GLOW_OK);
  }
  double begun = MPI_Wtime();
  for (int k = 0; k < SUMS; k++)
    while (!all_are(v[k], floats[k], wanted) && MPI_Wtime() < begun + 60.0)
      s->table.progress(s->table.payload);
  for (int k = 0; k < SUMS; k++) {
    EXPECT(all_are(v[k], floats[k], wanted));
    EXPECT(s->table.sum_wait(requests[k], s->table.payload) == GLOW_OK);
  }
}

/* MPI's own, but for when it is to fail: the engine finds this one first. */
static int test_fails;
int MPI_Test(MPI_Request *request, int *done, MPI_Status *status) {
  return test_fails ? MPI_ERR_OTHER : PMPI_Test(request, done, status);
}

/* A sum that fails in `progress`: its wait fails. */
static void check_failing_progress(void) {
  subject s = {NULL, NULL, GLOW_COLLECTIVE_INIT};
  float v = 1.0f;
  void *request = NULL;
  EXPECT(glow_context_create(NULL, &s.context) == GLOW_OK);
  EXPECT(glow_mpi_create(s.context, MPI_COMM_SELF, NULL, &s.mpi) == GLOW_OK);
  EXPECT(glow_mpi_collective(s.mpi, &s.table) == GLOW_OK);
  EXPECT(s.table.sum_start(&v, 1, GLOW_SUM_FLOAT32, &request, s.table.payload) == GLOW_OK);
  test_fails = 1;
  s.table.progress(s.table.payload);
  test_fails = 0;
  EXPECT(strstr(glow_last_error(), "a sum over 1 ranks failed: MPI says") != NULL);
  EXPECT(s.table.sum_wait(request, s.table.payload) == GLOW_E_STATE);
  glow_mpi_destroy(&s.mpi);
  glow_context_destroy(&s.context);
}

static void check_broadcast(const subject *s) {
  enum { BYTES = 3000001 };
  static unsigned char bytes[BYTES];
  for (int root = 0; root < s->table.size; root++) {
    memset(bytes, s->table.rank + 1, BYTES);
    EXPECT(s->table.broadcast(bytes, BYTES, root, s->table.payload) == GLOW_OK);
    EXPECT(bytes[0] == root + 1 && bytes[BYTES - 1] == root + 1);
  }
}

static void check_refusals(const subject *s) {
  float v = 0.0f;
  void *request, *payload = s->table.payload;
  glow_mpi *mpi = NULL;
  glow_mpi_options options = GLOW_MPI_OPTIONS_INIT;
  EXPECT(s->table.sum_start(NULL, 1, GLOW_SUM_FLOAT32, &request, payload) == GLOW_E_ARGUMENT);
  EXPECT(s->table.sum_start(&v, 0, GLOW_SUM_FLOAT32, &request, payload) == GLOW_E_ARGUMENT);
  EXPECT(s->table.sum_start(&v, 1, 1, &request, payload) == GLOW_E_ARGUMENT);
  EXPECT(s->table.sum_start(&v, (int64_t)1 << 31, GLOW_SUM_FLOAT32, &request, payload) ==
         GLOW_E_LIMIT);
  EXPECT(s->table.broadcast(&v, 4, s->table.size, payload) == GLOW_E_ARGUMENT);
  EXPECT(s->table.broadcast(&v, 0, 0, payload) == GLOW_E_ARGUMENT);
  EXPECT(glow_mpi_create(NULL, MPI_COMM_WORLD, NULL, &mpi) == GLOW_E_ARGUMENT);
  EXPECT(glow_mpi_create(s->context, MPI_COMM_NULL, NULL, &mpi) == GLOW_E_ARGUMENT);
  options.timeout = -1.0;
  EXPECT(glow_mpi_create(s->context, MPI_COMM_WORLD, &options, &mpi) == GLOW_E_ARGUMENT);
  options = (glow_mpi_options)GLOW_MPI_OPTIONS_INIT;
  options.struct_size = 4;
  EXPECT(glow_mpi_create(s->context, MPI_COMM_WORLD, &options, &mpi) == GLOW_E_ARGUMENT);
  glow_collective table = GLOW_COLLECTIVE_INIT;
  table.struct_size = 8;
  EXPECT(glow_mpi_collective(s->mpi, &table) == GLOW_E_ARGUMENT);
  struct {
    glow_mpi_options known;
    int64_t unknown;
  } newer = {GLOW_MPI_OPTIONS_INIT, 0};
  newer.known.struct_size = sizeof newer;
  EXPECT(glow_mpi_create(s->context, MPI_COMM_WORLD, &newer.known, &mpi) == GLOW_OK);
  glow_mpi_destroy(&mpi);
  newer.unknown = 1;
  EXPECT(glow_mpi_create(s->context, MPI_COMM_WORLD, &newer.known, &mpi) == GLOW_E_ARGUMENT);
}

#define SIZE(name, bytes) EXPECT(sizeof(name) == (bytes))
#define PLACE(name, field, at) EXPECT(offsetof(name, field) == (at))

/* Programs that were linked before rely on it. */
static void check_layout(void) {
  SIZE(glow_mpi_options, 16);
  PLACE(glow_mpi_options, timeout, 8);
}

static void sums(void) {
  subject s = start(0.0);
  for (int i = 0; i < COUNTS; i++) {
    check_float32(&s, counts[i]);
    check_float64(&s, counts[i]);
    check_bfloat16(&s, counts[i]);
  }
  check_ties(&s);
  check_zeros(&s);
  check_many(&s);
  check_progress(&s);
  check_failing_progress();
  check_broadcast(&s);
  check_refusals(&s);
  check_layout();
  end(&s);
}

/* ---- training -------------------------------------------------------------------------------- */

enum { SAMPLES = 60, STEPS = 20, DIMS = 4 * 4 * 2 };

/* Makes steps on samples [first, first + count) of a batch of SAMPLES; the loss of the last. */
static double steps(const subject *s, const glow_collective *table, int64_t first, int64_t count,
                    float *parameters) {
  static uint8_t pixels[SAMPLES * DIMS];
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  glow_glow_options options = GLOW_GLOW_OPTIONS_INIT;
  glow_trainer_options training = GLOW_TRAINER_OPTIONS_INIT;
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  options.input = (glow_shape){4, 4, 2};
  options.levels = 2;
  options.depth = 2;
  options.hidden = 16;
  glow_optimizer_options optimizer = GLOW_OPTIMIZER_OPTIONS_INIT;
  optimizer.kind = GLOW_OPTIMIZER_SGD; /* Adam makes a rounding of what is nearly 0 large */
  training.optimizer = &optimizer;
  training.micro_batch = 4;
  training.clip_norm = 1.0;
  for (int64_t i = 0; i < SAMPLES * DIMS; i++)
    pixels[i] = (uint8_t)(128.0 + 127.0 * value(0, i));
  EXPECT(glow_model_create_glow(s->context, &options, &model) == GLOW_OK);
  EXPECT(glow_trainer_create(model, &training, &trainer) == GLOW_OK);
  EXPECT(glow_trainer_set_collective(trainer, table, NULL) == GLOW_OK);
  EXPECT(glow_trainer_initialise_pixels(trainer, pixels + first * DIMS, NULL, count) == GLOW_OK);
  for (int i = 0; i < STEPS; i++)
    EXPECT(glow_trainer_step_pixels(trainer, pixels + first * DIMS, NULL, count, &report) ==
           GLOW_OK);
  memcpy(parameters, glow_model_parameters(model),
         (size_t)glow_model_parameter_count(model) * sizeof(float));
  int64_t floats = glow_model_parameter_count(model);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  if (table)
    EXPECT(same_bits(s, parameters, floats * (int64_t)sizeof(float)));
  return report.loss;
}

/* N ranks make the steps of one, within the rounding of sums. */
static void train(void) {
  enum { ROOM = 1 << 16 };
  static float joined[ROOM], alone[ROOM];
  subject s = start(0.0);
  int64_t share = SAMPLES / s.table.size;
  double together = steps(&s, &s.table, share * s.table.rank, share, joined);
  double single = steps(&s, NULL, 0, share * s.table.size, alone);
  double worst = 0.0, largest = 0.0;
  for (int i = 0; i < ROOM; i++) {
    worst = fmax(worst, fabs((double)joined[i] - (double)alone[i]));
    largest = fmax(largest, fabs((double)alone[i]));
  }
  if (s.table.rank == 0)
    printf("loss %.9f, of one process %.9f; parameters differ by %.2g of %.2g\n", together, single,
           worst, largest);
  EXPECT(fabs(together - single) <= 1e-6 * fabs(single));
  EXPECT(worst <= 1e-6 * largest);
  end(&s);
}

/* ---- how a job ends -------------------------------------------------------------------------- */

/* The last rank does not come. The others fail in time, name it, and end it. */
static void waits(double seconds) {
  subject s = start(seconds);
  float v = 1.0f;
  if (s.table.rank == s.table.size - 1)
    sleep(60);
  double begun = MPI_Wtime();
  glow_status status = sum(&s, &v, 1, GLOW_SUM_FLOAT32);
  double waited = MPI_Wtime() - begun;
  EXPECT(status == GLOW_E_IO);
  fprintf(stderr, "rank %d after %.1f s: %s\n", s.table.rank, waited, glow_last_error());
  EXPECT(sum(&s, &v, 1, GLOW_SUM_FLOAT32) == GLOW_E_STATE);
  EXPECT(waited >= seconds);
  s.table.abort("it was told to", s.table.payload);
  EXPECT(!"reached");
}

static void aborts(void) {
  subject s = start(0.0);
  float v = 1.0f;
  if (s.table.rank == s.table.size - 1)
    s.table.abort("its disk is full", s.table.payload);
  sum(&s, &v, 1, GLOW_SUM_FLOAT32);
  sleep(60);
}

/* Ranks that wait for different calls. */
static void mismatch(double seconds) {
  subject s = start(seconds);
  float v = 1.0f;
  glow_status status = s.table.rank ? sum(&s, &v, 1, GLOW_SUM_FLOAT32)
                                    : s.table.broadcast(&v, 4, 1, s.table.payload);
  fprintf(stderr, "rank %d: status %d: %s\n", s.table.rank, (int)status, glow_last_error());
  sleep(1);
  s.table.abort("calls differ", s.table.payload);
}

int main(int argc, char **argv) {
  int provided = 0;
  const char *what = argc > 1 ? argv[1] : "sums";
  double seconds = argc > 2 ? strtod(argv[2], NULL) : 2.0;
  glow_mpi *mpi = NULL;
  glow_context *context = NULL;
  EXPECT(glow_context_create(NULL, &context) == GLOW_OK);
  EXPECT(glow_mpi_create(context, MPI_COMM_WORLD, NULL, &mpi) == GLOW_E_STATE); /* too early */
  glow_context_destroy(&context);
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  if (strcmp(what, "sums") == 0)
    sums();
  else if (strcmp(what, "train") == 0)
    train();
  else if (strcmp(what, "waits") == 0)
    waits(seconds);
  else if (strcmp(what, "aborts") == 0)
    aborts();
  else if (strcmp(what, "mismatch") == 0)
    mismatch(seconds);
  MPI_Finalize();
  return wrong;
}
