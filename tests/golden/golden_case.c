/* Reading golden vectors. SPDX-License-Identifier: MIT */
#include "golden_case.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"

static bool complain(const char *what, const char *detail) {
  fprintf(stderr, "  %s: %s\n", what, detail);
  return false;
}

/* ---- configuration --------------------------------------------------------------------------- */

typedef struct choice {
  const char *name;
  int32_t value;
} choice;

static const choice permutations[] = {{"reverse", GLOW_PERMUTATION_REVERSE},
                                      {"shuffle", GLOW_PERMUTATION_SHUFFLE},
                                      {"invconv", GLOW_PERMUTATION_INVCONV},
                                      {"invconv_lu", GLOW_PERMUTATION_INVCONV_LU},
                                      {NULL, 0}};
static const choice couplings[] = {
    {"affine", GLOW_COUPLING_AFFINE}, {"additive", GLOW_COUPLING_ADDITIVE}, {NULL, 0}};
static const choice scales[] = {
    {"sigmoid", GLOW_SCALE_SIGMOID}, {"exp", GLOW_SCALE_EXP}, {"tanh", GLOW_SCALE_TANH}, {NULL, 0}};

/* A member of the configuration: a number, true or false, or a name. */
typedef struct member {
  const char *key;
  size_t offset;         /* of an int32_t in glow_glow_options */
  const choice *choices; /* NULL: a number */
} member;

#define MEMBER(key, field, choices)                                                                \
  { key, offsetof(glow_glow_options, field), choices }
static const member members[] = {
    MEMBER("levels", levels, NULL),           MEMBER("depth", depth, NULL),
    MEMBER("hidden", hidden, NULL),           MEMBER("permutation", permutation, permutations),
    MEMBER("coupling", coupling, couplings),  MEMBER("scale", scale, scales),
    MEMBER("learn_top", learn_top, NULL),     MEMBER("n_classes", classes, NULL),
    MEMBER("net_actnorm", net_actnorm, NULL),
};
enum { MEMBERS = sizeof members / sizeof *members };

static bool find_choice(const choice *choices, const char *text, int32_t *out) {
  for (; text && choices->name; choices++)
    if (strcmp(choices->name, text) == 0) {
      *out = choices->value;
      return true;
    }
  return false;
}

static bool read_int(glow__json *json, int64_t *out) {
  glow__json_number number;
  *out = glow__json_word(json, "true");
  if (*out || glow__json_word(json, "false"))
    return true;
  bool ok = glow__json_number_read(json, &number) == GLOW_OK && number.kind == GLOW_JSON_WHOLE;
  *out = number.integer;
  return ok;
}

static bool read_side(glow__json *json, const char *key, glow_shape *shape, bool *known) {
  int64_t *side = strcmp(key, "height") == 0     ? &shape->height
                  : strcmp(key, "width") == 0    ? &shape->width
                  : strcmp(key, "channels") == 0 ? &shape->channels
                                                 : NULL;
  *known = side != NULL;
  return !side || read_int(json, side);
}

static bool read_member(glow__json *json, const member *m, glow_glow_options *o) {
  int32_t value = 0;
  int64_t number = 0;
  const char *text = NULL;
  bool ok = m->choices
                ? glow__json_string(json, &text) == GLOW_OK && find_choice(m->choices, text, &value)
                : read_int(json, &number);
  value = m->choices ? value : (int32_t)number;
  memcpy((char *)o + m->offset, &value, sizeof value);
  return ok;
}

/* Reads the value of `key`; seen has a bit for each of the members. Others are passed over. */
static bool read_value(glow__json *json, const char *key, glow_glow_options *o, uint32_t *seen) {
  bool side = false;
  if (!read_side(json, key, &o->input, &side))
    return complain("no such number in the configuration", key);
  for (int i = 0; !side && i < MEMBERS; i++)
    if (strcmp(members[i].key, key) == 0) {
      *seen |= (uint32_t)1 << i;
      return read_member(json, &members[i], o) ||
             complain("no such value in the configuration", key);
    }
  return side || glow__json_skip(json) == GLOW_OK || complain("configuration", glow_last_error());
}

static bool read_config(glow__json *json, glow_glow_options *o) {
  uint32_t seen = 0;
  bool more = true;
  o->input = (glow_shape){0, 0, 0};
  if (glow__json_enter(json, true) != GLOW_OK)
    return complain("configuration", glow_last_error());
  for (;;) {
    const char *key = NULL;
    if (glow__json_next(json, &more) != GLOW_OK || (more && glow__json_key(json, &key) != GLOW_OK))
      return complain("configuration", glow_last_error());
    if (!more)
      break;
    if (!read_value(json, key, o, &seen))
      return false;
  }
  for (int i = 0; i < MEMBERS; i++)
    if (!(seen >> i & 1))
      return complain("the configuration lacks", members[i].key);
  return o->input.height > 0 && o->input.width > 0 && o->input.channels > 0;
}

static bool read_options(glow_context *context, golden_case *c) {
  const char *text = glow_tensor_file_metadata(c->file, "config");
  const char *bins = glow_tensor_file_metadata(c->file, "n_bins");
  glow__json json;
  c->options = (glow_glow_options)GLOW_GLOW_OPTIONS_INIT;
  if (!text || glow__json_open(context, text, "configuration", &json) != GLOW_OK)
    return complain("no text in", "config");
  bool ok = read_config(&json, &c->options);
  glow__json_close(&json);
  if (bins)
    c->options.bits = (int32_t)lround(log2(atof(bins)));
  return ok;
}

