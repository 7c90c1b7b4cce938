/* Fully connected network, forward. A narrow net takes each strip of samples through all layers
 * while weights and activations are in the cache. A wide one goes layer by layer, cut into strips
 * of samples and groups of columns, so that a small batch occupies all threads too.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "math/strips.h"
#include "nets/mlp_net.h"

/* ---- shared with backward -------------------------------------------------------------------- */

static void gather_condition(const glow__mlp_run *run, int64_t n, float *to) {
  const glow__mlp_net *net = run->net;
  memcpy(to, glow_call_condition(run->call, n), (size_t)net->condition * sizeof *to);
  if (net->options.standardise)
    glow_call_condition_standardise(run->call, &net->standard, 1, 1, net->condition, to);
}

/* x0 of a sample: its pixels one after the other, then its condition. */
static void mlp_net_forward_gather(const glow__mlp_run *run, float *input) {
  const glow__mlp_net *net = run->net;
  for (int64_t n = 0; n < run->samples; n++) {
    for (int64_t p = 0; p < net->pixels; p++, input += net->channels)
      memcpy(input, run->x + (n * net->pixels + p) * run->stride,
             (size_t)net->channels * sizeof *input);
    if (net->condition)
      gather_condition(run, n, input);
    input += net->condition;
  }
}

void glow__mlp_net_begin(const glow__mlp_net *net, const glow_call *call, const float *x,
                         int64_t stride, glow__mlp_run *run) {
  run->net = net;
  run->call = call;
  run->math = glow_context_math(glow_call_context(call));
  run->packed = glow_call_derived(call);
  run->rows = glow_math_rows(run->math, 0);
  run->samples = glow_call_sample_count(call);
  run->x = run->input = x;
  run->stride = run->input_stride = stride;
  if (net->pixels > 1 || net->condition) {
    float *input = glow_call_scratch(call, net->input);
    mlp_net_forward_gather(run, input);
    run->input = input;
    run->input_stride = net->layers[0].inputs;
  }
}

glow__mlp_cut glow__mlp_net_cut(const glow__mlp_run *run, int64_t n, int64_t k) {
  int64_t panels = glow_math_panel_count(run->math, n);
  int64_t rows = run->samples < GLOW_STRIP ? run->samples : GLOW_STRIP;
  int64_t work = rows * k * glow__panel_columns(run->math),
          group = (GLOW_MLP_WORK + work - 1) / work;
  glow__mlp_cut cut = {.rows = rows, .strips = glow__strip_count(run->samples)};
  cut.panels = group < panels ? group : panels;
  cut.groups = (panels + cut.panels - 1) / cut.panels;
  return cut;
}

glow__mlp_part glow__mlp_net_part(const glow__mlp_run *run, const glow__mlp_cut *cut, int64_t n,
                                  uint32_t task) {
  int64_t panels = glow_math_panel_count(run->math, n), strip = task % cut->strips;
  glow__mlp_part part = {.first = strip * cut->rows, .from = task / cut->strips * cut->panels};
  part.rows = run->samples - part.first < cut->rows ? run->samples - part.first : cut->rows;
  part.to = part.from + cut->panels < panels ? part.from + cut->panels : panels;
  return part;
}

/* ---- forward --------------------------------------------------------------------------------- */

typedef struct forward_run {
  glow__mlp_run run;
  float *out;
} forward_run;

/* Layer l from rows of `in` to rows of `out`, columns of panels [from, to). */
static void layer_product(const glow__mlp_run *run, int32_t l, int64_t rows, const float *in,
                          int64_t in_stride, float *out, int64_t from, int64_t to) {
  const glow__mlp_layer *layer = &run->net->layers[l];
  glow_epilogue end = {.bias = glow_call_tensor(run->call, layer->bias),
                       .relu = l < run->net->depth};
  glow_math_multiply(run->math, rows, layer->outputs, layer->inputs, in,
                     glow__mlp_rows(run, in_stride), run->packed + layer->packed, out,
                     glow__mlp_rows(run, layer->outputs), from, to, &end);
}

