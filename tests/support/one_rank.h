/* The smallest engine: a collective of one rank, whose sums and broadcasts leave what they are
 * given as it is. SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_ONE_RANK_H
#define GLOW_TEST_ONE_RANK_H

#include <glow/collective.h>

static glow_status one_rank_start(void *elements, int64_t count, int32_t type, void **request,
                                  void *payload) {
  (void)elements, (void)count, (void)type, (void)payload;
  *request = NULL;
  return GLOW_OK;
}

static glow_status one_rank_wait(void *request, void *payload) {
  (void)request, (void)payload;
  return GLOW_OK;
}

static glow_status one_rank_broadcast(void *bytes, int64_t size, int32_t root, void *payload) {
  (void)bytes, (void)size, (void)root, (void)payload;
  return GLOW_OK;
}

static inline glow_collective one_rank(void) {
  glow_collective collective = GLOW_COLLECTIVE_INIT;
  collective.sum_start = one_rank_start;
  collective.sum_wait = one_rank_wait;
  collective.broadcast = one_rank_broadcast;
  return collective;
}

#endif
