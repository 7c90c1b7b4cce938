/* Compares the library with vectors that a float64 reference made: golden DIR.
 *
 * For every *.safetensors in DIR, on one and two threads and with every provider of kernels:
 * data-dependent initialisation, latents, log-dets, densities, the inverse, gradients of all
 * parameters and of the input (stored and reconstructed backward), ten steps of Adam. A line for
 * each file and quantity gives the worst relative error over all variants (golden_error: norm of
 * the difference over norm of the reference) and the tensor and variant it comes from.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden_case.h"

#define VALUES 3e-6
#define GRADIENTS 1e-5
#define TRAINED 1e-3
enum { STEPS = 10, MICRO = 3 };

enum quantity {
  INITIALISED,
  INITIALISED_BY_1,
  INITIALISED_BY_3,
  LATENTS,
  LOGDET,
  LOG_PROB,
  BITS_PER_DIM,
  INVERSE,
  INVERSE_WHITENED,
  GRADIENT,
  GRADIENT_X,
  GRADIENT_RECONSTRUCTED,
  GRADIENT_X_RECONSTRUCTED,
  ADAM_LOSS,
  ADAM_PARAMETERS,
  QUANTITIES
};

static const struct {
  const char *name;
  double bound;
} quantities[QUANTITIES] = {
    [INITIALISED] = {"initialisation, whole batch", VALUES},
    [INITIALISED_BY_1] = {"initialisation, by 1", VALUES},
    [INITIALISED_BY_3] = {"initialisation, by 3", VALUES},
    [LATENTS] = {"latents", VALUES},
    [LOGDET] = {"log-det", VALUES},
    [LOG_PROB] = {"log-probability", VALUES},
    [BITS_PER_DIM] = {"bits/dim", VALUES},
    [INVERSE] = {"inverse", VALUES},
    [INVERSE_WHITENED] = {"inverse, whitened", VALUES},
    [GRADIENT] = {"gradients, stored", GRADIENTS},
    [GRADIENT_X] = {"gradient of x, stored", GRADIENTS},
    [GRADIENT_RECONSTRUCTED] = {"gradients, reconstructed", GRADIENTS},
    [GRADIENT_X_RECONSTRUCTED] = {"gradient of x, reconstructed", GRADIENTS},
    [ADAM_LOSS] = {"loss over ten steps", VALUES},
    [ADAM_PARAMETERS] = {"parameters after ten steps", TRAINED},
};

/* Worst error of each quantity of a file, and where it was. */
typedef struct score {
  double worst;
  int64_t compared;
  char where[200];
} score;

/* One file in one variant. */
typedef struct run {
  const golden_case *c;
  glow_context *context;
  const char *variant;
  score *scores;
} run;

static void note(const run *r, enum quantity q, const char *where, double error) {
  score *s = &r->scores[q];
  if (s->compared++ && !(error > s->worst))
    return;
  s->worst = error;
  snprintf(s->where, sizeof s->where, "%s%s%s", where, *where ? " " : "", r->variant);
}

/* A call that fails is an infinite error. */
static bool ok(const run *r, enum quantity q, glow_status status) {
  if (status == GLOW_OK)
    return true;
  fprintf(stderr, "  %s: %s: %s\n", r->variant, quantities[q].name, glow_last_error());
  note(r, q, "call failed", INFINITY);
  return false;
}

/* One that has set its own message. */
static bool holds(const run *r, enum quantity q, bool condition) {
  if (!condition)
    note(r, q, "not compared", INFINITY);
  return condition;
}

/* ---- model and workspace --------------------------------------------------------------------- */

static glow_model *make_model(const run *r, enum quantity q, const char *prefix) {
  glow_model *model = NULL;
  if (!ok(r, q, glow_model_create_glow(r->context, &r->c->options, &model)))
    return NULL;
  if (holds(r, q, golden_set(r->c, model, "fixed") && golden_set(r->c, model, prefix)) &&
      ok(r, q, glow_model_prepare(model)))
    return model;
  glow_model_destroy(&model);
  return NULL;
}

static glow_workspace *make_workspace(const run *r, enum quantity q, const glow_model *model,
                                      int64_t batch, int32_t mode) {
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  options.batch = batch;
  options.mode = mode;
  ok(r, q, glow_workspace_create(model, &options, &ws));
  return ws;
}

/* A tensor of the model against an array "prefix.NAME" of the file. values: of that tensor. map:
 * what is applied to both before they are compared, or NULL. */
