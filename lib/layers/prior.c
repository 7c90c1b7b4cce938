/* prior: everything left becomes latents, Gaussian or logistic with mean and log-sd per channel, or
 * per channel and position: 0, learned, plus a row for the sample's class. A sample whose class is
 * not known has the mixture over the classes. Kingma and Dhariwal 2018, code; Dinh et al. 2014,
 * 3.4.
 * SPDX-License-Identifier: MIT */
#include "layers/prior.h"

#include <string.h>

#include "layers/density.h"

#define MAX_CLASSES 1000000

static glow_status declare_law(glow__prior *p, glow_setup *setup, const glow_shape *input) {
  int64_t vector[] = {input->channels}, rows[] = {p->classes, input->channels};
  int64_t image[] = {input->height, input->width, input->channels};
  int64_t *dims = p->spatial ? image : vector;
  int32_t rank = p->spatial ? 3 : 1;
  p->mean = p->logs = p->class_mean = p->class_logs = -1;
  if (p->learned) {
    GLOW_TRY(glow_setup_tensor(setup, "mean", GLOW_TYPE_F32, 1, rank, dims, &p->mean));
    GLOW_TRY(glow_setup_tensor(setup, "logs", GLOW_TYPE_F32, 1, rank, dims, &p->logs));
  }
  if (p->classes) {
    GLOW_TRY(glow_setup_tensor(setup, "class_mean", GLOW_TYPE_F32, 1, 2, rows, &p->class_mean));
    GLOW_TRY(glow_setup_tensor(setup, "class_logs", GLOW_TYPE_F32, 1, 2, rows, &p->class_logs));
    GLOW_TRY(glow_setup_labels(setup, p->classes));
    GLOW_TRY(glow_setup_unlabelled(setup));
  }
  GLOW_TRY(glow_setup_worker_scratch(setup, 2 * p->period, &p->law));
  return glow_setup_worker_scratch(setup, 2 * (int64_t)p->classes, &p->share);
}

static glow_status declare_classifier(glow__prior *p, glow_setup *setup) {
  int64_t rows[] = {p->classes, p->channels};
  p->weight = p->bias = -1;
  if (!p->classifier)
    return GLOW_OK;
  GLOW_TRY(glow_setup_tensor(setup, "class_weight", GLOW_TYPE_F32, 1, 2, rows, &p->weight));
  GLOW_TRY(glow_setup_tensor(setup, "class_bias", GLOW_TYPE_F32, 1, 1, rows, &p->bias));
  GLOW_TRY(glow_setup_worker_scratch(setup, 2 * p->channels, &p->pooled));
  return glow_setup_logits(setup, p->classes);
}

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             glow_shape *output) {
  glow__prior *p = self;
  *output = (glow_shape){0, 0, 0};
  p->pixels = input->height * input->width;
  p->channels = input->channels;
  p->size = p->pixels * p->channels;
  p->period = p->spatial ? p->size : p->channels;
  GLOW_TRY(declare_law(p, setup, input));
  GLOW_TRY(declare_classifier(p, setup));
  GLOW_TRY(glow_setup_latent_density(setup, p->density));
  return glow_setup_latents(setup, input->height, input->width, input->channels);
}

/* Class of sample n, -1 when it is not known; 0 where there are no classes. */
static int32_t class_of(const glow__prior *p, const glow_call *call, int64_t n) {
  return p->classes ? glow_call_labels(call)[n] : 0;
}

static void whiten(const glow__prior *p, const glow_call *call, int32_t class, const float *x,
                   float *z) {
  const float *mean = glow__prior_law(p, call, class), *logs = mean + p->period;
  for (int64_t i = 0; i < p->size; i++)
    z[i] = glow__whiten(x[i], mean[i % p->period], logs[i % p->period]);
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  const glow__prior *p = self;
  bool whitened = glow_call_latent_form(call) == GLOW_LATENTS_WHITENED;
  (void)y;
  (void)logdet;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++, x += p->size) {
    int32_t class = class_of(p, call, n);
    float *z = glow_call_latents(call) + n * glow_call_latent_stride(call);
    logprior[n] +=
        class < 0 ? glow__prior_mixture(p, call, x) : glow__prior_density(p, call, class, x);
    if (whitened)
      whiten(p, call, class, x, z);
    else
      memcpy(z, x, (size_t)p->size * sizeof *z);
  }
}

static void unwhiten(const glow__prior *p, const glow_call *call, int32_t class, const float *z,
                     float *x) {
  const float *mean = glow__prior_law(p, call, class), *logs = mean + p->period;
  for (int64_t i = 0; i < p->size; i++)
    x[i] = glow__unwhiten(z[i], mean[i % p->period], logs[i % p->period]);
}

static void inverse(const void *self, const glow_call *call, const float *y, float *x,
                    double *logdet) {
  const glow__prior *p = self;
  bool whitened = glow_call_latent_form(call) == GLOW_LATENTS_WHITENED;
  (void)y;
  (void)logdet;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++, x += p->size) {
    const float *z = glow_call_latents(call) + n * glow_call_latent_stride(call);
    if (whitened)
      unwhiten(p, call, class_of(p, call, n), z, x);
    else
      memcpy(x, z, (size_t)p->size * sizeof *x);
  }
}

