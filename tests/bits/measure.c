/* What one model computes, as hashes: initial values and files, passes both ways, gradients,
 * training, the form for inference, products in bfloat16. SPDX-License-Identifier: MIT */
#include "bits.h"

enum { COUNT = 5, MICRO = 3, STEPS = 20 };

const char *const bits_quantity_names[BITS_QUANTITIES] = {
    "file", "outputs", "inverse", "gradients", "training", "form", "bfloat16",
};

/* ---- folding --------------------------------------------------------------------------------- */

/* A value that is not finite has no fixed bits: compilers choose signs of NaN. */
static void fold_floats(uint64_t *hash, const char *what, const float *data, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(data[i]))
      fail_msg("%s: number %lld is %g", what, (long long)i, (double)data[i]);
  hash_elements(hash, data, (size_t)count, sizeof *data);
}

static void fold_doubles(uint64_t *hash, const char *what, const double *data, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(data[i]))
      fail_msg("%s: number %lld is %g", what, (long long)i, data[i]);
  hash_elements(hash, data, (size_t)count, sizeof *data);
}

/* All tensors, fixed state too: bytes of float32 and int32. */
static void fold_tensors(uint64_t *hash, const glow_model *model) {
  for (int32_t t = 0; t < glow_model_tensor_count(model); t++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, t, &info));
    void *values = helper_allocate((size_t)info.elements * 4);
    OK(glow_model_get_tensor(model, info.name, values, info.elements));
    hash_elements(hash, values, (size_t)info.elements, 4);
    free(values);
  }
}

/* ---- data ------------------------------------------------------------------------------------ */

typedef struct data {
  int64_t dims, context_size, logits;
  uint8_t *pixels; /* NULL: continuous */
  float *x, *d_latents, *d_logits, *context, *out;
  int32_t known[COUNT], labels[COUNT]; /* labels: of some samples unknown, if the row is so */
  bool all_known;
} data;

static data make_data(const glow_model *model, const bits_subject *subject) {
  helper_random random = {20}; /* not helper_random_of: GLOW_TEST_SEED has no say here */
  data d = {.dims = glow_model_dims(model),
            .context_size = glow_model_condition_size(model),
            .logits = glow_model_logit_count(model)};
  d.all_known = !(subject->layer && subject->layer->unlabelled);
  for (int n = 0; n < COUNT; n++) {
    d.known[n] = n % 3;
    d.labels[n] = d.all_known || n % 2 == 0 ? d.known[n] : -1;
  }
  d.x = helper_new_normals(&random, 1.0f, COUNT * d.dims);
  d.d_latents = helper_new_normals(&random, 0.1f, COUNT * d.dims);
  d.d_logits = helper_new_normals(&random, 0.1f, COUNT * d.logits);
  d.context = helper_new_normals(&random, 0.5f, COUNT * d.context_size);
  d.out = helper_allocate((size_t)(COUNT * (d.dims + d.logits)) * sizeof *d.out);
  if (glow_model_bits(model)) {
    d.pixels = helper_allocate((size_t)(COUNT * d.dims));
    for (int64_t i = 0; i < COUNT * d.dims; i++)
      d.pixels[i] = (uint8_t)(256.0 * helper_uniform(&random));
    OK(glow_model_dequantise(model, d.pixels, COUNT, 3, 0, d.x));
  }
  return d;
}

static void free_data(data *d) {
  free(d->pixels);
  free(d->x);
  free(d->d_latents);
  free(d->d_logits);
  free(d->context);
  free(d->out);
}

static glow_workspace *workspace_of(const glow_model *model, const data *d, int32_t mode) {
  glow_workspace *ws = helper_workspace(model, COUNT, mode);
  if (d->context_size)
    OK(glow_workspace_set_condition(ws, d->context, COUNT, d->context_size));
  return ws;
}

/* ---- initial values and files ---------------------------------------------------------------- */

/* A safetensors file: the length of its header in 8 bytes, the header, padded with blanks, the
 * data. The library's version in the header is left out, and what depends on its length. */
static void fold_file(uint64_t *hash, const char *file, size_t size) {
  char key[64];
  snprintf(key, sizeof key, "\"glow.library\":\"%s\"", glow_version());
  uint64_t header = 0;
  assert_true(size > sizeof header);
  for (int i = 7; i >= 0; i--)
    header = header << 8 | (unsigned char)file[i];
  assert_true(header > strlen(key) && header <= size - sizeof header);
  const char *start = file + sizeof header, *end = start + header, *at = start;
  while (at + strlen(key) <= end && memcmp(at, key, strlen(key)) != 0)
    at++;
  if (at + strlen(key) > end)
    fail_msg("the header of a model's file has no %s", key);
  const char *rest = at + strlen(key), *text_end = end;
  while (text_end > rest && text_end[-1] == ' ')
    text_end--;
  hash_fold(hash, start, (size_t)(at - start));
  hash_fold(hash, rest, (size_t)(text_end - rest));
  hash_fold(hash, end, size - (size_t)(end - file));
}

