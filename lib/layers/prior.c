/* prior: all elements that are left become latents, Gaussian or logistic. Their means and
 * log-scales are 0 or learned, for each channel or for each channel and pixel, plus a row for the
 * sample's class. A sample whose class is not known has the mixture over the classes as its
 * density. Kingma and Dhariwal 2018, code; Dinh et al. 2014, section 3.4.
 * SPDX-License-Identifier: MIT */
#include "layers/prior.h"

#include <string.h>

#include "layers/density.h"

#define PRIOR_MOST_CLASSES 1000000

static glow_status prior_declare_density(glow__prior *p, glow_setup *setup,
                                         const glow_shape *input) {
  int64_t vector[] = {input->channels}, rows[] = {p->o.classes, input->channels};
  int64_t image[] = {input->height, input->width, input->channels};
  int64_t *dims = p->o.spatial ? image : vector;
  int32_t rank = p->o.spatial ? 3 : 1;
  p->mean = p->logs = p->class_mean = p->class_logs = -1;
  if (p->o.learned) {
    GLOW_TRY(glow_setup_tensor(setup, "mean", GLOW_TYPE_F32, 1, rank, dims, &p->mean));
    GLOW_TRY(glow_setup_tensor(setup, "logs", GLOW_TYPE_F32, 1, rank, dims, &p->logs));
  }
  if (p->o.classes) {
    GLOW_TRY(glow_setup_tensor(setup, "class_mean", GLOW_TYPE_F32, 1, 2, rows, &p->class_mean));
    GLOW_TRY(glow_setup_tensor(setup, "class_logs", GLOW_TYPE_F32, 1, 2, rows, &p->class_logs));
    GLOW_TRY(glow_setup_labels(setup, p->o.classes));
    GLOW_TRY(glow_setup_unlabelled(setup));
  }
  GLOW_TRY(glow_setup_worker_scratch(setup, 2 * p->period, &p->mean_logs));
  return glow_setup_worker_scratch(setup, 2 * (int64_t)p->o.classes, &p->share);
}

static glow_status prior_declare_classifier(glow__prior *p, glow_setup *setup) {
  int64_t rows[] = {p->o.classes, p->channels};
  p->weight = p->bias = -1;
  if (!p->o.classifier)
    return GLOW_OK;
  GLOW_TRY(glow_setup_tensor(setup, "class_weight", GLOW_TYPE_F32, 1, 2, rows, &p->weight));
  GLOW_TRY(glow_setup_tensor(setup, "class_bias", GLOW_TYPE_F32, 1, 1, rows, &p->bias));
  GLOW_TRY(glow_setup_worker_scratch(setup, 2 * p->channels, &p->pooled));
  return glow_setup_logits(setup, p->o.classes);
}

static glow_status prior_configure(void *self, glow_setup *setup, const glow_shape *input,
                                   glow_shape *output) {
  glow__prior *p = self;
  *output = (glow_shape){0, 0, 0};
  p->pixels = input->height * input->width;
  p->channels = input->channels;
  p->size = p->pixels * p->channels;
  p->period = p->o.spatial ? p->size : p->channels;
  GLOW_TRY(prior_declare_density(p, setup, input));
  GLOW_TRY(prior_declare_classifier(p, setup));
  GLOW_TRY(glow_setup_latent_density(setup, p->o.density));
  return glow_setup_latents(setup, input);
}

/* Class of sample n: -1 if it is not known, 0 if there are no classes. */
static int32_t prior_class_of(const glow__prior *p, const glow_call *call, int64_t n) {
  return p->o.classes ? glow_call_labels(call)[n] : 0;
}

/* log p of one sample's raw latents. */
static double prior_log_density_of(const glow__prior *p, const glow_call *call, int32_t class,
                                   const float *z) {
  return class < 0 ? glow__prior_log_mixture(p, call, z)
                   : glow__prior_log_density(p, call, class, z);
}

static void prior_whiten(const glow__prior *p, const glow_call *call, int32_t class, const float *x,
                         float *z) {
  const float *mean = glow__prior_mean_logs(p, call, class), *logs = mean + p->period;
  for (int64_t i = 0; i < p->size; i++)
    z[i] = glow__whiten(x[i], mean[i % p->period], logs[i % p->period]);
}

static void prior_forward(const void *self, const glow_call *call, const float *x, float *y,
                          double *logdet, double *logprior) {
  const glow__prior *p = self;
  bool whitened = glow_call_latent_form(call) == GLOW_LATENTS_WHITENED;
  (void)y;
  (void)logdet;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++, x += p->size) {
    int32_t class = prior_class_of(p, call, n);
    float *z = glow_call_latents(call) + n * glow_call_latent_stride(call);
    logprior[n] += prior_log_density_of(p, call, class, x);
    if (whitened)
      prior_whiten(p, call, class, x, z);
    else
      memcpy(z, x, (size_t)p->size * sizeof *z);
  }
}

static void prior_unwhiten(const glow__prior *p, const glow_call *call, int32_t class,
                           const float *z, float *x) {
  const float *mean = glow__prior_mean_logs(p, call, class), *logs = mean + p->period;
  for (int64_t i = 0; i < p->size; i++)
    x[i] = glow__unwhiten(z[i], mean[i % p->period], logs[i % p->period]);
}

