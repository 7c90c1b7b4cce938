/* The contract that every layer fulfils in whole passes, tested on each layer with each choice of
 * options, on several shapes. The model is the layer and a fixed prior, or the prior alone;
 * parameters are perturbed from a printed seed. What a layer's functions do by themselves, log-dets
 * against Jacobians among it, is in test_check_built_in.c. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"
#include "../support/temp_folder.h"

#include <unistd.h>

static char path[64]; /* of a file for models */

enum { BATCH = 5, SMALL = 64 }; /* SMALL: largest samples, in elements, whose elements are probed */

/* Vectors, a 1x1 top, images that are not square, one odd channel count; and one where a batch
 * makes several blocks of samples, groups, strips of pixels and panels of weights. */
static const glow_shape shapes[] = {{1, 1, 8}, {1, 1, 3}, {2, 6, 4},
                                    {4, 2, 2}, {3, 5, 2}, {8, 16, 16}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Float32 resolves 6e-8. Each bound leaves about a factor of ten above what these layers show. */
static const double round_trip = 1e-5;    /* relative, of a batch */
static const double same_gradient = 2e-5; /* stored against reconstructed; accumulated; relative */
/* A spline's log-slope depends on where its input is, so rounding shows in it; and inputs far out
 * make splines as steep and as flat as they may be, which multiplies rounding. */
static const double spline_slope = 1e-4;
static const double spline_far = 1e-3;
/* The slope of the log-slope jumps at knots, one of which is always near in a large batch; the unit
 * test of splines holds each gradient away from them to less. */
static const double spline_difference = 2e-2;
static const double difference = 4e-3; /* gradient against central differences: see below */

typedef struct bench {
  const helper_layer *layer;
  glow_shape shape;
  char name[120];
  helper_random random;
  glow_context *context;
  glow_model *model;
  glow_workspace *inference, *stored, *reconstructed;
  int64_t dims;
  int32_t labels[BATCH];
  float *x;
  float contexts[BATCH * 3]; /* a row for each sample */
} bench;

/* A tensor of the layer, to write to; NULL when it has none of this name. */
static float *tensor(glow_model *model, const char *name, int64_t *elements) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  if (glow_model_find_tensor(model, name, &info) != GLOW_OK)
    return NULL;
  *elements = info.elements;
  return glow_model_parameters_mutable(model) + info.offset;
}

/* Biases of hidden units of +-3 and +-6, most of them up: units that are well on or well off, so
 * that differences do not meet the kinks of ReLU. */
static void settle_units(glow_model *model, helper_random *random) {
  static const char *const names[] = {"layer.net.norm1.bias", "layer.net.conv1.bias",
                                      "layer.net.fc1.bias",   "layer.net.norm2.bias",
                                      "layer.net.conv2.bias", "layer.net.fc2.bias"};
  for (int i = 0; i < 6; i++) {
    int64_t elements = 0;
    float *bias = tensor(model, names[i], &elements), size = i < 3 ? 3.0f : 6.0f;
    for (int64_t j = 0; bias && j < elements; j++)
      bias[j] += helper_uniform(random) < 0.7 ? size : -size;
  }
}

static bool ends_with(const char *name, const char *end) {
  size_t a = strlen(name), b = strlen(end);
  return a >= b && strcmp(name + a - b, end) == 0;
}

/* The same for a residual network: its units are pushed to +-6 or +-20, and where nothing is
 * normalised its blocks and skips bring little to what they are added to. */