static void measure_file(const glow_model *model, uint64_t *hash) {
  static const int32_t storages[] = {GLOW_TYPE_F32, GLOW_TYPE_BF16};
  for (int i = 0; i < 2; i++) {
    glow_output output = GLOW_OUTPUT_INIT;
    size_t size = 0;
    output.storage = storages[i];
    output.written = &size;
    OK(glow_model_save_output(model, &output));
    output.buffer = helper_allocate(size);
    output.capacity = size;
    OK(glow_model_save_output(model, &output));
    fold_file(hash, output.buffer, size);
    free(output.buffer);
  }
}

static void initialise(glow_model *model, const data *d, uint64_t *hash) {
  glow_workspace *ws = helper_workspace(model, MICRO, GLOW_MODE_INFERENCE);
  if (d->context_size)
    OK(glow_workspace_set_condition(ws, d->context, COUNT, d->context_size));
  OK(glow_workspace_initialise(ws, model, d->x, d->labels, COUNT));
  glow_workspace_destroy(&ws);
  measure_file(model, hash);
}

/* ---- passes ---------------------------------------------------------------------------------- */

static void measure_outputs(glow_workspace *ws, const data *d, uint64_t *hash) {
  double logdet[COUNT], log_prob[COUNT];
  OK(glow_workspace_forward(ws, d->x, COUNT,
                            &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                    .labels = d->labels,
                                                    .latents = d->out,
                                                    .logdet = logdet,
                                                    .log_prob = log_prob}));
  fold_floats(hash, "latents", d->out, COUNT * d->dims);
  fold_doubles(hash, "log-det", logdet, COUNT);
  fold_doubles(hash, "log-probability", log_prob, COUNT);
  OK(glow_workspace_forward(ws, d->x, COUNT,
                            &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                    .labels = d->known,
                                                    .form = GLOW_LATENTS_WHITENED,
                                                    .latents = d->out}));
  fold_floats(hash, "whitened latents", d->out, COUNT * d->dims);
  OK(glow_workspace_log_prob(ws, d->x, d->known, COUNT, log_prob));
  fold_doubles(hash, "log-probability alone", log_prob, COUNT);
  if (d->logits) {
    OK(glow_workspace_classify(ws, d->x, NULL, COUNT, d->out));
    fold_floats(hash, "logits", d->out, COUNT * d->logits);
  }
}

static void measure_inverse(glow_workspace *ws, const data *d, uint64_t *hash) {
  float *x = helper_allocate((size_t)(COUNT * d->dims) * sizeof *x);
  double logdet[COUNT];
  for (int32_t form = GLOW_LATENTS_RAW; form <= GLOW_LATENTS_WHITENED; form++) {
    OK(glow_workspace_forward(ws, d->x, COUNT,
                              &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                      .labels = d->known,
                                                      .form = form,
                                                      .latents = d->out}));
    OK(glow_workspace_inverse(ws, d->out, COUNT,
                              &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options),
                                                      .labels = d->known,
                                                      .form = form,
                                                      .logdet = logdet},
                              x));
    fold_floats(hash, "inverse", x, COUNT * d->dims);
    fold_doubles(hash, "log-det of the inverse", logdet, COUNT);
  }
  glow_sample_options options = GLOW_SAMPLE_OPTIONS_INIT;
  options.temperature = 0.8;
  options.seed = 11;
  options.first = 3;
  options.labels = d->known;
  OK(glow_workspace_sample(ws, COUNT, &options, x));
  fold_floats(hash, "samples", x, COUNT * d->dims);
  free(x);
}

static void measure_passes(const glow_model *model, const data *d, uint64_t *outputs,
                           uint64_t *inverse) {
  glow_workspace *ws = workspace_of(model, d, GLOW_MODE_INFERENCE);
  measure_outputs(ws, d, outputs);
  measure_inverse(ws, d, inverse);
  glow_workspace_destroy(&ws);
}