/* h of layer l, all samples: stored for backward, or one of two that take turns. */
static float *hidden_of(const glow__mlp_run *run, int32_t l) {
  float *stored = glow_call_stored(run->call, run->net->h);
  int64_t size = run->samples * run->net->hidden;
  return stored ? stored + l * size : glow_call_scratch(run->call, run->net->states) + l % 2 * size;
}

static void forward_strip(void *arg, uint32_t task, uint32_t worker) {
  const forward_run *f = arg;
  const glow__mlp_run *run = &f->run;
  const glow__mlp_net *net = run->net;
  float *own = glow_call_worker_scratch(run->call, net->strip, worker);
  bool stored = glow_call_stored(run->call, net->h) != NULL;
  int64_t first = (int64_t)task * GLOW_STRIP, stride = run->input_stride;
  int64_t rows = run->samples - first < GLOW_STRIP ? run->samples - first : GLOW_STRIP;
  const float *in = run->input + first * stride;
  for (int32_t l = 0; l <= net->depth; l++) {
    int64_t outputs = net->layers[l].outputs;
    float *out = l == net->depth ? f->out + first * outputs
                 : stored        ? hidden_of(run, l) + first * outputs
                                 : own + l % 2 * GLOW_STRIP * outputs;
    layer_product(run, l, rows, in, stride, out, 0, net->layers[l].output_panels);
    in = out;
    stride = outputs;
  }
}

static void forward_part(void *arg, uint32_t task, uint32_t worker) {
  const forward_run *f = arg;
  const glow__mlp_run *run = &f->run;
  int32_t l = run->layer;
  const glow__mlp_layer *layer = &run->net->layers[l];
  glow__mlp_cut cut = glow__mlp_net_cut(run, layer->outputs, layer->inputs);
  glow__mlp_part part = glow__mlp_net_part(run, &cut, layer->outputs, task);
  const float *in = l ? hidden_of(run, l - 1) : run->input;
  int64_t stride = l ? layer->inputs : run->input_stride;
  float *out = l == run->net->depth ? f->out : hidden_of(run, l);
  (void)worker;
  layer_product(run, l, part.rows, in + part.first * stride, stride,
                out + part.first * layer->outputs, part.from, part.to);
}

void glow__mlp_net_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                           float *out) {
  const glow__mlp_net *net = self;
  forward_run f;
  glow__mlp_net_begin(net, call, x, stride, &f.run);
  f.out = out;
  if (net->narrow) {
    glow_call_run(call, (uint32_t)glow__strip_count(f.run.samples), forward_strip, &f);
    return;
  }
  for (int32_t l = 0; l <= net->depth; l++) {
    glow__mlp_cut cut = glow__mlp_net_cut(&f.run, net->layers[l].outputs, net->layers[l].inputs);
    f.run.layer = l;
    glow_call_run(call, (uint32_t)(cut.strips * cut.groups), forward_part, &f);
  }
}

/* ---- diagnosis ------------------------------------------------------------------------------- */

/* Units of all hidden layers, from the activations that forward has stored. */
glow_status glow__mlp_net_diagnose(const void *self, const glow_call *call,
                                   glow_findings *findings) {
  const glow__mlp_net *net = self;
  const glow__mlp_run run = {.net = net, .call = call, .samples = glow_call_sample_count(call)};
  unsigned char *active;
  GLOW_TRY(glow_findings_units(findings, net->depth * net->hidden, &active));
  for (int32_t l = 0; l < net->depth; l++, active += net->hidden) {
    const float *h = hidden_of(&run, l);
    for (int64_t n = 0; n < run.samples; n++, h += net->hidden)
      for (int64_t j = 0; j < net->hidden; j++)
        active[j] |= h[j] > 0.0f;
  }
  return GLOW_OK;
}
