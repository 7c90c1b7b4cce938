/* Back through inverse, against backward: if it gives dy and d_latents for a gradient of x, then
 * backward, given their negatives, gives the negative of that gradient of x, and adds the same
 * gradients of tensors (<glow/sys/layer.h>). SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "check/check.h"

static void negate(float *values, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    values[i] = -values[i];
}

/* Reports the first parameter whose gradients differ. */
static bool inverse_backward_same_gradients(glow__check *c, const float *a, const float *b) {
  double tolerance = 10 * c->o.round_trip;
  for (int32_t t = 0; t < c->node->tensors; t++) {
    const glow__tensor *tensor = &c->model->tensors[c->node->first_tensor + t];
    for (int64_t i = 0; tensor->trainable && i < tensor->elements; i++) {
      double own = (double)a[tensor->offset + i], want = (double)b[tensor->offset + i];
      if (fabs(own - want) <= tolerance * (1 + fabs(want)))
        continue;
      glow__check_fault(c, "gradient of '%s'[%lld] is %.6g; backward gives %.6g",
                        tensor->name + strlen(c->node->name) + 1, (long long)i, own, want);
      return false;
    }
  }
  return true;
}

/* Gradients into c->gradients[0], dy into CHECK_Y2 and d_latents into CHECK_Z2. */
static bool inverse_backward_run(glow__check *c, const glow__outputs *out, float *x) {
  glow_layer_inverse_gradient g = {
      .dx = c->arrays[CHECK_WORK2],
      .dy = c->node->out_size ? glow__check_fresh(c, CHECK_Y2) : NULL,
      .d_logdet = c->doubles[CHECK_D_LOGDET],
      .d_logprior = c->doubles[CHECK_D_LOGPRIOR],
      .d_latents = c->node->latent_size ? glow__check_fresh(c, CHECK_Z2) : NULL};
  memset(c->gradients[0], 0, (size_t)c->node->parameters * sizeof(float));
  return glow__check_inverse_backward(c, out, x, &g, c->saved, c->gradients[0]);
}

void glow__check_inverse_backwards(glow__check *c) {
  glow__grid grid = glow__grid_x(c, c->samples);
  int64_t numbers = c->samples * c->dims;
  float *wanted = c->arrays[CHECK_WORK], *given = c->arrays[CHECK_WORK2];
  if (!c->node->layer->ops.inverse_backward)
    return;
  glow__outputs out = glow__check_outputs(c, false);
  if (!glow__check_forward(c, c->arrays[CHECK_X], 0, c->samples, GLOW_LATENTS_RAW, NULL, &out))
    return;
  for (int64_t i = 0; i < numbers; i++) /* a gradient of x: any numbers of size 1 */
    wanted[i] = given[i] = (float)sin(1.0 + 2.5 * (double)i);
  float *x = glow__check_fresh(c, CHECK_BACK);
  if (!inverse_backward_run(c, &out, x))
    return;
  negate(c->arrays[CHECK_Y2], c->samples * c->node->out_size);
  for (int64_t n = 0; n < c->samples; n++)
    negate(c->arrays[CHECK_Z2] + n * c->dims, c->node->latent_size);
  glow_layer_gradient g = {.y = c->node->out_size ? out.y : NULL,
                           .dy = c->node->out_size ? c->arrays[CHECK_Y2] : NULL,
                           .x = x,
                           .dx = glow__check_fresh(c, CHECK_DX2),
                           .d_logdet = c->doubles[CHECK_D_LOGDET],
                           .d_logprior = c->doubles[CHECK_D_LOGPRIOR],
                           .d_latents = c->node->latent_size ? c->arrays[CHECK_Z2] : NULL};
  memset(c->gradients[1], 0, (size_t)c->node->parameters * sizeof(float));
  if (!glow__check_backward(c, &g, out.z, 0, c->samples, c->saved, true, c->gradients[1]))
    return;
  negate(g.dx, numbers);
  if (glow__check_same(c, "backward of the negative gradients differs from -dx", &grid, g.dx,
                       wanted, 10 * c->o.round_trip))
    inverse_backward_same_gradients(c, c->gradients[0], c->gradients[1]);
}