static void settle_res_net(glow_model *model, helper_random *random, int32_t net) {
  bool batch_norm = net == HELPER_RES_NET || net == HELPER_RES_NET_WITHOUT_WEIGHT_NORM;
  for (int32_t t = 0; net >= HELPER_RES_NET && t < glow_model_tensor_count(model); t++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, t, &info));
    const char *name = info.name;
    bool push = batch_norm ? ends_with(name, "norm1.bias") || ends_with(name, "norm2.bias") ||
                                 ends_with(name, "net.norm.bias")
                           : ends_with(name, "first.bias") || ends_with(name, "conv1.bias") ||
                                 ends_with(name, "net.skip.bias");
    bool plain = net == HELPER_RES_NET_PLAIN;
    bool weaken = (!batch_norm && ends_with(name, ".gain")) ||
                  (plain && (ends_with(name, "conv1.weight") || ends_with(name, "conv2.weight") ||
                             ends_with(name, "skip.weight")));
    float size = !batch_norm && ends_with(name, "conv1.bias") ? 20.0f : 6.0f;
    float *values = info.trainable ? glow_model_parameters_mutable(model) + info.offset : NULL;
    for (int64_t j = 0; values && j < info.elements; j++) {
      if (push)
        values[j] += helper_uniform(random) < 0.7 ? size : -size;
      if (weaken)
        values[j] *= 0.1f;
    }
  }
  OK(glow_model_prepare(model));
}

/* A split's log-sds are linear in its input: without this, far-out inputs would have deviations
 * that float32 cannot hold. */
static void tame_split(glow_model *model) {
  int64_t elements = 0;
  float *weight = tensor(model, "layer.prior.weight", &elements);
  for (int64_t j = 0; weight && j < elements; j++)
    weight[j] *= 0.1f;
  OK(glow_model_prepare(model));
}

/* Running averages as if of data: means around 0, variances around 1. */
static void settle_averages(glow_model *model, helper_random *random) {
  for (int32_t t = 0; t < glow_model_tensor_count(model); t++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, t, &info));
    bool mean = ends_with(info.name, ".mean"), var = ends_with(info.name, ".var");
    if (info.trainable || !(mean || var))
      continue;
    float *values = helper_new_normals(random, 0.3f, info.elements);
    for (int64_t i = 0; var && i < info.elements; i++)
      values[i] = expf(values[i]);
    OK(glow_model_set_tensor(model, info.name, values, info.elements));
    free(values);
  }
  OK(glow_model_prepare(model));
}

static glow_model *create_model(const bench *b, glow_context *context) {
  bool large = b->shape.channels > 8;
  bool deep = b->layer->kind == HELPER_COUPLING || b->layer->kind == HELPER_SPLINE;
  glow_model *model = NULL;
  helper_random random = helper_random_of(1);
  OK(helper_create_model(context, b->layer, &b->shape, large ? 70 : 6, &model));
  helper_perturb(model, &random, large ? 0.01f : deep ? 0.05f : 0.1f);
  settle_units(model, &random);
  settle_res_net(model, &random, b->layer->net);
  tame_split(model);
  settle_averages(model, &random);
  return model;
}

/* The workspace's next passes start at sample `first`. */
static void give_context(const bench *b, glow_workspace *ws, int64_t first) {
  int64_t size = b->layer->condition;
  if (size)
    OK(glow_workspace_set_condition(ws, b->contexts + first * size, BATCH - first, size));
}

static int open_bench(void **state) {
  bench *b = *state;
  b->random = helper_random_of(2);
  b->context = helper_context(2, NULL, NULL);
  b->model = create_model(b, b->context);
  b->inference = helper_workspace(b->model, BATCH, GLOW_MODE_INFERENCE);
  b->stored = helper_workspace(b->model, BATCH, GLOW_MODE_STORED);
  b->reconstructed = helper_workspace(b->model, BATCH, GLOW_MODE_RECONSTRUCTED);
  b->dims = glow_model_dims(b->model);
  for (int i = 0; i < BATCH; i++)
    b->labels[i] = b->layer->unlabelled && i % 2 ? -1 : i % 3;
  helper_normals(&b->random, 0.5f, b->contexts, BATCH * 3);
  give_context(b, b->inference, 0);
  give_context(b, b->stored, 0);
  give_context(b, b->reconstructed, 0);
  b->x = helper_new_normals(&b->random, 1.0f, BATCH * b->dims);
  return 0;
}

