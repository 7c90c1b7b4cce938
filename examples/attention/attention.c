/* Glow with a conditioner network of your own, using nothing but the installed library:
 * self-attention over the pixels, so that every pixel of a coupling sees every other one. The
 * network is checked, put into the Glow preset by one option, trained on small images whose halves
 * mirror each other, saved, and loaded in another context.
 *
 *     cc -std=c11 attention.c $(pkg-config --cflags --libs libglow) -lm -o attention
 *     ./attention FILE
 *
 * SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <glow/sys/check.h>
#include <glow/sys/math.h>
#include <glow/sys/net.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the network ------------------------------------------------------------------------------
 * For one sample of P pixels and C channels, x [P, C]. Products with weights are 1x1 convolutions.
 *   e = x We' + place                       [P, D]   place: a learned vector for each pixel
 *   q, k, v = the thirds of e Wqkv'         [P, D] each
 *   a = softmax(q k' / sqrt(D)), by rows    [P, P]
 *   h = tanh(e + a v)                       [P, D]
 *   out = h Wo' + b                         [P, O]   Wo and b start at 0
 * Vaswani et al. 2017, 3.2.1, with one head. A row of each matrix is a pixel. */

typedef struct attention_options {
  size_t struct_size;
  int32_t width; /* D, 1 to 1024; default 16 */
  int32_t reserved;
  uint64_t seed; /* of the starting values */
} attention_options;

static const glow_option attention_rows[] = {
    GLOW_OPTION(attention_options, width, INT32, .low = 1, .high = 1024, .fallback = 16),
    GLOW_OPTION(attention_options, reserved, RESERVED),
    GLOW_OPTION(attention_options, seed, UINT64),
};
static const glow_options_table attention_table = {
    GLOW_OPTIONS_TABLE(attention_options, attention_rows)};

typedef struct attention {
  attention_options options; /* first: a checked copy of what the caller gave */
  int64_t P, C, D, O;
  int32_t embed, place, qkv, out, bias; /* tensors [D, C], [P, D], [3D, D], [O, D], [O] */
  int32_t stored, work;                 /* values of each sample: see values_of; work: where nothing
                                             is stored */
  int32_t d;                            /* their gradients */
  int32_t packed[3], packed_back[3]; /* embed, qkv, out, in the order in which products read them */
  int32_t factor;                    /* worker: a packed matrix of one sample */
} attention;

/* The values that forward computes for one sample, or their gradients in backward. */
typedef struct values {
  float *e, *qkv, *a, *h; /* [P, D], [P, 3D], [P, P], [P, D] */
} values;

static int64_t values_size(const attention *t) {
  return t->P * (5 * t->D + t->P);
}

static values values_of(const attention *t, float *region, int64_t n) {
  float *e = region + n * values_size(t);
  return (values){e, e + t->P * t->D, e + 4 * t->P * t->D, e + 4 * t->P * t->D + t->P * t->P};
}

static int64_t largest(int64_t a, int64_t b) {
  return a > b ? a : b;
}

static glow_status attention_configure(void *self, glow_setup *setup, const glow_shape *input,
                                       int64_t out_channels) {
  attention *t = self;
  const glow_math *math = glow_context_math(glow_setup_context(setup));
  t->P = input->height * input->width;
  t->C = input->channels;
  t->D = t->options.width;
  t->O = out_channels;
  if (t->P > 4096)
    return glow_error(GLOW_E_SHAPE, "attention over %lld pixels; at most 4096", (long long)t->P);
  const int64_t embed[] = {t->D, t->C}, place[] = {t->P, t->D}, qkv[] = {3 * t->D, t->D};
  const int64_t out[] = {t->O, t->D};
  GLOW_TRY(glow_setup_tensor(setup, "embed.weight", GLOW_TYPE_F32, 1, 2, embed, &t->embed));
  GLOW_TRY(glow_setup_tensor(setup, "place", GLOW_TYPE_F32, 1, 2, place, &t->place));
  GLOW_TRY(glow_setup_tensor(setup, "qkv.weight", GLOW_TYPE_F32, 1, 2, qkv, &t->qkv));
  GLOW_TRY(glow_setup_tensor(setup, "out.weight", GLOW_TYPE_F32, 1, 2, out, &t->out));
  GLOW_TRY(glow_setup_tensor(setup, "out.bias", GLOW_TYPE_F32, 1, 1, out, &t->bias));
  GLOW_TRY(glow_setup_stored(setup, 0, values_size(t), &t->stored));
  GLOW_TRY(glow_setup_scratch(setup, 0, values_size(t), &t->work));
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, values_size(t), &t->d));
  const int64_t in[] = {t->C, t->D, t->D}, to[] = {t->D, 3 * t->D, t->O};
  for (int i = 0; i < 3; i++) { /* B is W' in forward, [in, to], and W in backward, [to, in] */
    int64_t there = glow_math_packed_floats(math, in[i], to[i]);
    int64_t back = glow_math_packed_floats(math, to[i], in[i]);
    GLOW_TRY(glow_setup_packed(setup, there, 0, &t->packed[i]));
    GLOW_TRY(glow_setup_packed(setup, back, 1, &t->packed_back[i]));
  }
  int64_t columns = largest(largest(t->C, t->D), largest(t->P, t->D));
  int64_t floats = glow_math_packed_floats(math, largest(t->P, t->D), columns);
  GLOW_TRY(glow_setup_worker_scratch(setup, floats, &t->factor));
  int64_t work = t->P * (t->D * (t->C + 3 * t->D + 2 * t->P + t->O));
  return glow_setup_work(setup, work, work);
}

