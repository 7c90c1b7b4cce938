/* Compares gradients in both directions with what a float64 reference gives: golden_gradients DIR.
 *
 * For each NAME.model in DIR with its NAME.vectors (gradients/make_vectors.py): values, log-dets,
 * log-densities and gradients with respect to inputs, conditions and every tensor, of forward
 * passes and of inverse passes from raw and from whitened latents; with every provider of kernels,
 * on one and on two threads, stored and reconstructed. A line for each file and quantity gives the
 * worst relative error over all variants (golden_error) and where it was.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden_case.h"

#define VALUES 3e-6
#define GRADIENTS 1e-5
enum { FORWARD, INVERSE, WHITENED, KINDS };
enum { VALUE, LOGDET, LOG_PROB, OF_INPUT, OF_CONDITION, OF_PARAMETERS, PARTS };

static const char *const kinds[KINDS] = {"forward", "inverse", "whitened"};
/* The vectors that each kind is given: its input, and the gradient of what it gives. */
static const char *const inputs[KINDS] = {"x", "latents", "whitened"};
static const char *const outputs[KINDS] = {"d_latents", "dx", "dx"};
static const struct {
  const char *name;
  double bound;
} parts[PARTS] = {{"value", VALUES},
                  {"log-det", VALUES},
                  {"log-density", VALUES},
                  {"gradient of the input", GRADIENTS},
                  {"gradient of the condition", GRADIENTS},
                  {"gradients of parameters", GRADIENTS}};

/* Worst error of a quantity of a file, and where it was. */
typedef struct score {
  double worst;
  int64_t compared;
  char where[200];
} score;

/* One file: what is given to passes. */
typedef struct subject {
  golden_case c; /* only its file, count, dims and labels are used */
  glow_model *model;
  float *input[KINDS], *output[KINDS], *condition;
  int64_t condition_size;
  double *weight, *weight_logdet;
} subject;

/* One file in one variant. */
typedef struct run {
  subject *s;
  glow_workspace *ws;
  const char *variant;
  score (*scores)[PARTS];
  int kind;
} run;

/* What a pass gives. */
typedef struct results {
  float *value, *d_input, *d_condition;
  double *logdet, *log_prob;
} results;

static void note(const run *r, int part, const char *where, double error) {
  score *s = &r->scores[r->kind][part];
  if (s->compared++ && !(error > s->worst))
    return;
  s->worst = error;
  snprintf(s->where, sizeof s->where, "%s%s%s", where, *where ? " " : "", r->variant);
}