static int close_bench(void **state) {
  bench *b = *state;
  free(b->x);
  glow_workspace_destroy(&b->inference);
  glow_workspace_destroy(&b->stored);
  glow_workspace_destroy(&b->reconstructed);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
  return 0;
}

static float *new_batch(const bench *b) {
  return helper_allocate((size_t)(BATCH * b->dims) * sizeof(float));
}

static void at_most(const bench *b, const char *what, double error, double bound) {
  if (!(error <= bound))
    fail_msg("%s: %s: %g, at most %g", b->name, what, error, bound);
}

/* ---- round trips ----------------------------------------------------------------------------- */

static bool is_spline(const bench *b) {
  return b->layer->kind == HELPER_SPLINE;
}

static void data_and_back(const bench *b, const char *what, const float *x, int32_t form,
                          double bound) {
  float *z = new_batch(b), *back = new_batch(b);
  OK(helper_forward(b->inference, x, b->labels, BATCH, form, z, NULL, NULL));
  OK(helper_inverse(b->inference, z, form, b->labels, BATCH, back, NULL));
  at_most(b, what, helper_relative(back, x, BATCH * b->dims), bound);
  free(z);
  free(back);
}

static void latents_and_back(const bench *b, const char *what, const float *z, int32_t form) {
  float *x = new_batch(b), *back = new_batch(b);
  OK(helper_inverse(b->inference, z, form, b->labels, BATCH, x, NULL));
  OK(helper_forward(b->inference, x, b->labels, BATCH, form, back, NULL, NULL));
  at_most(b, what, helper_relative(back, z, BATCH * b->dims), round_trip);
  free(x);
  free(back);
}

static void check_round_trips(bench *b) {
  float *far = new_batch(b), *z = helper_new_normals(&b->random, 1.0f, BATCH * b->dims);
  for (int64_t i = 0; i < BATCH * b->dims; i++)
    far[i] = 100.0f * b->x[i];
  int32_t forms = b->layer->unlabelled ? GLOW_LATENTS_RAW : GLOW_LATENTS_WHITENED;
  for (int32_t form = GLOW_LATENTS_RAW; form <= forms; form++) {
    data_and_back(b, "x -> z -> x", b->x, form, round_trip);
    data_and_back(b, "100 x -> z -> 100 x", far, form, is_spline(b) ? spline_far : round_trip);
    latents_and_back(b, "z -> x -> z", z, form);
  }
  glow_sample_options options = GLOW_SAMPLE_OPTIONS_INIT;
  options.seed = 11;
  if (!b->layer->unlabelled) {
    OK(helper_sample(b->inference, &options, b->labels, BATCH, z));
    data_and_back(b, "sample -> z -> sample", z, GLOW_LATENTS_RAW, round_trip);
  }
  free(far);
  free(z);
}

/* ---- log-det --------------------------------------------------------------------------------- */

/* The inverse's log-det is minus the forward's. */
static void check_inverse_logdet(bench *b) {
  double forward[BATCH], inverse[BATCH];
  float *z = new_batch(b), *x = new_batch(b);
  OK(helper_forward(b->inference, b->x, b->labels, BATCH, GLOW_LATENTS_RAW, z, forward, NULL));
  OK(helper_inverse(b->inference, z, GLOW_LATENTS_RAW, b->labels, BATCH, x, inverse));
  for (int i = 0; i < BATCH; i++)
    at_most(b, "log-det of the inverse", fabs(forward[i] + inverse[i]),
            (is_spline(b) ? spline_slope : 1e-6) * (1 + fabs(forward[i])));
  free(z);
  free(x);
}

/* ---- gradients ------------------------------------------------------------------------------- */

/* A scalar of the pass: sum_n weight[n] log_prob[n] + weight_logdet[n] logdet[n] + <d_latents, z>.
 * */
typedef struct objective {
  const char *name;
  double weight[BATCH], weight_logdet[BATCH];
  float *d_latents, *d_logits;
} objective;