/* Weights of standard deviation 1/sqrt(inputs); places like the weights of one more input. */
static glow_status attention_reset(const void *self, const glow_call *call) {
  const attention *t = self;
  const struct {
    int32_t id;
    int64_t count, inputs;
  } drawn[] = {
      {t->embed, t->D * t->C, t->C}, {t->place, t->P * t->D, 1}, {t->qkv, 3 * t->D * t->D, t->D}};
  for (uint64_t i = 0; i < 3; i++) {
    float *w = glow_call_tensor_mutable(call, drawn[i].id);
    glow_random_normal(glow_random_derive(t->options.seed, i), GLOW_STREAM_RESET, 0, w,
                       drawn[i].count);
    for (int64_t j = 0; j < drawn[i].count; j++)
      w[j] *= 1 / sqrtf((float)drawn[i].inputs);
  }
  return GLOW_OK;
}

/* ---- products -------------------------------------------------------------------------------- */

/* A matrix whose rows are `stride` floats apart. */
typedef struct rows {
  const float *at;
  int64_t stride;
} rows;

/* B [k, n], element (i, j) at b[i*rs + j*cs], in the order in which a product reads it. */
static const float *pack(const glow_math *math, int64_t k, int64_t n, const float *b, int64_t rs,
                         int64_t cs, float *to) {
  glow_math_pack(math, k, n, b, rs, cs, to, 0, glow_math_panel_count(math, n));
  return to;
}

/* C [m, n] = A B, or C += A B. */
static void multiply(const glow_math *math, int64_t m, int64_t n, int64_t k, rows a, const float *b,
                     float *c, int64_t c_stride, const float *bias, int32_t accumulate) {
  const glow_epilogue end = {.bias = bias, .accumulate = accumulate};
  glow_math_multiply(math, m, n, k, a.at, glow_math_rows(math, a.stride), b, c,
                     glow_math_rows(math, c_stride), 0, glow_math_panel_count(math, n), &end);
}

/* C [m, n] = A' B, or C += A' B, with A [k, m]. */
static void multiply_transposed(const glow_math *math, int64_t m, int64_t n, int64_t k, rows a,
                                const float *b, float *c, int64_t c_stride, int32_t accumulate) {
  const glow_epilogue end = {.accumulate = accumulate};
  glow_math_multiply_transposed(math, m, n, k, a.at, glow_math_rows(math, a.stride), b, c,
                                glow_math_rows(math, c_stride), 0, glow_math_panel_count(math, n),
                                &end);
}

/* What one call works on. */
typedef struct attention_run {
  const attention *t;
  const glow_call *call;
  const glow_math *math;
  float *values; /* region */
  const float *x, *dout;
  float *out, *dx;
  int64_t stride, dx_stride;
} attention_run;

static attention_run run_of(const attention *t, const glow_call *call, const float *x,
                            int64_t stride) {
  attention_run r = {.t = t, .call = call, .x = x, .stride = stride};
  r.math = glow_context_math(glow_call_context(call));
  r.values = glow_call_stored(call, t->stored); /* NULL: no backward will follow */
  if (!r.values)
    r.values = glow_call_scratch(call, t->work);
  return r;
}

/* The weights W [to, in], packed as W' or as W. */
static void pack_weights(const attention_run *r, const int32_t *regions, int back) {
  const attention *t = r->t;
  const int32_t ids[] = {t->embed, t->qkv, t->out};
  const int64_t in[] = {t->C, t->D, t->D}, to[] = {t->D, 3 * t->D, t->O};
  for (int i = 0; i < 3; i++) {
    const float *w = glow_call_tensor(r->call, ids[i]);
    float *packed = glow_call_scratch(r->call, regions[i]);
    if (!glow_call_must_pack(r->call, regions[i]))
      continue;
    if (back)
      pack(r->math, to[i], in[i], w, in[i], 1, packed);
    else
      pack(r->math, in[i], to[i], w, 1, in[i], packed);
  }
}

