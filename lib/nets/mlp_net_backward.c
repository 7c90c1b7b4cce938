/* Fully connected network, backward. With d_l the gradient of layer l before its ReLU (that of out
 * for the last) and h_{-1} = x0:
 *
 *   d_{l-1} = (d_l W_l) where h_{l-1} > 0;   d x0 = d_0 W_0
 *   d W_l = d_l' h_{l-1};   d b_l = sum of d_l over the samples
 *
 * Data gradients are cut like forward; weight gradients by blocks of columns over all samples, so
 * that no private copies of large gradients are needed. SPDX-License-Identifier: MIT */
#include <string.h>

#include "math/kernels.h"
#include "math/strips.h"
#include "nets/mlp_net.h"

typedef struct back_run {
  glow__mlp_run run;
  const float *dout;
  float *dx;
  int64_t dx_stride;
  int64_t tasks; /* weight gradients: in how many parts their list is cut */
} back_run;

/* Rows of a matrix. */
typedef struct rows {
  const float *at;
  int64_t stride;
} rows;

/* h_{l-1}: the input of layer l. */
static rows inputs_of(const back_run *b, int32_t l) {
  const glow__mlp_run *run = &b->run;
  int64_t size = run->samples * run->net->hidden;
  if (!l)
    return (rows){run->input, run->input_stride};
  return (rows){glow_call_stored(run->call, run->net->h) + (l - 1) * size, run->net->hidden};
}

/* d_l. */
static const float *gradient_of(const back_run *b, int32_t l) {
  const glow__mlp_net *net = b->run.net;
  if (l == net->depth)
    return b->dout;
  return glow_call_scratch(b->run.call, net->d) + l * b->run.samples * net->hidden;
}

static const glow__pointwise *pointwise_of(const glow__mlp_run *run) {
  return &glow__math_kernels(run->math)->pointwise;
}

/* ---- packed weights -------------------------------------------------------------------------- */

enum { PACK_ELEMENTS = 1 << 17 }; /* copied by a task */

static int64_t panels_at_once(const glow__mlp_run *run, const glow__mlp_layer *layer) {
  int64_t panel = layer->outputs * glow__panel_columns(run->math);
  return panel < PACK_ELEMENTS ? PACK_ELEMENTS / panel : 1;
}

static int64_t pack_tasks(const glow__mlp_run *run, const glow__mlp_layer *layer) {
  int64_t once = panels_at_once(run, layer);
  return (layer->input_panels + once - 1) / once;
}

static void pack_part(void *arg, uint32_t task, uint32_t worker) {
  const back_run *b = arg;
  const glow__mlp_run *run = &b->run;
  const glow__mlp_layer *layer = run->net->layers;
  int64_t part = task;
  (void)worker;
  for (; part >= pack_tasks(run, layer); layer++)
    part -= pack_tasks(run, layer);
  int64_t once = panels_at_once(run, layer), panels = layer->input_panels;
  int64_t last = (part + 1) * once < panels ? (part + 1) * once : panels;
  glow_math_pack(run->math, layer->outputs, layer->inputs,
                 glow_call_tensor(run->call, layer->weight), layer->inputs, 1,
                 glow_call_scratch(run->call, run->net->back) + layer->back, part * once, last);
}

static void pack_all(void *arg, uint32_t task, uint32_t worker) {
  const back_run *b = arg;
  uint32_t count = 0;
  (void)task;
  for (int32_t l = 0; l <= b->run.net->depth; l++)
    count += (uint32_t)pack_tasks(&b->run, &b->run.net->layers[l]);
  for (uint32_t t = 0; t < count; t++)
    pack_part(arg, t, worker);
}

static void mlp_net_backward_pack(back_run *b) {
  const glow__mlp_net *net = b->run.net;
  int64_t count = 0;
  for (int32_t l = 0; l <= net->depth; l++)
    count += pack_tasks(&b->run, &net->layers[l]);
  glow_call_run(b->run.call, net->narrow ? 1 : (uint32_t)count, net->narrow ? pack_all : pack_part,
                b);
}

/* ---- data gradients -------------------------------------------------------------------------- */