/* The density alone; the log-det and the latents; the logits. */
enum { DENSITY, LATENTS, LOGITS };
static objective make_objective(bench *b, int which) {
  static const char *const names[] = {"log-probability", "log-det and latents", "logits"};
  objective o = {.name = names[which]};
  if (which == LATENTS)
    o.d_latents = helper_new_normals(&b->random, 1.0f, BATCH * b->dims);
  if (which == LOGITS)
    o.d_logits = helper_new_normals(&b->random, 1.0f, BATCH * glow_model_logit_count(b->model));
  for (int i = 0; i < BATCH; i++) {
    o.weight[i] = which == DENSITY ? 0.5 + helper_uniform(&b->random) : 0.0;
    o.weight_logdet[i] = which == LATENTS ? 0.5 + helper_uniform(&b->random) : 0.0;
  }
  return o;
}

static double evaluate(const bench *b, const objective *o, const float *x, float *z) {
  double logdet[BATCH], log_prob[BATCH], sum = 0;
  glow_workspace *ws = b->layer->batch ? b->stored : b->inference;
  OK(helper_forward(ws, x, b->labels, BATCH, GLOW_LATENTS_RAW, z, logdet, log_prob));
  for (int i = 0; i < BATCH; i++)
    sum += o->weight[i] * log_prob[i] + o->weight_logdet[i] * logdet[i];
  for (int64_t i = 0; o->d_latents && i < BATCH * b->dims; i++)
    sum += (double)o->d_latents[i] * (double)z[i];
  for (int64_t i = 0; o->d_logits && i < BATCH * glow_model_logit_count(b->model); i++)
    sum += (double)o->d_logits[i] * (double)glow_workspace_logits(ws)[i];
  return sum;
}

static void backward(const bench *b, const objective *o, glow_workspace *ws, float *dx,
                     float *d_condition) {
  glow_backward_options options = GLOW_BACKWARD_OPTIONS_INIT;
  options.weight = o->weight;
  options.weight_logdet = o->weight_logdet;
  options.d_latents = o->d_latents;
  options.d_logits = o->d_logits;
  options.dx = dx;
  options.d_condition = b->layer->condition ? d_condition : NULL;
  OK(helper_forward(ws, b->x, b->labels, BATCH, GLOW_LATENTS_RAW, NULL, NULL, NULL));
  OK(glow_workspace_backward(ws, &options));
}

static double root_mean_square(const float *v, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++)
    sum += (double)v[i] * (double)v[i];
  return sqrt(sum / (double)(count ? count : 1));
}

/* What a difference moves: the whole of `values` by step times `direction`. */
typedef struct probe {
  const bench *b;
  const objective *o;
  float *values; /* parameters or input */
  const float *base, *direction;
  int64_t count;
  const float *x;
  float *z;
} probe;

static double moved(const probe *p, double step) {
  for (int64_t i = 0; i < p->count; i++)
    p->values[i] = (float)(p->base[i] + step * p->direction[i]);
  OK(glow_model_prepare(p->b->model));
  double value = evaluate(p->b, p->o, p->x, p->z);
  memcpy(p->values, p->base, (size_t)p->count * sizeof *p->values);
  return value;
}

/* The error of a central difference: of the first step for which it is at most `enough`, or the
 * least. A small step suffers from float32, a large one from curvature and from the kinks of ReLU,
 * and which is best depends on the layer. A gradient that is wrong is wrong at all steps. */
static double nearest_difference(const probe *p, double expected, double enough) {
  static const double steps[] = {0x1p-6, 0x1p-8, 0x1p-4, 0x1p-10, 0x1p-12};
  double best = INFINITY;
  for (int i = 0; i < 5 && best > enough; i++) {
    double high = moved(p, steps[i]), low = moved(p, -steps[i]);
    best = fmin(best, fabs((high - low) / (2 * steps[i]) - expected));
    if (best > enough && is_spline(p->b)) { /* a knot may be near, but not on both sides */
      double here = moved(p, 0);
      best = fmin(best, fabs((high - here) / steps[i] - expected));
      best = fmin(best, fabs((here - low) / steps[i] - expected));
    }
  }
  return best;
}

