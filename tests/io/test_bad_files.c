/* Opens each file of tests/io/bad in every way there is: from its path, read or mapped or lazily,
 * from memory, through a callback; with the readers of tensor files, models and checkpoints. Each
 * gives the status and the words that expected.txt has for it. Usage: test_bad_files FOLDER.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memmem */
#include <glow/glow.h>

#include "../support/model_helpers.h"

enum { LEAST = 60, MOST_BYTES = 1 << 17 };

static const char *folder;
static glow_context *context;
static helper_memory memory;

/* ---- expected.txt ---------------------------------------------------------------------------- */

/* Which of the readers is the first to refuse a file. */
enum { BY_TENSORS, BY_MODELS, BY_CHECKPOINTS, BY_NONE };

typedef struct expectation {
  char *name, *limit, *words;
  int reader;
  glow_status status;
} expectation;

static glow_status status_of(const char *name) {
#define STATUS(status, value, text)                                                                \
  if (strcmp(name, #status) == 0)                                                                  \
    return GLOW_##status;
  GLOW_STATUS_LIST(STATUS)
#undef STATUS
  return GLOW_E_ARGUMENT;
}

/* name | reader | limit | status | words */
static expectation parse(char *line) {
  static const char *const readers[] = {"tensor", "model", "checkpoint", "none"};
  char *fields[5] = {line}, status[64];
  for (int i = 1; i < 5; i++) {
    fields[i] = strstr(fields[i - 1], " | ");
    assert_non_null(fields[i]);
    *fields[i] = '\0';
    fields[i] += 3;
  }
  fields[4][strcspn(fields[4], "\n")] = '\0';
  expectation e = {.name = fields[0], .limit = fields[2], .words = fields[4], .reader = -1};
  for (int i = 0; i < 4; i++)
    if (strcmp(readers[i], fields[1]) == 0)
      e.reader = i;
  snprintf(status, sizeof status, "E_%s", fields[3]);
  e.status = strcmp(fields[3], "OK") == 0 ? GLOW_OK : status_of(status);
  assert_true(e.reader >= 0 && e.status != GLOW_E_ARGUMENT);
  return e;
}

/* limit: "name=number", or "-" */
static glow_limits limits_of(const char *limit) {
  glow_limits l = GLOW_LIMITS_INIT;
  const struct {
    const char *name;
    int64_t *value;
  } all[] = {{"file_bytes", &l.file_bytes}, {"header_bytes", &l.header_bytes},
             {"tensors", &l.tensors},       {"rank", &l.rank},
             {"name_bytes", &l.name_bytes}, {"layers", &l.layers},
             {"parameters", &l.parameters}, {"workspace_bytes", &l.workspace_bytes}};
  const char *equals = strchr(limit, '=');
  bool found = !equals;
  for (size_t i = 0; equals && i < sizeof all / sizeof *all; i++)
    if (strlen(all[i].name) == (size_t)(equals - limit) &&
        strncmp(all[i].name, limit, (size_t)(equals - limit)) == 0) {
      *all[i].value = strtoll(equals + 1, NULL, 10);
      found = true;
    }
  assert_true(found);
  return l;
}

/* ---- ways to open a file --------------------------------------------------------------------- */

typedef struct bytes {
  unsigned char data[MOST_BYTES];
  size_t size;
} bytes;

static glow_status give(void *payload, int64_t offset, void *buffer, size_t count) {
  const bytes *b = payload;
  assert_true(offset >= 0 && (uint64_t)offset + count <= b->size);
  memcpy(buffer, b->data + offset, count);
  return GLOW_OK;
}

static const char *path_of(const char *name) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/%s.safetensors", folder, name);
  return path;
}

static void read_bytes(const char *name, bytes *b) {
  FILE *file = fopen(path_of(name), "rb");
  if (!file)
    fail_msg("%s cannot be opened", path_of(name));
  b->size = fread(b->data, 1, sizeof b->data, file);
  fclose(file);
  assert_true(b->size < sizeof b->data);
}

static const struct way {
  const char *name;
  int source; /* 0: path, 1: memory, 2: callback */
  uint32_t flags;
} ways[] = {{"path", 0, 0},
            {"mapped", 0, GLOW_INPUT_MAP},
            {"memory", 1, 0},
            {"callback", 2, 0},
            {"lazy path", 0, GLOW_INPUT_LAZY},
            {"lazy memory", 1, GLOW_INPUT_LAZY},
            {"lazy callback", 2, GLOW_INPUT_LAZY}};
enum { WAYS = sizeof ways / sizeof *ways, MODEL_WAYS = 4 };

static glow_input input_of(const expectation *e, bytes *b, const struct way *way,
                           const glow_limits *limits) {
  glow_input input = GLOW_INPUT_INIT;
  input.flags = way->flags;
  input.limits = limits;
  if (way->source == 0) {
    input.path = path_of(e->name);
    return input;
  }
  input.size = (int64_t)b->size;
  if (way->source == 1) {
    input.data = b->data;
  } else {
    input.read = give;
    input.payload = b;
  }
  return input;
}

/* ---- checks ---------------------------------------------------------------------------------- */

static void check(const expectation *e, const struct way *way, const char *reader,
                  glow_status status, bool made, bool refuses) {
  const char *text = glow_last_error();
  if (!refuses) {
    if (status != GLOW_OK || !made)
      fail_msg("%s, %s, %s: refused: %s", e->name, reader, way->name, text);
    return;
  }
  if (status == GLOW_OK || made)
    fail_msg("%s, %s, %s: accepted", e->name, reader, way->name);
  if (status != e->status || !strstr(text, e->words))
    fail_msg("%s, %s, %s: %s, '%s' instead of %s, '%s'", e->name, reader, way->name,
             glow_status_name(status), text, glow_status_name(e->status), e->words);
  if (way->source == 0 && !strstr(text, path_of(e->name)))
    fail_msg("%s, %s, %s: '%s' does not name the file", e->name, reader, way->name, text);
}

static void check_tensors(const expectation *e, bytes *b, const glow_limits *limits) {
  for (int i = 0; i < WAYS; i++) {
    glow_input input = input_of(e, b, &ways[i], limits);
    glow_tensor_file *file = NULL;
    glow_status status = glow_tensor_file_open_input(context, &input, &file);
    check(e, &ways[i], "tensor file", status, file != NULL, e->reader == BY_TENSORS);
    glow_tensor_file_close(&file);
  }
}

static void check_models(const expectation *e, bytes *b, const glow_limits *limits) {
  for (int i = 0; i < MODEL_WAYS; i++) {
    glow_input input = input_of(e, b, &ways[i], limits);
    glow_model *model = NULL;
    glow_status status = glow_model_load_input(context, &input, &model);
    check(e, &ways[i], "model", status, model != NULL, e->reader <= BY_MODELS);
    glow_model_destroy(&model);
  }
}

/* A file that is not a checkpoint is refused as such before its model is read. */
static void check_checkpoints(const expectation *e, bytes *b, const glow_limits *limits) {
  bool is_one = memmem(b->data, b->size, "\"glow.checkpoint\"", 17) != NULL;
  if (e->reader == BY_MODELS && !is_one)
    return;
  for (int i = 0; i < MODEL_WAYS; i++) {
    glow_input input = input_of(e, b, &ways[i], limits);
    glow_model *model = NULL;
    glow_trainer *trainer = NULL;
    glow_status status = glow_checkpoint_load_input(context, &input, &model, &trainer);
    assert_int_equal(model != NULL, trainer != NULL);
    check(e, &ways[i], "checkpoint", status, model != NULL, e->reader <= BY_CHECKPOINTS);
    glow_trainer_destroy(&trainer);
    glow_model_destroy(&model);
  }
}

static int check_line(char *line) {
  static bytes b;
  if (line[0] == '#')
    return 0;
  expectation e = parse(line);
  glow_limits limits = limits_of(e.limit);
  int64_t live = memory.live;
  read_bytes(e.name, &b);
  check_tensors(&e, &b, &limits);
  check_models(&e, &b, &limits);
  check_checkpoints(&e, &b, &limits);
  assert_int_equal(memory.live, live);
  return 1;
}

static void test_bad_files(void **state) {
  char path[4096], line[1024];
  int count = 0;
  (void)state;
  snprintf(path, sizeof path, "%s/expected.txt", folder);
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  while (fgets(line, sizeof line, file))
    count += check_line(line);
  fclose(file);
  print_message("%d files\n", count);
  assert_true(count >= LEAST);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_bad_files)};
  if (argc != 2) {
    fprintf(stderr, "usage: test_bad_files FOLDER\n");
    return 2;
  }
  folder = argv[1];
  context = helper_context(0, NULL, &memory);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  glow_context_destroy(&context);
  return failed;
}
