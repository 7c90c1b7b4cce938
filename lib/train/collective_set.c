/* Joining a trainer to those of other ranks. Everything is made beside the trainer, and becomes its
 * own once all ranks agree. SPDX-License-Identifier: MIT */
#include "train/collective.h"
#include "train/trainer.h"

static const glow_choice sum_choices[] = {
    {GLOW_SUM_FLOAT32, 0, "float32"}, {GLOW_SUM_BFLOAT16, 0, "bfloat16"}, {0, 0, NULL}};
static const glow_option rows[] = {
    GLOW_OPTION(glow_collective_options, sums, CHOICE, .choices = sum_choices,
                .prefix = "GLOW_SUM_", .fallback = GLOW_SUM_FLOAT32),
    GLOW_OPTION(glow_collective_options, reserved, RESERVED),
    GLOW_OPTION(glow_collective_options, bucket_bytes, INT64, .low = 4096, .high = 0x1p62,
                .fallback = 4 << 20),
};
const glow_options_table glow__collective_table = {
    GLOW_OPTIONS_TABLE(glow_collective_options, rows)};

/* What ranks need to tell each other anything. */
static glow_status collective_create(glow_context *context, const glow_collective *from,
                                     glow__collective **out) {
  glow_collective checked;
  GLOW_TRY(glow__collective_read(from, &checked));
  glow__collective *c = glow_allocate(context, sizeof *c);
  *out = c;
  if (!c)
    return GLOW_E_MEMORY;
  c->context = context;
  c->table = checked;
  c->told = glow_allocate(context, (size_t)checked.size * sizeof *c->told);
  return c->told ? GLOW_OK : GLOW_E_MEMORY;
}

/* A rank that cannot even tell that it refuses: the others must not wait for it. */
static glow_status cannot_tell(const glow_collective *from, glow_status status) {
  glow_collective checked;
  if (status == GLOW_E_MEMORY && glow__collective_read(from, &checked) == GLOW_OK && checked.abort)
    checked.abort(glow_last_error(), checked.payload);
  return status;
}

static glow_status collective_fill(glow__collective *c, glow_trainer *t,
                                   const glow_collective_options *options) {
  GLOW_TRY(glow_options_read(&glow__collective_table, options, &c->options));
  GLOW_TRY(glow__trainer_check_idle(t));
  return glow__buckets_create(c, glow__optimizer_rates(t->optimizer));
}

/* An engine may have no sums of bfloat16: better known now than in a step. */
static glow_status try_sum(glow__collective *c) {
  float zero = 0.0f;
  return glow__collective_sum(c, &zero, 1, c->options.sums);
}

static glow_status collective_join(glow__collective *c, glow_trainer *t,
                                   const glow_collective_options *options) {
  glow_status status = collective_fill(c, t, options);
  GLOW_TRY(glow__collective_tell(c, status, GLOW_CALL_JOIN, NULL, 0));
  GLOW_TRY(glow__collective_compare(c, t));
  GLOW_TRY(try_sum(c));
  return glow__collective_share_state(c, t);
}

glow_status glow_trainer_set_collective(glow_trainer *trainer, const glow_collective *collective,
                                        const glow_collective_options *options) {
  GLOW_LIVE(trainer, TRAINER);
  glow__collective *c = NULL;
  if (!trainer)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_set_collective: NULL argument");
  if (collective) {
    glow_status status = collective_create(trainer->context, collective, &c);
    status =
        status == GLOW_OK ? collective_join(c, trainer, options) : cannot_tell(collective, status);
    if (status != GLOW_OK) {
      glow__collective_destroy(&c);
      return status;
    }
  }
  glow__collective_destroy(&trainer->collective);
  trainer->collective = c;
  return GLOW_OK;
}
