/* A run that was stopped, loaded in a new process and continued equals one that was not, bit for
 * bit: parameters, moments, average and counts. What a checkpoint says is checked like what a
 * caller says. The program calls itself for the continued half:
 *   test_checkpoint FILE OUT STEPS THREADS
 * SPDX-License-Identifier: MIT */
#include "checkpoint_case.h"

#include <sys/wait.h>
#include <unistd.h>

#include "io/checkpoint.h"

static const char *program;

/* ---- 40 = 20 + 20 ---------------------------------------------------------------------------- */

static int continue_run(char **arguments) {
  glow_context *context = new_context((uint32_t)atoi(arguments[4]), NULL);
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  ok(glow_checkpoint_load(context, arguments[1], &model, &trainer));
  const char *kind = glow_trainer_note(trainer, "kind");
  assert_non_null(kind);
  make_steps(trainer, model, atoi(arguments[3]), strcmp(kind, "pixels") == 0);
  save_case(trainer, arguments[2], kind);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return 0;
}

static void continue_in_new_process(const char *from, const char *to, int steps, int threads) {
  char counts[2][16];
  int status = -1;
  snprintf(counts[0], sizeof counts[0], "%d", steps);
  snprintf(counts[1], sizeof counts[1], "%d", threads);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    execl(program, program, from, to, counts[0], counts[1], (char *)NULL);
    _exit(127);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    fail_msg("the continued process ended with status %d", status);
}

static void check_continued(int32_t optimizer, int32_t mode, int variant) {
  const bool pixels = variant % 2 == 0;
  const char *kind = pixels ? "pixels" : "floats";
  bench whole = open_case(1 + (uint32_t)variant % 3, optimizer, mode, variant);
  bench half = open_case(1, optimizer, mode, variant);
  const int first = variant == 3 ? 1 : 20; /* a warm-up, an average just begun */
  make_steps(whole.trainer, whole.model, 40, pixels);
  make_steps(half.trainer, half.model, first, pixels);
  save_case(whole.trainer, temp_path("whole"), kind);
  save_case(half.trainer, temp_path("half"), kind);
  close_bench(&whole);
  close_bench(&half);
  continue_in_new_process(temp_path("half"), temp_path("continued"), 40 - first,
                          1 + (variant + 1) % 3);
  if (!same_files(temp_path("whole"), temp_path("continued")))
    fail_msg("optimizer %d, mode %d, variant %d: the continued run differs", (int)optimizer,
             (int)mode, variant);
  assert_false(same_files(temp_path("half"), temp_path("continued")));
}

static void test_continued(void **state) {
  (void)state;
  for (int32_t optimizer = GLOW_OPTIMIZER_SGD; optimizer <= GLOW_OPTIMIZER_LION; optimizer++)
    for (int32_t mode = GLOW_MODE_STORED; mode <= GLOW_MODE_RECONSTRUCTED; mode++)
      for (int variant = 0; variant < CASE_VARIANTS; variant++)
        check_continued(optimizer, mode, variant);
}

/* A standard normal. */
static glow_status normal_density(const float *x, int64_t first, int64_t count, double *log_p,
                                  float *gradient, void *payload) {
  const int64_t dims = *(const int64_t *)payload;
  (void)first;
  for (int64_t n = 0; n < count; n++) {
    log_p[n] = 0.0;
    for (int64_t i = n * dims; i < (n + 1) * dims; i++)
      log_p[n] -= 0.5 * (double)x[i] * (double)x[i];
    for (int64_t i = n * dims; gradient && i < (n + 1) * dims; i++)
      gradient[i] = -x[i];
  }
  return GLOW_OK;
}

static void target_steps(glow_trainer *trainer, const glow_model *model, int steps) {
  int64_t dims = glow_model_dims(model);
  glow_target target = GLOW_TARGET_INIT;
  target.density = normal_density;
  target.payload = &dims;
  for (int i = 0; i < steps; i++) {
    target.objective = i % 2 ? GLOW_FORWARD_KL : GLOW_REVERSE_KL;
    ok(glow_trainer_step_target(trainer, &target, CASE_BATCH, NULL, NULL));
  }
}

/* Steps towards a target draw the samples that they would have drawn, and the trainer can make
 * them. */
static void test_targets_continue(void **state) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  bench whole = {new_context(1, NULL), NULL, NULL}, half = {whole.context, NULL, NULL};
  (void)state;
  o.micro_batch = 3;
  o.inverse_backward = 1;
  o.seed = 9;
  whole.model = new_stirred_model(whole.context, NULL);
  ok(glow_trainer_create(whole.model, &o, &whole.trainer));
  target_steps(whole.trainer, whole.model, 4);
  ok(glow_checkpoint_save(whole.trainer, temp_path("half"), NULL, 0));
  ok(glow_checkpoint_load(half.context, temp_path("half"), &half.model, &half.trainer));
  target_steps(whole.trainer, whole.model, 3);
  target_steps(half.trainer, half.model, 3);
  ok(glow_checkpoint_save(whole.trainer, temp_path("whole"), NULL, 0));
  ok(glow_checkpoint_save(half.trainer, temp_path("continued"), NULL, 0));
  assert_true(same_files(temp_path("whole"), temp_path("continued")));
  assert_false(same_files(temp_path("whole"), temp_path("half")));
  glow_trainer_destroy(&half.trainer);
  glow_model_destroy(&half.model);
  close_bench(&whole);
}

