/* prior: everything left becomes latents, Gaussian with mean and log-sd per channel, or per channel
 * and position: 0, learned, plus a row for the sample's class. Kingma and Dhariwal 2018, code.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/gaussian.h"

#define MAX_CLASSES 1000000

typedef struct prior {
  int32_t learned, classes, spatial;
  int64_t pixels, channels;
  int64_t period; /* numbers of mean, after which they repeat: channels, or all of a sample */
  int32_t mean, logs, class_mean, class_logs; /* -1 where there is none */
  int32_t law;                                /* worker: mean and logs of a sample [2 period] */
} prior;

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             glow_shape *output) {
  prior *p = self;
  int64_t vector[] = {input->channels}, rows[] = {p->classes, input->channels};
  int64_t image[] = {input->height, input->width, input->channels};
  int64_t *dims = p->spatial ? image : vector;
  int32_t rank = p->spatial ? 3 : 1;
  *output = (glow_shape){0, 0, 0};
  p->pixels = input->height * input->width;
  p->channels = input->channels;
  p->period = p->spatial ? p->pixels * p->channels : p->channels;
  p->mean = p->logs = p->class_mean = p->class_logs = -1;
  if (p->learned) {
    GLOW_TRY(glow_setup_tensor(setup, "mean", GLOW_TYPE_F32, 1, rank, dims, &p->mean));
    GLOW_TRY(glow_setup_tensor(setup, "logs", GLOW_TYPE_F32, 1, rank, dims, &p->logs));
  }
  if (p->classes) {
    GLOW_TRY(glow_setup_tensor(setup, "class_mean", GLOW_TYPE_F32, 1, 2, rows, &p->class_mean));
    GLOW_TRY(glow_setup_tensor(setup, "class_logs", GLOW_TYPE_F32, 1, 2, rows, &p->class_logs));
    GLOW_TRY(glow_setup_labels(setup, p->classes));
  }
  GLOW_TRY(glow_setup_worker_scratch(setup, 2 * p->period, &p->law));
  return glow_setup_latents(setup, input->height, input->width, input->channels);
}

/* Mean [period] and logs [period] of sample n, in worker scratch. */
static const float *law_of(const prior *p, const glow_pass *pass, int64_t n) {
  float *law = glow_pass_worker_scratch(pass, p->law, 0);
  int64_t period = p->period;
  memset(law, 0, 2 * (size_t)period * sizeof *law);
  if (p->learned) {
    memcpy(law, glow_pass_tensor(pass, p->mean), (size_t)period * sizeof *law);
    memcpy(law + period, glow_pass_tensor(pass, p->logs), (size_t)period * sizeof *law);
  }
  if (p->classes) {
    int64_t row = glow_pass_labels(pass)[n] * p->channels;
    const float *mean = (const float *)glow_pass_tensor(pass, p->class_mean) + row;
    const float *logs = (const float *)glow_pass_tensor(pass, p->class_logs) + row;
    for (int64_t i = 0; i < period; i++) {
      law[i] += mean[i % p->channels];
      law[period + i] += logs[i % p->channels];
    }
  }
  return law;
}

static void forward(const void *self, const glow_pass *pass, const float *x, float *y,
                    double *logdet, double *logprior) {
  const prior *p = self;
  int64_t size = p->pixels * p->channels;
  bool whiten = glow_pass_latent_form(pass) == GLOW_LATENTS_WHITENED;
  (void)y;
  (void)logdet;
  for (int64_t n = 0; n < glow_pass_samples(pass); n++) {
    const float *mean = law_of(p, pass, n), *logs = mean + p->period;
    float *z = glow_pass_latents(pass) + n * glow_pass_latent_stride(pass);
    double density = 0;
    for (int64_t i = 0; i < size; i++) {
      int64_t at = i % p->period;
      float e = glow__whiten(x[n * size + i], mean[at], logs[at]);
      density += glow__gaussian(e, logs[at]);
      z[i] = whiten ? e : x[n * size + i];
    }
    logprior[n] += density;
  }
}

static void inverse(const void *self, const glow_pass *pass, const float *y, float *x,
                    double *logdet) {
  const prior *p = self;
  int64_t size = p->pixels * p->channels;
  bool whitened = glow_pass_latent_form(pass) == GLOW_LATENTS_WHITENED;
  (void)y;
  (void)logdet;
  for (int64_t n = 0; n < glow_pass_samples(pass); n++) {
    const float *mean = law_of(p, pass, n), *logs = mean + p->period;
    const float *z = glow_pass_latents(pass) + n * glow_pass_latent_stride(pass);
    for (int64_t i = 0; i < size; i++) {
      int64_t at = i % p->period;
      x[n * size + i] = whitened ? glow__unwhiten(z[i], mean[at], logs[at]) : z[i];
    }
  }
}

