/* The residual network, backward. Through a norm with u = xhat + bias, xhat = (x - mean) inverse, M
 * pixels and du the gradient of u:
 *   statistics of the batch   dx = inverse (du - sum du / M - xhat sum(du xhat) / M)
 *   no normalisation          dx = du
 * and d bias = sum du. Gradients of the images take the scratch of the images themselves.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "nets/res_net.h"

/* One layer, for the tasks: from the gradient of a convolution's output to that of the input of its
 * norm. */
typedef struct stage {
  const glow__res_run *run;
  const glow__wn_conv *conv;
  const glow__wn_conv *skip; /* its gradient, from o, is added; or NULL */
  const float *dy;           /* gradient of conv's output */
  const float *x;            /* the norm's input */
  float *du;                 /* gradient of u */
  float *dx;                 /* gradient of x */
  bool add;                  /* dx is added to */
  glow__norm_view view;
  float *to;
  int64_t to_stride;
} stage;

static void strip_of(const glow__res_run *run, uint32_t task, int64_t *first, int64_t *last) {
  *first = (int64_t)task * GLOW_STRIP;
  *last = run->pixels - *first < GLOW_STRIP ? run->pixels : *first + GLOW_STRIP;
}

static void res_net_backward_run_strips(stage *s, glow_task_fn fn) {
  glow_call_run(s->run->call, (uint32_t)glow__strip_count(s->run->pixels), fn, s);
}

/* h again, du, and its sums. */
static void norm_strip(void *arg, uint32_t task, uint32_t worker) {
  const stage *s = arg;
  const glow__res_run *run = s->run;
  int64_t hidden = run->net->hidden, first, last;
  strip_of(run, task, &first, &last);
  float *room = glow_call_worker_scratch(run->call, run->net->strip, worker);
  float *h = glow_call_scratch(run->call, run->net->h) + first * hidden;
  float *du = s->du + first * hidden;
  const float *x = s->x + first * hidden;
  const glow__wn_run conv = glow__res_conv(run, s->conv);
  glow__wn_data_gradient(&conv, s->dy, first, last, false, s->du, hidden, room);
  glow__res_activate(&s->view, hidden, last - first, x, h);
  double *sums = glow__res_partial(run, task), *products = sums + hidden;
  memset(sums, 0, 2 * (size_t)hidden * sizeof *sums);
  for (int64_t p = 0; p < last - first; p++)
    for (int64_t j = 0; j < hidden; j++) {
      int64_t i = p * hidden + j;
      du[i] = h[i] > 0.0f ? du[i] : 0.0f;
      sums[j] += (double)du[i];
      products[j] += (double)(du[i] * ((x[i] - s->view.mean[j]) * s->view.inverse[j]));
    }
}

/* dx from du, plus what comes through the skip. */
static void finish_strip(void *arg, uint32_t task, uint32_t worker) {
  const stage *s = arg;
  const glow__res_run *run = s->run;
  int64_t hidden = run->net->hidden, first, last;
  const glow__norm_view *v = &s->view;
  strip_of(run, task, &first, &last);
  for (int64_t p = first; p < last; p++)
    for (int64_t j = 0; j < hidden; j++) {
      int64_t i = p * hidden + j;
      float xhat = (s->x[i] - v->mean[j]) * v->inverse[j];
      float dx = v->inverse[j] * (s->du[i] - v->shift[j] - v->slope[j] * xhat);
      s->dx[i] = s->add ? s->dx[i] + dx : dx;
    }
  if (!s->skip)
    return;
  const glow__wn_run skip = glow__res_conv(run, s->skip);
  glow__wn_data_gradient(&skip, glow_call_scratch(run->call, run->net->o), first, last, true, s->dx,
                         hidden, glow_call_worker_scratch(run->call, run->net->strip, worker));
}

static void gradients(const glow__res_run *run, const glow__wn_conv *conv, const float *h,
                      int64_t stride, const float *dy) {
  const glow__wn_run one = glow__res_conv(run, conv);
  glow__wn_gradients(&one, h, stride, dy, glow_call_scratch(run->call, run->net->d),
                     run->net->gradient);
}

