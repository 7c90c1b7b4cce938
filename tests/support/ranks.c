/* A collective between threads. SPDX-License-Identifier: MIT */
#include "ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glow/sys/base.h>

/* ---- arithmetic ------------------------------------------------------------------------------ */

static float widen(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

/* To the nearest, ties to even. NaN is not rounded to infinity. */
static uint16_t rounded(float v) {
  uint32_t bits;
  memcpy(&bits, &v, sizeof bits);
  if (v != v)
    return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static float given(const helper_ranks *all, float v) {
  return all->rounds ? widen(rounded(v)) : v;
}

/* Element i of all ranks, in the order of ranks. */
static void add_element(const helper_ranks *all, const helper_ranks_call *c, int64_t i) {
  const int32_t size = all->size;
  double wide = 0.0;
  float sum = 0.0f;
  for (int32_t r = 0; r < size; r++)
    if (c->type == GLOW_SUM_FLOAT64)
      wide = r ? wide + ((double *)c->elements[r])[i] : ((double *)c->elements[r])[i];
    else if (c->type == GLOW_SUM_FLOAT32)
      sum = r ? sum + given(all, ((float *)c->elements[r])[i])
              : given(all, ((float *)c->elements[r])[i]);
    else
      sum += widen(((uint16_t *)c->elements[r])[i]);
  for (int32_t r = 0; r < size; r++)
    if (c->type == GLOW_SUM_FLOAT64)
      ((double *)c->elements[r])[i] = wide;
    else if (c->type == GLOW_SUM_FLOAT32)
      ((float *)c->elements[r])[i] = given(all, sum);
    else
      ((uint16_t *)c->elements[r])[i] = rounded(sum);
}

static void finish(const helper_ranks *all, helper_ranks_call *c) {
  for (int64_t i = 0; c->type && i < c->count; i++)
    add_element(all, c, i);
  for (int32_t r = 0; !c->type && r < all->size; r++)
    if (r != c->root)
      memcpy(c->elements[r], c->elements[c->root], (size_t)c->count);
  c->done = true;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void end_job(helper_ranks *all) {
  all->over = true;
  pthread_cond_broadcast(&all->moved);
}

/* With the lock. What is done when the job ends may still be waited for. */
static glow_status begin_call(helper_rank *r, const helper_ranks_call *waits) {
  helper_ranks *all = r->all;
  r->called++;
  if (r->number == all->fail_rank && r->called == all->fail_at) {
    end_job(all);
    return all->silent ? GLOW_E_IO : glow_error(GLOW_E_IO, "the cable is cut");
  }
  return all->over && !(waits && waits->done) ? glow_error(GLOW_E_IO, "another rank has failed")
                                              : GLOW_OK;
}

static glow_status mismatch(helper_ranks *all) {
  all->mismatch = true;
  end_job(all);
  return glow_error(GLOW_E_STATE, "calls that do not belong together have met");
}

/* A rank that has ended will not arrive. */
static bool somebody_left(const helper_rank *r) {
  for (int32_t i = 0; i < r->all->size; i++)
    if (r->all->at[i].left && r->all->at[i].next < r->next)
      return true;
  return false;
}

/* With the lock. */
static glow_status arrive(helper_rank *r, void *elements, int64_t count, int32_t type, int32_t root,
                          helper_ranks_call **out) {
  helper_ranks *all = r->all;
  helper_ranks_call *c = &all->calls[r->next++ % RANKS_OPEN];
  if (c->arrived == all->size) /* of a call long ago */
    *c = (helper_ranks_call){.type = 0};
  if (c->arrived == 0)
    *c = (helper_ranks_call){.type = type, .root = root, .count = count};
  if (somebody_left(r)) {
    end_job(all);
    return glow_error(GLOW_E_IO, "another rank has left");
  }
  if (c->type != type || c->root != root || c->count != count || count < 1)
    return mismatch(all);
  c->elements[r->number] = elements;
  *out = c;
  if (++c->arrived == all->size) {
    finish(all, c);
    pthread_cond_broadcast(&all->moved);
  }
  return GLOW_OK;
}

/* With the lock. */
static glow_status await(helper_rank *r, const helper_ranks_call *c) {
  while (!c->done && !r->all->over)
    pthread_cond_wait(&r->all->moved, &r->all->lock);
  return c->done ? GLOW_OK : glow_error(GLOW_E_IO, "another rank has failed");
}

static glow_status sum_start(void *elements, int64_t count, int32_t type, void **request,
                             void *payload) {
  helper_rank *r = payload;
  pthread_mutex_lock(&r->all->lock);
  glow_status status = begin_call(r, NULL);
  if (status == GLOW_OK && type == GLOW_SUM_BFLOAT16 && r->all->no_bfloat16)
    status = glow_error(GLOW_E_UNSUPPORTED, "the engine has no sums of bfloat16");
  if (status == GLOW_OK)
    status = arrive(r, elements, count, type, 0, (helper_ranks_call **)request);
  pthread_mutex_unlock(&r->all->lock);
  return status;
}

static glow_status sum_wait(void *request, void *payload) {
  helper_rank *r = payload;
  pthread_mutex_lock(&r->all->lock);
  glow_status status = begin_call(r, request);
  if (status == GLOW_OK)
    status = await(r, request);
  pthread_mutex_unlock(&r->all->lock);
  return status;
}

static glow_status broadcast(void *bytes, int64_t size, int32_t root, void *payload) {
  helper_rank *r = payload;
  helper_ranks_call *call = NULL;
  pthread_mutex_lock(&r->all->lock);
  glow_status status = begin_call(r, NULL);
  if (status == GLOW_OK)
    status = arrive(r, bytes, size, 0, root, &call);
  if (status == GLOW_OK)
    status = await(r, call);
  pthread_mutex_unlock(&r->all->lock);
  return status;
}

static void progress(void *payload) {
  ((helper_rank *)payload)->progressed++;
}

static void abort_job(const char *why, void *payload) {
  helper_rank *r = payload;
  (void)why;
  pthread_mutex_lock(&r->all->lock);
  r->aborts++;
  end_job(r->all);
  pthread_mutex_unlock(&r->all->lock);
}

/* ---- threads --------------------------------------------------------------------------------- */

/* What a rank has not arrived at when it leaves, it never will. */
static void *run_rank(void *arg) {
  helper_rank *r = arg;
  r->all->fn(r);
  pthread_mutex_lock(&r->all->lock);
  r->left = true;
  for (int i = 0; i < r->all->size; i++)
    if (!r->all->at[i].left && r->all->at[i].next > r->next)
      end_job(r->all);
  pthread_mutex_unlock(&r->all->lock);
  return NULL;
}

void ranks_init(helper_ranks *all) {
  memset(all, 0, sizeof *all);
}

void ranks_run(helper_ranks *all, int32_t size, rank_fn fn, void *payload) {
  pthread_t threads[RANKS_MOST];
  all->size = size;
  all->fn = fn;
  pthread_mutex_init(&all->lock, NULL);
  pthread_cond_init(&all->moved, NULL);
  for (int32_t i = 0; i < size; i++) {
    helper_rank *r = &all->at[i];
    *r = (helper_rank){.all = all, .number = i, .payload = payload};
    r->collective = (glow_collective){
        sizeof r->collective, i, size, sum_start, sum_wait, progress, broadcast, abort_job, r};
  }
  for (int32_t i = 0; i < size; i++)
    if (pthread_create(&threads[i], NULL, run_rank, &all->at[i]) != 0)
      abort();
  for (int32_t i = 0; i < size; i++)
    pthread_join(threads[i], NULL);
  pthread_cond_destroy(&all->moved);
  pthread_mutex_destroy(&all->lock);
}

bool rank_ok(helper_rank *r, glow_status status, const char *call) {
  if (status != GLOW_OK && !r->text[0])
    snprintf(r->text, sizeof r->text, "rank %d: %s: %s: %s", (int)r->number, call,
             glow_status_name(status), glow_last_error());
  return status == GLOW_OK;
}