/* d_{l-1} for rows [first, first + count) and columns of panels [from, to); x0's when l is 0. */
static void through_layer(const back_run *b, int32_t l, const glow__mlp_part *part) {
  const glow__mlp_run *run = &b->run;
  const glow__mlp_net *net = run->net;
  const glow__mlp_layer *layer = &net->layers[l];
  const glow_epilogue none = {0};
  const float *d = gradient_of(b, l) + part->first * layer->outputs;
  float *to =
      l ? (float *)(uintptr_t)gradient_of(b, l - 1) : glow_call_scratch(run->call, net->d_input);
  to += part->first * layer->inputs;
  glow_math_multiply(run->math, part->rows, layer->inputs, layer->outputs, d,
                     glow__mlp_rows(run, layer->outputs),
                     glow_call_scratch(run->call, net->back) + layer->back, to,
                     glow__mlp_rows(run, layer->inputs), part->from, part->to, &none);
  if (!l)
    return;
  rows h = inputs_of(b, l);
  int64_t first = part->from * glow__panel_columns(run->math),
          last = part->to * glow__panel_columns(run->math);
  last = last < layer->inputs ? last : layer->inputs;
  pointwise_of(run)->relu_backward(part->rows, last - first, h.at + part->first * h.stride + first,
                                   h.stride, to + first, layer->inputs);
}

static void backward_strip(void *arg, uint32_t task, uint32_t worker) {
  const back_run *b = arg;
  const glow__mlp_run *run = &b->run;
  int64_t first = (int64_t)task * GLOW_STRIP, left = run->samples - first;
  (void)worker;
  for (int32_t l = run->net->depth; l >= 0; l--) {
    glow__mlp_part part = {first, left < GLOW_STRIP ? left : GLOW_STRIP, 0,
                           run->net->layers[l].input_panels};
    through_layer(b, l, &part);
  }
}

static void backward_part(void *arg, uint32_t task, uint32_t worker) {
  const back_run *b = arg;
  const glow__mlp_layer *layer = &b->run.net->layers[b->run.layer];
  glow__mlp_cut cut = glow__mlp_net_cut(&b->run, layer->inputs, layer->outputs);
  glow__mlp_part part = glow__mlp_net_part(&b->run, &cut, layer->inputs, task);
  (void)worker;
  through_layer(b, b->run.layer, &part);
}

static void data_gradients(back_run *b) {
  const glow__mlp_net *net = b->run.net;
  if (net->narrow) {
    glow_call_run(b->run.call, (uint32_t)glow__strip_count(b->run.samples), backward_strip, b);
    return;
  }
  for (int32_t l = net->depth; l >= 0; l--) {
    glow__mlp_cut cut = glow__mlp_net_cut(&b->run, net->layers[l].inputs, net->layers[l].outputs);
    b->run.layer = l;
    glow_call_run(b->run.call, (uint32_t)(cut.strips * cut.groups), backward_part, b);
  }
}

/* Adds the gradient of x0 to those of x and the condition. */
static void hand_back(const back_run *b) {
  const glow__mlp_run *run = &b->run;
  const glow__mlp_net *net = run->net;
  float *d = glow_call_scratch(run->call, net->d_input);
  for (int64_t n = 0; n < run->samples; n++) {
    float *condition = net->condition ? glow_call_condition_gradient(run->call, n) : NULL;
    for (int64_t p = 0; p < net->pixels; p++, d += net->channels)
      for (int64_t c = 0; c < net->channels; c++)
        b->dx[(n * net->pixels + p) * b->dx_stride + c] += d[c];
    if (condition && net->options.standardise)
      glow_call_condition_unscale(run->call, &net->standard, 1, 1, net->condition, d);
    for (int64_t j = 0; condition && j < net->condition; j++)
      condition[j] += d[j];
    d += net->condition;
  }
}

/* ---- weights --------------------------------------------------------------------------------- */

static void bias_gradient(const back_run *b, int32_t l, uint32_t worker) {
  const glow__mlp_run *run = &b->run;
  const glow__mlp_layer *layer = &run->net->layers[l];
  const float *d = gradient_of(b, l);
  float *g = glow_call_gradient(run->call, layer->bias);
  double *sums = (double *)(void *)glow_call_worker_scratch(run->call, run->net->block, worker);
  memset(sums, 0, (size_t)layer->outputs * sizeof *sums);
  pointwise_of(run)->add_rows(run->samples, layer->outputs, d, sums);
  for (int64_t j = 0; j < layer->outputs; j++)
    g[j] += (float)sums[j];
}