/* Before the first step there is a state too. */
static void test_no_steps_yet(void **state) {
  bench whole = open_case(1, GLOW_OPTIMIZER_ADAM, GLOW_MODE_STORED, 0);
  (void)state;
  save_case(whole.trainer, temp_path("half"), "pixels");
  make_steps(whole.trainer, whole.model, 5, true);
  save_case(whole.trainer, temp_path("whole"), "pixels");
  close_bench(&whole);
  continue_in_new_process(temp_path("half"), temp_path("continued"), 5, 2);
  assert_true(same_files(temp_path("whole"), temp_path("continued")));
}

static void test_use_of_the_average_changes_nothing(void **state) {
  bench b = open_case(1, GLOW_OPTIMIZER_ADAM, GLOW_MODE_STORED, 0);
  (void)state;
  make_steps(b.trainer, b.model, 3, true);
  save_case(b.trainer, temp_path("a"), "pixels");
  ok(glow_trainer_use_average(b.trainer, 1));
  save_case(b.trainer, temp_path("b"), "pixels");
  assert_true(same_files(temp_path("a"), temp_path("b")));
  ok(glow_trainer_use_average(b.trainer, 0));
  make_steps(b.trainer, b.model, 1, true);
  close_bench(&b);
}

/* ---- the models in a checkpoint -------------------------------------------------------------- */

static void same_as_saved(glow_context *context, const char *name, const glow_model *model) {
  glow_model *saved = NULL;
  ok(glow_model_load(context, temp_path(name), &saved));
  same_bits(model, glow_model_parameters(saved));
  assert_true(glow_model_initialised(model));
  glow_model_destroy(&saved);
}

static void test_models(void **state) {
  bench b = open_case(1, GLOW_OPTIMIZER_ADAM, GLOW_MODE_STORED, 0);
  glow_model *model = NULL;
  (void)state;
  save_case(b.trainer, temp_path("a"), "pixels");
  refused(glow_checkpoint_load_average(b.context, temp_path("a"), &model), GLOW_E_STATE,
          "no averaged parameters");
  make_steps(b.trainer, b.model, 4, true);
  save_case(b.trainer, temp_path("a"), "pixels");
  ok(glow_model_save(b.model, temp_path("trained")));
  ok(glow_trainer_use_average(b.trainer, 1));
  ok(glow_model_save(b.model, temp_path("averaged")));
  assert_false(same_files(temp_path("trained"), temp_path("averaged")));
  ok(glow_model_load(b.context, temp_path("a"), &model));
  same_as_saved(b.context, "trained", model);
  glow_model_destroy(&model);
  ok(glow_checkpoint_load_average(b.context, temp_path("a"), &model));
  same_as_saved(b.context, "averaged", model);
  glow_model_destroy(&model);
  refused(glow_checkpoint_load_average(b.context, temp_path("trained"), &model), GLOW_E_FORMAT,
          "not a checkpoint");
  assert_null(model);
  close_bench(&b);
}

/* ---- outputs and inputs ---------------------------------------------------------------------- */

typedef struct memory {
  unsigned char bytes[1 << 17];
  size_t used;
} memory;

static glow_status take_bytes(void *payload, const void *data, size_t bytes) {
  memory *m = payload;
  if (bytes > sizeof m->bytes - m->used)
    return GLOW_E_LIMIT;
  memcpy(m->bytes + m->used, data, bytes);
  m->used += bytes;
  return GLOW_OK;
}

static glow_status give_bytes(void *payload, int64_t offset, void *buffer, size_t bytes) {
  const memory *m = payload;
  memcpy(buffer, m->bytes + offset, bytes);
  return GLOW_OK;
}

