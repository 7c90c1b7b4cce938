/* Models under the names of y0ast/Glow-PyTorch: the state dict of its Glow. import_y0ast.c says
 * what its tensors mean.
 *
 * Networks with plain biases are written as actnorms with logs 0, and the top prior in its folded
 * form: mean and log-sd as bias, logs 0. SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/host.h"
#include "io/import.h"

#define PROJECT "y0ast/Glow-PyTorch"

enum { MOST_OF_STEP = 16, MOST_OF_TOP = 16, NAME_BYTES = 96 };

typedef struct exporter {
  glow_context *context;
  const glow_model *model;
  glow__import_plan plan;
  int32_t layer; /* layer of the model that is written next */
  int32_t next;  /* tensor of the model to look at first */
  glow_file_tensor *tensors;
  char (*names)[NAME_BYTES];
  int64_t count;
} exporter;

/* ---- tensors --------------------------------------------------------------------------------- */

__attribute__((format(printf, 5, 6))) static glow_status put(exporter *x, int32_t rank,
                                                             const int64_t *dims, float **out,
                                                             const char *format, ...) {
  glow_file_tensor *t = &x->tensors[x->count];
  va_list list;
  va_start(list, format);
  vsnprintf(x->names[x->count], NAME_BYTES, format, list);
  va_end(list);
  *t = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
  t->name = x->names[x->count];
  t->type = GLOW_TYPE_F32;
  t->rank = rank;
  t->bytes = sizeof(float);
  for (int32_t i = 0; i < rank; i++) {
    t->dims[i] = dims[i];
    if (!glow_size_multiply(t->bytes, dims[i], &t->bytes))
      return glow_error(GLOW_E_LIMIT, "tensor '%s' is too large", t->name);
  }
  t->data = *out = glow_allocate(x->context, (size_t)t->bytes);
  x->count += t->data != NULL;
  return t->data ? GLOW_OK : GLOW_E_MEMORY;
}

/* The tensor `name` of layer number x->layer. */
static glow_status export_y0ast_find(exporter *x, const char *name, int32_t type, int64_t count,
                                     const void **out) {
  char full[2 * GLOW_IMPORT_NAME];
  void *found = NULL;
  snprintf(full, sizeof full, "%s.%s", glow_model_layer_name(x->model, x->layer), name);
  GLOW_TRY(glow__import_find(x->model, &x->next, full, type, count, &found));
  *out = found;
  return GLOW_OK;
}

/* Copies rows of `row` elements from the model to `to`, in the file's order of output channels. */
static glow_status export_y0ast_copy(exporter *x, const char *name, int64_t rows, int64_t row,
                                     bool interleaved, float *to) {
  const void *found = NULL;
  GLOW_TRY(export_y0ast_find(x, name, GLOW_TYPE_F32, rows * row, &found));
  for (int64_t o = 0; o < rows; o++) {
    int64_t half = rows / 2, at = !interleaved ? o : o < half ? 2 * o : 2 * (o - half) + 1;
    memcpy(to + at * row, (const float *)found + o * row, (size_t)row * sizeof *to);
  }
  return GLOW_OK;
}

