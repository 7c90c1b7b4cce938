/* What ranks tell each other in a small sum: each writes into a place of its own of a buffer of
 * zeros, so that the sum is what all have said, bit for bit. With it they agree: if one refuses,
 * all do, and say what it says. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "train/collective.h"
#include "train/trainer.h"

static const char *const calls[] = {"nothing",
                                    "glow_trainer_set_collective",
                                    "a step on a batch",
                                    "a step by reverse KL",
                                    "a step by forward KL",
                                    "the gradients of a step",
                                    "the update of a step",
                                    "an initialisation",
                                    "glow_trainer_run",
                                    "an evaluation"};

static const char *call_name(double call) {
  const int count = sizeof calls / sizeof *calls;
  return call >= 1 && call < count ? calls[(int)call] : "something unknown";
}

/* The same on all ranks: they hold themselves against rank 0. */
static glow_status check_calls(const glow__collective *c) {
  for (int32_t r = 1; r < c->table.size; r++)
    if (c->told[r].call != c->told[0].call)
      return glow_error(GLOW_E_STATE,
                        "rank %d makes %s where rank 0 makes %s: all ranks must make the same "
                        "calls in the same order",
                        (int)r, call_name(c->told[r].call), call_name(c->told[0].call));
  return GLOW_OK;
}

/* Rank r has refused, with this text on r itself. */
static glow_status refuse_all(glow__collective *c, int32_t r, char *text) {
  glow_status status = (glow_status)c->told[r].status;
  GLOW_TRY(glow__collective_broadcast(c, text, GLOW_TOLD_TEXT, r));
  text[GLOW_TOLD_TEXT - 1] = '\0';
  return glow_error(status, "rank %d: %s", (int)r, text);
}

static void write_own(glow__collective *c, glow_status status, int32_t call, const double *values,
                      int32_t count) {
  glow__told *own = &c->told[c->table.rank];
  memset(c->told, 0, (size_t)c->table.size * sizeof *c->told);
  own->status = (double)status;
  own->call = (double)call;
  for (int32_t i = 0; i < count; i++)
    own->values[i] = values[i];
}

glow_status glow__collective_tell(glow__collective *c, glow_status status, int32_t call,
                                  const double *values, int32_t count) {
  const int64_t doubles = c->table.size * (int64_t)(sizeof(glow__told) / sizeof(double));
  char text[GLOW_TOLD_TEXT] = "";
  if (status != GLOW_OK)
    snprintf(text, sizeof text, "%s", glow_last_error());
  write_own(c, status, call, values, count);
  GLOW_TRY(glow__collective_sum(c, c->told, doubles, GLOW_SUM_FLOAT64));
  GLOW_TRY(check_calls(c));
  for (int32_t r = 0; r < c->table.size; r++)
    if (c->told[r].status != 0.0)
      return refuse_all(c, r, text);
  return GLOW_OK;
}

/* ---- for a trainer, alone or not ------------------------------------------------------------- */

int32_t glow__trainer_ranks(const glow_trainer *t) {
  return t->collective ? t->collective->table.size : 1;
}

glow_status glow__trainer_tell(glow_trainer *t, glow_status status, int32_t call,
                               const double *values, int32_t count) {
  if (t->collective)
    return glow__collective_tell(t->collective, status, call, values, count);
  for (int32_t i = 0; i < count; i++)
    t->told.values[i] = values[i];
  return status;
}

const double *glow__trainer_told(const glow_trainer *t, int32_t rank) {
  return t->collective ? t->collective->told[rank].values : t->told.values;
}

glow_status glow__trainer_agree(glow_trainer *t, glow_status status, int32_t call) {
  return glow__trainer_tell(t, status, call, NULL, 0);
}