static void compare_tensor(const run *r, enum quantity q, const char *prefix,
                           const glow_tensor_info *info, const float *values,
                           double (*map)(double)) {
  char name[300];
  snprintf(name, sizeof name, "%s.%s", prefix, info->name);
  double *expected = golden_values(r->c, name, info->elements);
  double *found = malloc((size_t)info->elements * sizeof *found + 1);
  if (holds(r, q, expected && found)) {
    for (int64_t i = 0; i < info->elements; i++) {
      found[i] = map ? map((double)values[i]) : (double)values[i];
      expected[i] = map ? map(expected[i]) : expected[i];
    }
    golden_mask(info, expected);
    golden_mask(info, found);
    note(r, q, info->name, golden_error(found, expected, info->elements));
  }
  free(expected);
  free(found);
}

/* All trainable tensors; flat: laid out like the parameters. */
static void compare_all(const run *r, enum quantity q, const char *prefix, const glow_model *model,
                        const float *flat) {
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    if (ok(r, q, glow_model_tensor(model, i, &info)) && info.trainable)
      compare_tensor(r, q, prefix, &info, flat + info.offset, NULL);
  }
}

/* ---- initialisation -------------------------------------------------------------------------- */

/* Log-scales are compared as the scales that they stand for. Where the data come to an actnorm
 * already normalised, as they do after a fixed permutation, its logs are 0 but for the 1e-6 that
 * initialisation adds to deviations: no float32 can tell such a number to 3e-6 of itself, or needs
 * to. Where logs are above 1, comparing scales is the stricter of the two. */
static void compare_initialised(const run *r, enum quantity q, const glow_model *model) {
  const char *prefix = "initialised.";
  const float *parameters = glow_model_parameters(model);
  for (int64_t i = 0; i < glow_tensor_file_tensor_count(r->c->file); i++) {
    glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    if (!ok(r, q, glow_tensor_file_get(r->c->file, i, &t)) ||
        strncmp(t.name, prefix, strlen(prefix)) != 0)
      continue;
    if (ok(r, q, glow_model_find_tensor(model, t.name + strlen(prefix), &info)))
      compare_tensor(r, q, "initialised", &info, parameters + info.offset,
                     strcmp(info.name + strlen(info.name) - 5, ".logs") == 0 ? exp : NULL);
  }
}

static void check_initialisation(const run *r, enum quantity q, int64_t batch) {
  glow_model *model = make_model(r, q, "built");
  glow_workspace *ws = model ? make_workspace(r, q, model, batch, GLOW_MODE_INFERENCE) : NULL;
  if (ws && ok(r, q, glow_workspace_initialise(ws, model, r->c->x, r->c->labels, r->c->count)))
    compare_initialised(r, q, model);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
}

/* ---- values ---------------------------------------------------------------------------------- */

static void compare_latents(const run *r, const glow_model *model, const float *latents) {
  for (int32_t l = 0; l < glow_model_latent_block_count(model); l++) {
    char name[40];
    int64_t offset = 0;
    glow_shape shape;
    snprintf(name, sizeof name, "out.latent%d", l);
    if (!ok(r, LATENTS, glow_model_latent_block(model, l, &offset, &shape)))
      continue;
    int64_t size = shape.height * shape.width * shape.channels;
    double *expected = golden_values(r->c, name, r->c->count * size);
    float *found = malloc((size_t)(r->c->count * size) * sizeof *found);
    if (holds(r, LATENTS, expected && found)) {
      for (int64_t n = 0; n < r->c->count; n++)
        memcpy(found + n * size, latents + n * r->c->dims + offset, (size_t)size * sizeof *found);
      note(r, LATENTS, name, golden_error_f32(found, expected, r->c->count * size));
    }
    free(expected);
    free(found);
  }
}

static void compare_doubles(const run *r, enum quantity q, const char *name, const double *found) {
  double *expected = golden_values(r->c, name, r->c->count);
  if (holds(r, q, expected != NULL))
    note(r, q, "", golden_error(found, expected, r->c->count));
  free(expected);
}

/* The reference's latents, rounded to float32, as one flat vector for each sample. */
static bool golden_latents(const run *r, const glow_model *model, float *out) {
  for (int32_t l = 0; l < glow_model_latent_block_count(model); l++) {
    char name[40];
    int64_t offset = 0;
    glow_shape shape;
    snprintf(name, sizeof name, "out.latent%d", l);
    if (glow_model_latent_block(model, l, &offset, &shape) != GLOW_OK)
      return false;
    int64_t size = shape.height * shape.width * shape.channels;
    double *values = golden_values(r->c, name, r->c->count * size);
    for (int64_t i = 0; values && i < r->c->count * size; i++)
      out[i / size * r->c->dims + offset + i % size] = (float)values[i];
    if (!values)
      return false;
    free(values);
  }
  return true;
}

