/* What restoring gave in all. SPDX-License-Identifier: MIT */
#include "restore_totals.h"

#include <math.h>
#include <stdio.h>

/* ---- image by image -------------------------------------------------------------------------- */

void restore_totals_add(restore_totals *t, int way, const float *original, const float *x) {
  signal_add(&t->signal[way], t->observation, original, x);
}

void restore_totals_add_samples(restore_totals *t, const restorer *r, int64_t i,
                                const float *original) {
  const observation *o = t->observation;
  const float *x = r->x + i * o->dims, *deviation = r->spread + i * o->dims;
  double spread = 0.0, error = 0.0, count = 0.0;
  for (int64_t d = 0; d < o->dims; d++) {
    if (o->hidden && !o->hidden[d])
      continue;
    double difference = (double)x[d] - (double)original[d];
    spread += (double)deviation[d] * (double)deviation[d];
    error += difference * difference;
    count += 1.0;
  }
  t->spread += spread / count;
  t->error += error / count;
  t->accepted += r->accepted[i];
  t->chain_energy += restore_energy_of_chains(r, i);
  t->between += restore_energy_between_chains(r, i);
}

/* ---- in words -------------------------------------------------------------------------------- */

static const char *const way_names[WAYS][3] = {
    /* by task: inpaint, denoise, upscale */
    {"the mean of the remaining pixels", "as observed", "averages repeated"},
    {"Gaussian prior of each pixel", "Gaussian prior of each pixel",
     "Gaussian prior of each pixel"},
    {"Gaussian prior", "Gaussian prior", "Gaussian prior"},
    {"model", "model", "model"}};

void restore_totals_print(const restore_totals *t) {
  double n = (double)t->signal[BY_MODEL].images;
  for (int way = 0; way < WAYS; way++) {
    const signal_to_noise *s = &t->signal[way];
    if (t->tried[way])
      printf("  %-34s %6.2f dB (+- %.2f); of the mean error %6.2f dB\n",
             way_names[way][t->task - TASK_INPAINT], signal_mean(s), signal_standard_error(s),
             signal_of_mean(s));
  }
  if (t->samples)
    printf("deviation of the samples %.4f, error of their mean %.4f; %.0f %% of the steps were "
           "taken; energies of chains %.0f, %.0f apart\n",
           sqrt(t->spread / n), sqrt(t->error / n), 100.0 * t->accepted / n, t->chain_energy / n,
           t->between / n);
}

/* ---- in JSON --------------------------------------------------------------------------------- */

const char *const restore_way_keys[WAYS] = {"filled", "pixels", "gaussian", "model"};

static void put_way(const restore_totals *t, json_writer *json, int way) {
  const signal_to_noise *s = &t->signal[way];
  put_open(json, restore_way_keys[way], '{');
  put_real(json, "psnr", signal_mean(s));
  put_real(json, "standard_error", signal_standard_error(s));
  put_real(json, "psnr_of_mean_error", signal_of_mean(s));
  put_close(json, '}');
}

void restore_totals_put(const restore_totals *t, json_writer *json) {
  double n = (double)t->signal[BY_MODEL].images;
  for (int way = 0; way < WAYS; way++)
    if (t->tried[way])
      put_way(t, json, way);
  if (!t->samples)
    return;
  put_real(json, "sample_deviation", sqrt(t->spread / n));
  put_real(json, "sample_error", sqrt(t->error / n));
  put_real(json, "accepted", t->accepted / n);
  put_real(json, "energy", t->chain_energy / n);
  put_real(json, "energy_between_chains", t->between / n);
}