/* ---- forward --------------------------------------------------------------------------------- */

/* exp(s - max s) / sum, of s = a / sqrt(D). */
static void softmax(const glow_math *math, int64_t count, float scale, float *a) {
  float top = a[0], sum = 0;
  for (int64_t j = 1; j < count; j++)
    top = a[j] > top ? a[j] : top;
  for (int64_t j = 0; j < count; j++)
    a[j] = scale * (a[j] - top);
  glow_math_exp(math, count, a, a);
  for (int64_t j = 0; j < count; j++)
    sum += a[j];
  for (int64_t j = 0; j < count; j++)
    a[j] /= sum;
}

static void forward_sample(void *arg, uint32_t n, uint32_t worker) {
  const attention_run *r = arg;
  const attention *t = r->t;
  const int64_t P = t->P, D = t->D;
  const float *packed[3];
  float *factor = glow_call_worker_scratch(r->call, t->factor, worker);
  values v = values_of(t, r->values, n);
  for (int i = 0; i < 3; i++)
    packed[i] = glow_call_scratch(r->call, t->packed[i]);
  memcpy(v.e, glow_call_tensor(r->call, t->place), (size_t)(P * D) * sizeof *v.e);
  multiply(r->math, P, D, t->C, (rows){r->x + n * P * r->stride, r->stride}, packed[0], v.e, D,
           NULL, 1);
  multiply(r->math, P, 3 * D, D, (rows){v.e, D}, packed[1], v.qkv, 3 * D, NULL, 0);
  pack(r->math, D, P, v.qkv + D, 1, 3 * D, factor); /* k' */
  multiply(r->math, P, P, D, (rows){v.qkv, 3 * D}, factor, v.a, P, NULL, 0);
  for (int64_t i = 0; i < P; i++)
    softmax(r->math, P, 1 / sqrtf((float)D), v.a + i * P);
  memcpy(v.h, v.e, (size_t)(P * D) * sizeof *v.h);
  pack(r->math, P, D, v.qkv + 2 * D, 3 * D, 1, factor); /* v */
  multiply(r->math, P, D, P, (rows){v.a, P}, factor, v.h, D, NULL, 1);
  glow_math_tanh(r->math, P * D, v.h, v.h);
  multiply(r->math, P, t->O, D, (rows){v.h, D}, packed[2], r->out + n * P * t->O, t->O,
           glow_call_tensor(r->call, t->bias), 0);
}

static void attention_forward(const void *self, const glow_call *call, const float *x,
                              int64_t stride, float *out) {
  const attention *t = self;
  attention_run r = run_of(t, call, x, stride);
  r.out = out;
  pack_weights(&r, t->packed, 0);
  glow_call_run(call, (uint32_t)glow_call_sample_count(call), forward_sample, &r);
}

/* ---- backward --------------------------------------------------------------------------------
 *   du = (dout Wo) (1 - h^2)                u = e + a v
 *   dv = a' du,  da = du v',  ds = a (da - sum_j da_j a_j) / sqrt(D)
 *   dq = ds k,  dk = ds' q,  de = du + dqkv Wqkv,  dx += de We
 *   dWo = dout' h,  db = sum dout,  dWqkv = dqkv' e,  dplace = de,  dWe = de' x: sums over n */

