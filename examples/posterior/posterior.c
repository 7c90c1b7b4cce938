/* Learns a posterior by reverse KL, and tells how good it is: the eight schools of Rubin,
 * "Estimation in parallel randomized experiments", 1981. Coaching for a test was tried at eight
 * schools; y_j are the estimated effects, s_j their standard errors. How much does coaching help,
 * and do schools differ?
 *
 *     y_j ~ N(theta_j, s_j^2),  theta_j = mu + tau eta_j,  eta_j ~ N(0, 1),
 *     mu ~ N(0, 5^2),  tau ~ half-Cauchy(5)
 *
 * The unknowns are x = (mu, log tau, eta_1, ..., eta_8). A flow learns their posterior from nothing
 * but the log of prior times likelihood and its gradient. Importance sampling corrects what it has
 * missed, gives the evidence, and says by the effective sample size how far to trust it. For given
 * tau everything is Gaussian, so the truth is known from an integral over tau alone.
 *
 *     cc -std=c11 posterior.c $(pkg-config --cflags --libs libglow) -lm -o posterior
 *     ./posterior [STEPS]
 *
 * SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHOOLS = 8, DIMS = 2 + SCHOOLS, BATCH = 256, DRAWN = 20000, SHOWN = 2 + SCHOOLS };

static const double effect[SCHOOLS] = {28, 8, -3, 7, -1, 1, 18, 12};
static const double error_of[SCHOOLS] = {15, 10, 16, 11, 9, 11, 10, 18};
static const double scale = 5.0; /* of both priors */
static const double log_2_pi = 1.83787706640934548356, pi = 3.14159265358979323846;

static double log_normal(double x, double mean, double variance) {
  return -0.5 * ((x - mean) * (x - mean) / variance + log(variance) + log_2_pi);
}

static double log_half_cauchy(double tau) {
  return log(2.0 / (pi * scale)) - log1p(tau * tau / (scale * scale));
}

/* ---- the target ------------------------------------------------------------------------------ */

/* Log of prior times likelihood, as a density of x: log tau has the density of tau times tau. */
static double log_joint(const float *x, float *gradient) {
  double mu = (double)x[0], tau = exp((double)x[1]), ratio = tau * tau / (scale * scale);
  double sum = log_normal(mu, 0.0, scale * scale) + log_half_cauchy(tau) + (double)x[1];
  double d_mu = -mu / (scale * scale), d_log_tau = 1.0 - 2.0 * ratio / (1.0 + ratio);
  for (int j = 0; j < SCHOOLS; j++) {
    double eta = (double)x[2 + j], variance = error_of[j] * error_of[j];
    double theta = mu + tau * eta, d_theta = (effect[j] - theta) / variance;
    sum += log_normal(eta, 0.0, 1.0) + log_normal(effect[j], theta, variance);
    d_mu += d_theta;
    d_log_tau += d_theta * tau * eta;
    if (gradient)
      gradient[2 + j] = (float)(d_theta * tau - eta);
  }
  if (gradient) {
    gradient[0] = (float)d_mu;
    gradient[1] = (float)d_log_tau;
  }
  return sum;
}

static glow_status density(const float *x, int64_t first, int64_t count, double *log_p,
                           float *gradient, void *payload) {
  (void)first;
  (void)payload;
  for (int64_t n = 0; n < count; n++)
    log_p[n] = log_joint(x + n * DIMS, gradient ? gradient + n * DIMS : NULL);
  return GLOW_OK;
}

/* ---- the truth ------------------------------------------------------------------------------- */

/* mu, tau, theta_1, ..., theta_8 */
typedef struct answer {
  double log_evidence, mean[SHOWN];
} answer;

/* Adds what a value of tau contributes, with this weight of log tau: given tau, y_j is
 * N(mu, v_j) with v_j = s_j^2 + tau^2, and mu is Gaussian too. */
static double add_tau(double log_tau, double width, double *sums) {
  double tau = exp(log_tau), precision = 1.0 / (scale * scale), mean = 0.0, log_p = 0.0;
  for (int j = 0; j < SCHOOLS; j++) {
    double variance = error_of[j] * error_of[j] + tau * tau;
    precision += 1.0 / variance;
    mean += effect[j] / variance;
    log_p += log_normal(effect[j], 0.0, variance);
  }
  mean /= precision;
  log_p += 0.5 * (mean * mean * precision - log(scale * scale * precision));
  double weight = width * exp(log_p + log_half_cauchy(tau) + log_tau);
  sums[0] += weight * mean;
  sums[1] += weight * tau;
  for (int j = 0; j < SCHOOLS; j++) {
    double own = error_of[j] * error_of[j];
    sums[2 + j] += weight * (effect[j] * tau * tau + mean * own) / (own + tau * tau);
  }
  return weight;
}

/* The trapezoidal rule over log tau from -15 to 10, where what is integrated is below 1e-6 of its
 * largest. */
static answer integrate(void) {
  enum { POINTS = 20000 };
  answer a = {0.0, {0.0}};
  double evidence = 0.0;
  for (int i = 0; i <= POINTS; i++)
    evidence += add_tau(-15.0 + 25.0 * i / POINTS, 25.0 / POINTS, a.mean);
  for (int k = 0; k < SHOWN; k++)
    a.mean[k] /= evidence;
  a.log_evidence = log(evidence);
  return a;
}

/* ---- learning -------------------------------------------------------------------------------- */

