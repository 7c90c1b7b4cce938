/* What a coupling's net sees, x1, in rows of its own: under a checkerboard, where x1 is some of the
 * pixels, if channels are listed, and if the net rounds. By groups of samples.
 * SPDX-License-Identifier: MIT */
#include "layers/coupling.h"
#include "layers/rounded.h"

/* Does the net see pixel p? */
static bool coupling_sees(const glow__coupling *c, int64_t p) {
  return c->o.mask != GLOW_MASK_CHECKERBOARD || glow__coupling_mask(c, p);
}

/* Where channel j of what the net sees is in a pixel. */
static inline int64_t coupling_seen_at(const glow__coupling *c, int64_t j) {
  return c->x1 ? c->x1[j] : glow__coupling_seen_from(c) + j;
}

static void coupling_gather_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  const glow__coupling *c = run->c;
  (void)worker;
  for (int64_t p = glow__coupling_first(run, task); p < glow__coupling_last(run, task); p++) {
    const float *from = run->from + p * c->channels;
    float *to = run->to + p * c->seen;
    bool sees = coupling_sees(c, p);
    for (int64_t j = 0; j < c->seen; j++)
      to[j] = sees ? from[coupling_seen_at(c, j)] : 0.0f;
    for (int64_t j = 0; c->rounds && j < c->seen; j++)
      to[j] = glow__rounded(to[j]);
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
    bool sees = coupling_sees(c, p);
    for (int64_t j = 0; sees && j < c->seen; j++)
      to[coupling_seen_at(c, j)] += from[j];
  }
}

void glow__coupling_scatter_add(glow__coupling_run *run) {
  glow__coupling_run_groups(run, coupling_scatter_add_task);
}