static glow_status put_vector(exporter *x, int32_t rank, const int64_t *dims, int64_t count,
                              bool interleaved, const char *from, const char *prefix,
                              const char *name) {
  float *to = NULL;
  GLOW_TRY(put(x, rank, dims, &to, "%s%s", prefix, name));
  return export_y0ast_copy(x, from, count, 1, interleaved, to);
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* An actnorm from {from}bias and {from}logs; without_logs: from a plain bias. */
static glow_status put_actnorm(exporter *x, int64_t channels, const char *bias, const char *logs,
                               const char *prefix) {
  float *to = NULL;
  GLOW_TRY(put(x, GLOW_SHAPE(1, channels, 1, 1), &to, "%sactnorm.bias", prefix));
  GLOW_TRY(export_y0ast_copy(x, bias, channels, 1, false, to));
  GLOW_TRY(put(x, GLOW_SHAPE(1, channels, 1, 1), &to, "%sactnorm.logs", prefix));
  return logs ? export_y0ast_copy(x, logs, channels, 1, false, to) : GLOW_OK;
}

/* The project's lower has ones on its diagonal, which are not read. */
static glow_status put_factors(exporter *x, int64_t c, const char *prefix) {
  float *to = NULL;
  const void *perm = NULL;
  GLOW_TRY(put(x, GLOW_SHAPE(c, c), &to, "%sinvconv.lower", prefix));
  GLOW_TRY(export_y0ast_copy(x, "lower", c, c, false, to));
  for (int64_t i = 0; i < c; i++)
    for (int64_t j = i; j < c; j++)
      to[i * c + j] = i == j ? 1.0f : 0.0f;
  GLOW_TRY(put_vector(x, GLOW_SHAPE(c), c, false, "log_s", prefix, "invconv.log_s"));
  GLOW_TRY(put(x, GLOW_SHAPE(c, c), &to, "%sinvconv.upper", prefix));
  GLOW_TRY(export_y0ast_copy(x, "upper", c, c, false, to));
  for (int64_t i = 0; i < c; i++)
    memset(to + i * c, 0, (size_t)(i + 1) * sizeof *to);
  GLOW_TRY(put(x, GLOW_SHAPE(c, c), &to, "%sinvconv.p", prefix));
  GLOW_TRY(export_y0ast_find(x, "perm", GLOW_TYPE_I32, c, &perm));
  for (int64_t i = 0; i < c; i++)
    to[i * c + ((const int32_t *)perm)[i]] = 1.0f;
  return put_vector(x, GLOW_SHAPE(c), c, false, "sign_s", prefix, "invconv.sign_s");
}

static glow_status check_reversal(exporter *x, int64_t channels) {
  const void *index = NULL;
  GLOW_TRY(export_y0ast_find(x, "index", GLOW_TYPE_I32, channels, &index));
  for (int64_t c = 0; c < channels; c++)
    if (((const int32_t *)index)[c] != channels - 1 - c)
      return glow_error(GLOW_E_UNSUPPORTED,
                        "layer '%s' shuffles, but a file of " PROJECT " cannot hold a shuffle",
                        glow_model_layer_name(x->model, x->layer));
  return GLOW_OK;
}

/* 1: LU form, 0: plain, -1: no 1x1 convolution. */
static int32_t form_of(const exporter *x, int32_t layer) {
  char name[2 * GLOW_IMPORT_NAME];
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  if (strcmp(glow_model_layer_type(x->model, layer), "invconv") != 0)
    return -1;
  snprintf(name, sizeof name, "%s.weight", glow_model_layer_name(x->model, layer));
  return glow_model_find_tensor(x->model, name, &info) != GLOW_OK;
}

static glow_status put_permutation(exporter *x, int64_t c, const char *prefix) {
  float *to = NULL;
  int32_t form = form_of(x, x->layer);
  if (form != form_of(x, 2))
    return glow_error(
        GLOW_E_UNSUPPORTED,
        "layer '%s' is unlike layer '%s', but all permutations of " PROJECT " have the same form",
        glow_model_layer_name(x->model, x->layer), glow_model_layer_name(x->model, 2));
  if (form < 0)
    return check_reversal(x, c);
  if (form)
    return put_factors(x, c, prefix);
  GLOW_TRY(put(x, GLOW_SHAPE(c, c), &to, "%sinvconv.weight", prefix));
  return export_y0ast_copy(x, "weight", c, c, false, to);
}

/* A zero convolution from {from}weight, bias, logs. */
static glow_status put_zero_convolution(exporter *x, const char *from, int64_t in, int64_t out,
                                        bool interleaved, const char *prefix) {
  char name[64];
  float *to = NULL;
  snprintf(name, sizeof name, "%slogs", from);
  GLOW_TRY(put_vector(x, GLOW_SHAPE(out, 1, 1), out, interleaved, name, prefix, "logs"));
  GLOW_TRY(put(x, GLOW_SHAPE(out, in, 3, 3), &to, "%sconv.weight", prefix));
  snprintf(name, sizeof name, "%sweight", from);
  GLOW_TRY(export_y0ast_copy(x, name, out, in * 9, interleaved, to));
  snprintf(name, sizeof name, "%sbias", from);
  return put_vector(x, GLOW_SHAPE(out), out, interleaved, name, prefix, "conv.bias");
}

static glow_status put_net(exporter *x, int64_t in, int64_t out, const char *prefix) {
  int64_t hidden = x->plan.hidden;
  bool norms = x->plan.net_actnorm == 1;
  char name[64];
  float *to = NULL;
  GLOW_TRY(put(x, GLOW_SHAPE(hidden, in, 3, 3), &to, "%sblock.0.conv.weight", prefix));
  GLOW_TRY(export_y0ast_copy(x, "net.conv1.weight", hidden, in * 9, false, to));
  snprintf(name, sizeof name, "%sblock.0.", prefix);
  GLOW_TRY(put_actnorm(x, hidden, norms ? "net.norm1.bias" : "net.conv1.bias",
                       norms ? "net.norm1.logs" : NULL, name));
  GLOW_TRY(put(x, GLOW_SHAPE(hidden, hidden, 1, 1), &to, "%sblock.2.conv.weight", prefix));
  GLOW_TRY(export_y0ast_copy(x, "net.conv2.weight", hidden, hidden, false, to));
  snprintf(name, sizeof name, "%sblock.2.", prefix);
  GLOW_TRY(put_actnorm(x, hidden, norms ? "net.norm2.bias" : "net.conv2.bias",
                       norms ? "net.norm2.logs" : NULL, name));
  snprintf(name, sizeof name, "%sblock.4.", prefix);
  return put_zero_convolution(x, "net.conv3.", hidden, out,
                              x->plan.coupling == GLOW_COUPLING_AFFINE, name);
}

static glow_status put_step(exporter *x, int64_t number, int64_t channels) {
  char prefix[48];
  bool affine = x->plan.coupling == GLOW_COUPLING_AFFINE;
  snprintf(prefix, sizeof prefix, "flow.layers.%lld.", (long long)number);
  GLOW_TRY(put_actnorm(x, channels, "bias", "logs", prefix));
  x->layer++;
  GLOW_TRY(put_permutation(x, channels, prefix));
  x->layer++;
  GLOW_TRY(put_net(x, channels / 2, affine ? channels : channels / 2, prefix));
  x->layer++;
  return GLOW_OK;
}

/* learn_top_fn only sees zeros, so nothing but its bias counts. */
static glow_status put_learned_top(exporter *x, int64_t c) {
  float *to = NULL;
  GLOW_TRY(put(x, GLOW_SHAPE(2 * c, 1, 1), &to, "learn_top_fn.logs"));
  GLOW_TRY(put(x, GLOW_SHAPE(2 * c, 2 * c, 3, 3), &to, "learn_top_fn.conv.weight"));
  GLOW_TRY(put(x, GLOW_SHAPE(2 * c), &to, "learn_top_fn.conv.bias"));
  GLOW_TRY(export_y0ast_copy(x, "mean", c, 1, false, to));
  return export_y0ast_copy(x, "logs", c, 1, false, to + c);
}

/* Columns of the linear layer from the rows of the prior. */
static glow_status put_classes(exporter *x, int64_t c) {
  int64_t classes = x->plan.classes;
  float *to = NULL;
  GLOW_TRY(put(x, GLOW_SHAPE(2 * c), &to, "project_ycond.logs"));
  GLOW_TRY(put(x, GLOW_SHAPE(2 * c), &to, "project_ycond.linear.bias"));
  GLOW_TRY(put(x, GLOW_SHAPE(2 * c, classes), &to, "project_ycond.linear.weight"));
  for (int64_t half = 0; half < 2; half++) {
    const void *rows = NULL;
    GLOW_TRY(export_y0ast_find(x, half ? "class_logs" : "class_mean", GLOW_TYPE_F32, classes * c,
                               &rows));
    for (int64_t i = 0; i < c; i++)
      for (int64_t k = 0; k < classes; k++)
        to[(half * c + i) * classes + k] = ((const float *)rows)[k * c + i];
  }
  return GLOW_OK;
}

/* Wherever the project has classes it has a classifier: write zeros if the model has none. */
static glow_status put_classifier(exporter *x, int64_t c) {
  int64_t classes = x->plan.classes;
  float *weight = NULL, *bias = NULL, *logs = NULL;
  GLOW_TRY(put(x, GLOW_SHAPE(classes), &logs, "project_class.logs"));
  GLOW_TRY(put(x, GLOW_SHAPE(classes, c), &weight, "project_class.linear.weight"));
  GLOW_TRY(put(x, GLOW_SHAPE(classes), &bias, "project_class.linear.bias"));
  if (!x->plan.classifier)
    return GLOW_OK;
  GLOW_TRY(export_y0ast_copy(x, "class_weight", classes, c, false, weight));
  return export_y0ast_copy(x, "class_bias", classes, 1, false, bias);
}

static glow_status put_top(exporter *x, int64_t c) {
  const glow_shape *input = &x->plan.input;
  float *to = NULL;
  GLOW_TRY(
      put(x, GLOW_SHAPE(1, 2 * c, input->height >> x->plan.levels, input->width >> x->plan.levels),
          &to, "prior_h"));
  if (x->plan.learned)
    GLOW_TRY(put_learned_top(x, c));
  if (!x->plan.classes)
    return GLOW_OK;
  GLOW_TRY(put_classes(x, c));
  return put_classifier(x, c);
}

static glow_status put_model(exporter *x) {
  int64_t channels = x->plan.input.channels, number = 0;
  char prefix[48];
  for (int32_t level = 0; level < x->plan.levels; level++) {
    channels *= 4;
    number++;
    x->layer++; /* the squeeze */
    for (int32_t step = 0; step < x->plan.depth; step++)
      GLOW_TRY(put_step(x, number++, channels));
    if (level == x->plan.levels - 1)
      break;
    snprintf(prefix, sizeof prefix, "flow.layers.%lld.conv.", (long long)number++);
    GLOW_TRY(put_zero_convolution(x, "prior.", channels / 2, channels, true, prefix));
    x->layer++;
    channels /= 2;
  }
  return put_top(x, channels);
}

/* ---- the file -------------------------------------------------------------------------------- */

static glow_status write_file(exporter *x, const glow_output *output) {
  static const char *const metadata[] = {"format", "pt"};
  size_t most = (size_t)x->plan.levels * ((size_t)x->plan.depth * MOST_OF_STEP + 3) + MOST_OF_TOP;
  x->tensors = glow_allocate(x->context, most * sizeof *x->tensors);
  x->names = x->tensors ? glow_allocate(x->context, most * sizeof *x->names) : NULL;
  if (!x->names)
    return GLOW_E_MEMORY;
  GLOW_TRY(put_model(x));
  return glow_tensor_file_write_output(x->context, output, x->tensors, x->count, metadata, 1);
}

glow_status glow__export_y0ast(const glow_model *model, const glow_output *output) {
  exporter x = {.context = glow__model_context(model), .model = model};
  glow_status status = glow__export_plan(model, PROJECT, &x.plan);
  if (status == GLOW_OK)
    status = glow__model_check_saves(model, glow_model_parameters(model));
  if (status == GLOW_OK)
    status = write_file(&x, output);
  for (int64_t i = 0; i < x.count; i++)
    glow_release(x.context, (void *)(uintptr_t)x.tensors[i].data);
  glow_release(x.context, x.names);
  glow_release(x.context, x.tensors);
  glow_release(x.context, x.plan.permutations);
  return status;
}
