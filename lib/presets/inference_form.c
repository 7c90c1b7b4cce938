/* glow_model_inference_form: a second model that only runs, faster. Runs of layers that are linear
 * at each pixel become one layer; other layers give their own inference form, or are made again
 * from their options. SPDX-License-Identifier: MIT */
#include <string.h>

#include "host/run.h"
#include "layers/affine.h"
#include "presets/presets.h"

static glow_call call_of(const glow_model *model, const glow__node *node) {
  return (glow_call){.model = model, .node = node};
}

/* ---- runs of linear layers ------------------------------------------------------------------- */

static bool is_linear(const glow__node *node) {
  return node->layer->ops.linear && memcmp(&node->in, &node->out, sizeof node->in) == 0;
}

/* Number of layers from `first` on that are linear. */
static int32_t linear_run(const glow_model *model, int32_t first) {
  int32_t i = first;
  while (i < model->node_count && is_linear(&model->nodes[i]))
    i++;
  return i - first;
}

/* Parts of y = W x + b: the map so far, a layer's map, and their composition. Doubles [C, C] and
 * [C]. */
typedef struct maps {
  double *w, *b, *next_w, *next_b, *both;
} maps;

/* W = next_w W, b = next_w b + next_b. */
static void inference_form_compose(maps *m, int64_t c) {
  for (int64_t i = 0; i < c; i++) {
    double *row = m->both + i * c;
    memset(row, 0, (size_t)c * sizeof *row);
    for (int64_t k = 0; k < c; k++) {
      double factor = m->next_w[i * c + k];
      m->next_b[i] += factor * m->b[k];
      for (int64_t j = 0; factor != 0 && j < c; j++)
        row[j] += factor * m->w[k * c + j];
    }
  }
  double *spare = m->w;
  m->w = m->both;
  m->both = spare;
  memcpy(m->b, m->next_b, (size_t)c * sizeof *m->b);
}

static glow_status compose_run(const glow_model *model, int32_t first, int32_t count, maps *m) {
  int64_t c = model->nodes[first].in.channels;
  for (int64_t i = 0; i < c; i++)
    m->w[i * c + i] = 1;
  for (int32_t i = first; i < first + count; i++) {
    const glow__node *node = &model->nodes[i];
    glow_call call = call_of(model, node);
    memset(m->next_w, 0, (size_t)(c * c) * sizeof *m->next_w);
    memset(m->next_b, 0, (size_t)c * sizeof *m->next_b);
    glow_status status = node->layer->ops.linear(node->layer->self, &call, m->next_w, m->next_b);
    if (status != GLOW_OK)
      return glow__error_prefix(status, "layer '%s'", node->name);
    inference_form_compose(m, c);
  }
  return GLOW_OK;
}

static glow_status fold(const glow_model *model, int32_t first, int32_t count, glow_layer **out) {
  int64_t c = model->nodes[first].in.channels, square = 0, doubles = 0;
  if (!glow_size_multiply(c, c, &square) || !glow_size_multiply(square, 3, &doubles) ||
      doubles > INT64_MAX / 64)
    return glow_error(GLOW_E_LIMIT, "layer '%s': too many channels", model->nodes[first].name);
  double *memory =
      glow_allocate(model->context, (size_t)(doubles + 2 * c) * sizeof *memory); /* zeroed */
  if (!memory)
    return GLOW_E_MEMORY;
  maps m = {memory, memory + 3 * square, memory + square, memory + 3 * square + c,
            memory + 2 * square};
  glow_status status = compose_run(model, first, count, &m);
  if (status == GLOW_OK)
    status = glow__affine_create(model->context, c, m.w, m.b, out);
  glow_release(model->context, memory);
  return status;
}

