/* Back through the inverse of a layer that has no inverse_backward: solves J' v = b for each
 * sample, where backward gives the product J' v, by GMRES with restarts (Saad and Schultz 1986).
 * All samples take their steps together, so one call of backward serves the batch. Float32 rounding
 * in backward bounds what can be reached: about 1e-6 times the condition of J.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/outcome.h"
#include "host/run.h"

enum { BASIS = 16, RESTARTS = 40, SMALL = (BASIS + 1) * BASIS + 4 * BASIS + 2 };
static const double wanted = 1e-6, acceptable = 1e-4; /* residual, relative to b */

typedef struct iteration {
  glow_workspace *ws;
  glow_call call;
  const glow_layer_inverse_gradient *g;
  const glow__node *node;
  int64_t samples, size;          /* size: elements of a sample's v: y's, then the latents' */
  float *basis, *v, *b, *product; /* [BASIS + 1, samples, size], [samples, size] each */
  float *dy, *d_latents;          /* v in backward's form */
  double *zeros, *residuals, *lengths, *small; /* [samples] each; [samples, SMALL] */
} iteration;

/* One sample's Hessenberg matrix, made triangular by rotations as it grows. */
typedef struct hessenberg {
  double *h; /* [BASIS, BASIS + 1], by columns */
  double *cosine, *sine, *right, *y;
} hessenberg;

static hessenberg hessenberg_of(const iteration *it, int64_t n) {
  double *at = it->small + n * SMALL;
  double *cosine = at + (BASIS + 1) * BASIS;
  return (hessenberg){at, cosine, cosine + BASIS, cosine + 2 * BASIS, cosine + 3 * BASIS + 1};
}

static bool is_iterated(const glow__node *node) {
  return !node->layer->ops.inverse_backward;
}

/* Floats of the parts, in their order. False: overflow. */
static bool iterate_parts(const glow_model *model, int64_t batch, int64_t *size, int64_t *total) {
  int64_t parameters = 0, floats = 0;
  *size = *total = 0;
  for (int32_t i = 0; i < model->node_count; i++) {
    const glow__node *node = &model->nodes[i];
    if (!is_iterated(node))
      continue;
    *size = node->in_size > *size ? node->in_size : *size;
    parameters = node->parameters > parameters ? node->parameters : parameters;
  }
  if (!*size)
    return true;
  return glow_size_multiply(batch, *size, &floats) && glow__aligned(floats, size) &&
         glow_size_multiply(*size, BASIS + 1 + 4, total) &&
         glow_size_multiply(batch, model->dims + 2 * (3 + SMALL), &floats) &&
         glow__aligned(floats, &floats) && glow_size_add(*total, floats, total) &&
         glow_size_add(*total, parameters, total);
}

int64_t glow__iterate_floats(const glow_model *model, int64_t batch) {
  int64_t size, total;
  return iterate_parts(model, batch, &size, &total) ? total : INT64_MAX;
}

/* `call` without the caller's gradients; those of parameters go where nobody reads them. */
static iteration iterate_begin(glow_workspace *ws, const glow_call *call,
                               const glow_layer_inverse_gradient *g) {
  iteration it = {.ws = ws, .call = *call, .g = g, .node = call->node};
  int64_t part, total, batch = ws->plan.batch;
  float *at = ws->memory + ws->plan.iteration;
  iterate_parts(ws->model, batch, &part, &total);
  it.samples = call->samples;
  it.size = it.node->in_size;
  it.basis = at;
  it.v = at + (BASIS + 1) * part;
  it.b = it.v + part;
  it.product = it.b + part;
  it.dy = it.product + part;
  it.zeros = (double *)(void *)(it.dy + part);
  it.residuals = it.zeros + batch;
  it.lengths = it.residuals + batch;
  it.small = it.lengths + batch;
  it.d_latents = (float *)(void *)(it.small + batch * SMALL);
  it.call.d_condition = NULL;
  it.call.gradients = NULL;
  if (!glow__skips_gradients(it.node)) {
    it.call.gradients = it.d_latents + batch * ws->model->dims;
    it.call.gradient_first = it.node->first_parameter;
    memset(it.call.gradients, 0, (size_t)it.node->parameters * sizeof(float));
  }
  memset(it.zeros, 0, (size_t)it.samples * sizeof *it.zeros);
  return it;
}

