/* Learning-rate schedules: rate * min(1, s / warmup) * curve(t).
 * The cosine is that of Loshchilov and Hutter, "SGDR", 2017, without restarts.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "train/train.h"

static glow_status schedule_check(const void *options) {
  const glow_schedule *s = options;
  if (s->kind != GLOW_SCHEDULE_CONSTANT && s->steps > 0 && s->steps <= s->warmup)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_schedule: it ends at step %lld, within the warm-up of %lld",
                      (long long)s->steps, (long long)s->warmup);
  return GLOW_OK;
}

static const glow_choice kinds[] = {{GLOW_SCHEDULE_CONSTANT, 0, "constant"},
                                    {GLOW_SCHEDULE_COSINE, 0, "cosine"},
                                    {GLOW_SCHEDULE_EXPONENTIAL, 0, "exponential"},
                                    {0, 0, NULL}};
static const glow_option rows[] = {
    GLOW_OPTION(glow_schedule, kind, CHOICE, .choices = kinds, .prefix = "GLOW_SCHEDULE_",
                .fallback = GLOW_SCHEDULE_CONSTANT),
    GLOW_OPTION(glow_schedule, reserved, RESERVED),
    GLOW_OPTION(glow_schedule, rate, REAL, .high = 1e300, .fallback = 1e-3),
    GLOW_OPTION(glow_schedule, final, REAL, .flags = GLOW_OPTION_ABOVE_LOW, .high = 1,
                .fallback = 0.01),
    GLOW_OPTION(glow_schedule, warmup, INT64, .high = 0x1p62),
    GLOW_OPTION(glow_schedule, steps, INT64, .high = 0x1p62),
};
const glow_options_table glow__schedule_table = {GLOW_OPTIONS_TABLE(glow_schedule, rows),
                                                 .check = schedule_check};

glow_status glow__schedule_read(const glow_schedule *from, glow_schedule *to) {
  return glow_options_read(&glow__schedule_table, from, to);
}

static double curve(const glow_schedule *s, int64_t step) {
  const double pi = 3.14159265358979323846;
  if (s->kind == GLOW_SCHEDULE_CONSTANT || s->steps == 0 || step <= s->warmup)
    return 1.0;
  if (step >= s->steps)
    return s->final;
  double t = (double)(step - s->warmup) / (double)(s->steps - s->warmup);
  if (s->kind == GLOW_SCHEDULE_COSINE)
    return s->final + (1.0 - s->final) * (1.0 + cos(pi * t)) / 2.0;
  return pow(s->final, t);
}

double glow_schedule_rate(const glow_schedule *schedule, int64_t step) {
  glow_schedule s;
  if (step < 1 || glow__schedule_read(schedule, &s) != GLOW_OK)
    return NAN;
  double warm = step < s.warmup ? (double)step / (double)s.warmup : 1.0;
  return s.rate * warm * curve(&s, step);
}