static bool same_tensor(const glow__tensor *a, const glow__tensor *b) {
  return glow__tensors_alike(a, b) && strcmp(a->name, b->name) == 0;
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* The layer's inference form; *like: it has none, and is made again. */
static glow_status inference_form_form_of(const glow_model *model, int32_t index, bool *like,
                                          glow_layer **out) {
  const glow__node *node = &model->nodes[index];
  glow_call call = call_of(model, node);
  glow_status status = glow__layer_inference_form(node->layer, &call, out);
  *like = status == GLOW_OK && !*out;
  if (*like)
    status = glow__layer_like(node->layer, glow_call_context(&call), out);
  return status == GLOW_OK ? GLOW_OK : glow__error_prefix(status, "layer '%s'", node->name);
}

/* Checks that what was made has the tensors of layer `index`: a `create` might forget an option. */
static glow_status check_like(const glow_model *made, const glow_model *model, int32_t index) {
  const glow__node *a = &made->nodes[made->node_count - 1], *b = &model->nodes[index];
  bool same = a->tensors == b->tensors;
  for (int32_t t = 0; same && t < a->tensors; t++)
    same = same_tensor(&made->tensors[a->first_tensor + t], &model->tensors[b->first_tensor + t]);
  return same ? GLOW_OK
              : glow_error(GLOW_E_STATE,
                           "layer '%s', made again from its options, has other tensors: it does "
                           "not save all options",
                           b->name);
}

/* Several layers that become one get the name of the first. */
static glow_status inference_form_add_layers(glow_builder *builder, const glow_model *model,
                                             int32_t least) {
  for (int32_t i = 0; i < model->node_count;) {
    glow_layer *layer = NULL;
    int32_t run = linear_run(model, i);
    bool like = false, folded = run >= least;
    if (folded)
      GLOW_TRY(fold(model, i, run, &layer));
    else
      GLOW_TRY(inference_form_form_of(model, i, &like, &layer));
    GLOW_TRY(glow_builder_add(builder, model->nodes[i].name, &layer));
    if (like)
      GLOW_TRY(check_like(glow__builder_model(builder), model, i));
    i += folded ? run : 1;
  }
  return GLOW_OK;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Tensors that a layer still has keep their values; both models have them in the same order. New
 * tensors start with the values that the layer gives them. */
static glow_status copy_values(glow_model *model, void *arg) {
  const glow_model *from = arg;
  GLOW_TRY(glow__reset_layers(model, NULL));
  for (int32_t i = 0, next = 0; i < model->tensor_count; i++) {
    int32_t at = next;
    while (at < from->tensor_count && !same_tensor(&model->tensors[i], &from->tensors[at]))
      at++;
    if (at == from->tensor_count)
      continue;
    memcpy(glow__model_tensor_data(model, i), glow__model_tensor_data(from, at),
           (size_t)model->tensors[i].elements * 4);
    next = at + 1;
  }
  return glow__metadata_copy(model, from);
}

glow_status glow__model_inference_form(const glow_model *model, int32_t least, glow_model **out) {
  glow_builder_options o = GLOW_BUILDER_OPTIONS_INIT;
  glow_builder *builder = NULL;
  if (out)
    *out = NULL;
  if (!model || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_inference_form: NULL argument");
  if (model->is_inference_form)
    return glow_error(GLOW_E_STATE, "the model is an inference form already");
  GLOW_TRY(glow__check_ready(model));
  o.bits = model->bits;
  GLOW_TRY(glow_builder_create(model->context, &model->input, &o, &builder));
  glow_status status = inference_form_add_layers(builder, model, least);
  if (status != GLOW_OK) {
    glow_builder_destroy(&builder);
    return status;
  }
  GLOW_TRY(glow__builder_finish_from(&builder, copy_values, (void *)(uintptr_t)model, out));
  (*out)->initialised = (*out)->is_inference_form = true;
  return GLOW_OK;
}

/* A single layer is as fast as what it would become. */
glow_status glow_model_inference_form(const glow_model *model, glow_model **out) {
  if (out)
    *out = NULL;
  GLOW_LIVE(model, MODEL);
  return glow__model_inference_form(model, 2, out);
}

int32_t glow_model_is_inference_form(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, 0);
  return model && model->is_inference_form;
}