/* v into the gradients of y and of the latents. */
static void spread(const iteration *it, const float *v) {
  int64_t out = it->node->out_size, latents = it->node->latent_size;
  for (int64_t n = 0; n < it->samples; n++) {
    memcpy(it->dy + n * out, v + n * it->size, (size_t)out * sizeof *v);
    memcpy(it->d_latents + n * it->call.latent_stride, v + n * it->size + out,
           (size_t)latents * sizeof *v);
  }
}

/* dx [samples, size] of backward for v. */
static void iterate_backward(const iteration *it, const glow_call *call, const float *v,
                             const double *d_logdet, const double *d_logprior, float *dx) {
  spread(it, v);
  const glow_layer_gradient g = {.struct_size = sizeof g,
                                 .y = it->g->y,
                                 .dy = it->node->out_size ? it->dy : NULL,
                                 .x = it->g->x,
                                 .dx = dx,
                                 .d_logdet = d_logdet,
                                 .d_logprior = d_logprior,
                                 .d_latents = it->node->latent_size ? it->d_latents : NULL};
  glow__node_backward(call, &g, it->ws->memory + it->ws->plan.block_gradients,
                      it->ws->plan.block_stride);
}

/* J' v. */
static void multiply(const iteration *it, const float *v, float *product) {
  iterate_backward(it, &it->call, v, it->zeros, it->zeros, product);
}

static double inner(const float *a, const float *b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++)
    sum += (double)a[i] * (double)b[i];
  return sum;
}

static float *basis_at(const iteration *it, int32_t j, int64_t n) {
  return it->basis + (j * it->samples + n) * it->size;
}

/* to += factor from */
static void add_scaled(int64_t count, double factor, const float *from, float *to) {
  for (int64_t i = 0; i < count; i++)
    to[i] = (float)((double)to[i] + factor * (double)from[i]);
}

static void scale_to(int64_t count, double factor, const float *from, float *to) {
  for (int64_t i = 0; i < count; i++)
    to[i] = (float)(factor * (double)from[i]);
}

/* Rotates column j, so that nothing is left below the diagonal, and the right-hand side with it. */
static void rotate(const hessenberg *s, int32_t j) {
  double *column = s->h + j * (BASIS + 1);
  for (int32_t i = 0; i < j; i++) {
    double above = column[i], below = column[i + 1];
    column[i] = s->cosine[i] * above + s->sine[i] * below;
    column[i + 1] = s->cosine[i] * below - s->sine[i] * above;
  }
  double length = hypot(column[j], column[j + 1]);
  s->cosine[j] = length > 0 ? column[j] / length : 1;
  s->sine[j] = length > 0 ? column[j + 1] / length : 0;
  column[j] = length;
  column[j + 1] = 0;
  s->right[j + 1] = -s->sine[j] * s->right[j];
  s->right[j] *= s->cosine[j];
}

/* The next vector of the basis of sample n, from the product; orthogonal after two rounds. */
static void extend(const iteration *it, int64_t n, int32_t j) {
  const hessenberg s = hessenberg_of(it, n);
  double *column = s.h + j * (BASIS + 1);
  float *w = it->product + n * it->size;
  memset(column, 0, (BASIS + 1) * sizeof *column);
  for (int round = 0; round < 2; round++)
    for (int32_t i = 0; i <= j; i++) {
      double along = inner(w, basis_at(it, i, n), it->size);
      column[i] += along;
      add_scaled(it->size, -along, basis_at(it, i, n), w);
    }
  column[j + 1] = sqrt(inner(w, w, it->size));
  scale_to(it->size, column[j + 1] > 0 ? 1 / column[j + 1] : 0, w, basis_at(it, j + 1, n));
  rotate(&s, j);
}

/* Adds to v of sample n what the basis gives. */
static void take(const iteration *it, int64_t n) {
  const hessenberg s = hessenberg_of(it, n);
  for (int32_t i = BASIS - 1; i >= 0; i--) {
    double sum = s.right[i];
    for (int32_t k = i + 1; k < BASIS; k++)
      sum -= s.h[k * (BASIS + 1) + i] * s.y[k];
    double diagonal = s.h[i * (BASIS + 1) + i];
    s.y[i] = diagonal > 0 ? sum / diagonal : 0;
  }
  for (int32_t i = 0; i < BASIS; i++)
    add_scaled(it->size, s.y[i], basis_at(it, i, n), it->v + n * it->size);
}