static glow_status prior_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                 double *logdet, double *logprior) {
  const glow__prior *p = self;
  bool whitened = glow_call_latent_form(call) == GLOW_LATENTS_WHITENED;
  (void)y;
  (void)logdet;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++, x += p->size) {
    int32_t class = prior_class_of(p, call, n);
    const float *z = glow_call_latents(call) + n * glow_call_latent_stride(call);
    if (whitened)
      prior_unwhiten(p, call, class, z, x);
    else
      memcpy(x, z, (size_t)p->size * sizeof *x);
    if (logprior)
      logprior[n] += prior_log_density_of(p, call, class, x);
  }
  return GLOW_OK;
}

static void prior_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const glow__prior *p = self;
  size_t bytes = (size_t)p->size * sizeof(float);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    const float *z = glow_call_latents(call) + n * glow_call_latent_stride(call);
    float *dx = g->dx + n * p->size;
    int32_t class = prior_class_of(p, call, n);
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

/* x is the raw latents z. Their gradient is that of x and of the log-density. */
static void prior_inverse_backward(const void *self, const glow_call *call,
                                   const glow_layer_inverse_gradient *g) {
  const glow__prior *p = self;
  bool whitened = glow_call_latent_form(call) == GLOW_LATENTS_WHITENED;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    const float *z = g->x + n * p->size;
    float *dz = g->dx + n * p->size;
    float *d_latents = g->d_latents ? g->d_latents + n * glow_call_latent_stride(call) : NULL;
    int32_t class = prior_class_of(p, call, n);
    if (class < 0)
      glow__prior_mixture_gradient(p, call, g->d_logprior[n], z, dz);
    else
      glow__prior_density_gradient(p, call, class, g->d_logprior[n], z, dz);
    if (whitened) /* then the class is known */
      glow__prior_unwhiten_gradient(p, call, class, z, dz, d_latents);
    else if (d_latents)
      memcpy(d_latents, dz, (size_t)p->size * sizeof *dz);
  }
}

/* The deviations of each class. */
static glow_status prior_diagnose(const void *self, const glow_call *call, const float *x,
                                  glow_findings *findings) {
  const glow__prior *p = self;
  int32_t densities = p->o.classes ? p->o.classes : p->o.learned;
  for (int32_t k = 0; !x && k < densities; k++) {
    const float *logs = glow__prior_mean_logs(p, call, k) + p->period;
    for (int64_t i = 0; i < p->period; i++)
      glow_findings_scale(findings, exp((double)logs[i]));
  }
  return GLOW_OK;
}

/* ---- options --------------------------------------------------------------------------------- */

static const glow_choice prior_densities[] = {
    {GLOW_DENSITY_GAUSSIAN, 0, "gaussian"}, {GLOW_DENSITY_LOGISTIC, 0, "logistic"}, {0, 0, NULL}};
static const glow_option prior_rows[] = {
    GLOW_OPTION(glow_prior_options, learned, INT32, .high = 1, .fallback = 1),
    GLOW_OPTION(glow_prior_options, classes, INT32, .high = PRIOR_MOST_CLASSES),
    GLOW_OPTION(glow_prior_options, spatial, INT32, .high = 1),
    GLOW_OPTION(glow_prior_options, classifier, INT32, .high = 1),
    GLOW_OPTION(glow_prior_options, density, CHOICE, .fallback = GLOW_DENSITY_GAUSSIAN,
                .choices = prior_densities, .prefix = "GLOW_DENSITY_"),
    GLOW_OPTION(glow_prior_options, reserved, RESERVED, .fallback = 0),
};

static glow_status prior_check(const void *options) {
  const glow_prior_options *o = options;
  if (o->spatial && !o->learned)
    return glow_error(GLOW_E_ARGUMENT, "glow_prior_options: spatial is 1 but learned is 0; only "
                                       "learned means and logs can differ by pixel");
  if (o->classifier && !o->classes)
    return glow_error(GLOW_E_ARGUMENT, "glow_prior_options: classifier is 1 but classes is 0; say "
                                       "how many classes there are");
  return GLOW_OK;
}

static const glow_options_table prior_table = {GLOW_OPTIONS_TABLE(glow_prior_options, prior_rows),
                                               .check = prior_check};

const glow_layer_ops glow__prior_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "prior",
    .flags = GLOW_LAYER_RECONSTRUCTS | GLOW_LAYER_SKIPS_GRADIENTS,
    .options = &prior_table,
    .self_size = sizeof(glow__prior),
    .configure = prior_configure,
    .forward = prior_forward,
    .inverse = prior_inverse,
    .backward = prior_backward,
    .inverse_backward = prior_inverse_backward,
    .logits = glow__prior_logits,
    .logits_backward = glow__prior_logits_backward,
    .diagnose = prior_diagnose,
};

glow_status glow_prior_create(glow_context *context, const glow_prior_options *options,
                              glow_layer **out) {
  return glow_layer_create(context, &glow__prior_ops, options, NULL, out);
}
