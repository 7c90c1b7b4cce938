/* Runs the pieces of C in the documents, each as the body of a function, with what the text around
 * it says is there: a model, a trainer, data, files. A piece has failed when a call of it has
 * failed. pieces.sh makes pieces.inc. SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { count = 16, dims = 32 * 32 * 3, BATCH = 32 };

/* ---- what the pieces speak of ---------------------------------------------------------------- */

static glow_context *context;
static glow_glow_options options;
static glow_model *model;
static glow_workspace_options wo;
static glow_workspace *workspace;
static glow_optimizer *optimizer;
static glow_trainer *trainer;
static glow_builder *builder;
static float x[count * dims], latents[count * dims], back[count * dims];
static double log_prob[count], weight[count];
static float training[BATCH * dims];
static glow_batch held_out;
static const glow_loss_call *call;
static double *loss;

/* A standard normal distribution. */
static glow_status density(const float *at, int64_t first, int64_t n, double *log_p,
                           float *gradient, void *payload) {
  const int64_t size = glow_model_dims(model);
  (void)first, (void)payload;
  for (int64_t i = 0; i < n; i++) {
    log_p[i] = 0;
    for (int64_t d = 0; d < size; d++)
      log_p[i] -= 0.5 * (double)at[i * size + d] * (double)at[i * size + d];
    for (int64_t d = 0; gradient && d < size; d++)
      gradient[i * size + d] = -at[i * size + d];
  }
  return GLOW_OK;
}

static glow_status file_name(const char *name, char *out, size_t size, void *payload) {
  (void)payload;
  return snprintf(out, size, "%s", name) < (int)size ? GLOW_OK : GLOW_E_LIMIT;
}

static void print_note(int32_t what, const char *name, void *payload) {
  (void)payload;
  printf("%d: %s\n", (int)what, name);
}

static glow_status my_loss(const glow_loss_call *given, double *out, void *payload) {
  (void)given, (void)payload;
  *out = 0;
  return GLOW_OK;
}

static glow_status my_hook(int64_t step, float *gradients, int64_t elements, void *payload) {
  (void)step, (void)gradients, (void)elements, (void)payload;
  return GLOW_OK;
}

/* Data that are soon learnt by heart, and nothing like what is held out. */
static glow_status next_batch(int64_t step, glow_batch *batch, void *payload) {
  (void)step, (void)payload;
  batch->count = BATCH;
  batch->x = training;
  return GLOW_OK;
}

#include "pieces.inc"

/* ---- what is there before each --------------------------------------------------------------- */

static void check(glow_status status, const char *what) {
  if (status == GLOW_OK)
    return;
  fprintf(stderr, "%s: %s\n", what, glow_last_error());
  exit(1);
}
#define OK(call) check((call), #call)

static void make_loss_call(void) {
  static double logdet[count], d_logdet[count], sum;
  static float d_latents[count * dims];
  static glow_loss_call made;
  made.batch = made.count = count;
  made.logdet = logdet;
  made.latents = latents;
  made.d_logdet = d_logdet;
  made.d_latents = d_latents;
  call = &made;
  loss = &sum;
}

static void make_data(void) {
  for (int i = 0; i < count * dims; i++)
    x[i] = latents[i] = (float)(i * 7 % 101) / 101 - 0.5f;
  for (int i = 0; i < BATCH * dims; i++)
    training[i] = (float)(i % 3) / 8;
  held_out = (glow_batch)GLOW_BATCH_INIT;
  held_out.count = count;
  held_out.x = x;
}

/* Training towards a target makes samples: of vectors of six elements. */
static void make_model(int of_vectors) {
  glow_vector_flow_options v = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  options = (glow_glow_options)GLOW_GLOW_OPTIONS_INIT;
  options.input = (glow_shape){32, 32, 3};
  options.depth = 1;
  options.hidden = 4;
  v.dims = 6;
  v.depth = 2;
  if (of_vectors)
    OK(glow_model_create_vector_flow(context, &v, &model));
  else
    OK(glow_model_create_glow(context, &options, &model));
}

static void make_trainer(void) {
  glow_trainer_options t = GLOW_TRAINER_OPTIONS_INIT;
  t.average = 1;
  t.micro_batch = BATCH;
  t.inverse_backward = 1;
  OK(glow_trainer_create(model, &t, &trainer));
  OK(glow_trainer_initialise(trainer, x, NULL, count));
}

/* Each piece has a context of its own, which stays, as what the pieces make does: they are parts of
 * programs. Models are in files where it names some. */
static void begin(int of_vectors) {
  context = NULL;
  OK(glow_context_create(NULL, &context));
  make_data();
  make_loss_call();
  make_model(of_vectors);
  make_trainer();
  wo = (glow_workspace_options)GLOW_WORKSPACE_OPTIONS_INIT;
  wo.batch = count;
  workspace = NULL;
  OK(glow_workspace_create(model, &wo, &workspace));
  OK(glow_model_save(model, "flow.safetensors"));
  OK(glow_model_save(model, "weights.safetensors"));
}

int main(void) {
  int failed = 0;
  char text[1024];
  if (!glow_feature("files")) {
    puts("this build has no files, which the pieces name");
    return 77;
  }
  for (int i = 0; i < (int)(sizeof pieces / sizeof *pieces); i++) {
    begin(pieces[i].of_vectors);
    pieces[i].run();
    OK(glow_context_last_error(context, text, sizeof text));
    if (*text) {
      printf("%s: %s\n", pieces[i].at, text);
      failed = 1;
    }
  }
  return failed;
}
