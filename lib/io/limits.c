/* The caller's caps on what is read (glow_limits), and those that a model is compared with once it
 * is built: time to prepare it, and memory. SPDX-License-Identifier: MIT */
#include "host/host.h"
#include "io/io.h"

#define DEFAULT_HEADER_BYTES ((int64_t)100000000)
#define MAX_LAYERS_EVER ((int64_t)100000)              /* of glow_builder */
#define SMALLEST offsetof(glow_limits, metadata_bytes) /* of the first version: docs/abi.md */
enum { DEFAULT_TENSORS = 1 << 20, DEFAULT_NAME_BYTES = 4096, DEFAULT_LAYERS = 16384 };
/* Factoring and inverting a matrix of 4096 x 4096: 4096^3 / 3 + 4096^3. */
#define DEFAULT_PREPARE_WORK (((int64_t)1 << 36) / 3 + ((int64_t)1 << 36))

/* ---- what the caller asks for ---------------------------------------------------------------- */

static glow_status limits_choose(const char *name, int64_t *value, int64_t standard, int64_t most) {
  if (*value < 0 || *value > most)
    return glow_error(GLOW_E_ARGUMENT, "glow_limits: %s is %lld; 0 (default) to %lld are possible",
                      name, (long long)*value, (long long)most);
  if (*value == 0)
    *value = standard;
  return GLOW_OK;
}

glow_status glow__limits_copy(const glow_limits *from, glow_limits *l) {
  *l = (glow_limits)GLOW_LIMITS_INIT;
  GLOW_TRY(glow__options_copy(l, sizeof *l, from, SMALLEST, "glow_limits"));
  GLOW_TRY(limits_choose("file_bytes", &l->file_bytes, INT64_MAX, INT64_MAX));
  GLOW_TRY(limits_choose("header_bytes", &l->header_bytes, DEFAULT_HEADER_BYTES, INT32_MAX));
  GLOW_TRY(limits_choose("tensors", &l->tensors, DEFAULT_TENSORS, INT32_MAX));
  GLOW_TRY(limits_choose("rank", &l->rank, GLOW_FILE_MAX_RANK, GLOW_FILE_MAX_RANK));
  GLOW_TRY(limits_choose("name_bytes", &l->name_bytes, DEFAULT_NAME_BYTES, 1 << 24));
  GLOW_TRY(limits_choose("layers", &l->layers, DEFAULT_LAYERS, MAX_LAYERS_EVER));
  GLOW_TRY(limits_choose("parameters", &l->parameters, INT64_MAX, INT64_MAX));
  GLOW_TRY(limits_choose("workspace_bytes", &l->workspace_bytes, INT64_MAX, INT64_MAX));
  GLOW_TRY(limits_choose("model_bytes", &l->model_bytes, INT64_MAX, INT64_MAX));
  GLOW_TRY(limits_choose("metadata_bytes", &l->metadata_bytes, GLOW_METADATA_BYTES,
                         GLOW_METADATA_BYTES));
  return limits_choose("prepare_work", &l->prepare_work, DEFAULT_PREPARE_WORK, INT64_MAX);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* A layer may take more time to prepare than its tensors are large: inverting a matrix, say, grows
 * with the cube of its side, the file only with the square. */
static glow_status limits_check_time(const glow_limits *limits, const glow_model *model) {
  int64_t sum = 0;
  int32_t most = 0;
  for (int32_t i = 0; i < glow_model_layer_count(model); i++) {
    int64_t work = glow__model_prepare_work(model, i);
    most = work > glow__model_prepare_work(model, most) ? i : most;
    if (!glow_size_add(sum, work, &sum))
      sum = INT64_MAX;
  }
  if (sum <= limits->prepare_work)
    return GLOW_OK;
  return glow_error(GLOW_E_LIMIT,
                    "preparing the model would take %.2e multiply-adds, %.2e of them for layer "
                    "'%s'; at most %.2e may be (prepare_work)",
                    (double)sum, (double)glow__model_prepare_work(model, most),
                    glow_model_layer_name(model, most), (double)limits->prepare_work);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static glow_status limits_check_bytes(const char *what, const char *limit, uint64_t bytes,
                                      int64_t most) {
  if (bytes <= (uint64_t)most)
    return GLOW_OK;
  return glow_error(GLOW_E_LIMIT, "%s would take %llu bytes; at most %lld may be (%s)", what,
                    (unsigned long long)bytes, (long long)most, limit);
}

/* Passes are planned only where there is a limit. */
static glow_status limits_check_memory(const glow_limits *limits, const glow_builder *builder) {
  bool limited = limits->workspace_bytes != INT64_MAX;
  uint64_t model, workspace = 0;
  GLOW_TRY(glow__builder_bytes(builder, &model, limited ? &workspace : NULL));
  GLOW_TRY(limits_check_bytes("the model's values", "model_bytes", model, limits->model_bytes));
  return limits_check_bytes("a pass of one sample", "workspace_bytes", workspace,
                            limits->workspace_bytes);
}

glow_status glow__limits_check_model(const glow_limits *limits, const glow_builder *builder) {
  GLOW_TRY(limits_check_time(limits, glow__builder_model(builder)));
  return limits_check_memory(limits, builder);
}