/* Gradient g at `values` against differences along random directions and, when there are not many,
 * along single elements. An error is measured against the slope of a typical direction. */
static void check_differences(bench *b, const objective *o, const char *what, float *values,
                              const float *g, int64_t count, double typical) {
  float *base = helper_allocate((size_t)count * sizeof *base);
  float *direction = helper_allocate((size_t)count * sizeof *direction);
  float *z = new_batch(b);
  bool is_input = values == b->x;
  double bound = is_spline(b) ? spline_difference : difference;
  double scale = root_mean_square(g, count) + 0.05 * typical;
  int elements = b->dims > SMALL ? 1 : count < 12 ? (int)count : 12;
  memcpy(base, values, (size_t)count * sizeof *base);
  probe p = {b, o, values, base, direction, count, is_input ? values : b->x, z};
  for (int t = 0; t < elements + 2; t++) {
    double expected = 0, unit = 0;
    memset(direction, 0, (size_t)count * sizeof *direction);
    if (t < elements)
      direction[count <= elements ? t : (int64_t)(helper_uniform(&b->random) * (double)count)] =
          1.0f;
    else
      helper_normals(&b->random, (float)(1.0 / sqrt((double)count)), direction, count);
    for (int64_t i = 0; i < count; i++) {
      expected += (double)g[i] * (double)direction[i];
      unit += (double)direction[i] * (double)direction[i];
    }
    double size = scale * sqrt(unit) + fabs(expected) + 1e-3;
    double error = nearest_difference(&p, expected, bound * size) / size;
    if (!(error <= bound))
      fail_msg("%s: gradient of the %s with respect to %s: direction %d: slope %g, error %g of it, "
               "at most %g",
               b->name, o->name, what, t, expected, error, bound);
  }
  OK(glow_model_prepare(b->model));
  free(base);
  free(direction);
  free(z);
}

static void check_objective(bench *b, int which) {
  objective o = make_objective(b, which);
  int64_t count = glow_model_parameter_count(b->model);
  float *dx = new_batch(b), *dx2 = new_batch(b);
  float d_condition[BATCH * 3], d_context2[BATCH * 3];
  int64_t contexts = BATCH * (int64_t)b->layer->condition;
  const float *g = glow_workspace_gradients(b->stored);
  const float *g2 = glow_workspace_gradients(b->reconstructed);
  OK(glow_workspace_zero_gradients(b->stored));
  OK(glow_workspace_zero_gradients(b->reconstructed));
  backward(b, &o, b->stored, dx, d_condition);
  backward(b, &o, b->reconstructed, dx2, d_context2);
  double same = is_spline(b) ? spline_slope : same_gradient;
  at_most(b, "dx, reconstructed against stored", helper_relative(dx2, dx, BATCH * b->dims), same);
  at_most(b, "gradients, reconstructed against stored", helper_relative(g2, g, count), same);
  if (contexts)
    at_most(b, "gradient of the context, reconstructed against stored",
            helper_relative(d_context2, d_condition, contexts), same);
  double typical = root_mean_square(g, count);
  for (int32_t i = 0; i < glow_model_tensor_count(b->model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(b->model, i, &info));
    if (info.trainable)
      check_differences(b, &o, info.name, glow_model_parameters_mutable(b->model) + info.offset,
                        g + info.offset, info.elements, typical);
  }
  OK(glow_model_prepare(b->model));
  check_differences(b, &o, "the input", b->x, dx, BATCH * b->dims, 0.0);
  if (contexts)
    check_differences(b, &o, "the context", b->contexts, d_condition, contexts, 0.0);
  free(o.d_latents);
  free(o.d_logits);
  free(dx);
  free(dx2);
}