/* Errors of an inverse are divided by this, where it is above 1. */
static void compare_x(const run *r, enum quantity q, const float *found, double condition) {
  double *expected = golden_values(r->c, "x", r->c->count * r->c->dims);
  if (holds(r, q, expected != NULL))
    note(r, q, "", golden_error_f32(found, expected, r->c->count * r->c->dims) / condition);
  free(expected);
}

/* How much the inverse enlarges a relative change of all latents by +-2^-16, signs at random; 1 or
 * more. An ill-scaled model enlarges the rounding of its latents to float32 by as much, whoever
 * computes. x: that of the unchanged latents; latents are changed. */
static double condition_of(const run *r, glow_workspace *ws, float *latents, const float *x) {
  const golden_case *c = r->c;
  int64_t count = c->count * c->dims;
  double condition = 1.0, norm = 0.0, change = 0.0;
  float *moved = malloc((size_t)count * sizeof *moved);
  uint32_t random = 1;
  for (int64_t i = 0; i < count; i++) {
    random = random * 1664525u + 1013904223u;
    latents[i] *= random >> 31 ? 1.0f + 0x1p-16f : 1.0f - 0x1p-16f;
  }
  if (holds(r, INVERSE, moved != NULL) &&
      ok(r, INVERSE,
         glow_workspace_inverse(ws, latents, c->count,
                                &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options),
                                                        .labels = c->labels},
                                moved))) {
    for (int64_t i = 0; i < count; i++) {
      change += ((double)moved[i] - x[i]) * ((double)moved[i] - x[i]);
      norm += (double)x[i] * x[i];
    }
    condition = fmax(1.0, sqrt(change / norm) * 0x1p16);
  }
  free(moved);
  return condition;
}

static void check_forward(const run *r, glow_workspace *ws, const glow_model *model, float *latents,
                          double *logdet, double *log_prob) {
  const golden_case *c = r->c;
  if (!ok(r, LATENTS,
          glow_workspace_forward(
              ws, c->x, c->count,
              &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                      .labels = c->labels,
                                      .latents = latents,
                                      .logdet = logdet,
                                      .log_prob = log_prob})))
    return;
  compare_latents(r, model, latents);
  compare_doubles(r, LOGDET, "out.logdet", logdet);
  compare_doubles(r, LOG_PROB, "out.log_prob", log_prob);
  for (int64_t n = 0; n < c->count; n++)
    log_prob[n] = glow_model_bits_per_dim(model, log_prob[n]);
  compare_doubles(r, BITS_PER_DIM, "out.bits_per_dim", log_prob);
}

static void check_inverse(const run *r, glow_workspace *ws, const glow_model *model, float *latents,
                          float *x) {
  const golden_case *c = r->c;
  double condition = 1.0;
  if (holds(r, INVERSE, golden_latents(r, model, latents)) &&
      ok(r, INVERSE,
         glow_workspace_inverse(ws, latents, c->count,
                                &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options),
                                                        .labels = c->labels},
                                x))) {
    condition = condition_of(r, ws, latents, x);
    compare_x(r, INVERSE, x, condition);
  }
  if (ok(r, INVERSE_WHITENED,
         glow_workspace_forward(ws, c->x, c->count,
                                &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                        .labels = c->labels,
                                                        .form = GLOW_LATENTS_WHITENED,
                                                        .latents = latents})) &&
      ok(r, INVERSE_WHITENED,
         glow_workspace_inverse(ws, latents, c->count,
                                &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options),
                                                        .labels = c->labels,
                                                        .form = GLOW_LATENTS_WHITENED},
                                x)))
    compare_x(r, INVERSE_WHITENED, x, condition);
}

static void check_values(const run *r) {
  const golden_case *c = r->c;
  size_t floats = (size_t)(c->count * c->dims) * sizeof(float);
  glow_model *model = make_model(r, LATENTS, "param");
  glow_workspace *ws = NULL;
  float *latents = malloc(floats), *x = malloc(floats);
  double *logdet = malloc((size_t)c->count * sizeof *logdet);
  double *log_prob = malloc((size_t)c->count * sizeof *log_prob);
  if (model && ok(r, LATENTS, glow_model_set_initialised(model)))
    ws = make_workspace(r, LATENTS, model, c->count, GLOW_MODE_INFERENCE);
  if (ws && holds(r, LATENTS, latents && x && logdet && log_prob)) {
    check_forward(r, ws, model, latents, logdet, log_prob);
    check_inverse(r, ws, model, latents, x);
  }
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  free(latents);
  free(x);
  free(logdet);
  free(log_prob);
}

