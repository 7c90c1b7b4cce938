/* The energy of latents that explain an observation. With z the whitened latents, of density p0,
 * and x = f^-1(z),
 *
 *   U(z) = |A x - y|^2 / (2 s^2) - log p0(z)
 *
 * is minus the logarithm of the density of z given y, up to a constant: by the change of variables
 * no determinant is left (Asim et al. 2020, "Invertible generative models for inverse problems";
 * Whang et al. 2021, "Composing normalizing flows for inverse problems"). So samples of exp(-U),
 * taken through f^-1, are images given y. The most probable z is not the most probable x: that one
 * would need the determinant, and is worse, because densities of images are highest where they are
 * empty and flat.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_LATENT_ENERGY_H
#define GLOWTOOL_LATENT_ENERGY_H

#include "common.h"
#include "observation.h"

/* For batches of images. The parts of U are apart, so that s may change:
 *
 *   misfit   |A x - y|^2 / 2, INFINITY where latents have no finite image
 *   prior    -log p0(z), up to a constant */
typedef struct latent_energy {
  const opened_model *m;
  glow_workspace *workspace; /* of this struct: with gradients */
  const observation *observation;
  int32_t density; /* of whitened latents: GLOW_DENSITY_... */
  int64_t dims, batch;
  const float *y;        /* [batch, count of the observation]: of the batch */
  const int32_t *labels; /* of the batch; NULL: a model without classes */
  float *x, *dx;         /* [batch, dims]: x of the last latents */
  float *safe;           /* [batch, dims]: latents that have a finite image, for each row */
  float *tried;          /* [batch, dims] */
  float *residual;       /* [count of the observation] */
  int32_t *statuses;     /* [batch] */
} latent_energy;

/* Returns an exit code; energy_close is due in any case. */
int energy_open(latent_energy *e, const opened_model *m, const observation *o);
void energy_close(latent_energy *e);
/* A new batch: y and labels, which must stay. */
void energy_begin(latent_energy *e, const float *y, const int32_t *labels);
/* Misfits [count] of latents z [count, dims], and their gradients [count, dims]; the images are in
 * e->x afterwards. Returns an exit code. */
int energy_misfits(latent_energy *e, const float *z, int64_t count, double *misfits,
                   float *gradients);
/* Gradients [count, dims] of sum_k w_k (A x)_k, w [count, count of the observation], at z, which
 * has finite images. Returns an exit code. */
int energy_probe(latent_energy *e, const float *z, int64_t count, const float *w, float *gradients);
/* Of one image's latents z [dims]; and the derivative for one latent. */
double energy_prior(const latent_energy *e, const float *z);
double energy_prior_slope(const latent_energy *e, float z);

#endif
