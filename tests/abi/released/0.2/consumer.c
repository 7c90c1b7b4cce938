/* A program of a user, kept with each release (released/RELEASE/consumer.c): compiled against the
 * headers of that release it has to run with every later library of the same GLOW_SOVERSION, and
 * to print the same. So it fills option structs, hands tables of functions over, and has structs
 * filled by the library; its sums are plain C, so that they are the same on every CPU.
 * SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <glow/import.h>
#include <glow/sys/check.h>
#include <glow/sys/layer.h>
#include <stdio.h>
#include <stdlib.h>

enum { PICTURES = 16, SIDE = 8, DIMS = SIDE * SIDE * 3 };

static void check(glow_status status) {
  if (status != GLOW_OK) {
    fprintf(stderr, "%s: %s\n", glow_status_name(status), glow_last_error());
    exit(1);
  }
}

/* ---- a layer of the program's own: y = -x ---------------------------------------------------- */

typedef struct negate {
  int64_t size;
} negate;

static glow_status negate_configure(void *self, glow_setup *setup, const glow_shape *input,
                                    glow_shape *output) {
  (void)setup;
  ((negate *)self)->size = glow_shape_size(input);
  *output = *input;
  return GLOW_OK;
}

static void negate_array(const void *self, const glow_call *call, const float *from, float *to) {
  int64_t count = ((const negate *)self)->size * glow_call_sample_count(call);
  for (int64_t i = 0; i < count; i++)
    to[i] = -from[i];
}

static void negate_forward(const void *self, const glow_call *call, const float *x, float *y,
                           double *logdet, double *logprior) {
  (void)logdet, (void)logprior;
  negate_array(self, call, x, y);
}

static glow_status negate_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                  double *logdet, double *logprior) {
  (void)logdet, (void)logprior;
  negate_array(self, call, y, x);
  return GLOW_OK;
}

static void negate_backward(const void *self, const glow_call *call,
                            const glow_layer_gradient *gradient) {
  negate_array(self, call, gradient->dy, gradient->dx);
}

static glow_layer *make_negate(glow_context *context) {
  const glow_layer_ops ops = {.struct_size = sizeof ops,
                              .type = "negate",
                              .self_size = sizeof(negate),
                              .configure = negate_configure,
                              .forward = negate_forward,
                              .inverse = negate_inverse,
                              .backward = negate_backward};
  glow_layer *layer = NULL;
  check(glow_layer_create(context, &ops, NULL, NULL, &layer));
  return layer;
}

/* ---- a model of it, and one of the presets --------------------------------------------------- */

static void use_layers(glow_context *context) {
  const glow_shape shape = {1, 1, 4};
  glow_builder_options options = GLOW_BUILDER_OPTIONS_INIT;
  options.bits = 0;
  glow_builder *builder = NULL;
  check(glow_builder_create(context, &shape, &options, &builder));
  glow_layer *layer = make_negate(context);
  check(glow_builder_add(builder, "negate", &layer));
  check(glow_prior_create(context, NULL, &layer));
  check(glow_builder_add(builder, "prior", &layer));
  glow_model *model = NULL;
  check(glow_builder_finish(&builder, &model));
  glow_workspace *workspace = NULL;
  check(glow_workspace_create(model, NULL, &workspace));
  const float x[4] = {0.5f, -1.0f, 0.0f, 2.0f};
  float latents[4];
  double log_prob = 0;
  glow_forward_options forward = GLOW_FORWARD_OPTIONS_INIT;
  forward.latents = latents;
  forward.log_prob = &log_prob;
  check(glow_workspace_forward(workspace, x, 1, &forward));
  printf("latents %g %g %g %g, log-density %.4f\n", latents[0], latents[1], latents[2], latents[3],
         log_prob);
  glow_workspace_destroy(&workspace);
  glow_model_destroy(&model);
  layer = make_negate(context);
  check(glow_layer_check(context, &layer, NULL));
  puts("the layer keeps its contract");
}

static void use_presets(glow_context *context) {
  static uint8_t pixels[PICTURES * DIMS];
  for (int i = 0; i < PICTURES * DIMS; i++)
    pixels[i] = (uint8_t)(128 + (i / DIMS % 9 - 4) * (i / 3 % SIDE) * 4 + i % 7);
  glow_glow_options options = GLOW_GLOW_OPTIONS_INIT;
  options.input = (glow_shape){SIDE, SIDE, 3};
  options.levels = 2;
  options.depth = 2;
  options.hidden = 8;
  glow_model *model = NULL;
  check(glow_model_create_glow(context, &options, &model));
  glow_trainer_options training = GLOW_TRAINER_OPTIONS_INIT;
  training.clip_norm = 10;
  glow_trainer *trainer = NULL;
  check(glow_trainer_create(model, &training, &trainer));
  check(glow_trainer_initialise_pixels(trainer, pixels, NULL, PICTURES));
  for (int step = 1; step <= 20; step++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    check(glow_trainer_step_pixels(trainer, pixels, NULL, PICTURES, &report));
    if (step % 10 == 0)
      printf("step %d: %.2f bits/dim\n", step, report.loss);
  }
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

int main(void) {
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  options.kernels = "c";
  options.threads = 2;
  glow_context *context = NULL;
  check(glow_context_create(&options, &context));
  use_layers(context);
  use_presets(context);
  glow_model *model = NULL;
  if (glow_model_load(context, "/no/such/file", &model) == GLOW_OK || model)
    return 1;
  printf("files that are not there: %s\n", glow_status_name(GLOW_E_IO));
  glow_context_destroy(&context);
  return glow_version_number() < GLOW_VERSION_NUMBER; /* the library is older than its headers */
}