static bool ok(const run *r, glow_status status) {
  if (status == GLOW_OK)
    return true;
  fprintf(stderr, "  %s, %s: %s\n", kinds[r->kind], r->variant, glow_last_error());
  note(r, VALUE, "call failed", INFINITY);
  return false;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static double *expected(const run *r, const char *what, int64_t elements) {
  char name[440];
  snprintf(name, sizeof name, "%s.%s", kinds[r->kind], what);
  return golden_values(&r->s->c, name, elements);
}

static void compare(const run *r, int part, const char *what, const float *found, int64_t count) {
  double *wanted = expected(r, what, count);
  note(r, part, "", wanted ? golden_error_f32(found, wanted, count) : INFINITY);
  free(wanted);
}

static void compare_doubles(const run *r, int part, const char *what, const double *found) {
  double *wanted = expected(r, what, r->s->c.count);
  note(r, part, "", wanted ? golden_error(found, wanted, r->s->c.count) : INFINITY);
  free(wanted);
}

static void compare_tensor(const run *r, const glow_tensor_info *info, const float *gradient) {
  char name[400];
  snprintf(name, sizeof name, "grad.%s", info->name);
  double *wanted = expected(r, name, info->elements);
  double *found = malloc((size_t)info->elements * sizeof *found + 1);
  double error = INFINITY;
  if (wanted && found) {
    for (int64_t k = 0; k < info->elements; k++)
      found[k] = (double)gradient[k];
    golden_mask(info, wanted);
    golden_mask(info, found);
    error = golden_error(found, wanted, info->elements);
  }
  note(r, OF_PARAMETERS, info->name, error);
  free(wanted);
  free(found);
}

static void compare_parameters(const run *r) {
  const float *gradients = glow_workspace_gradients(r->ws);
  for (int32_t i = 0; i < glow_model_tensor_count(r->s->model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    if (ok(r, glow_model_tensor(r->s->model, i, &info)) && info.trainable)
      compare_tensor(r, &info, gradients + info.offset);
  }
}

static void compare_results(const run *r, const results *out) {
  const subject *s = r->s;
  int64_t count = s->c.count;
  compare(r, VALUE, "value", out->value, count * s->c.dims);
  compare_doubles(r, LOGDET, "logdet", out->logdet);
  compare_doubles(r, LOG_PROB, "log_prob", out->log_prob);
  compare(r, OF_INPUT, "grad.input", out->d_input, count * s->c.dims);
  if (s->condition)
    compare(r, OF_CONDITION, "grad.condition", out->d_condition, count * s->condition_size);
  compare_parameters(r);
}

/* ---- passes ---------------------------------------------------------------------------------- */

static glow_status run_forward(const run *r, const results *out) {
  const subject *s = r->s;
  glow_forward_options f = GLOW_FORWARD_OPTIONS_INIT;
  glow_backward_options b = GLOW_BACKWARD_OPTIONS_INIT;
  f.labels = s->c.labels;
  f.latents = out->value;
  f.logdet = out->logdet;
  f.log_prob = out->log_prob;
  f.running_averages = 1;
  b.weight = s->weight;
  b.weight_logdet = s->weight_logdet;
  b.d_latents = s->output[FORWARD];
  b.dx = out->d_input;
  b.d_condition = s->condition ? out->d_condition : NULL;
  glow_status status = glow_workspace_forward(r->ws, s->input[FORWARD], s->c.count, &f);
  return status == GLOW_OK ? glow_workspace_backward(r->ws, &b) : status;
}

static glow_status run_inverse(const run *r, const results *out) {
  const subject *s = r->s;
  glow_inverse_options i = GLOW_INVERSE_OPTIONS_INIT;
  glow_inverse_backward_options b = GLOW_INVERSE_BACKWARD_OPTIONS_INIT;
  i.labels = s->c.labels;
  i.logdet = out->logdet;
  i.log_prob = out->log_prob;
  i.form = r->kind == WHITENED ? GLOW_LATENTS_WHITENED : GLOW_LATENTS_RAW;
  i.store = 1;
  b.dx = s->output[r->kind];
  b.weight = s->weight;
  b.weight_logdet = s->weight_logdet;
  b.d_latents = out->d_input;
  b.d_condition = s->condition ? out->d_condition : NULL;
  glow_status status = glow_workspace_inverse(r->ws, s->input[r->kind], s->c.count, &i, out->value);
  return status == GLOW_OK ? glow_workspace_inverse_backward(r->ws, &b) : status;
}

static void check_kind(const run *r) {
  const subject *s = r->s;
  size_t floats = (size_t)(s->c.count * s->c.dims) * sizeof(float);
  size_t doubles = (size_t)s->c.count * sizeof(double);
  results out = {malloc(floats), malloc(floats),
                 malloc((size_t)(s->c.count * s->condition_size) * sizeof(float) + 1),
                 malloc(doubles), malloc(doubles)};
  if (out.value && out.d_input && out.d_condition && out.logdet && out.log_prob &&
      ok(r, glow_workspace_zero_gradients(r->ws)) &&
      ok(r, r->kind == FORWARD ? run_forward(r, &out) : run_inverse(r, &out)))
    compare_results(r, &out);
  free(out.value);
  free(out.d_input);
  free(out.d_condition);
  free(out.logdet);
  free(out.log_prob);
}

static void check_mode(run *r, int32_t mode) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  o.batch = r->s->c.count;
  o.mode = mode;
  o.inverse_backward = 1;
  o.drift_bound = 0; /* what reconstruction gives is to be seen, not avoided */
  if (ok(r, glow_workspace_create(r->s->model, &o, &r->ws)) &&
      (!r->s->condition ||
       ok(r, glow_workspace_set_condition(r->ws, r->s->condition, o.batch, r->s->condition_size))))
    for (r->kind = 0; r->kind < KINDS; r->kind++)
      check_kind(r);
  r->kind = 0;
  glow_workspace_destroy(&r->ws);
}

/* ---- files ----------------------------------------------------------------------------------- */

static float *single(const golden_case *c, const char *name, int64_t elements) {
  double *wide = golden_values(c, name, elements);
  float *out = wide ? malloc((size_t)elements * sizeof *out + 1) : NULL;
  for (int64_t i = 0; out && i < elements; i++)
    out[i] = (float)wide[i];
  free(wide);
  return out;
}

static bool read_vectors(subject *s) {
  glow_file_tensor labels = GLOW_FILE_TENSOR_INIT;
  golden_case *c = &s->c;
  if (glow_tensor_file_find(c->file, "labels", &labels) != GLOW_OK)
    return false;
  c->count = labels.dims[0];
  c->dims = glow_model_dims(s->model);
  s->condition_size = glow_model_condition_size(s->model);
  if (glow_model_class_count(s->model)) {
    c->labels = malloc((size_t)labels.bytes);
    if (!c->labels)
      return false;
    memcpy(c->labels, labels.data, (size_t)labels.bytes);
  }
  bool good = true;
  for (int k = 0; k < KINDS; k++) {
    s->input[k] = single(c, inputs[k], c->count * c->dims);
    s->output[k] = single(c, outputs[k], c->count * c->dims);
    good = good && s->input[k] && s->output[k];
  }
  if (s->condition_size)
    s->condition = single(c, "condition", c->count * s->condition_size);
  s->weight = golden_values(c, "weight", c->count);
  s->weight_logdet = golden_values(c, "weight_logdet", c->count);
  return good && s->weight && s->weight_logdet && (s->condition || !s->condition_size);
}

static bool subject_open(glow_context *context, const char *folder, const char *name, subject *s) {
  char path[4096];
  *s = (subject){0};
  snprintf(path, sizeof path, "%s/%s.model", folder, name);
  if (glow_model_load(context, path, &s->model) != GLOW_OK)
    return false;
  snprintf(path, sizeof path, "%s/%s.vectors", folder, name);
  return glow_tensor_file_open(context, path, &s->c.file) == GLOW_OK && read_vectors(s);
}

static void subject_close(subject *s) {
  for (int k = 0; k < KINDS; k++) {
    free(s->input[k]);
    free(s->output[k]);
  }
  free(s->condition);
  free(s->weight);
  free(s->weight_logdet);
  golden_close(&s->c);
  glow_model_destroy(&s->model);
}

static void check_variant(const char *folder, const char *name, const char *kernels,
                          uint32_t threads, score (*scores)[PARTS]) {
  static const struct {
    int32_t mode;
    const char *name;
  } modes[] = {{GLOW_MODE_STORED, "stored"}, {GLOW_MODE_RECONSTRUCTED, "reconstructed"}};
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  subject s = {0};
  char variant[80] = "";
  run r = {&s, NULL, variant, scores, 0};
  options.threads = threads;
  options.kernels = kernels;
  if (ok(&r, glow_context_create(&options, &context)) && subject_open(context, folder, name, &s)) {
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
      snprintf(variant, sizeof variant, "(%s, %u threads, %s)", kernels, threads, modes[m].name);
      check_mode(&r, modes[m].mode);
    }
  } else {
    fprintf(stderr, "  %s: %s\n", name, glow_last_error());
    note(&r, VALUE, "not opened", INFINITY);
  }
  subject_close(&s);
  glow_context_destroy(&context);
}