/* The residuals b - J' v in the basis' first vectors, not scaled yet. Returns the largest, relative
 * to b; *at: its sample. */
static double measure(const iteration *it, int64_t *at) {
  double worst = 0;
  multiply(it, it->v, it->product);
  for (int64_t n = 0; n < it->samples; n++) {
    float *r = basis_at(it, 0, n);
    memcpy(r, it->b + n * it->size, (size_t)it->size * sizeof *r);
    add_scaled(it->size, -1, it->product + n * it->size, r);
    it->residuals[n] = sqrt(inner(r, r, it->size));
    double relative = it->lengths[n] > 0 ? it->residuals[n] / it->lengths[n] : 0;
    if (!(relative <= worst)) {
      worst = isfinite(relative) ? relative : INFINITY;
      *at = n;
    }
  }
  return worst;
}

static void restart(const iteration *it) {
  for (int64_t n = 0; n < it->samples; n++) {
    const hessenberg s = hessenberg_of(it, n);
    float *r = basis_at(it, 0, n);
    scale_to(it->size, it->residuals[n] > 0 ? 1 / it->residuals[n] : 0, r, r);
    s.right[0] = it->residuals[n];
  }
  for (int32_t j = 0; j < BASIS; j++) {
    multiply(it, it->basis + j * it->samples * it->size, it->product);
    for (int64_t n = 0; n < it->samples; n++)
      extend(it, n, j);
  }
  for (int64_t n = 0; n < it->samples; n++)
    take(it, n);
}

static glow_status solve(const iteration *it) {
  int64_t at = 0;
  double residual = measure(it, &at), before = INFINITY;
  for (int32_t i = 0; i < RESTARTS && residual > wanted && residual < 0.9 * before; i++) {
    before = residual;
    restart(it);
    residual = measure(it, &at);
  }
  if (residual <= acceptable)
    return GLOW_OK;
  return glow_error(
      GLOW_E_NUMERIC,
      "layer '%s': the gradient of its inverse does not converge for sample %lld (the "
      "residual is %.2g): give its table inverse_backward",
      it->node->name, (long long)(it->call.row + at), residual);
}

/* b = -(gradient of x) - what log-det and log-prior give. */
static void set_target(const iteration *it) {
  int64_t count = it->samples * it->size;
  memset(it->v, 0, (size_t)count * sizeof *it->v);
  iterate_backward(it, &it->call, it->v, it->g->d_logdet, it->g->d_logprior, it->b);
  for (int64_t i = 0; i < count; i++)
    it->b[i] = -it->g->dx[i] - it->b[i];
  for (int64_t n = 0; n < it->samples; n++)
    it->lengths[n] = sqrt(inner(it->b + n * it->size, it->b + n * it->size, it->size));
}

/* The gradients are -v. */
static void iterate_hand_out(const iteration *it) {
  int64_t out = it->node->out_size, latents = it->node->latent_size;
  for (int64_t n = 0; n < it->samples; n++) {
    const float *v = it->v + n * it->size;
    for (int64_t i = 0; i < out; i++)
      it->g->dy[n * out + i] = -v[i];
    for (int64_t i = 0; it->g->d_latents && i < latents; i++)
      it->g->d_latents[n * it->call.latent_stride + i] = -v[out + i];
  }
}

glow_status glow__iterate_inverse_backward(glow_workspace *ws, const glow_call *call,
                                           const glow_layer_inverse_gradient *gradient) {
  if (call->node->latent_size && call->form == GLOW_LATENTS_WHITENED)
    return glow_error(
        GLOW_E_UNSUPPORTED,
        "layer '%s' takes whitened latents and its table has no inverse_backward: use "
        "raw latents",
        call->node->name);
  const iteration it = iterate_begin(ws, call, gradient);
  set_target(&it);
  GLOW_TRY(solve(&it));
  iterate_backward(&it, call, it.v, gradient->d_logdet, gradient->d_logprior, it.product);
  iterate_hand_out(&it);
  return GLOW_OK;
}
