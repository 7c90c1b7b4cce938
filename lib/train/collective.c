/* Calls of an engine's functions. The first one that fails ends the collective on this rank: the
 * engine is told to end it on the others, and is not called again. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "train/collective.h"

double glow__collective_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

glow_status glow__collective_read(const glow_collective *from, glow_collective *to) {
  *to = (glow_collective)GLOW_COLLECTIVE_INIT;
  GLOW_TRY(glow__table_copy(to, sizeof *to, from, sizeof *to, "glow_collective"));
  if (to->size < 1 || to->rank < 0 || to->rank >= to->size)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_collective: rank %d of %d; ranks are 0 to size - 1, and size is 1 or "
                      "more",
                      (int)to->rank, (int)to->size);
  if (!to->sum_start || !to->sum_wait || !to->broadcast)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_collective: sum_start, sum_wait and broadcast must not be NULL");
  return GLOW_OK;
}

/* ---- the end --------------------------------------------------------------------------------- */

static glow_status collective_over(const glow__collective *c) {
  return glow_error(GLOW_E_STATE,
                    "the collective has ended (%.900s): call glow_trainer_set_collective again",
                    c->why);
}

/* What a function of the engine returned. */
static glow_status collective_called(glow__collective *c, const glow__callback *callback,
                                     glow_status status, const char *what) {
  status = glow__callback_end(callback, status, 0, what);
  if (status == GLOW_OK || c->over != GLOW_OK)
    return status;
  c->over = status;
  snprintf(c->why, sizeof c->why, "%s", glow_last_error());
  if (c->table.abort)
    c->table.abort(c->why, c->table.payload);
  return glow_error(status, "%s", c->why);
}

/* ---- calls ----------------------------------------------------------------------------------- */

glow_status glow__collective_start(glow__collective *c, void *elements, int64_t count, int32_t type,
                                   void **request) {
  glow__callback callback;
  if (c->over != GLOW_OK)
    return collective_over(c);
  glow__callback_begin(&callback);
  glow_status status = c->table.sum_start(elements, count, type, request, c->table.payload);
  if (status == GLOW_E_UNSUPPORTED && type == GLOW_SUM_BFLOAT16) /* as it may: nothing has ended */
    return glow__callback_end(&callback, status, 0, "a sum of bfloat16 by the collective");
  return collective_called(c, &callback, status, "sum_start of the collective");
}

/* Also after a failure: the engine may still use the memory of what was begun. */
glow_status glow__collective_wait(glow__collective *c, void *request) {
  glow__callback callback;
  glow__callback_begin(&callback);
  return collective_called(c, &callback, c->table.sum_wait(request, c->table.payload),
                           "sum_wait of the collective");
}

glow_status glow__collective_sum(glow__collective *c, void *elements, int64_t count, int32_t type) {
  void *request = NULL;
  double begun = glow__collective_clock();
  GLOW_TRY(glow__collective_start(c, elements, count, type, &request));
  glow_status status = glow__collective_wait(c, request);
  c->small_seconds += glow__collective_clock() - begun;
  return status;
}

glow_status glow__collective_broadcast(glow__collective *c, void *bytes, int64_t size,
                                       int32_t root) {
  glow__callback callback;
  if (c->over != GLOW_OK)
    return collective_over(c);
  glow__callback_begin(&callback);
  return collective_called(c, &callback, c->table.broadcast(bytes, size, root, c->table.payload),
                           "broadcast of the collective");
}

void glow__collective_destroy(glow__collective **c) {
  if (!*c)
    return;
  glow_context *context = (*c)->context;
  glow_release(context, (*c)->told);
  glow_release(context, (*c)->buckets.at);
  glow_release(context, (*c)->buckets.feedback.rounded);
  glow_release(context, (*c)->buckets.feedback.left);
  glow_release(context, (*c)->buckets.feedback.next);
  glow_release(context, *c);
  *c = NULL;
}