/* Loads, goes on, and compares with the run that was not stopped. */
static void goes_on(const bench *b, const glow_input *input) {
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  ok(glow_checkpoint_load_input(b->context, input, &model, &trainer));
  make_steps(trainer, model, 2, true);
  same_bits(b->model, glow_model_parameters(model));
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

static void test_outputs_and_inputs(void **state) {
  static memory taken, given;
  bench b = open_case(1, GLOW_OPTIMIZER_ADAM, GLOW_MODE_STORED, 0);
  glow_output output = GLOW_OUTPUT_INIT;
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  size_t written = 0;
  (void)state;
  make_steps(b.trainer, b.model, 3, true);
  ok(glow_checkpoint_save(b.trainer, temp_path("a"), NULL, 0));
  output.write = take_bytes;
  output.payload = &taken;
  ok(glow_checkpoint_save_output(b.trainer, &output, NULL, 0));
  output = (glow_output)GLOW_OUTPUT_INIT;
  output.buffer = given.bytes;
  output.capacity = sizeof given.bytes;
  output.written = &written;
  output.storage = GLOW_TYPE_F32;
  ok(glow_checkpoint_save_output(b.trainer, &output, NULL, 0));
  assert_int_equal(written, taken.used);
  assert_memory_equal(given.bytes, taken.bytes, written);
  output.storage = GLOW_TYPE_BF16;
  refused(glow_checkpoint_save_output(b.trainer, &output, NULL, 0), GLOW_E_ARGUMENT, "bfloat16");
  refused(glow_checkpoint_save_output(b.trainer, NULL, NULL, 0), GLOW_E_ARGUMENT, "NULL");
  make_steps(b.trainer, b.model, 2, true);

  glow_input input = GLOW_INPUT_INIT;
  input.path = temp_path("a");
  goes_on(&b, &input);
  input.flags = GLOW_INPUT_MAP;
  goes_on(&b, &input);
  input.flags = GLOW_INPUT_LAZY;
  goes_on(&b, &input);
  input = (glow_input)GLOW_INPUT_INIT;
  input.data = given.bytes;
  input.size = (int64_t)taken.used;
  goes_on(&b, &input);
  ok(glow_checkpoint_load_average_input(b.context, &input, &model));
  glow_model_destroy(&model);
  input.data = NULL;
  input.read = give_bytes;
  input.payload = &taken;
  goes_on(&b, &input);
  glow_limits limits = GLOW_LIMITS_INIT;
  limits.workspace_bytes = 1000;
  input.limits = &limits;
  refused(glow_checkpoint_load_input(b.context, &input, &model, &trainer), GLOW_E_LIMIT,
          "workspace_bytes");
  assert_true(!model && !trainer);
  limits.workspace_bytes = (int64_t)glow_workspace_bytes(glow_trainer_workspace(b.trainer));
  goes_on(&b, &input);
  limits.workspace_bytes = -1;
  refused(glow_checkpoint_load_input(b.context, &input, &model, &trainer), GLOW_E_ARGUMENT,
          "workspace_bytes");
  refused(glow_checkpoint_load_input(b.context, NULL, &model, &trainer), GLOW_E_ARGUMENT, "NULL");
  refused(glow_checkpoint_load_average_input(b.context, NULL, &model), GLOW_E_ARGUMENT, "NULL");
  close_bench(&b);
}

/* ---- the record ------------------------------------------------------------------------------ */

/* Bytes of a struct that no row of the table carries, but for those named here. */
typedef struct exempt {
  size_t offset, size;
} exempt;

#define EXEMPT(type, field)                                                                        \
  { offsetof(type, field), sizeof(((type *)0)->field) }

/* The same with the padding up to where a field of 8 bytes may be. */
#define EXEMPT_PADDED(type, field)                                                                 \
  {                                                                                                \
    offsetof(type, field),                                                                         \
        PADDED(offsetof(type, field) + sizeof(((type *)0)->field)) - offsetof(type, field)         \
  }
#define PADDED(end) (((end) + _Alignof(int64_t) - 1) / _Alignof(int64_t) * _Alignof(int64_t))

static void check_rows(const char *key, size_t size, const exempt *exempts, int count) {
  bool covered[512] = {false};
  const glow__field_group *group = NULL;
  assert_true(size <= sizeof covered);
  for (int i = 0; i < GLOW_FIELD_GROUPS; i++)
    if (strcmp(glow__checkpoint_groups[i].key, key) == 0)
      group = &glow__checkpoint_groups[i];
  assert_non_null(group);
  for (int32_t i = 0; i < group->count; i++)
    for (size_t k = 0; k < glow__field_size(group->fields[i].type); k++)
      covered[group->fields[i].offset + k] = true;
  for (int i = 0; i < count; i++)
    for (size_t k = 0; k < exempts[i].size; k++)
      covered[exempts[i].offset + k] = true;
  for (size_t i = 0; i < size; i++)
    if (!covered[i])
      fail_msg("byte %zu of %s has no row in lib/io/checkpoint_record.c", i, key);
}

static void test_every_field_has_a_row(void **state) {
  static const exempt trainer[] = {EXEMPT(glow_trainer_options, struct_size),
                                   EXEMPT(glow_trainer_options, optimizer),
                                   EXEMPT_PADDED(glow_trainer_options, schedule)};
  static const exempt optimizer[] = {EXEMPT(glow_optimizer_options, struct_size),
                                     EXEMPT_PADDED(glow_optimizer_options, reserved)};
  static const exempt schedule[] = {EXEMPT(glow_schedule, struct_size),
                                    EXEMPT_PADDED(glow_schedule, reserved)};
  (void)state;
  check_rows("trainer", sizeof(glow_trainer_options), trainer, 3);
  check_rows("optimizer", sizeof(glow_optimizer_options), optimizer, 2);
  check_rows("schedule", sizeof(glow_schedule), schedule, 2);
  check_rows("progress", sizeof(glow__progress), NULL, 0);
}

/* Values that a shorter text would change. */
static void test_numbers_keep_their_bits(void **state) {
  glow_context *context = new_context(1, NULL);
  glow__record r = {GLOW_TRAINER_OPTIONS_INIT,
                    GLOW_OPTIMIZER_OPTIONS_INIT,
                    GLOW_SCHEDULE_INIT,
                    {INT64_MAX / 2, INT64_MAX / 2, UINT64_MAX, 1},
                    0};
  glow__record back;
  char *text = NULL;
  (void)state;
  r.trainer.optimizer = &back.optimizer;
  r.trainer.schedule = &back.schedule;
  r.trainer.seed = UINT64_C(1) << 63 | 1;
  r.trainer.average_decay = nextafter(1.0, 0.0);
  r.trainer.clip_norm = 0.1 + 0.2;
  r.trainer.clip_value = 5e-324;
  r.trainer.gain_l2 = 5e-5;
  r.trainer.mode = GLOW_MODE_RECONSTRUCTED;
  r.optimizer.epsilon = 2.2250738585072014e-308;
  r.optimizer.weight_decay = 1.7976931348623157e308;
  r.optimizer.beta1 = -0.0;
  r.schedule.rate = 1.0 / 3.0;
  ok(glow__record_write(context, &r, &text));
  ok(glow__record_read(context, text, &back));
  assert_memory_equal(&back, &r, sizeof r);
  glow_release(context, text);
  glow_context_destroy(&context);
}

static void test_options_come_back(void **state) {
  bench b = open_case(1, GLOW_OPTIMIZER_ADAMAX, GLOW_MODE_RECONSTRUCTED, 2);
  glow_trainer_options before = GLOW_TRAINER_OPTIONS_INIT, after = GLOW_TRAINER_OPTIONS_INIT;
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  (void)state;
  save_case(b.trainer, temp_path("a"), "pixels");
  ok(glow_checkpoint_load(b.context, temp_path("a"), &model, &trainer));
  ok(glow_trainer_get_options(b.trainer, &before));
  ok(glow_trainer_get_options(trainer, &after));
  assert_memory_equal(before.optimizer, after.optimizer, sizeof *before.optimizer);
  assert_memory_equal(before.schedule, after.schedule, sizeof *before.schedule);
  assert_true(after.optimizer != before.optimizer && after.schedule != before.schedule);
  before.optimizer = after.optimizer;
  before.schedule = after.schedule;
  assert_memory_equal(&before, &after, sizeof before);
  schedule.rate = 0.125;
  ok(glow_trainer_set_schedule(trainer, &schedule));
  uint8_t *pixels = new_pixels(b.context, model, 2, 1);
  const int32_t labels[2] = {0, 1};
  ok(glow_trainer_step_pixels(trainer, pixels, labels, 2, &report));
  assert_true(report.rate == 0.125);
  schedule.final = 0.0;
  refused(glow_trainer_set_schedule(trainer, &schedule), GLOW_E_ARGUMENT, "final");
  ok(glow_trainer_get_options(trainer, &after));
  assert_true(after.schedule->rate == 0.125 && after.schedule->final == 0.01);
  refused(glow_trainer_set_schedule(NULL, &schedule), GLOW_E_ARGUMENT, "NULL");
  refused(glow_trainer_get_options(NULL, &after), GLOW_E_ARGUMENT, "NULL");
  refused(glow_trainer_get_options(trainer, NULL), GLOW_E_ARGUMENT, "NULL");
  after.struct_size = 8;
  refused(glow_trainer_get_options(trainer, &after), GLOW_E_ARGUMENT, "struct_size");
  free(pixels);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  close_bench(&b);
}

/* ---- notes and arguments --------------------------------------------------------------------- */

static void test_notes(void **state) {
  bench b = open_case(1, GLOW_OPTIMIZER_SGD, GLOW_MODE_STORED, 1);
  static const char *const notes[] = {"epoch", "3", "empty", "", "\xC3\xA9/\"\\", "a\nb"};
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  (void)state;
  ok(glow_checkpoint_save(b.trainer, temp_path("a"), notes, 3));
  ok(glow_checkpoint_load(b.context, temp_path("a"), &model, &trainer));
  for (int i = 0; i < 3; i++)
    assert_string_equal(glow_trainer_note(trainer, notes[2 * i]), notes[2 * i + 1]);
  assert_null(glow_trainer_note(trainer, "epochs"));
  assert_null(glow_trainer_note(trainer, NULL));
  assert_null(glow_trainer_note(NULL, "epoch"));
  assert_null(glow_trainer_note(b.trainer, "epoch"));
  ok(glow_checkpoint_save(trainer, temp_path("b"), NULL, 0));
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  ok(glow_checkpoint_load(b.context, temp_path("b"), &model, &trainer));
  assert_null(glow_trainer_note(trainer, "epoch"));
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  close_bench(&b);
}

/* ---- loops of the caller's own --------------------------------------------------------------- */

static void own_steps(glow_optimizer *optimizer, glow_model *model, int first, int last) {
  float *gradients = malloc((size_t)glow_model_parameter_count(model) * sizeof *gradients);
  assert_non_null(gradients);
  for (int t = first; t < last; t++) {
    for (int64_t i = 0; i < glow_model_parameter_count(model); i++)
      gradients[i] = (float)((i * 37 + t * 101) % 211 - 105) * 1e-4f;
    ok(glow_optimizer_step(optimizer, model, gradients, 1e-3));
  }
  free(gradients);
}

static void save_own(const glow_optimizer *optimizer, const char *path) {
  static const char *const notes[] = {"epoch", "3"};
  glow_output output = GLOW_OUTPUT_INIT;
  output.path = path;
  ok(glow_checkpoint_save_optimizer(optimizer, &output, notes, 1));
}

static void check_own_loop(glow_context *context, int32_t kind) {
  glow_optimizer_options o = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_model *whole = new_stirred_model(context, NULL), *half = NULL;
  glow_optimizer *a = NULL, *b = NULL;
  glow_input input = GLOW_INPUT_INIT;
  o.kind = kind;
  o.weight_decay = 0.01;
  ok(glow_optimizer_create(whole, &o, &a));
  ok(glow_optimizer_set_rate_factor(a, "prior", 0.5));
  own_steps(a, whole, 0, 3);
  save_own(a, temp_path("half"));
  own_steps(a, whole, 3, 6);
  save_own(a, temp_path("whole"));
  input.path = temp_path("half");
  ok(glow_checkpoint_load_optimizer(context, &input, &half, &b));
  assert_string_equal(glow_optimizer_note(b, "epoch"), "3");
  assert_null(glow_optimizer_note(b, "other"));
  assert_int_equal(glow_optimizer_step_count(b), 3);
  assert_true(glow_optimizer_rate_factor(b, "prior.mean") == 0.5);
  own_steps(b, half, 3, 6);
  save_own(b, temp_path("continued"));
  assert_true(same_files(temp_path("whole"), temp_path("continued")));
  assert_false(same_files(temp_path("whole"), temp_path("half")));
  glow_optimizer_destroy(&b);
  glow_model_destroy(&half);
  ok(glow_model_load(context, temp_path("whole"), &half));
  same_bits(half, glow_model_parameters(whole));
  glow_model_destroy(&half);
  glow_optimizer_destroy(&a);
  glow_model_destroy(&whole);
}

static void test_own_loops(void **state) {
  glow_context *context = new_context(1, NULL);
  (void)state;
  for (int32_t kind = GLOW_OPTIMIZER_SGD; kind <= GLOW_OPTIMIZER_LION; kind++)
    check_own_loop(context, kind);
  glow_context_destroy(&context);
}

/* An optimizer's file is not a trainer's; the other way round it has what is needed. */
static void test_own_loop_and_trainer(void **state) {
  bench b = open_case(1, GLOW_OPTIMIZER_ADAM, GLOW_MODE_STORED, 0);
  glow_model *model = NULL, *none = NULL;
  glow_trainer *trainer = NULL;
  glow_optimizer *optimizer = NULL, *nothing = NULL;
  glow_input input = GLOW_INPUT_INIT;
  glow_output output = GLOW_OUTPUT_INIT;
  (void)state;
  make_steps(b.trainer, b.model, 2, true);
  save_case(b.trainer, temp_path("trainer"), "pixels");
  input.path = temp_path("trainer");
  ok(glow_checkpoint_load_optimizer(b.context, &input, &model, &optimizer));
  assert_int_equal(glow_optimizer_step_count(optimizer), 2);
  same_bits(model, glow_model_parameters(b.model));
  save_own(optimizer, temp_path("own"));
  refused(glow_checkpoint_load(b.context, temp_path("own"), &none, &trainer), GLOW_E_FORMAT,
          "it has no trainer, only an optimizer");
  output.path = temp_path("never");
  glow_optimizer_state(optimizer, 1)[3] = NAN;
  refused(glow_checkpoint_save_optimizer(optimizer, &output, NULL, 0), GLOW_E_NUMERIC, "/v");
  output.storage = GLOW_TYPE_BF16;
  refused(glow_checkpoint_save_optimizer(optimizer, &output, NULL, 0), GLOW_E_ARGUMENT, "float32");
  refused(glow_checkpoint_save_optimizer(NULL, &output, NULL, 0), GLOW_E_ARGUMENT, "NULL");
  refused(glow_checkpoint_load_optimizer(b.context, NULL, &none, &nothing), GLOW_E_ARGUMENT,
          "NULL");
  glow_optimizer_destroy(&optimizer);
  glow_model_destroy(&model);
  close_bench(&b);
}

static void test_arguments(void **state) {
  bench b = open_case(1, GLOW_OPTIMIZER_SGD, GLOW_MODE_STORED, 1);
  static const char *const twice[] = {"a", "1", "b", "2", "a", "3"};
  static const char *const nothing[] = {"a", NULL}, *const unnamed[] = {"", "1"};
  static const char *const latin1[] = {"a", "\xE9"};
  glow_model *model = b.model;
  glow_trainer *trainer = b.trainer;
  const char *path = temp_path("new");
  (void)state;
  refused(glow_checkpoint_save(NULL, path, NULL, 0), GLOW_E_ARGUMENT, "NULL");
  refused(glow_checkpoint_save(b.trainer, NULL, NULL, 0), GLOW_E_ARGUMENT, "NULL");
  refused(glow_checkpoint_save(b.trainer, path, NULL, 1), GLOW_E_ARGUMENT, "NULL");
  refused(glow_checkpoint_save(b.trainer, path, NULL, -1), GLOW_E_ARGUMENT, "-1 notes");
  refused(glow_checkpoint_save(b.trainer, path, twice, 3), GLOW_E_ARGUMENT, "two notes 'a'");
  refused(glow_checkpoint_save(b.trainer, path, nothing, 1), GLOW_E_ARGUMENT, "note 0");
  refused(glow_checkpoint_save(b.trainer, path, unnamed, 1), GLOW_E_ARGUMENT, "note 0");
  refused(glow_checkpoint_save(b.trainer, path, latin1, 1), GLOW_E_ARGUMENT, "UTF-8");
  refused(glow_checkpoint_save(b.trainer, temp_path("no/where"), NULL, 0), GLOW_E_NOT_FOUND,
          "no/where");
  assert_int_not_equal(access(path, F_OK), 0);
  refused(glow_checkpoint_load(b.context, path, &model, &trainer), GLOW_E_NOT_FOUND, "new");
  assert_true(!model && !trainer);
  refused(glow_checkpoint_load(NULL, path, &model, &trainer), GLOW_E_ARGUMENT, "NULL");
  refused(glow_checkpoint_load(b.context, NULL, &model, &trainer), GLOW_E_ARGUMENT, "NULL");
  refused(glow_checkpoint_load(b.context, path, NULL, &trainer), GLOW_E_ARGUMENT, "NULL");
  refused(glow_checkpoint_load(b.context, path, &model, NULL), GLOW_E_ARGUMENT, "NULL");
  refused(glow_checkpoint_load_average(b.context, path, NULL), GLOW_E_ARGUMENT, "NULL");
  refused(glow_checkpoint_load_average(b.context, path, &model), GLOW_E_NOT_FOUND, "new");
  close_bench(&b);
}

/* ---- files that are wrong -------------------------------------------------------------------- */

/* A text of the record, and what it becomes. */
typedef struct change {
  const char *from, *to, *message;
} change;

static const change changes[] = {
    {"\"micro_batch\":3", "\"micro_batch\":0", "micro_batch is 0; it must be 1 or more"},
    {"\"micro_batch\":3", "\"micro_batch\":3.0", "'trainer.micro_batch' is not a whole number"},
    {"\"micro_batch\":3", "\"micro_batch\":9223372036854775807", ""},
    {"\"micro_batch\":3", "\"micro_batch\":9223372036854775808", "does not fit in 64 bits"},
    {"\"micro_batch\":3,", "", "'trainer.micro_batch' is missing"},
    {"\"micro_batch\":3", "\"micro_batch\":3,\"micro_botch\":3",
     "'trainer.micro_botch' is not known"},
    {"\"micro_batch\":3", "\"micro_batch\":3,\"micro_batch\":3", "duplicate"},
    {"\"mode\":\"stored\"", "\"mode\":\"inference\"", "mode is 101"},
    {"\"mode\":\"stored\"", "\"mode\":\"sorted\"", "'trainer.mode' is not a known name"},
    {"\"mode\":\"stored\"", "\"mode\":2", "'trainer.mode' is not a known name"},
    {"\"average\":1", "\"average\":2", "average is 2"},
    {"\"average\":1", "\"average\":4294967297", "'trainer.average' is not a whole number of 32"},
    {"\"average\":1", "\"average\":0", "/average' is not part"},
    {"\"average_decay\":0.75", "\"average_decay\":1.0", "average_decay is 1"},
    {"\"average_decay\":0.75", "\"average_decay\":null", "'trainer.average_decay' is not a number"},
    {"\"average_decay\":0.75", "\"average_decay\":1e999", "the number does not fit in a double"},
    {"\"clip_norm\":2.5", "\"clip_norm\":-2.5", "clip_norm"},
    {"\"clip_value\":0.5", "\"clip_value\":\"0.5\"", "'trainer.clip_value' is not a number"},
    {"\"seed\":\"12345\"", "\"seed\":12345", "'trainer.seed' is not a text of digits"},
    {"\"seed\":\"12345\"", "\"seed\":\"-1\"", "'trainer.seed' is not a text of digits"},
    {"\"seed\":\"12345\"", "\"seed\":\" 1\"", "'trainer.seed' is not a text of digits"},
    {"\"seed\":\"12345\"", "\"seed\":\"18446744073709551616\"", "'trainer.seed' is not"},
    {"\"seed\":\"12345\"", "\"seed\":3\"12345\"", "'trainer.seed' is not a text of digits"},
    {"\"warmup\":3", "\"warmup\":3\"3\"", "',' or '}' expected"},
    {"\"kind\":\"adam\"", "\"kind\":\"sgd\"", "/v' is not part"},
    {"\"kind\":\"adam\"", "\"kind\":\"adamant\"", "'optimizer.kind' is not a known name"},
    {"\"beta1\":0.9", "\"beta1\":1.5", "beta1"},
    {"\"epsilon\":1e", "\"epsilon\":-1e", "epsilon"},
    {"\"weight_decay\":0.01", "\"weight_decay\":-0.01", "weight_decay is -0.01"},
    {"\"kind\":\"cosine\"", "\"kind\":\"tangent\"", "'schedule.kind' is not a known name"},
    {"\"warmup\":3", "\"warmup\":-3", "warmup is -3"},
    {"\"warmup\":3", "\"warmup\":400", "within the warm-up"},
    {"\"final\":0.125", "\"final\":2", "final"},
    {"\"steps\":4,", "\"steps\":-4,", "-4 steps cannot have been made"},
    {"\"steps\":4,", "\"steps\":9223372036854775807,", "cannot have been made"},
    {"\"steps\":4,", "\"steps\":3,", "3 steps were made, but 4 by the optimizer"},
    {"\"optimizer_steps\":4", "\"optimizer_steps\":5", "4 steps were made, but 5 by the optimizer"},
    {"\"noise_position\":", "\"nose_position\":", "'progress.nose_position' is not known"},
    {"\"progress\":", "\"regress\":", "this version of the library does not know: 'regress'"},
    {"\"progress\":", "\"trainer\":", "duplicate key 'trainer'"},
    {"\"schedule\":", "\"schedule\":3,\"more\":", "'schedule' is missing, or not an object"},
    {"{\"trainer\":", "{\"more\":1,\"trainer\":", "does not know"},
    {"{\"trainer\":", "[{\"trainer\":", "byte"},
};

/* The file "a" with another record, or with a tensor spoiled, left out or added, becomes "bad". */
typedef struct spoil {
  const char *record; /* NULL: as it was; "": none */
  const char *tensor; /* name */
  float value;        /* of its last element */
  bool leave_out;
  const char *name;   /* it gets this one instead */
  bool uninitialised; /* say so in the architecture */
} spoil;

static void write_bad(glow_context *context, const spoil *how) {
  glow_tensor_file *file = NULL;
  glow_file_tensor tensors[600];
  float values[4096];
  int64_t count = 0;
  ok(glow_tensor_file_open(context, temp_path("a"), &file));
  assert_true(glow_tensor_file_tensor_count(file) < 600);
  for (int64_t i = 0; i < glow_tensor_file_tensor_count(file); i++) {
    glow_file_tensor *t = &tensors[count];
    *t = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    ok(glow_tensor_file_get(file, i, t));
    if (how->tensor && strcmp(t->name, how->tensor) == 0) {
      assert_true((size_t)t->bytes <= sizeof values && t->bytes >= 4);
      memcpy(values, t->data, (size_t)t->bytes);
      values[t->bytes / 4 - 1] = how->value;
      t->data = values;
      t->name = how->name ? how->name : t->name;
      count -= how->leave_out;
    }
    count++;
  }
  const char *original = glow_tensor_file_metadata(file, "glow.model");
  size_t size = strlen(original) + 2; /* with room for a letter more */
  char *architecture = malloc(size);
  assert_non_null(architecture);
  snprintf(architecture, size, "%s", original);
  if (how->uninitialised) {
    char *at = strstr(architecture, "\"initialised\":true");
    assert_non_null(at);
    memmove(at + 19, at + 18, strlen(at + 18) + 1);
    memcpy(at, "\"initialised\":false", 19);
  }
  const char *record =
      how->record ? how->record : glow_tensor_file_metadata(file, "glow.checkpoint");
  const char *metadata[] = {"glow.format_version", "1",   "glow.model", architecture,
                            "glow.checkpoint",     record};
  ok(glow_tensor_file_write(context, temp_path("bad"), tensors, count, metadata, *record ? 3 : 2));
  free(architecture);
  glow_tensor_file_close(&file);
}

static void load_bad(glow_context *context, const char *what, const char *message) {
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  glow_status status = glow_checkpoint_load(context, temp_path("bad"), &model, &trainer);
  if (!message) {
    ok(status);
    glow_trainer_destroy(&trainer);
    glow_model_destroy(&model);
    return;
  }
  if (status == GLOW_OK || model || trainer)
    fail_msg("%s: was not refused", what);
  if ((status != GLOW_E_FORMAT && *message) || !strstr(glow_last_error(), message) ||
      !strstr(glow_last_error(), "bad"))
    fail_msg("%s: %s \"%s\" lacks \"%s\"", what, glow_status_name(status), glow_last_error(),
             message);
}

static char *replace(const char *text, const change *c) {
  const char *at = strstr(text, c->from);
  size_t size = strlen(text) + strlen(c->to) + 1;
  char *changed = malloc(size);
  assert_non_null(changed);
  if (!at)
    fail_msg("'%s' is not in %s", c->from, text);
  snprintf(changed, size, "%.*s%s%s", (int)(at - text), text, c->to, at + strlen(c->from));
  return changed;
}

static bench open_bad(void) {
  bench b = open_case(1, GLOW_OPTIMIZER_ADAM, GLOW_MODE_STORED, 0);
  make_steps(b.trainer, b.model, 4, true);
  save_case(b.trainer, temp_path("a"), "pixels");
  return b;
}

static void test_wrong_records(void **state) {
  bench b = open_bad();
  glow_tensor_file *file = NULL;
  (void)state;
  ok(glow_tensor_file_open(b.context, temp_path("a"), &file));
  const char *record = glow_tensor_file_metadata(file, "glow.checkpoint");
  spoil how = {.record = record};
  write_bad(b.context, &how);
  load_bad(b.context, "unchanged", NULL);
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    char *text = replace(record, &changes[i]);
    how.record = text;
    write_bad(b.context, &how);
    load_bad(b.context, changes[i].to, changes[i].message);
    free(text);
  }
  how.record = "";
  write_bad(b.context, &how);
  load_bad(b.context, "no record", "not a checkpoint");
  glow_tensor_file_close(&file);
  close_bench(&b);
}