/* Columns [column, column + GLOW_MLP_COLUMNS) of the gradient of W_l. */
static void mlp_net_backward_weight_gradient(const back_run *b, int32_t l, int64_t column,
                                             uint32_t worker) {
  const glow__mlp_run *run = &b->run;
  const glow__mlp_layer *layer = &run->net->layers[l];
  const glow_math *math = run->math;
  const glow_epilogue add = {.accumulate = 1};
  const float *d = gradient_of(b, l);
  rows h = inputs_of(b, l);
  float *packed = glow_call_worker_scratch(run->call, run->net->block, worker);
  float *g = glow_call_gradient(run->call, layer->weight) + column;
  int64_t left = layer->inputs - column;
  int64_t columns = left < GLOW_MLP_COLUMNS ? left : GLOW_MLP_COLUMNS;
  int64_t panels = glow_math_panel_count(math, columns);
  for (int64_t n = 0; n < run->samples; n += GLOW_MLP_ROWS) {
    int64_t count = run->samples - n < GLOW_MLP_ROWS ? run->samples - n : GLOW_MLP_ROWS;
    glow_math_pack(math, count, columns, h.at + n * h.stride + column, h.stride, 1, packed, 0,
                   panels);
    glow_math_multiply_transposed(math, layer->outputs, columns, count, d + n * layer->outputs,
                                  glow__mlp_rows(run, layer->outputs), packed, g,
                                  glow__mlp_rows(run, layer->inputs), 0, panels, &add);
  }
}

static int64_t mlp_net_backward_blocks_of(const glow__mlp_layer *layer) {
  return (layer->inputs + GLOW_MLP_COLUMNS - 1) / GLOW_MLP_COLUMNS;
}

/* Part `task` of the list of all blocks of columns and all biases. The blocks come first, from the
 * last layer on, so that what takes longest is not begun last. */
static void parameter_gradients(void *arg, uint32_t task, uint32_t worker) {
  const back_run *b = arg;
  const glow__mlp_net *net = b->run.net;
  int64_t item = 0;
  for (int32_t l = net->depth; l >= 0; l--)
    for (int64_t block = 0; block < mlp_net_backward_blocks_of(&net->layers[l]); block++)
      if (item++ % b->tasks == task)
        mlp_net_backward_weight_gradient(b, l, block * GLOW_MLP_COLUMNS, worker);
  for (int32_t l = net->depth; l >= 0; l--)
    if (item++ % b->tasks == task)
      bias_gradient(b, l, worker);
}

/* Work that is worth handing out is cut finer than into tasks that are worth it, for in few large
 * ones a thread waits long for the other. */
enum { MLP_FINER = 4 };

static void parameters(back_run *b) {
  const glow__mlp_net *net = b->run.net;
  int64_t items = 0, work = 0;
  for (int32_t l = 0; l <= net->depth; l++) {
    items += 1 + mlp_net_backward_blocks_of(&net->layers[l]);
    work += b->run.samples * net->layers[l].inputs * net->layers[l].outputs;
  }
  b->tasks = work <= GLOW_MLP_WORK ? 1 : (MLP_FINER * work + GLOW_MLP_WORK - 1) / GLOW_MLP_WORK;
  b->tasks = b->tasks < items ? b->tasks : items;
  glow_call_run(b->run.call, (uint32_t)b->tasks, parameter_gradients, b);
}

void glow__mlp_net_backward(const void *self, const glow_call *call, const float *x, int64_t stride,
                            const float *out, float *dout, float *dx, int64_t dx_stride) {
  back_run b = {.dout = dout, .dx = dx, .dx_stride = dx_stride};
  glow__mlp_net_begin(self, call, x, stride, &b.run);
  (void)out;
  mlp_net_backward_pack(&b);
  data_gradients(&b);
  hand_back(&b);
  if (glow_call_gradient(call, b.run.net->layers[0].weight))
    parameters(&b);
}
