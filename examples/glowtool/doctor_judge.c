/* The bounds between ok, look and bad. docs/diagnosis.md has the reasons.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "doctor.h"

const char *doctor_verdict_name(doctor_verdict verdict) {
  return verdict == DOCTOR_BAD ? "bad" : verdict == DOCTOR_LOOK ? "look" : "ok";
}

/* ---- numbers of a layer ---------------------------------------------------------------------- */

typedef glow_layer_diagnosis layer;
typedef glow_model_diagnosis whole;

static double value_parameters(const layer *l, const whole *m) {
  (void)m;
  return (double)l->nonfinite_parameters;
}
static double value_lost(const layer *l, const whole *m) {
  return l->lost < 0 ? (double)NAN : (double)l->lost / (double)m->count;
}
static double value_condition_number(const layer *l, const whole *m) {
  (void)m;
  return l->condition_number;
}
static double value_least(const layer *l, const whole *m) {
  (void)m;
  return l->least_scale;
}
static double value_most(const layer *l, const whole *m) {
  (void)m;
  return l->largest_scale;
}
static double value_round_trip(const layer *l, const whole *m) {
  (void)m;
  return l->round_trip;
}
static double value_largest(const layer *l, const whole *m) {
  (void)m;
  return l->largest;
}
static double value_dead(const layer *l, const whole *m) {
  (void)m;
  return l->units > 0 ? (double)l->dead_units / (double)l->units : (double)NAN;
}
static double drawn_share(const layer *l, const whole *m, int t) {
  return m->drawn ? (double)l->drawn_lost[t] / (double)m->drawn : (double)NAN;
}
static double value_cool(const layer *l, const whole *m) {
  return drawn_share(l, m, 0);
}
static double value_warm(const layer *l, const whole *m) {
  return drawn_share(l, m, 1);
}

/* ---- of the model ---------------------------------------------------------------------------- */

static double value_whole_round_trip(const layer *l, const whole *m) {
  (void)l;
  return m->round_trip;
}
static double whole_share(const whole *m, int t) {
  return m->drawn ? (double)m->drawn_lost[t] / (double)m->drawn : (double)NAN;
}
static double value_whole_cool(const layer *l, const whole *m) {
  (void)l;
  return whole_share(m, 0);
}
static double value_whole_warm(const layer *l, const whole *m) {
  (void)l;
  return whole_share(m, 1);
}

/* ---- rules ----------------------------------------------------------------------------------- */

/* Worth a look past one bound, bad past the other. A number that is not known, NaN, is past
 * neither. */
typedef struct rule {
  double (*value)(const layer *l, const whole *m);
  double look, bad;
  bool below; /* past a bound is below it, not above */
  bool share; /* the value is one of all, for people in per cent */
  const char *key, *text, *advice;
} rule;

#define OTHER_SCALE                                                                                \
  "train with --scale tanh, or with --scale sigmoid-floor and a larger --floor; see "              \
  "docs/diagnosis.md"
#define UNLIKE "see that the data are like those of training; else go back to an earlier checkpoint"
#define COOLER "draw at a lower --temperature, or " OTHER_SCALE
#define CONSTANT                                                                                   \
  "in an actnorm: leave out channels that are constant in the data; in a coupling or prior: "      \
  "train with --scale tanh or --scale sigmoid-floor; in a spline coupling: with fewer --bins"

static const rule layer_rules[] = {
    {value_parameters, 0, 0, false, false, "nonfinite_parameters", "%s parameters are not finite",
     "go back to an earlier checkpoint, and train on with a lower --lr"},
    {value_lost, 0, 0, false, true, "lost", "%s of the data are not finite from here on", UNLIKE},
    {value_condition_number, 1e3, 1e5, false, false, "condition_number",
     "the condition number of the matrix is %s",
     "go back to an earlier checkpoint, and train on with a lower --lr or with --clip-norm"},
    {value_least, 1e-3, 1e-6, true, false, "least_scale", "the least scale is %s", CONSTANT},
    {value_most, 1e3, 1e6, false, false, "largest_scale", "the largest scale is %s", CONSTANT},
    {value_round_trip, 1e-4, 1e-2, false, false, "round_trip",
     "what the layer leads back to differs from its input by up to %s of what is usual",
     "mend the condition number or the scales of this layer"},
    {value_largest, 1e3, 1e6, false, false, "largest", "an element of the output is %s", UNLIKE},
    {value_dead, 0.25, 0.75, false, true, "dead_units",
     "%s of the units of its network are 0 for all samples of the data",
     "train again with a lower --lr, a longer --warmup or --clip-norm, or with a smaller --hidden"},
    {value_cool, 0, 0.01, false, true, "drawn_lost",
     "%s of the samples at temperature 0.7 overflow here", OTHER_SCALE},
    {value_warm, 0, 0.02, false, true, "drawn_lost",
     "%s of the samples at temperature 1 overflow here", COOLER},
};

static const rule model_rules[] = {
    {value_whole_round_trip, 1e-3, 1e-1, false, false, "round_trip",
     "through all layers and back, data differ by up to %s of what is usual",
     "mend the layers whose round trip is worst, and do not train with --reconstruct"},
    {value_whole_cool, 0, 0.01, false, true, "drawn_lost",
     "%s of the samples at temperature 0.7 overflow", OTHER_SCALE},
    {value_whole_warm, 0, 0.02, false, true, "drawn_lost",
     "%s of the samples at temperature 1 overflow", COOLER},
};

static bool past(const rule *r, double value, double bound) {
  return r->below ? value < bound : value > bound;
}

static int judge(const rule *rules, int rule_count, const layer *l, const whole *m,
                 doctor_note *notes) {
  int count = 0;
  for (int i = 0; i < rule_count; i++) {
    const rule *r = &rules[i];
    double value = r->value(l, m);
    if (past(r, value, r->look))
      notes[count++] = (doctor_note){.verdict = past(r, value, r->bad) ? DOCTOR_BAD : DOCTOR_LOOK,
                                     .share = r->share,
                                     .value = value,
                                     .key = r->key,
                                     .text = r->text,
                                     .advice = r->advice};
  }
  return count;
}

int doctor_judge_layer(const glow_layer_diagnosis *l, const glow_model_diagnosis *m,
                       doctor_note *notes) {
  return judge(layer_rules, sizeof layer_rules / sizeof layer_rules[0], l, m, notes);
}

int doctor_judge_model(const glow_model_diagnosis *m, doctor_note *notes) {
  return judge(model_rules, sizeof model_rules / sizeof model_rules[0], NULL, m, notes);
}

doctor_verdict doctor_worst(const doctor_note *notes, int count) {
  doctor_verdict worst = DOCTOR_OK;
  for (int i = 0; i < count; i++)
    worst = notes[i].verdict > worst ? notes[i].verdict : worst;
  return worst;
}
