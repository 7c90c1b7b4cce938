/* The top prior, shared by its files: prior.c (options, memory, passes), prior_density.c
 * (densities), prior_classifier.c. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_PRIOR_H
#define GLOW_LIB_PRIOR_H

#include "layers/layers.h"

typedef struct glow__prior {
  glow_prior_options o;
  int64_t pixels, channels; /* pixels: of a sample */
  int64_t size;             /* elements of a sample: pixels times channels */
  int64_t period; /* elements after which the mean repeats: channels, or all of a sample */
  int32_t mean, logs, class_mean, class_logs; /* -1: absent */
  int32_t weight, bias;                       /* class_weight, class_bias, or -1 */
  int32_t mean_logs;                          /* worker: mean and logs for one class [2 period] */
  int32_t share;                              /* worker: doubles, one for each class [classes] */
  int32_t pooled;                             /* worker: doubles [channels] */
} glow__prior;

/* ---- prior_density.c: z [size] of one sample ------------------------------------------------- */

/* Mean [period] and logs [period] of a class (of all samples, if there are no classes), in worker
 * scratch. */
const float *glow__prior_mean_logs(const glow__prior *p, const glow_call *call, int32_t class);
/* Log-density; */
double glow__prior_log_density(const glow__prior *p, const glow_call *call, int32_t class,
                               const float *z);
/* the same for a sample whose class is not known. */
double glow__prior_log_mixture(const glow__prior *p, const glow_call *call, const float *z);
/* The gradients of weight times these, ADDED to those of the parameters and to dz. */
void glow__prior_density_gradient(const glow__prior *p, const glow_call *call, int32_t class,
                                  double weight, const float *z, float *dz);
/* For z = mean + scale e: the gradients of mean and logs from that of z, ADDED to those of the
 * parameters; and that of e, written to d_e if it is not NULL. */
void glow__prior_unwhiten_gradient(const glow__prior *p, const glow_call *call, int32_t class,
                                   const float *z, const float *dz, float *d_e);
void glow__prior_mixture_gradient(const glow__prior *p, const glow_call *call, double weight,
                                  const float *z, float *dz);

/* ---- prior_classifier.c: glow_layer_ops.logits and its gradient ------------------------------ */

void glow__prior_logits(const void *self, const glow_call *call, const float *x, float *logits);
void glow__prior_logits_backward(const void *self, const glow_call *call, const float *x,
                                 const float *d_logits, float *dx);

#endif
