/* What a coupling's net sees, x1, in rows of its own: under a checkerboard, where x1 is some of the
 * pixels, and if channels are listed. By groups of samples. SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/coupling.h"

static void coupling_gather_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  const glow__coupling *c = run->c;
  size_t bytes = (size_t)c->channels * sizeof(float);
  (void)worker;
  for (int64_t p = glow__coupling_first(run, task); p < glow__coupling_last(run, task); p++) {
    const float *from = run->from + p * c->channels;
    float *to = run->to + p * c->seen;
    for (int64_t j = 0; c->x1 && j < c->seen; j++)
      to[j] = from[c->x1[j]];
    if (c->x1)
      continue;
    if (glow__coupling_mask(c, p))
      memcpy(to, from, bytes);
    else
      memset(to, 0, bytes);
  }
}

void glow__coupling_gather(glow__coupling_run *run) {
  glow__coupling_run_groups(run, coupling_gather_task);
}

static void coupling_scatter_add_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  const glow__coupling *c = run->c;
  (void)worker;
  for (int64_t p = glow__coupling_first(run, task); p < glow__coupling_last(run, task); p++) {
    const float *from = run->from + p * c->seen;
    float *to = run->to + p * c->channels;
    bool all = c->x1 || glow__coupling_mask(c, p);
    for (int64_t j = 0; all && j < c->seen; j++)
      to[c->x1 ? c->x1[j] : j] += from[j];
  }
}

void glow__coupling_scatter_add(glow__coupling_run *run) {
  glow__coupling_run_groups(run, coupling_scatter_add_task);
}
