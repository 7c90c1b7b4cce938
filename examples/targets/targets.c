/* Models of densities that one can evaluate but not sample from, whose normalising constants are
 * known: a Gaussian in eight dimensions whose deviations differ by a factor of 100, and a mixture
 * of 40 Gaussians in the plane (as in Midgley et al., "Flow annealed importance sampling
 * bootstrap", 2023). A model is trained, then log Z is estimated twenty times by importance
 * sampling, each time with new samples, and compared with the truth.
 *
 *     cc -std=c11 targets.c $(pkg-config --cflags --libs libglow) -lm -o targets
 *     ./targets gaussian|mixture-reverse|mixture-forward [STEPS]
 *
 * SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIMS = 8, MODES = 40, BATCH = 1024, RUNS = 20, DRAWN = 10000 };

static const double log_2_pi = 1.83787706640934548356;

/* ---- the Gaussian: x = R^T (s e), with a rotation R and deviations s from 0.1 to 10 ---------- */

typedef struct gaussian {
  double rotation[DIMS][DIMS]; /* rows of R */
  double deviation[DIMS];
} gaussian;

/* R = H_1 H_2 ..., each a reflection at a random direction. */
static glow_status make_gaussian(glow_rng *rng, gaussian *g) {
  float v[DIMS];
  memset(g->rotation, 0, sizeof g->rotation);
  for (int i = 0; i < DIMS; i++) {
    g->rotation[i][i] = 1.0;
    g->deviation[i] = pow(10.0, -1.0 + 2.0 * i / (DIMS - 1));
  }
  for (int k = 0; k < DIMS; k++) {
    double norm = 0.0;
    glow_status status = glow_rng_normal(rng, v, DIMS);
    if (status != GLOW_OK)
      return status;
    for (int i = 0; i < DIMS; i++)
      norm += (double)v[i] * (double)v[i];
    for (int i = 0; i < DIMS; i++) {
      double along = 0.0;
      for (int j = 0; j < DIMS; j++)
        along += g->rotation[i][j] * (double)v[j];
      for (int j = 0; j < DIMS; j++)
        g->rotation[i][j] -= 2.0 * along * (double)v[j] / norm;
    }
  }
  return GLOW_OK;
}

/* log p = -1/2 |e|^2 with e = R x / s. */
static glow_status gaussian_density(const float *x, int64_t first, int64_t count, double *log_p,
                                    float *gradient, void *payload) {
  const gaussian *g = payload;
  (void)first;
  for (int64_t n = 0; n < count; n++, x += DIMS) {
    double d[DIMS] = {0.0};
    log_p[n] = 0.0;
    for (int i = 0; i < DIMS; i++) {
      double e = 0.0;
      for (int j = 0; j < DIMS; j++)
        e += g->rotation[i][j] * (double)x[j] / g->deviation[i];
      log_p[n] -= 0.5 * e * e;
      for (int j = 0; j < DIMS; j++)
        d[j] -= g->rotation[i][j] * e / g->deviation[i];
    }
    for (int j = 0; gradient && j < DIMS; j++)
      gradient[n * DIMS + j] = (float)d[j];
  }
  return GLOW_OK;
}

static double gaussian_log_z(const gaussian *g) {
  double sum = DIMS / 2.0 * log_2_pi;
  for (int i = 0; i < DIMS; i++)
    sum += log(g->deviation[i]);
  return sum;
}

/* ---- the mixture: 40 Gaussians of deviation 1.3, with means uniform in [-40, 40]^2 ----------- */

typedef struct mixture {
  double mean[MODES][2];
  double temperature; /* log p is divided by it: above 1, p is flatter, and modes are found */
} mixture;

static const double mode_deviation = 1.3132616875182228; /* log(1 + e), as in the paper's code */

static glow_status make_mixture(glow_rng *rng, mixture *m) {
  float u[2 * MODES];
  glow_status status = glow_rng_uniform(rng, u, 2 * MODES);
  for (int k = 0; k < 2 * MODES; k++)
    m->mean[k / 2][k % 2] = 80.0 * ((double)u[k] - 0.5);
  return status;
}

