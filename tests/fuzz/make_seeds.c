/* Writes valid inputs for fuzzing to start from: FOLDER/tensor, FOLDER/model and FOLDER/api, which
 * it makes if they are not there.
 * Every element type and rank; every layer with every choice of options; whole models; checkpoints
 * of every optimizer; sequences of calls. Usage: make_seeds FOLDER. SPDX-License-Identifier: MIT */
#include "make_seeds.h"

#include "../support/model_helpers.h"

static const char *folder;
static glow_context *context;

static const char *path_of(const char *kind, const char *name) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/%s/%s.safetensors", folder, kind, name);
  for (char *c = path + strlen(folder); *c; c++)
    *c = *c == ' ' || *c == ',' ? '_' : *c;
  return path;
}

/* ---- tensor files ---------------------------------------------------------------------------- */

static const uint8_t data[4096] = {1, 2, 3, 4, 5, 6, 7, 8};
/* Bytes of an element of GLOW_TYPE_F32 and the types after it. */
static const int64_t element_bytes[] = {4, 4, 1, 8, 8, 2, 2};

static glow_file_tensor tensor(const char *name, int32_t type, int32_t rank, int64_t dim) {
  glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
  t.name = name;
  t.type = type;
  t.rank = rank;
  t.bytes = element_bytes[type - GLOW_TYPE_F32];
  for (int32_t i = 0; i < rank; i++) {
    t.dims[i] = i < 3 ? dim : 1;
    t.bytes *= t.dims[i];
  }
  t.data = data;
  return t;
}

static void write_tensors(const char *name, const glow_file_tensor *tensors, int64_t count,
                          const char *const *metadata, int64_t pairs) {
  OK(glow_tensor_file_write(context, path_of("tensor", name), tensors, count, metadata, pairs));
}

static void tensor_seeds(void) {
  static const char *const metadata[] = {
      "key", "value", "", "", "\xc3\xa4\n\"\\", "\xe2\x82\xac", "json", "{\"a\":[1]}"};
  static const struct {
    int32_t type;
    const char *name;
  } types[] = {{GLOW_TYPE_U8, "u8"},   {GLOW_TYPE_I32, "i32"}, {GLOW_TYPE_F32, "f32"},
               {GLOW_TYPE_F64, "f64"}, {GLOW_TYPE_I64, "i64"}, {GLOW_TYPE_BF16, "bf16"},
               {GLOW_TYPE_F16, "f16"}};
  glow_file_tensor all[24];
  int64_t count = 0;
  write_tensors("empty", NULL, 0, NULL, 0);
  write_tensors("metadata", NULL, 0, metadata, 4);
  for (int32_t i = 0; i < (int32_t)(sizeof types / sizeof *types); i++) {
    glow_file_tensor one = tensor("a", types[i].type, 1, 3);
    write_tensors(types[i].name, &one, 1, metadata, 1);
    all[count++] = tensor(types[i].name, types[i].type, i + 1, 2);
  }
  for (int32_t rank = 0; rank <= GLOW_FILE_MAX_RANK; rank++) {
    static char name[GLOW_FILE_MAX_RANK + 1][16];
    snprintf(name[rank], sizeof name[rank], "rank%d", rank);
    all[count++] = tensor(name[rank], GLOW_TYPE_F32, rank, 2);
    write_tensors(name[rank], &all[count - 1], 1, NULL, 0);
  }
  all[count++] = tensor("no elements", GLOW_TYPE_F64, 2, 0);
  all[count++] = tensor("none either", GLOW_TYPE_U8, 1, 0);
  all[count++] = tensor("\xc3\xa4/\t", GLOW_TYPE_U8, 1, 1);
  write_tensors("all", all, count, metadata, 4);
}

/* ---- models ---------------------------------------------------------------------------------- */

/* Small values that differ. */
static void stir(glow_model *model) {
  helper_random random = helper_random_of(1);
  helper_perturb(model, &random, 0.1f);
}

static void save(glow_model *model, const char *name) {
  glow_output output = GLOW_OUTPUT_INIT;
  char bf16[128];
  output.path = path_of("model", name);
  OK(glow_model_save_output(model, &output));
  snprintf(bf16, sizeof bf16, "%s bf16", name);
  output.path = path_of("model", bf16);
  output.storage = GLOW_TYPE_BF16;
  OK(glow_model_save_output(model, &output));
}