/* Prints a line for each quantity; the number of those that are wrong. */
static int report(const char *name, score (*scores)[PARTS], int *passed) {
  int failed = 0;
  for (int k = 0; k < KINDS; k++)
    for (int p = 0; p < PARTS; p++) {
      const score *s = &scores[k][p];
      if (p == OF_CONDITION && !s->compared)
        continue; /* the model takes none */
      bool good = s->compared > 0 && s->worst <= parts[p].bound;
      failed += !good;
      *passed += good;
      printf("%-6s %-16s %-9s %-26s %9.2e (at most %.0e)  %s\n", good ? "ok" : "FAILED", name,
             kinds[k], parts[p].name, s->compared ? s->worst : INFINITY, parts[p].bound, s->where);
    }
  return failed;
}

static int is_model(const struct dirent *entry) {
  const char *end = strrchr(entry->d_name, '.');
  return end && strcmp(end, ".model") == 0;
}

int main(int argc, char **argv) {
  struct dirent **entries = NULL;
  int passed = 0, failed = 0;
  if (argc != 2) {
    fprintf(stderr, "usage: golden_gradients DIR\n");
    return 2;
  }
  glow_blas_set_threads(1);
  int count = scandir(argv[1], &entries, is_model, alphasort);
  for (int i = 0; i < count; i++) {
    score scores[KINDS][PARTS] = {0};
    *strrchr(entries[i]->d_name, '.') = 0;
    for (uint32_t k = 0; glow_kernels_name(k); k++)
      for (uint32_t threads = 1; threads <= (k ? 1u : 2u); threads++)
        check_variant(argv[1], entries[i]->d_name, glow_kernels_name(k), threads, scores);
    failed += report(entries[i]->d_name, scores, &passed);
    free(entries[i]);
  }
  free(entries);
  printf("%d passed, %d failed\n", passed, failed);
  return failed || count <= 0 ? 1 : 0;
}