static void check_gradients(bench *b) {
  check_objective(b, DENSITY);
  check_objective(b, LATENTS);
  if (glow_model_logit_count(b->model))
    check_objective(b, LOGITS);
}

/* Gradients accumulate until they are zeroed: two backward passes, twice the gradient. */
static void check_accumulation(bench *b) {
  objective o = make_objective(b, DENSITY);
  int64_t count = glow_model_parameter_count(b->model);
  float *g = glow_workspace_gradients(b->stored);
  float *once = helper_allocate((size_t)count * sizeof *once);
  OK(glow_workspace_zero_gradients(b->stored));
  backward(b, &o, b->stored, NULL, NULL);
  for (int64_t i = 0; i < count; i++)
    once[i] = 2 * g[i];
  backward(b, &o, b->stored, NULL, NULL);
  at_most(b, "two backward passes", helper_relative(g, once, count), same_gradient);
  OK(glow_workspace_zero_gradients(b->stored));
  for (int64_t i = 0; i < count; i++)
    assert_true(g[i] == 0.0f);
  free(once);
}

/* ---- a sample alone and in a batch ----------------------------------------------------------- */

/* All that passes give for samples [first, first + count). */
typedef struct results {
  float *z, *x, *dx;
  double logdet[BATCH], log_prob[BATCH], inverse[BATCH];
} results;

static void run_samples(const bench *b, glow_workspace *ws, const objective *o, int64_t first,
                        int64_t count, const results *r, results *to) {
  int64_t at = first * b->dims;
  glow_backward_options options = GLOW_BACKWARD_OPTIONS_INIT;
  options.weight = o->weight + first;
  options.dx = to->dx + at;
  give_context(b, ws, first);
  OK(helper_forward(ws, b->x + at, b->labels + first, count, GLOW_LATENTS_RAW, to->z + at,
                    to->logdet + first, to->log_prob + first));
  if (glow_workspace_gradients(ws))
    OK(glow_workspace_backward(ws, &options));
  OK(helper_inverse(ws, r->z + at, GLOW_LATENTS_RAW, b->labels + first, count, to->x + at,
                    to->inverse + first));
}

static void same_bits(const bench *b, const char *kernels, const char *what, const void *one,
                      const void *other, int64_t elements, size_t size) {
  if (!helper_same_bits(one, other, elements, size))
    fail_msg("%s (%s): %s of a sample differs alone and in a batch", b->name, kernels, what);
}

