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
static double value_shrinks(const layer *l, const whole *m) {
  (void)m;
  return 1.0 / l->least_scale;
}
static double value_grows(const layer *l, const whole *m) {
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

/* Worth a look above one bound, bad above the other. */
typedef struct rule {
  double (*value)(const layer *l, const whole *m);
  double look, bad;
  const char *key, *text, *advice;
} rule;

static const rule layer_rules[] = {
    {value_parameters, 0, 0, "nonfinite_parameters", "%s parameters are not finite",
     "go back to an earlier checkpoint, or train again with a lower --lr"},
    {value_lost, 0, 0, "lost", "%s of the data are not finite from here on",
     "see that the data are like those of training; else go back to an earlier checkpoint"},
    {value_condition_number, 1e3, 1e5, "condition_number",
     "the condition number of the matrix is %s",
     "train on from an earlier checkpoint with a lower --lr or with --clip-norm"},
    {value_shrinks, 1e3, 1e6, "least_scale", "an element is divided by up to %s on the way back",
     "train with --scale tanh or --scale sigmoid-floor; a channel that is constant in the data has "
     "no density, so leave it out"},
    {value_grows, 1e3, 1e6, "largest_scale", "an element is multiplied by up to %s",
     "train with --scale tanh or --scale sigmoid-floor; a channel that is constant in the data has "
     "no density, so leave it out"},
    {value_round_trip, 1e-4, 1e-2, "round_trip",
     "what comes back differs by up to %s of what is usual",
     "mend the condition number or the scales that are named here or before"},
    {value_largest, 1e3, 1e6, "largest", "an element of the output is %s",
     "see that the data are like those of training; else train with a lower --lr or --clip-norm"},
    {value_dead, 0.5, 0.9, "dead_units", "%s of the units of its network are 0 for all samples",
     "train again with a lower --lr, a longer --warmup or --clip-norm; or with a smaller --hidden"},
    {value_cool, 0, 0.01, "drawn_lost", "%s of the samples at the lower temperature overflow here",
     "train with --scale tanh, or with --scale sigmoid-floor and a larger --floor"},
    {value_warm, 0, 0.02, "drawn_lost", "%s of the samples at the higher temperature overflow here",
     "draw at a lower --temperature; train with --scale tanh, or with --scale sigmoid-floor and a "
     "larger --floor"},
};

static const rule model_rules[] = {
    {value_whole_round_trip, 1e-3, 1e-1, "round_trip",
     "through all layers and back, data differ by up to %s of what is usual",
     "mend the layers whose round trip is worst; do not train with --reconstruct"},
    {value_whole_cool, 0, 0.01, "drawn_lost", "%s of the samples at the lower temperature overflow",
     "train with --scale tanh, or with --scale sigmoid-floor and a larger --floor"},
    {value_whole_warm, 0, 0.02, "drawn_lost",
     "%s of the samples at the higher temperature overflow",
     "draw at a lower --temperature; train with --scale tanh, or with --scale sigmoid-floor and a "
     "larger --floor"},
};

static int judge(const rule *rules, int rule_count, const layer *l, const whole *m,
                 doctor_note *notes) {
  int count = 0;
  for (int i = 0; i < rule_count; i++) {
    const rule *r = &rules[i];
    double value = r->value(l, m);
    if (value > r->look) /* not if it is NaN, which is not known */
      notes[count++] = (doctor_note){.verdict = value > r->bad ? DOCTOR_BAD : DOCTOR_LOOK,
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