static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const glow__prior *p = self;
  size_t bytes = (size_t)p->size * sizeof(float);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    const float *z = glow_call_latents(call) + n * glow_call_latent_stride(call);
    float *dx = g->dx + n * p->size;
    int32_t class = class_of(p, call, n);
    if (g->d_latents)
      memcpy(dx, g->d_latents + n * glow_call_latent_stride(call), bytes);
    else
      memset(dx, 0, bytes);
    if (class < 0)
      glow__prior_mixture_gradient(p, call, g->d_logprior[n], z, dx);
    else
      glow__prior_density_gradient(p, call, class, g->d_logprior[n], z, dx);
    if (!g->x)
      memcpy(g->x_out + n * p->size, z, bytes);
  }
}

static const char *const densities[] = {
    [GLOW_DENSITY_GAUSSIAN] = "gaussian", [GLOW_DENSITY_LOGISTIC] = "logistic"};

static glow_status save(const void *self, glow_config *config) {
  const glow__prior *p = self;
  GLOW_TRY(glow_config_set_int(config, "learned", p->learned));
  GLOW_TRY(glow_config_set_int(config, "classes", p->classes));
  GLOW_TRY(glow_config_set_int(config, "spatial", p->spatial));
  GLOW_TRY(glow_config_set_int(config, "classifier", p->classifier));
  return glow_config_set_text(config, "density", densities[p->density]);
}

static void destroy(void *self, glow_context *context) {
  glow_release(context, self);
}

static const glow_layer_ops ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "prior",
    .flags = GLOW_LAYER_RECONSTRUCTS,
    .configure = configure,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .save = save,
    .destroy = destroy,
    .logits = glow__prior_logits,
    .logits_backward = glow__prior_logits_backward,
};

static glow_status check(const glow_prior_options *o) {
  if (o->learned < 0 || o->learned > 1)
    return glow_error(GLOW_E_ARGUMENT, "learned is %d; it must be 0 or 1", o->learned);
  if (o->classes < 0 || o->classes > MAX_CLASSES)
    return glow_error(GLOW_E_ARGUMENT, "classes is %d; it must be 0 to %d", o->classes,
                      MAX_CLASSES);
  if (o->spatial < 0 || o->spatial > 1)
    return glow_error(GLOW_E_ARGUMENT, "spatial is %d; it must be 0 or 1", o->spatial);
  if (o->spatial && !o->learned)
    return glow_error(GLOW_E_ARGUMENT, "a spatial prior has to be learned");
  if (o->classifier < 0 || o->classifier > 1)
    return glow_error(GLOW_E_ARGUMENT, "classifier is %d; it must be 0 or 1", o->classifier);
  if (o->classifier && !o->classes)
    return glow_error(GLOW_E_ARGUMENT, "a classifier needs classes");
  if (o->density < GLOW_DENSITY_GAUSSIAN || o->density > GLOW_DENSITY_LOGISTIC || o->reserved)
    return glow_error(GLOW_E_ARGUMENT, "density is %d; it must be one of GLOW_DENSITY_...",
                      o->density);
  return GLOW_OK;
}

glow_status glow_prior_create(glow_context *context, const glow_prior_options *options,
                              glow_layer **out) {
  glow_prior_options o = GLOW_PRIOR_OPTIONS_INIT;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_prior_create: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, offsetof(glow_prior_options, spatial),
                              "glow_prior_options"));
  GLOW_TRY(check(&o));
  glow__prior *p = glow_allocate(context, sizeof *p);
  if (!p)
    return GLOW_E_MEMORY;
  p->learned = o.learned;
  p->classes = o.classes;
  p->spatial = o.spatial;
  p->classifier = o.classifier;
  p->density = o.density;
  return glow_layer_create(context, &ops, p, out);
}

glow_status glow__prior_make(glow_context *context, const glow_config *config, glow_layer **out) {
  glow_prior_options o = GLOW_PRIOR_OPTIONS_INIT;
  int64_t learned = o.learned, classes = o.classes, spatial = o.spatial, classifier = o.classifier;
  const char *density = densities[o.density];
  GLOW_TRY(glow_config_get_int(config, "learned", 0, 1, &learned));
  GLOW_TRY(glow_config_get_int(config, "classes", 0, MAX_CLASSES, &classes));
  GLOW_TRY(glow_config_get_int(config, "spatial", 0, 1, &spatial));
  GLOW_TRY(glow_config_get_int(config, "classifier", 0, 1, &classifier));
  GLOW_TRY(glow_config_get_text(config, "density", &density));
  if (strcmp(density, densities[GLOW_DENSITY_LOGISTIC]) == 0)
    o.density = GLOW_DENSITY_LOGISTIC;
  else if (strcmp(density, densities[GLOW_DENSITY_GAUSSIAN]) != 0)
    return glow_error(GLOW_E_FORMAT, "a prior cannot be '%s'", density);
  o.learned = (int32_t)learned;
  o.classes = (int32_t)classes;
  o.spatial = (int32_t)spatial;
  o.classifier = (int32_t)classifier;
  return glow_prior_create(context, &o, out);
}
