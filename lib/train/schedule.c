/* Learning-rate schedules: rate * min(1, s / warmup) * curve(t).
 * The cosine is that of Loshchilov and Hutter, "SGDR", 2017, without restarts.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "train/train.h"

glow_status glow__schedule_copy(glow_schedule *to, const glow_schedule *from) {
  *to = (glow_schedule)GLOW_SCHEDULE_INIT;
  GLOW_TRY(glow__options_copy(to, sizeof *to, from, sizeof *to, "glow_schedule"));
  if (to->kind < GLOW_SCHEDULE_CONSTANT || to->kind > GLOW_SCHEDULE_EXPONENTIAL)
    return glow_error(GLOW_E_ARGUMENT, "schedule: kind is %d; it must be one of GLOW_SCHEDULE_...",
                      (int)to->kind);
  if (to->reserved)
    return glow_error(GLOW_E_ARGUMENT, "schedule: reserved must be 0");
  if (!isfinite(to->rate) || to->rate < 0.0)
    return glow_error(GLOW_E_ARGUMENT, "schedule: the rate is %g, not a number >= 0", to->rate);
  if (!(to->final > 0.0 && to->final <= 1.0))
    return glow_error(GLOW_E_ARGUMENT, "schedule: final is %g; it must be in (0, 1]", to->final);
  if (to->warmup < 0 || to->steps < 0)
    return glow_error(GLOW_E_ARGUMENT, "schedule: warmup %lld or steps %lld is negative",
                      (long long)to->warmup, (long long)to->steps);
  if (to->kind != GLOW_SCHEDULE_CONSTANT && to->steps > 0 && to->steps <= to->warmup)
    return glow_error(GLOW_E_ARGUMENT,
                      "schedule: steps is %lld, which is within the warm-up of %lld",
                      (long long)to->steps, (long long)to->warmup);
  return GLOW_OK;
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
  if (step < 1 || glow__schedule_copy(&s, schedule) != GLOW_OK)
    return NAN;
  double warm = step < s.warmup ? (double)step / (double)s.warmup : 1.0;
  return s.rate * warm * curve(&s, step);
}