static void add_gradient(const glow_pass *pass, int32_t tensor, int64_t at, float value) {
  if (tensor >= 0)
    glow_pass_gradient(pass, tensor)[at] += value;
}

/* With e = (z - m)/sd and weight w of the log-density:
 * dz = -w e / sd;  dm = w e / sd;  ds = w (e^2 - 1). */
static void sample_gradient(const prior *p, const glow_pass *pass, const glow_layer_gradient *g,
                            int64_t n, const float *z) {
  const float *mean = law_of(p, pass, n), *logs = mean + p->period;
  const float *dz = g->d_latents ? g->d_latents + n * glow_pass_latent_stride(pass) : NULL;
  float *dx = g->dx + n * p->pixels * p->channels;
  int64_t row = p->classes ? glow_pass_labels(pass)[n] * p->channels : 0;
  for (int64_t c = 0; c < p->channels; c++) {
    double d_mean = 0, d_logs = 0;
    for (int64_t i = c; i < p->pixels * p->channels; i += p->channels) {
      int64_t at = p->spatial ? i : c;
      double e = (double)glow__whiten(z[i], mean[at], logs[at]);
      double d = g->d_logprior[n] * e * (double)expf(-logs[at]),
             ds = g->d_logprior[n] * (e * e - 1.0);
      d_mean += d;
      d_logs += ds;
      dx[i] = (float)-d + (dz ? dz[i] : 0.0f);
      if (p->spatial) {
        add_gradient(pass, p->mean, i, (float)d);
        add_gradient(pass, p->logs, i, (float)ds);
      }
    }
    if (!p->spatial) {
      add_gradient(pass, p->mean, c, (float)d_mean);
      add_gradient(pass, p->logs, c, (float)d_logs);
    }
    add_gradient(pass, p->class_mean, row + c, (float)d_mean);
    add_gradient(pass, p->class_logs, row + c, (float)d_logs);
  }
}

static void backward(const void *self, const glow_pass *pass, const glow_layer_gradient *g) {
  const prior *p = self;
  int64_t size = p->pixels * p->channels;
  for (int64_t n = 0; n < glow_pass_samples(pass); n++) {
    const float *z = glow_pass_latents(pass) + n * glow_pass_latent_stride(pass);
    sample_gradient(p, pass, g, n, z);
    if (!g->x)
      memcpy(g->x_out + n * size, z, (size_t)size * sizeof *z);
  }
}

static glow_status save(const void *self, glow_config *config) {
  const prior *p = self;
  GLOW_TRY(glow_config_set_int(config, "learned", p->learned));
  GLOW_TRY(glow_config_set_int(config, "classes", p->classes));
  return glow_config_set_int(config, "spatial", p->spatial);
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
};

glow_status glow_prior_create(glow_context *context, const glow_prior_options *options,
                              glow_layer **out) {
  glow_prior_options o = GLOW_PRIOR_OPTIONS_INIT;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_prior_create: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, offsetof(glow_prior_options, spatial),
                              "glow_prior_options"));
  if (o.learned < 0 || o.learned > 1)
    return glow_error(GLOW_E_ARGUMENT, "learned is %d; it must be 0 or 1", o.learned);
  if (o.classes < 0 || o.classes > MAX_CLASSES)
    return glow_error(GLOW_E_ARGUMENT, "classes is %d; it must be 0 to %d", o.classes, MAX_CLASSES);
  if (o.spatial < 0 || o.spatial > 1 || o.reserved)
    return glow_error(GLOW_E_ARGUMENT, "spatial is %d; it must be 0 or 1, and reserved 0",
                      o.spatial);
  if (o.spatial && !o.learned)
    return glow_error(GLOW_E_ARGUMENT, "a spatial prior has to be learned");
  prior *p = glow_allocate(context, sizeof *p);
  if (!p)
    return GLOW_E_MEMORY;
  p->learned = o.learned;
  p->classes = o.classes;
  p->spatial = o.spatial;
  return glow_layer_create(context, &ops, p, out);
}

glow_status glow__prior_make(glow_context *context, const glow_config *config, glow_layer **out) {
  glow_prior_options o = GLOW_PRIOR_OPTIONS_INIT;
  int64_t learned = o.learned, classes = o.classes, spatial = o.spatial;
  GLOW_TRY(glow_config_get_int(config, "learned", 0, 1, &learned));
  GLOW_TRY(glow_config_get_int(config, "classes", 0, MAX_CLASSES, &classes));
  GLOW_TRY(glow_config_get_int(config, "spatial", 0, 1, &spatial));
  o.learned = (int32_t)learned;
  o.classes = (int32_t)classes;
  o.spatial = (int32_t)spatial;
  return glow_prior_create(context, &o, out);
}