/* What the sums give: the gradient of the norm's bias, and the vectors for dx. */
static void norm_sums(const glow__res_run *run, int32_t number, const glow__norm_view *view) {
  const glow__net_norm *norm = glow__res_norm(run->net, number);
  int64_t hidden = run->net->hidden;
  const double *sums = glow__res_total(run);
  bool through = norm->mean >= 0 && glow_call_observed(run->call, norm->mean);
  float *d_bias = norm->mean < 0 ? NULL : glow_call_gradient(run->call, norm->bias);
  for (int64_t j = 0; j < hidden; j++) {
    if (d_bias)
      d_bias[j] += (float)sums[j];
    view->shift[j] = through ? (float)(sums[j] / (double)run->pixels) : 0.0f;
    view->slope[j] = through ? (float)(sums[hidden + j] / (double)run->pixels) : 0.0f;
  }
}

/* Back through relu(norm(x)) and the convolution after it. */
static void through_conv(stage *s, int32_t number) {
  const glow__res_run *run = s->run;
  glow__res_choose(run, number);
  s->view = glow__res_view(run, number);
  s->du = glow_call_scratch(run->call, run->net->du);
  res_net_backward_run_strips(s, norm_strip);
  gradients(run, s->conv, glow_call_scratch(run->call, run->net->h), run->net->hidden, s->dy);
  norm_sums(run, number, &s->view);
  res_net_backward_run_strips(s, finish_strip);
}

/* dx of the network: the data gradient of conv. */
static void input_strip(void *arg, uint32_t task, uint32_t worker) {
  const stage *s = arg;
  const glow__res_run *run = s->run;
  int64_t first, last;
  strip_of(run, task, &first, &last);
  const glow__wn_run conv = glow__res_conv(run, s->conv);
  glow__wn_data_gradient(&conv, s->dy, first, last, true, s->to, s->to_stride,
                         glow_call_worker_scratch(run->call, run->net->strip, worker));
}

/* The gradient of r_k is that of r_{k+1} plus what comes through the block and through the skip;
 * for the last r it is that of the skip alone. */
static void skip_strip(void *arg, uint32_t task, uint32_t worker) {
  const stage *s = arg;
  const glow__res_run *run = s->run;
  int64_t hidden = run->net->hidden, first, last;
  strip_of(run, task, &first, &last);
  const glow__wn_run skip = glow__res_conv(run, s->skip);
  glow__wn_data_gradient(&skip, s->dy, first, last, false, s->dx, hidden,
                         glow_call_worker_scratch(run->call, run->net->strip, worker));
}

static const glow__wn_conv *skip_of(const glow__res_net *net, int32_t k) {
  return k ? &net->block[k - 1].skip : &net->skip;
}

static void res_net_backward_through_block(const glow__res_run *run, int32_t k) {
  const glow__res_net *net = run->net;
  const glow__res_block *block = &net->block[k - 1];
  float *dr = glow_call_scratch(run->call, net->r), *da = glow_call_scratch(run->call, net->a);
  stage second = {.run = run, .conv = &block->conv2, .dy = dr, .x = glow__res_a(run, k), .dx = da};
  through_conv(&second, 2 * k - 1);
  stage first = {.run = run,
                 .conv = &block->conv1,
                 .skip = skip_of(net, k - 1),
                 .dy = da,
                 .x = glow__res_r(run, k - 1),
                 .dx = dr,
                 .add = true};
  through_conv(&first, 2 * k - 2);
}

void glow__res_net_backward(const void *self, const glow_call *call, const float *x, int64_t stride,
                            const float *out, float *dout, float *dx, int64_t dx_stride) {
  const glow__res_net *net = self;
  const glow__res_run run = glow__res_run_of(net, call, x, stride);
  float *dr = glow_call_scratch(call, net->r), *d_o = glow_call_scratch(call, net->o);
  (void)out;
  stage last = {.run = &run, .conv = &net->last, .dy = dout, .x = glow__res_o(&run), .dx = d_o};
  through_conv(&last, 2 * net->blocks);
  stage top = {.run = &run, .skip = skip_of(net, net->blocks), .dy = d_o, .dx = dr};
  res_net_backward_run_strips(&top, skip_strip);
  for (int32_t k = net->blocks; k > 0; k--)
    res_net_backward_through_block(&run, k);
  for (int32_t k = 0; k <= net->blocks; k++)
    gradients(&run, skip_of(net, k), glow__res_r(&run, k), net->hidden, d_o);
  gradients(&run, &net->first, run.x.at, run.x.stride, dr);
  glow__pixels to = glow__pixel_input_gradient(&net->input, call, dx, dx_stride);
  stage input = {.run = &run, .conv = &net->first, .dy = dr, .to = to.at, .to_stride = to.stride};
  res_net_backward_run_strips(&input, input_strip);
  glow__pixel_input_split(&net->input, call, dx, dx_stride);
}