/* log p = log sum_k exp(-|x - mean_k|^2 / (2 s^2)): Z = 40 * 2 pi s^2. */
static double mixture_sample(const mixture *m, const float *x, float *gradient) {
  double scores[MODES], top = -INFINITY, sum = 0.0, d[2] = {0.0, 0.0};
  const double variance = mode_deviation * mode_deviation;
  for (int k = 0; k < MODES; k++) {
    double a = (double)x[0] - m->mean[k][0], b = (double)x[1] - m->mean[k][1];
    scores[k] = -0.5 * (a * a + b * b) / variance;
    top = fmax(top, scores[k]);
  }
  for (int k = 0; k < MODES; k++) {
    double weight = exp(scores[k] - top);
    sum += weight;
    for (int i = 0; i < 2; i++)
      d[i] -= weight * ((double)x[i] - m->mean[k][i]) / variance;
  }
  for (int i = 0; gradient && i < 2; i++)
    gradient[i] = (float)(d[i] / sum / m->temperature);
  return (top + log(sum)) / m->temperature;
}

static glow_status mixture_density(const float *x, int64_t first, int64_t count, double *log_p,
                                   float *gradient, void *payload) {
  (void)first;
  for (int64_t n = 0; n < count; n++)
    log_p[n] = mixture_sample(payload, x + 2 * n, gradient ? gradient + 2 * n : NULL);
  return GLOW_OK;
}

static double mixture_log_z(void) {
  return log(MODES * mode_deviation * mode_deviation) + log_2_pi;
}

/* ---- training -------------------------------------------------------------------------------- */

/* A density, what is known of it, and how it is learnt. */
typedef struct task {
  glow_target target;
  double *temperature; /* of the target: falls from `hottest` to 1 over two thirds of the steps */
  double hottest;
  int64_t dims;
  double log_z;
  double spread; /* deviation of what the model starts from: it must reach all of the target */
  int64_t steps;
  double rate, clip_norm;
  glow_vector_flow_options flow;
} task;

/* The first samples stand for data: a Gaussian around 0. */
static glow_status initialise(glow_context *context, glow_trainer *trainer, const task *t) {
  float x[DIMS * BATCH];
  glow_rng *rng = NULL;
  glow_status status = glow_rng_create(context, 3, &rng);
  if (status == GLOW_OK)
    status = glow_rng_normal(rng, x, t->dims * BATCH);
  for (int64_t i = 0; status == GLOW_OK && i < t->dims * BATCH; i++)
    x[i] *= (float)t->spread;
  if (status == GLOW_OK)
    status = glow_trainer_initialise(trainer, x, NULL, BATCH);
  glow_rng_destroy(&rng);
  return status;
}

static glow_status train(glow_trainer *trainer, const task *t) {
  glow_status status = GLOW_OK;
  for (int64_t i = 1; status == GLOW_OK && i <= t->steps; i++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    glow_importance e = GLOW_IMPORTANCE_INIT;
    if (t->temperature) /* modes that are far apart are found while p is flat */
      *t->temperature = pow(t->hottest, fmax(0.0, 1.0 - 1.5 * (double)i / (double)t->steps));
    status = glow_trainer_step_target(trainer, &t->target, BATCH, &report, &e);
    if (status == GLOW_OK && (i % (t->steps / 8 + 1) == 0 || i == t->steps))
      printf("step %lld: loss %.3f, effective samples %.0f of %d\n", (long long)i, report.loss,
             e.ess, BATCH);
  }
  return status;
}

/* Twenty estimates of log Z with samples of their own. */
static glow_status estimate(glow_trainer *trainer, const task *t) {
  int within = 0;
  double share = 0.0, least = 1.0;
  for (int run = 0; run < RUNS; run++) {
    glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
    glow_importance e = GLOW_IMPORTANCE_INIT;
    o.seed = 100 + (uint64_t)run;
    glow_status status =
        glow_workspace_importance(glow_trainer_workspace(trainer), &t->target, &o, DRAWN, &e);
    if (status != GLOW_OK)
      return status;
    if (run == 0)
      printf("log Z %.4f +- %.4f, in truth %.4f\n", e.log_z, e.log_z_error, t->log_z);
    within += fabs(e.log_z - t->log_z) < 3.0 * e.log_z_error;
    share += e.ess / DRAWN / RUNS;
    least = fmin(least, e.ess / DRAWN);
  }
  printf("effective sample size %.3f of the samples (least %.3f); log Z within three standard "
         "errors in %d of %d runs\n",
         share, least, within, RUNS);
  return GLOW_OK;
}