static void check_batch(bench *b, const char *kernels, int32_t mode) {
  glow_context *context = helper_context(2, kernels, NULL);
  glow_model *model = create_model(b, context);
  glow_workspace *ws = helper_workspace(model, BATCH, mode);
  objective o = make_objective(b, DENSITY);
  results all = {new_batch(b), new_batch(b), new_batch(b), {0}, {0}, {0}}, alone = all;
  alone.z = new_batch(b);
  alone.x = new_batch(b);
  alone.dx = new_batch(b);
  run_samples(b, ws, &o, 0, BATCH, &all, &all);
  for (int64_t n = 0; n < BATCH; n++)
    run_samples(b, ws, &o, n, 1, &all, &alone);
  same_bits(b, kernels, "latents", all.z, alone.z, BATCH * b->dims, sizeof(float));
  same_bits(b, kernels, "the log-det", all.logdet, alone.logdet, BATCH, sizeof(double));
  same_bits(b, kernels, "the log-probability", all.log_prob, alone.log_prob, BATCH, sizeof(double));
  same_bits(b, kernels, "the inverse", all.x, alone.x, BATCH * b->dims, sizeof(float));
  same_bits(b, kernels, "the inverse's log-det", all.inverse, alone.inverse, BATCH, sizeof(double));
  if (mode != GLOW_MODE_INFERENCE)
    same_bits(b, kernels, "dx", all.dx, alone.dx, BATCH * b->dims, sizeof(float));
  free(all.z), free(all.x), free(all.dx);
  free(alone.z), free(alone.x), free(alone.dx);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void check_batches(bench *b) {
  for (uint32_t i = 0; glow_kernels_name(i); i++) {
    if (helper_is_cblas(glow_kernels_name(i)))
      continue; /* BLAS libraries choose by size */
    check_batch(b, glow_kernels_name(i), GLOW_MODE_INFERENCE);
    if (b->layer->batch)
      continue; /* training looks at the whole batch */
    check_batch(b, glow_kernels_name(i), GLOW_MODE_STORED);
    check_batch(b, glow_kernels_name(i), GLOW_MODE_RECONSTRUCTED);
  }
}

/* ---- saved and loaded ------------------------------------------------------------------------ */

/* A model that comes out of a file gives the same bits. */
static void check_saved(const bench *b) {
  glow_context *context = helper_context(2, NULL, NULL); /* knows only what is built in */
  glow_model *loaded = NULL;
  double before[BATCH], after[BATCH];
  OK(glow_model_save(b->model, path));
  OK(glow_model_load(context, path, &loaded));
  glow_workspace *ws = helper_workspace(loaded, BATCH, GLOW_MODE_INFERENCE);
  give_context(b, ws, 0);
  OK(glow_workspace_log_prob(b->inference, b->x, b->labels, BATCH, before));
  OK(glow_workspace_log_prob(ws, b->x, b->labels, BATCH, after));
  if (!helper_same_bits(before, after, BATCH, sizeof *before))
    fail_msg("%s: other log-probabilities after saving and loading", b->name);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&loaded);
  glow_context_destroy(&context);
}

/* ---- the table ------------------------------------------------------------------------------- */

static void test_contract(void **state) {
  bench *b = *state;
  check_round_trips(b);
  check_inverse_logdet(b);
  check_gradients(b);
  check_accumulation(b);
  check_batches(b);
  if (helper_has_files())
    check_saved(b);
}

/* Argument `couplings`: those under all masks, the large shape for the learned scale function
 * alone. `nets`: couplings with residual networks, the large shape for those with all options. */
int main(int argc, char **argv) {
  const char *which = argc > 1 ? argv[1] : "layers";
  bool couplings = strcmp(which, "couplings") == 0, nets = strcmp(which, "nets") == 0;
  const helper_layer *layers = couplings ? helper_couplings
                               : nets    ? helper_res_nets
                                         : helper_layers;
  int32_t layer_count = couplings ? helper_coupling_count
                        : nets    ? helper_res_net_count
                                  : helper_layer_count;
  size_t most = (size_t)layer_count * SHAPES, count = 0;
  bench *benches = helper_allocate(most * sizeof *benches);
  struct CMUnitTest *tests = helper_allocate(most * sizeof *tests);
  memset(benches, 0, most * sizeof *benches);
  if (!temp_folder_make(NULL))
    return 1;
  snprintf(path, sizeof path, "%s", temp_path("model"));
  glow_blas_set_threads(1); /* a BLAS without such a call runs as it does */
  for (int32_t l = 0; l < layer_count; l++)
    for (int s = 0; s < SHAPES; s++) {
      bool large = shapes[s].channels > 8;
      if (!helper_layer_fits(&layers[l], &shapes[s]) ||
          (couplings && large && layers[l].scale != GLOW_SCALE_TANH_LEARNED) ||
          (nets && large && layers[l].net != HELPER_RES_NET))
        continue;
      bench *b = &benches[count];
      b->layer = &layers[l];
      b->shape = shapes[s];
      snprintf(b->name, sizeof b->name, "%s on %d x %d x %d", b->layer->name, (int)b->shape.height,
               (int)b->shape.width, (int)b->shape.channels);
      tests[count++] = (struct CMUnitTest){b->name, test_contract, open_bench, close_bench, b};
    }
  int failed = _cmocka_run_group_tests(which, tests, count, NULL, NULL);
  temp_folder_remove();
  free(benches);
  free(tests);
  return failed;
}
