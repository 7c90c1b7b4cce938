/* The caller's caps on what is read (glow_limits), and those that a model is compared with once it
 * is built: time to prepare it, and memory. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/host.h"
#include "io/io.h"

#define DEFAULT_HEADER_BYTES ((int64_t)100000000)
#define MAX_LAYERS_EVER ((int64_t)100000) /* of glow_builder */
enum { DEFAULT_TENSORS = 1 << 20, DEFAULT_NAME_BYTES = 4096, DEFAULT_LAYERS = 16384 };
enum { DEFAULT_CHANNELS = 4096, MOST_CHANNELS = 16384 }; /* of 1x1 convolutions */

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
  GLOW_TRY(glow__options_copy(l, sizeof *l, from, sizeof *l, "glow_limits"));
  GLOW_TRY(limits_choose("file_bytes", &l->file_bytes, INT64_MAX, INT64_MAX));
  GLOW_TRY(limits_choose("header_bytes", &l->header_bytes, DEFAULT_HEADER_BYTES, INT32_MAX));
  GLOW_TRY(limits_choose("tensors", &l->tensors, DEFAULT_TENSORS, INT32_MAX));
  GLOW_TRY(limits_choose("rank", &l->rank, GLOW_FILE_MAX_RANK, GLOW_FILE_MAX_RANK));
  GLOW_TRY(limits_choose("name_bytes", &l->name_bytes, DEFAULT_NAME_BYTES, 1 << 24));
  GLOW_TRY(limits_choose("layers", &l->layers, DEFAULT_LAYERS, MAX_LAYERS_EVER));
  GLOW_TRY(limits_choose("parameters", &l->parameters, INT64_MAX, INT64_MAX));
  GLOW_TRY(limits_choose("workspace_bytes", &l->workspace_bytes, INT64_MAX, INT64_MAX));
  GLOW_TRY(limits_choose("model_bytes", &l->model_bytes, INT64_MAX, INT64_MAX));
  return limits_choose("channels", &l->channels, DEFAULT_CHANNELS, MOST_CHANNELS);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* The time grows with the cube of the channels, the file only with their square. */
glow_status glow__limits_check_layer(const glow_limits *limits, const glow_model *model,
                                     int32_t layer) {
  int64_t channels = glow__model_layer_input(model, layer)->channels;
  if (channels <= limits->channels || strcmp(glow_model_layer_type(model, layer), "invconv") != 0)
    return GLOW_OK;
  return glow_error(GLOW_E_LIMIT,
                    "layer '%s' is a 1x1 convolution of %lld channels, which takes %.1e "
                    "multiply-adds to prepare; at most %lld channels are read (channels)",
                    glow_model_layer_name(model, layer), (long long)channels,
                    3.0 * pow((double)channels, 3.0), (long long)limits->channels);
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
glow_status glow__limits_check_memory(const glow_limits *limits, const glow_builder *builder) {
  bool limited = limits->workspace_bytes != INT64_MAX;
  uint64_t model, workspace = 0;
  GLOW_TRY(glow__builder_bytes(builder, &model, limited ? &workspace : NULL));
  GLOW_TRY(limits_check_bytes("the model's values", "model_bytes", model, limits->model_bytes));
  return limits_check_bytes("a pass of one sample", "workspace_bytes", workspace,
                            limits->workspace_bytes);
}