/* ---- arrays ---------------------------------------------------------------------------------- */

static bool find(const golden_case *c, const char *name, glow_file_tensor *out) {
  *out = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
  return glow_tensor_file_find(c->file, name, out) == GLOW_OK || complain("the file has no", name);
}

static int64_t elements_of(const glow_file_tensor *t) {
  int64_t elements = 1;
  for (int32_t i = 0; i < t->rank; i++)
    elements *= t->dims[i];
  return elements;
}

static bool read_input(golden_case *c) {
  glow_file_tensor x, y;
  if (!find(c, "x", &x) || !find(c, "y", &y))
    return false;
  const glow_shape *s = &c->options.input;
  if (x.type != GLOW_TYPE_F32 || x.rank != 4 || x.dims[1] != s->height || x.dims[2] != s->width ||
      x.dims[3] != s->channels || y.type != GLOW_TYPE_I32 || elements_of(&y) != x.dims[0])
    return complain("x or y", "has another shape than the configuration");
  c->count = x.dims[0];
  c->dims = s->height * s->width * s->channels;
  c->x = malloc((size_t)x.bytes + 1);
  c->labels = c->options.classes ? malloc((size_t)y.bytes + 1) : NULL;
  if (!c->x || (c->options.classes && !c->labels))
    return complain("x", "no memory");
  memcpy(c->x, x.data, (size_t)x.bytes);
  if (c->labels)
    memcpy(c->labels, y.data, (size_t)y.bytes);
  return true;
}

bool golden_open(glow_context *context, const char *path, golden_case *out) {
  *out = (golden_case){0};
  if (glow_tensor_file_open(context, path, &out->file) != GLOW_OK)
    return complain(path, glow_last_error());
  if (read_options(context, out) && read_input(out))
    return true;
  golden_close(out);
  return false;
}

void golden_close(golden_case *c) {
  glow_tensor_file_close(&c->file);
  free(c->x);
  free(c->labels);
  *c = (golden_case){0};
}

double *golden_values(const golden_case *c, const char *name, int64_t elements) {
  glow_file_tensor t;
  double *out = malloc((size_t)elements * sizeof *out + 1);
  if (!out || !find(c, name, &t) || elements_of(&t) != elements ||
      (t.type != GLOW_TYPE_F32 && t.type != GLOW_TYPE_F64)) {
    complain(name, "is not there with the expected type and size");
    free(out);
    return NULL;
  }
  for (int64_t i = 0; i < elements; i++) {
    float single;
    if (t.type == GLOW_TYPE_F64) {
      memcpy(out + i, (const char *)t.data + i * 8, sizeof *out);
    } else {
      memcpy(&single, (const char *)t.data + i * 4, sizeof single);
      out[i] = (double)single;
    }
  }
  return out;
}

bool golden_set(const golden_case *c, glow_model *model, const char *prefix) {
  size_t length = strlen(prefix);
  int64_t set = 0, trainable = 0;
  for (int64_t i = 0; i < glow_tensor_file_tensor_count(c->file); i++) {
    glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
    if (glow_tensor_file_get(c->file, i, &t) != GLOW_OK)
      return complain(prefix, glow_last_error());
    if (strncmp(t.name, prefix, length) != 0 || t.name[length] != '.')
      continue;
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    if (glow_model_find_tensor(model, t.name + length + 1, &info) != GLOW_OK ||
        glow_model_set_tensor(model, t.name + length + 1, t.data, elements_of(&t)) != GLOW_OK)
      return complain(t.name, glow_last_error());
    set += info.trainable;
  }
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    if (glow_model_tensor(model, i, &info) == GLOW_OK)
      trainable += info.trainable;
  }
  return strcmp(prefix, "fixed") == 0 || set == trainable ||
         complain(prefix, "does not set all parameters of the model");
}

/* ---- comparing ------------------------------------------------------------------------------- */

double golden_error(const double *a, const double *b, int64_t count) {
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < count; i++) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  difference = sqrt(difference);
  norm = sqrt(norm);
  if (!isfinite(difference) || !isfinite(norm))
    return INFINITY;
  return norm < 1e-12 ? difference : difference / norm;
}

double golden_error_f32(const float *a, const double *b, int64_t count) {
  double *wide = malloc((size_t)count * sizeof *wide + 1);
  if (!wide)
    return INFINITY;
  for (int64_t i = 0; i < count; i++)
    wide[i] = (double)a[i];
  double error = golden_error(wide, b, count);
  free(wide);
  return error;
}

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length >= tail && strcmp(text + length - tail, end) == 0;
}

void golden_mask(const glow_tensor_info *info, double *values) {
  bool lower = ends_with(info->name, ".lower"), upper = ends_with(info->name, ".upper");
  for (int64_t i = 0; (lower || upper) && i < info->dims[0]; i++)
    for (int64_t j = 0; j < info->dims[1]; j++)
      if (lower ? j >= i : j <= i)
        values[i * info->dims[1] + j] = 0.0;
}