/* ---- gradients ------------------------------------------------------------------------------- */

/* Mean bits/dim = -sum log_prob / (count dims ln 2) + constant. */
static glow_status backward(const run *r, glow_workspace *ws, double *weight, float *dx) {
  const golden_case *c = r->c;
  glow_backward_options options = GLOW_BACKWARD_OPTIONS_INIT;
  for (int64_t n = 0; n < c->count; n++)
    weight[n] = -1.0 / ((double)c->count * (double)c->dims * log(2.0));
  options.weight = weight;
  options.dx = dx;
  glow_status status = glow_workspace_forward(
      ws, c->x, c->count,
      &(glow_forward_options){.struct_size = sizeof(glow_forward_options), .labels = c->labels});
  return status == GLOW_OK ? glow_workspace_backward(ws, &options) : status;
}

static void check_gradients(const run *r, int32_t mode) {
  const golden_case *c = r->c;
  enum quantity q = mode == GLOW_MODE_STORED ? GRADIENT : GRADIENT_RECONSTRUCTED;
  enum quantity of_x = mode == GLOW_MODE_STORED ? GRADIENT_X : GRADIENT_X_RECONSTRUCTED;
  glow_model *model = make_model(r, q, "param");
  glow_workspace *ws = NULL;
  double *weight = malloc((size_t)c->count * sizeof *weight);
  float *dx = malloc((size_t)(c->count * c->dims) * sizeof *dx);
  if (model && ok(r, q, glow_model_set_initialised(model)))
    ws = make_workspace(r, q, model, c->count, mode);
  if (ws && holds(r, q, weight && dx) && ok(r, q, backward(r, ws, weight, dx))) {
    compare_all(r, q, "grad", model, glow_workspace_gradients(ws));
    double *expected = golden_values(c, "grad.x", c->count * c->dims);
    if (holds(r, of_x, expected != NULL))
      note(r, of_x, "", golden_error_f32(dx, expected, c->count * c->dims));
    free(expected);
  }
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  free(weight);
  free(dx);
}

/* ---- training -------------------------------------------------------------------------------- */

static glow_trainer *make_trainer(const run *r, glow_model *model, int64_t micro_batch,
                                  int32_t mode) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_trainer *trainer = NULL;
  schedule.rate = 1e-3;
  options.schedule = &schedule;
  options.micro_batch = micro_batch;
  options.mode = mode;
  ok(r, ADAM_PARAMETERS, glow_trainer_create(model, &options, &trainer));
  return trainer;
}

/* All parameters as one vector. Tensor by tensor would ask float32 for what it cannot give: where
 * an activation is within rounding of 0, ReLU passes its gradient in one precision and not in the
 * other, and Adam, which divides by the gradient's size, turns that into whole steps of a bias
 * whose gradient is near 0. PyTorch in float32 then differs in the same tensors by the same
 * amounts (2e-3 of a norm1.bias), while the vector as a whole stays within 1e-3. */
static void compare_trained(const run *r, const glow_model *model) {
  int64_t total = glow_model_parameter_count(model);
  double *expected = calloc((size_t)total + 1, sizeof *expected);
  double *found = calloc((size_t)total + 1, sizeof *found);
  bool complete = expected && found;
  for (int32_t i = 0; complete && i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    char name[300];
    if (!ok(r, ADAM_PARAMETERS, glow_model_tensor(model, i, &info)) || !info.trainable)
      continue;
    snprintf(name, sizeof name, "adam.param.%s", info.name);
    double *values = golden_values(r->c, name, info.elements);
    complete = values != NULL;
    for (int64_t j = 0; complete && j < info.elements; j++) {
      expected[info.offset + j] = values[j];
      found[info.offset + j] = (double)glow_model_parameters(model)[info.offset + j];
    }
    if (complete) {
      golden_mask(&info, expected + info.offset);
      golden_mask(&info, found + info.offset);
    }
    free(values);
  }
  if (holds(r, ADAM_PARAMETERS, complete))
    note(r, ADAM_PARAMETERS, "", golden_error(found, expected, total));
  free(expected);
  free(found);
}