/* First values come from samples that are as wide as the prior, more or less. */
static glow_status initialise(glow_context *context, glow_trainer *trainer) {
  float x[BATCH * DIMS];
  glow_rng *rng = NULL;
  glow_status status = glow_rng_create(context, 1, &rng);
  if (status == GLOW_OK)
    status = glow_rng_normal(rng, x, BATCH * DIMS);
  for (int n = 0; n < BATCH && status == GLOW_OK; n++) {
    x[n * DIMS] *= (float)scale;
    x[n * DIMS + 1] += 1.0f; /* log tau */
  }
  if (status == GLOW_OK)
    status = glow_trainer_initialise(trainer, x, NULL, BATCH);
  glow_rng_destroy(&rng);
  return status;
}

static glow_status learn(glow_trainer *trainer, const glow_target *target, int64_t steps) {
  glow_status status = GLOW_OK;
  for (int64_t i = 1; status == GLOW_OK && i <= steps; i++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    status = glow_trainer_step_target(trainer, target, BATCH, &report, NULL);
    if (status == GLOW_OK && (i % (steps / 5 + 1) == 0 || i == steps))
      printf("step %lld: KL - log evidence = %.3f nats\n", (long long)i, report.loss);
  }
  return status == GLOW_OK ? glow_trainer_use_average(trainer, 1) : status;
}

/* ---- what was learnt ------------------------------------------------------------------------- */

/* Samples of the model, each with its two log-densities. */
typedef struct samples {
  float x[DRAWN * DIMS];
  double log_p[DRAWN], log_q[DRAWN], weights[DRAWN], values[DRAWN];
} samples;

static double value_of(const float *x, int k) {
  double tau = exp((double)x[1]);
  return k == 0 ? (double)x[0] : k == 1 ? tau : (double)x[0] + tau * (double)x[k];
}

static glow_status show_means(samples *s, const answer *truth) {
  printf("            mean   error   in truth\n");
  for (int k = 0; k < SHOWN; k++) {
    double mean, error;
    for (int n = 0; n < DRAWN; n++)
      s->values[n] = value_of(s->x + n * DIMS, k);
    glow_status status = glow_importance_mean(s->weights, s->values, DRAWN, &mean, &error);
    if (status != GLOW_OK)
      return status;
    if (k < 2)
      printf("%-8s", k ? "tau" : "mu");
    else
      printf("theta_%-2d", k - 1);
    printf(" %7.3f   %.3f    %7.3f\n", mean, error, truth->mean[k]);
  }
  return GLOW_OK;
}

static glow_status show(glow_workspace *ws, samples *s, const answer *truth) {
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  glow_importance e = GLOW_IMPORTANCE_INIT;
  o.seed = 7;
  o.log_q = s->log_q;
  glow_status status = glow_workspace_sample(ws, DRAWN, &o, s->x);
  if (status == GLOW_OK)
    status = density(s->x, 0, DRAWN, s->log_p, NULL, NULL);
  if (status == GLOW_OK)
    status = glow_importance_estimate(s->log_p, s->log_q, DRAWN, s->weights, &e);
  if (status != GLOW_OK)
    return status;
  printf("effective sample size: %.0f of %d (%.3f)\n", e.ess, DRAWN, e.ess / DRAWN);
  printf("log evidence: %.4f +- %.4f, in truth %.4f\n", e.log_z, e.log_z_error,
         truth->log_evidence);
  return show_means(s, truth);
}

static glow_status solve(glow_context *context, int64_t steps, samples *s) {
  const answer truth = integrate();
  glow_vector_flow_options flow = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_target target = GLOW_TARGET_INIT;
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  target.density = density;
  flow.dims = DIMS;
  flow.steps = 6;
  flow.hidden = 32;
  flow.coupling = GLOW_COUPLING_AFFINE;
  schedule.kind = GLOW_SCHEDULE_COSINE;
  schedule.rate = 3e-3;
  schedule.steps = steps;
  o.schedule = &schedule;
  o.micro_batch = BATCH;
  o.inverse_backward = 1;
  o.average = 1;
  o.average_decay = 0.99;
  o.clip_norm = 10.0;
  glow_status status = glow_model_create_vector_flow(context, &flow, &model);
  if (status == GLOW_OK)
    status = glow_trainer_create(model, &o, &trainer);
  if (status == GLOW_OK)
    status = initialise(context, trainer);
  if (status == GLOW_OK)
    status = learn(trainer, &target, steps);
  if (status == GLOW_OK)
    status = show(glow_trainer_workspace(trainer), s, &truth);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  return status;
}

int main(int argc, char **argv) {
  glow_context *context = NULL;
  char *end = NULL;
  long long steps = argc > 1 ? strtoll(argv[1], &end, 10) : 2000;
  if (argc > 2 || steps < 1 || (end && *end)) {
    fprintf(stderr, "usage: posterior [STEPS]\n");
    return 2;
  }
  samples *s = malloc(sizeof *s);
  glow_status status = s ? glow_context_create(NULL, &context) : GLOW_E_MEMORY;
  if (status == GLOW_OK)
    status = solve(context, steps, s);
  if (status != GLOW_OK)
    fprintf(stderr, "posterior: %s: %s\n", glow_status_name(status), glow_last_error());
  glow_context_destroy(&context);
  free(s);
  return status == GLOW_OK ? 0 : 1;
}