static void backward_sample(void *arg, uint32_t n, uint32_t worker) {
  const attention_run *r = arg;
  const attention *t = r->t;
  const int64_t P = t->P, D = t->D;
  const float *packed[3];
  float *factor = glow_call_worker_scratch(r->call, t->factor, worker);
  values v = values_of(t, r->values, n), d = values_of(t, glow_call_scratch(r->call, t->d), n);
  for (int i = 0; i < 3; i++)
    packed[i] = glow_call_scratch(r->call, t->packed_back[i]);
  multiply(r->math, P, D, t->O, (rows){r->dout + n * P * t->O, t->O}, packed[2], d.h, D, NULL, 0);
  for (int64_t i = 0; i < P * D; i++)
    d.e[i] = d.h[i] *= 1 - v.h[i] * v.h[i]; /* du */
  pack(r->math, P, D, d.h, D, 1, factor);   /* du */
  multiply_transposed(r->math, P, D, P, (rows){v.a, P}, factor, d.qkv + 2 * D, 3 * D, 0);
  pack(r->math, D, P, v.qkv + 2 * D, 1, 3 * D, factor); /* v' */
  multiply(r->math, P, P, D, (rows){d.h, D}, factor, d.a, P, NULL, 0);
  for (int64_t i = 0; i < P; i++) {
    float *row = d.a + i * P, sum = 0;
    const float *a = v.a + i * P;
    for (int64_t j = 0; j < P; j++)
      sum += row[j] * a[j];
    for (int64_t j = 0; j < P; j++)
      row[j] = a[j] * (row[j] - sum) / sqrtf((float)D);
  }
  pack(r->math, P, D, v.qkv + D, 3 * D, 1, factor); /* k */
  multiply(r->math, P, D, P, (rows){d.a, P}, factor, d.qkv, 3 * D, NULL, 0);
  pack(r->math, P, D, v.qkv, 3 * D, 1, factor); /* q */
  multiply_transposed(r->math, P, D, P, (rows){d.a, P}, factor, d.qkv + D, 3 * D, 0);
  multiply(r->math, P, D, 3 * D, (rows){d.qkv, 3 * D}, packed[1], d.e, D, NULL, 1);
  multiply(r->math, P, t->C, D, (rows){d.e, D}, packed[0], r->dx + n * P * r->dx_stride,
           r->dx_stride, NULL, 1); /* added to the coupling's part */
}

/* Sums of the columns over the samples' rows. */
static void add_rows(int64_t count, int64_t n, const float *from, float *to) {
  for (int64_t i = 0; i < count; i++)
    for (int64_t j = 0; j < n; j++)
      to[j] += from[i * n + j];
}

/* One task for each gradient, over the samples in order: the same bits for any number of threads.
 * */
static void gradient_task(void *arg, uint32_t task, uint32_t worker) {
  const attention_run *r = arg;
  const attention *t = r->t;
  const int64_t P = t->P, D = t->D;
  float *factor = glow_call_worker_scratch(r->call, t->factor, worker);
  for (int64_t n = 0; n < glow_call_sample_count(r->call); n++) {
    values v = values_of(t, r->values, n), d = values_of(t, glow_call_scratch(r->call, t->d), n);
    const rows dout = {r->dout + n * P * t->O, t->O};
    switch (task) {
    case 0:
      pack(r->math, P, t->C, r->x + n * P * r->stride, r->stride, 1, factor);
      multiply_transposed(r->math, D, t->C, P, (rows){d.e, D}, factor,
                          glow_call_gradient(r->call, t->embed), t->C, 1);
      break;
    case 1: add_rows(1, P * D, d.e, glow_call_gradient(r->call, t->place)); break;
    case 2:
      pack(r->math, P, D, v.e, D, 1, factor);
      multiply_transposed(r->math, 3 * D, D, P, (rows){d.qkv, 3 * D}, factor,
                          glow_call_gradient(r->call, t->qkv), D, 1);
      break;
    default:
      pack(r->math, P, D, v.h, D, 1, factor);
      multiply_transposed(r->math, t->O, D, P, dout, factor, glow_call_gradient(r->call, t->out), D,
                          1);
      add_rows(P, t->O, dout.at, glow_call_gradient(r->call, t->bias));
    }
  }
}

static void attention_backward(const void *self, const glow_call *call, const float *x,
                               int64_t stride, const float *out, float *dout, float *dx,
                               int64_t dx_stride) {
  const attention *t = self;
  attention_run r = run_of(t, call, x, stride);
  (void)out;
  r.dout = dout;
  r.dx = dx;
  r.dx_stride = dx_stride;
  pack_weights(&r, t->packed_back, 1);
  glow_call_run(call, (uint32_t)glow_call_sample_count(call), backward_sample, &r);
  glow_call_run(call, 4, gradient_task, &r);
}

static const glow_net_ops attention_ops = {
    .struct_size = sizeof attention_ops,
    .type = "example.attention",
    .flags = GLOW_NET_ALWAYS_PREPARES,
    .options = &attention_table,
    .self_size = sizeof(attention),
    .configure = attention_configure,
    .reset = attention_reset,
    .forward = attention_forward,
    .backward = attention_backward,
};

/* ---- the program ---------------------------------------------------------------------------- */

enum { SIDE = 8, DIMS = SIDE * SIDE, COUNT = 64, STEPS = 200 };

static void check(glow_status status) {
  if (status == GLOW_OK)
    return;
  fprintf(stderr, "%s: %s\n", glow_status_name(status), glow_last_error());
  exit(1);
}