static void layer_seeds(void) {
  const glow_shape shape = {2, 2, 2};
  for (int32_t i = 0; i < helper_layer_count; i++) {
    glow_model *model = NULL;
    if (!helper_layer_fits(&helper_layers[i], &shape))
      continue;
    OK(helper_create_model(context, &helper_layers[i], &shape, 2, &model));
    stir(model);
    save(model, helper_layers[i].name);
    glow_model_destroy(&model);
  }
}

static glow_glow_options tiny(int32_t permutation) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  o.input = (glow_shape){4, 4, 1};
  o.levels = permutation % 2 + 1;
  o.depth = 1;
  o.hidden = 2;
  o.permutation = permutation;
  o.classes = permutation == GLOW_PERMUTATION_SHUFFLE ? 2 : 0;
  o.bits = permutation - GLOW_PERMUTATION_REVERSE + 1;
  o.seed = 9;
  return o;
}

static void preset_seeds(void) {
  for (int32_t p = GLOW_PERMUTATION_REVERSE; p <= GLOW_PERMUTATION_INVCONV_LU; p++) {
    glow_glow_options o = tiny(p);
    glow_model *model = NULL;
    char name[32];
    OK(glow_model_create_glow(context, &o, &model));
    snprintf(name, sizeof name, "glow%d fresh", p);
    OK(glow_model_save(model, path_of("model", name)));
    stir(model);
    snprintf(name, sizeof name, "glow%d", p);
    save(model, name);
    glow_model_destroy(&model);
  }
}

/* Metadata of every kind: known keys, an empty text, escapes, and names of classes. */
static void metadata_seed(void) {
  static const char *const names[] = {"cat", "dog \xc3\xa9"};
  glow_glow_options o = tiny(GLOW_PERMUTATION_SHUFFLE);
  glow_model *model = NULL;
  OK(glow_model_create_glow(context, &o, &model));
  stir(model);
  OK(glow_model_set_class_names(model, names, 2));
  OK(glow_model_set_metadata(model, GLOW_METADATA_LICENSE, "MIT"));
  OK(glow_model_set_metadata(model, GLOW_METADATA_NORMALISATION, ""));
  OK(glow_model_set_metadata(model, "a key \"\\\n\x01", "{\"text\": \"\\u0000\"}"));
  save(model, "metadata");
  glow_model_destroy(&model);
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

static void checkpoint_seed(int32_t optimizer, int32_t average) {
  static const char *const notes[] = {"epoch", "3", "place", "17"};
  glow_optimizer_options o = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_schedule s = GLOW_SCHEDULE_INIT;
  glow_trainer_options t = GLOW_TRAINER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  glow_model *model = NULL;
  const glow_shape shape = {1, 1, 2};
  char name[64];
  OK(helper_create_model(context, &helper_layers[0], &shape, 2, &model));
  stir(model);
  o.kind = optimizer;
  s.kind = GLOW_SCHEDULE_CONSTANT + optimizer - GLOW_OPTIMIZER_SGD; /* as many kinds of each */
  t.optimizer = &o;
  t.schedule = &s;
  t.micro_batch = 2;
  t.average = average;
  t.mode = average ? GLOW_MODE_RECONSTRUCTED : GLOW_MODE_STORED;
  const float x[4] = {0.1f, 0.2f, 0.3f, 0.4f};
  OK(glow_trainer_create(model, &t, &trainer));
  OK(glow_trainer_step(trainer, x, NULL, 2, NULL));
  snprintf(name, sizeof name, "checkpoint%d%d", optimizer, average);
  OK(glow_checkpoint_save(trainer, path_of("model", name), notes, 2));
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: make_seeds FOLDER\n");
    return 2;
  }
  folder = argv[1];
  seed_folder(folder, "tensor");
  seed_folder(folder, "model");
  seed_folder(folder, "api");
  context = helper_context(0, NULL, NULL);
  tensor_seeds();
  layer_seeds();
  preset_seeds();
  metadata_seed();
  for (int32_t optimizer = GLOW_OPTIMIZER_SGD; optimizer <= GLOW_OPTIMIZER_ADAMAX; optimizer++)
    for (int32_t average = 0; average < 2; average++)
      checkpoint_seed(optimizer, average);
  glow_context_destroy(&context);
  api_seeds();
  return 0;
}