static void measure_gradients(const glow_model *model, const data *d, int32_t mode,
                              uint64_t *hash) {
  static const double weight[COUNT] = {-0.5, -0.25, 0.125, -1, -0.75};
  static const double weight_logdet[COUNT] = {0.25, -0.5, 0.125, 0.5, 1};
  glow_backward_options options = GLOW_BACKWARD_OPTIONS_INIT;
  glow_workspace *ws = workspace_of(model, d, mode);
  double logdet[COUNT], log_prob[COUNT];
  float *d_condition = helper_allocate((size_t)(COUNT * d->context_size) * sizeof *d_condition);
  options.weight = weight;
  options.weight_logdet = weight_logdet;
  options.d_latents = d->d_latents;
  options.d_logits = d->logits ? d->d_logits : NULL;
  options.dx = d->out;
  options.d_condition = d->context_size ? d_condition : NULL;
  OK(glow_workspace_forward(ws, d->x, COUNT,
                            &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                    .labels = d->labels,
                                                    .latents = d->out,
                                                    .logdet = logdet,
                                                    .log_prob = log_prob}));
  fold_floats(hash, "latents in training", d->out, COUNT * d->dims);
  fold_doubles(hash, "log-det in training", logdet, COUNT);
  fold_doubles(hash, "log-probability in training", log_prob, COUNT);
  OK(glow_workspace_backward(ws, &options));
  fold_floats(hash, "gradients", glow_workspace_gradients(ws), glow_model_parameter_count(model));
  fold_floats(hash, "gradient of x", d->out, COUNT * d->dims);
  fold_floats(hash, "gradient of context", d_condition, COUNT * d->context_size);
  free(d_condition);
  glow_workspace_destroy(&ws);
}

/* ---- training -------------------------------------------------------------------------------- */

static void measure_training(glow_model *model, const data *d, uint64_t *hash) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_trainer *trainer = NULL;
  schedule.kind = GLOW_SCHEDULE_COSINE;
  schedule.rate = 3e-3;
  schedule.warmup = STEPS / 4;
  schedule.steps = 2 * STEPS;
  options.schedule = &schedule;
  options.micro_batch = MICRO;
  options.average = 1;
  options.average_decay = 0.9;
  options.clip_norm = 100;
  options.gain_l2 = 5e-5;
  options.seed = 6;
  OK(glow_trainer_create(model, &options, &trainer));
  glow_batch batch = GLOW_BATCH_INIT;
  batch.count = COUNT;
  batch.x = d->pixels ? NULL : d->x;
  batch.pixels = d->pixels;
  batch.labels = d->labels;
  batch.condition = d->context_size ? d->context : NULL;
  batch.condition_count = d->context_size ? COUNT : 0;
  for (int step = 0; step < STEPS; step++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    OK(glow_trainer_step_batch(trainer, &batch, &report));
    fold_doubles(hash, "loss", &report.loss, 1);
    fold_doubles(hash, "norm of the gradient", &report.gradient_norm, 1);
  }
  fold_tensors(hash, model);
  OK(glow_trainer_use_average(trainer, 1));
  fold_tensors(hash, model);
  glow_trainer_destroy(&trainer);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void measure_form(const glow_model *model, const data *d, uint64_t *hash) {
  glow_model *form = NULL;
  OK(glow_model_inference_form(model, &form));
  measure_passes(form, d, hash, hash);
  glow_model_destroy(&form);
}

/* Parameters are perturbed, for initial networks give zeros; deep models less, so that they stay
 * well conditioned. */
static void measure_model(glow_model *model, const bits_subject *subject, uint64_t *hashes) {
  helper_random random = {30};
  data d = make_data(model, subject);
  initialise(model, &d, &hashes[BITS_FILE]);
  helper_perturb(model, &random, subject->layer ? 0.05f : 0.01f);
  measure_passes(model, &d, &hashes[BITS_OUTPUTS], &hashes[BITS_INVERSE]);
  measure_gradients(model, &d, GLOW_MODE_STORED, &hashes[BITS_GRADIENTS]);
  measure_gradients(model, &d, GLOW_MODE_RECONSTRUCTED, &hashes[BITS_GRADIENTS]);
  measure_form(model, &d, &hashes[BITS_FORM]);
  measure_training(model, &d, &hashes[BITS_TRAINING]);
  free_data(&d);
}

static void measure_in(const bits_subject *subject, uint32_t threads, const char *kernels,
                       int32_t products, uint64_t hashes[BITS_BFLOAT16]) {
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  glow_model *model = NULL;
  options.threads = threads;
  options.kernels = kernels;
  options.products = products;
  OK(glow_context_create(&options, &context));
  for (int q = 0; q < BITS_BFLOAT16; q++)
    hashes[q] = HASH_INIT;
  for (int32_t part = 0; bits_has_part(subject, part); part++) {
    OK(bits_create(context, subject, part, &model));
    measure_model(model, subject, hashes);
    glow_model_destroy(&model);
  }
  glow_context_destroy(&context);
}

void bits_measure(const bits_subject *subject, uint32_t threads, const char *kernels,
                  uint64_t hashes[BITS_QUANTITIES]) {
  uint64_t bfloat16[BITS_BFLOAT16];
  measure_in(subject, threads, kernels, GLOW_PRODUCTS_FLOAT32, hashes);
  hashes[BITS_BFLOAT16] = HASH_INIT;
  if (!bits_has_bfloat16(subject))
    return;
  measure_in(subject, threads, kernels, GLOW_PRODUCTS_BFLOAT16, bfloat16);
  hash_elements(&hashes[BITS_BFLOAT16], bfloat16, BITS_BFLOAT16, sizeof *bfloat16);
}