static void train(const run *r, glow_model *model, glow_trainer *trainer) {
  const golden_case *c = r->c;
  double loss[STEPS];
  for (int t = 0; t < STEPS; t++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    if (!ok(r, ADAM_LOSS, glow_trainer_step(trainer, c->x, c->labels, c->count, &report)))
      return;
    loss[t] = report.loss;
  }
  double *expected = golden_values(c, "adam.loss", STEPS);
  if (holds(r, ADAM_LOSS, expected != NULL))
    note(r, ADAM_LOSS, "", golden_error(loss, expected, STEPS));
  free(expected);
  compare_trained(r, model);
}

static void check_training(const run *r, int64_t micro_batch, int32_t mode) {
  glow_model *model = make_model(r, ADAM_PARAMETERS, "param");
  glow_trainer *trainer = NULL;
  if (model && ok(r, ADAM_PARAMETERS, glow_model_set_initialised(model)))
    trainer = make_trainer(r, model, micro_batch, mode);
  if (trainer)
    train(r, model, trainer);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void check_variant(const golden_case *c, const char *kernels, uint32_t threads,
                          score *scores) {
  char variant[80];
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  run r = {c, NULL, variant, scores};
  snprintf(variant, sizeof variant, "(%s, %u thread%s)", kernels, threads, threads > 1 ? "s" : "");
  options.threads = threads;
  options.kernels = kernels;
  if (!ok(&r, LATENTS, glow_context_create(&options, &r.context)))
    return;
  check_initialisation(&r, INITIALISED, c->count);
  check_initialisation(&r, INITIALISED_BY_1, 1);
  check_initialisation(&r, INITIALISED_BY_3, MICRO);
  check_values(&r);
  check_gradients(&r, GLOW_MODE_STORED);
  check_gradients(&r, GLOW_MODE_RECONSTRUCTED);
  check_training(&r, c->count, GLOW_MODE_STORED);
  check_training(&r, c->count, GLOW_MODE_RECONSTRUCTED);
  check_training(&r, MICRO, GLOW_MODE_STORED);
  glow_context_destroy(&r.context);
}

typedef struct tally {
  int passed, failed;
} tally;

static void report(const char *file, const score *scores, tally *t) {
  for (int q = 0; q < QUANTITIES; q++) {
    bool good = scores[q].compared > 0 && scores[q].worst <= quantities[q].bound;
    if (good)
      t->passed++;
    else
      t->failed++;
    printf("%-6s %-28s %-30s %9.2e (at most %.0e)  %s\n", good ? "ok" : "FAILED", file,
           quantities[q].name, scores[q].compared ? scores[q].worst : INFINITY, quantities[q].bound,
           scores[q].where);
  }
  fflush(stdout);
}

/* The best kernels on one and two threads; the others, which differ in products alone, on one. */
static void check_file(const char *folder, const char *file, tally *t) {
  char path[4096];
  golden_case c;
  glow_context *context = NULL;
  score scores[QUANTITIES] = {0};
  snprintf(path, sizeof path, "%s/%s", folder, file);
  if (glow_context_create(NULL, &context) != GLOW_OK || !golden_open(context, path, &c)) {
    printf("FAILED %s: %s\n", file, glow_last_error());
    t->failed++;
    glow_context_destroy(&context);
    return;
  }
  for (uint32_t k = 0; glow_kernels_name(k); k++)
    for (uint32_t threads = 1; threads <= (k ? 1u : 2u); threads++)
      check_variant(&c, glow_kernels_name(k), threads, scores);
  report(file, scores, t);
  golden_close(&c);
  glow_context_destroy(&context);
}

static int is_golden(const struct dirent *entry) {
  const char *end = strrchr(entry->d_name, '.');
  return end && strcmp(end, ".safetensors") == 0;
}

int main(int argc, char **argv) {
  struct dirent **entries = NULL;
  tally t = {0, 0};
  if (argc != 2) {
    fprintf(stderr, "golden DIR: compares the library with the *.safetensors of a folder\n");
    return 2;
  }
  glow_blas_set_threads(1); /* a BLAS without such a call runs as it does */
  int count = scandir(argv[1], &entries, is_golden, alphasort);
  if (count <= 0)
    fprintf(stderr, "%s: no *.safetensors there\n", argv[1]);
  for (int i = 0; i < count; i++) {
    check_file(argv[1], entries[i]->d_name, &t);
    free(entries[i]);
  }
  free(entries);
  printf("%d passed, %d failed\n", t.passed, t.failed);
  return t.failed || count <= 0 ? 1 : 0;
}