/* Makes the network of one coupling: a glow_glow_options.conditioner. */
static glow_status make_conditioner(glow_context *context, const glow_conditioner_request *request,
                                    glow_net **out, void *payload) {
  const int32_t *width = payload;
  const attention_options options = {sizeof options, *width, 0, request->seed};
  return glow_net_create(context, &attention_ops, &options, out);
}

static glow_model *make_glow(glow_context *context) {
  glow_glow_options options = GLOW_GLOW_OPTIONS_INIT;
  int32_t width = 24;
  glow_model *model = NULL;
  options.input = (glow_shape){SIDE, SIDE, 1};
  options.levels = 2;
  options.depth = 4;
  options.conditioner = make_conditioner;
  options.conditioner_payload = &width;
  check(glow_model_create_glow(context, &options, &model));
  return model;
}

/* Checks that the table keeps its contract. */
static void check_type(glow_context *context) {
  glow_check_options options = GLOW_CHECK_OPTIONS_INIT;
  const attention_options small = {sizeof small, 5, 0, 7};
  glow_net *net = NULL;
  options.shape = (glow_shape){2, 3, 3};
  check(glow_net_create(context, &attention_ops, &small, &net));
  check(glow_net_check(context, &net, &options)); /* takes the net over */
  printf("example.attention keeps the contract of networks\n");
}

/* Soft stripes of random direction, phase and wavelength on the left, mirrored on the right. */
static void draw(uint8_t *pixels) {
  float u[3 * COUNT];
  glow_random_uniform(1, GLOW_STREAM_USER, 0, u, 3 * COUNT);
  for (int i = 0; i < COUNT * DIMS; i++) {
    const float *of = u + 3 * (i / DIMS);
    int x = i % SIDE, y = i % DIMS / SIDE;
    double angle = 6.2831853 * of[0], left = x < SIDE / 2 ? x : SIDE - 1 - x;
    double along = (cos(angle) * left + sin(angle) * y) * (0.5 + 0.5 * of[2]);
    pixels[i] = (uint8_t)(127.5 + 100 * sin(along + 6.2831853 * of[1]));
  }
}

static double mean_bits(const glow_model *model, const float *x, double *log_prob) {
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *workspace = NULL;
  double sum = 0;
  options.batch = 16;
  check(glow_workspace_create(model, &options, &workspace));
  check(glow_workspace_log_prob(workspace, x, NULL, COUNT, log_prob));
  for (int n = 0; n < COUNT; n++)
    sum += glow_model_bits_per_dim(model, log_prob[n]) / COUNT;
  glow_workspace_destroy(&workspace);
  return sum;
}

/* Prints bits/dim before training, with first values from data, and after it. */
static double train(glow_model *model, const uint8_t *pixels, const float *x) {
  glow_trainer *trainer = NULL;
  double log_prob[COUNT];
  check(glow_trainer_create(model, NULL, &trainer));
  check(glow_trainer_initialise_pixels(trainer, pixels, NULL, COUNT));
  double before = mean_bits(model, x, log_prob);
  for (int step = 0; step < STEPS; step++)
    check(glow_trainer_step_pixels(trainer, pixels, NULL, COUNT, NULL));
  glow_trainer_destroy(&trainer);
  double after = mean_bits(model, x, log_prob);
  printf("%.3f bits/dim, after %d steps %.3f\n", before, STEPS, after);
  return before - after;
}

int main(int count, char **arguments) {
  static uint8_t pixels[COUNT * DIMS];
  static float x[COUNT * DIMS];
  double before[COUNT], after[COUNT];
  const char *path = count > 1 ? arguments[1] : "attention.safetensors";
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL, *other = NULL;
  glow_model *loaded = NULL;
  options.threads = 2;
  check(glow_context_create(&options, &context));
  check(glow_context_register_net(context, &attention_ops)); /* so that it can be saved */
  check_type(context);
  glow_model *model = make_glow(context);
  draw(pixels);
  check(glow_model_dequantise(model, pixels, COUNT, 1, 0, x));
  double better = train(model, pixels, x);
  mean_bits(model, x, before);
  check(glow_model_save(model, path));

  check(glow_context_create(NULL, &other));                /* on one thread */
  check(glow_context_register_net(other, &attention_ops)); /* so that the file can name it */
  check(glow_model_load(other, path, &loaded));
  mean_bits(loaded, x, after);
  int same = memcmp(before, after, sizeof before) == 0;
  printf("loaded: log-densities %s\n", same ? "the same" : "different");
  glow_model_destroy(&loaded);
  glow_context_destroy(&other);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return !same || better < 0.5;
}