static glow_status solve(glow_context *context, const task *t) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  schedule.kind = GLOW_SCHEDULE_COSINE;
  schedule.rate = t->rate;
  schedule.steps = t->steps;
  schedule.final = 0.01;
  o.schedule = &schedule;
  o.micro_batch = 256;
  o.inverse_backward = 1;
  o.average = 1;
  o.average_decay = 0.99;
  o.clip_norm = t->clip_norm;
  glow_status status = glow_model_create_vector_flow(context, &t->flow, &model);
  if (status == GLOW_OK)
    status = glow_trainer_create(model, &o, &trainer);
  if (status == GLOW_OK)
    status = initialise(context, trainer, t);
  if (status == GLOW_OK)
    status = train(trainer, t);
  if (status == GLOW_OK)
    status = glow_trainer_use_average(trainer, 1);
  if (status == GLOW_OK)
    status = estimate(trainer, t);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  return status;
}

/* ---- main ------------------------------------------------------------------------------------ */

static glow_status set_gaussian(glow_rng *rng, gaussian *g, task *t) {
  glow_status status = make_gaussian(rng, g);
  t->target.density = gaussian_density;
  t->target.payload = g;
  t->dims = DIMS;
  t->log_z = gaussian_log_z(g);
  t->spread = 3.0;
  t->rate = 3e-3;
  t->clip_norm = 10.0;
  t->steps = t->steps ? t->steps : 1500;
  t->flow.coupling = GLOW_COUPLING_AFFINE;
  t->flow.steps = 4;
  t->flow.hidden = 16;
  return status;
}

static glow_status set_mixture(glow_rng *rng, mixture *m, task *t) {
  const bool reverse = t->target.objective == GLOW_REVERSE_KL;
  glow_status status = make_mixture(rng, m);
  t->target.density = mixture_density;
  t->target.payload = m;
  m->temperature = 1.0;
  t->dims = 2;
  t->log_z = mixture_log_z();
  t->spread = 25.0;
  t->rate = reverse ? 5e-4 : 2e-3;
  t->clip_norm = reverse ? 1.0 : 10.0;
  t->temperature = reverse ? &m->temperature : NULL;
  t->hottest = 100.0;
  t->steps = t->steps ? t->steps : 4000;
  t->flow.steps = 8;
  t->flow.bins = 16;
  return status;
}

/* False: the arguments are not understood. */
static bool parse(int argc, char **argv, bool *is_mixture, task *t) {
  char *end = NULL;
  if (argc < 2 || argc > 3)
    return false;
  t->steps = argc == 3 ? strtoll(argv[2], &end, 10) : 0;
  *is_mixture = strncmp(argv[1], "mixture-", 8) == 0;
  t->target.objective = strcmp(argv[1], "mixture-forward") == 0 ? GLOW_FORWARD_KL : GLOW_REVERSE_KL;
  return (!end || !*end) && t->steps >= argc - 2 &&
         (strcmp(argv[1], "gaussian") == 0 || strcmp(argv[1], "mixture-reverse") == 0 ||
          strcmp(argv[1], "mixture-forward") == 0);
}

int main(int argc, char **argv) {
  task t = {.target = GLOW_TARGET_INIT, .flow = GLOW_VECTOR_FLOW_OPTIONS_INIT};
  glow_context *context = NULL;
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_rng *rng = NULL;
  gaussian g;
  mixture m;
  bool is_mixture;
  options.threads = 2;
  if (!parse(argc, argv, &is_mixture, &t)) {
    fprintf(stderr, "usage: targets gaussian|mixture-reverse|mixture-forward [STEPS]\n");
    return 2;
  }
  glow_status status = glow_context_create(&options, &context);
  if (status == GLOW_OK)
    status = glow_rng_create(context, 1, &rng);
  if (status == GLOW_OK)
    status = is_mixture ? set_mixture(rng, &m, &t) : set_gaussian(rng, &g, &t);
  t.flow.dims = t.dims;
  if (status == GLOW_OK)
    status = solve(context, &t);
  if (status != GLOW_OK)
    fprintf(stderr, "targets: %s: %s\n", glow_status_name(status), glow_last_error());
  glow_rng_destroy(&rng);
  glow_context_destroy(&context);
  return status == GLOW_OK ? 0 : 1;
}