static void test_wrong_tensors(void **state) {
  static const struct {
    spoil how;
    const char *message;
  } cases[] = {
      {{.tensor = "prior.mean/m", .value = NAN}, "'prior.mean/m': element 3 is not finite"},
      {{.tensor = "prior.mean/m", .value = -1.0f}, NULL},
      {{.tensor = "prior.mean/v", .value = INFINITY}, "'prior.mean/v': element 3 is not finite"},
      {{.tensor = "prior.mean/v", .value = -1e-30f}, "'prior.mean/v': element 3 is negative"},
      {{.tensor = "prior.mean/average", .value = NAN}, "prior.mean/average"},
      {{.tensor = "prior.mean", .value = NAN}, "'prior.mean': element 3 is not finite"},
      {{.tensor = "prior.mean/m", .leave_out = true}, "prior.mean/m"},
      {{.tensor = "prior.mean/v", .leave_out = true}, "prior.mean/v"},
      {{.tensor = "prior.mean/average", .leave_out = true}, "prior.mean/average"},
      {{.tensor = "prior.mean/m", .name = "prior.mean/n"}, "prior.mean/m"},
      {{.uninitialised = true}, "4 steps were made, but the model is not initialised"},
  };
  bench b = open_bad();
  glow_tensor_file *file = NULL;
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    write_bad(b.context, &cases[i].how);
    load_bad(b.context, cases[i].how.tensor ? cases[i].how.tensor : "architecture",
             cases[i].message);
  }
  /* one more, of each kind of name */
  static const char *const surplus[] = {"surplus", "prior.mean/n", "prior.mean/m/m",
                                        "m",       "/m",           "level0.step0.invconv.perm/m"};
  ok(glow_tensor_file_open(b.context, temp_path("a"), &file));
  for (size_t i = 0; i < sizeof surplus / sizeof *surplus; i++) {
    glow_file_tensor tensors[600];
    int64_t count = glow_tensor_file_tensor_count(file);
    for (int64_t k = 0; k < count; k++) {
      tensors[k] = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
      ok(glow_tensor_file_get(file, k, &tensors[k]));
    }
    tensors[count] = tensors[0];
    tensors[count++].name = surplus[i];
    const char *metadata[] = {
        "glow.format_version", "1",
        "glow.model",          glow_tensor_file_metadata(file, "glow.model"),
        "glow.checkpoint",     glow_tensor_file_metadata(file, "glow.checkpoint")};
    ok(glow_tensor_file_write(b.context, temp_path("bad"), tensors, count, metadata, 3));
    load_bad(b.context, surplus[i], "is not part of the architecture");
  }
  glow_tensor_file_close(&file);
  close_bench(&b);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_continued),
      cmocka_unit_test(test_targets_continue),
      cmocka_unit_test(test_no_steps_yet),
      cmocka_unit_test(test_use_of_the_average_changes_nothing),
      cmocka_unit_test(test_models),
      cmocka_unit_test(test_outputs_and_inputs),
      cmocka_unit_test(test_every_field_has_a_row),
      cmocka_unit_test(test_numbers_keep_their_bits),
      cmocka_unit_test(test_options_come_back),
      cmocka_unit_test(test_notes),
      cmocka_unit_test(test_own_loops),
      cmocka_unit_test(test_own_loop_and_trainer),
      cmocka_unit_test(test_arguments),
      cmocka_unit_test(test_wrong_records),
      cmocka_unit_test(test_wrong_tensors),
  };
  program = argv[0];
  if (argc == 5)
    return continue_run(argv);
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
