/* A diagnosis with its verdicts, for people and for programs. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "doctor.h"
#include "json.h"
#include "tool.h"

static glow_layer_diagnosis layer_at(const glow_diagnosis *d, int32_t index) {
  glow_layer_diagnosis layer = GLOW_LAYER_DIAGNOSIS_INIT;
  glow_diagnosis_layer(d, index, &layer);
  return layer;
}

static glow_model_diagnosis model_of(const glow_diagnosis *d) {
  glow_model_diagnosis model = GLOW_MODEL_DIAGNOSIS_INIT;
  glow_diagnosis_model(d, &model);
  return model;
}

/* ---- for people ------------------------------------------------------------------------------ */

/* "-" for what is not known. */
static const char *number(double value, char *out) {
  if (isnan(value))
    snprintf(out, 32, "-");
  else
    snprintf(out, 32, fabs(value) >= 1e4 || (value != 0 && fabs(value) < 1e-2) ? "%.1e" : "%.3g",
             value);
  return out;
}

static void print_row(const glow_layer_diagnosis *l, const glow_model_diagnosis *m,
                      doctor_verdict verdict) {
  char name[256], type[64], cell[10][32], dead[48] = "-", lost[48] = "-";
  if (l->units > 0)
    snprintf(dead, sizeof dead, "%lld/%lld", (long long)l->dead_units, (long long)l->units);
  if (m->drawn)
    snprintf(lost, sizeof lost, "%lld, %lld", (long long)l->drawn_lost[0],
             (long long)l->drawn_lost[1]);
  printf("%-28s %-15s %-5s %8s %8s %8s %8s %8s %8s %8s %9s %9s\n",
         visible(l->name, name, sizeof name), visible(l->type, type, sizeof type),
         doctor_verdict_name(verdict), number(l->condition_number, cell[0]),
         number(l->least_scale, cell[1]), number(l->largest_scale, cell[2]),
         number(l->round_trip, cell[3]), number(l->mean, cell[4]), number(l->deviation, cell[5]),
         number(l->largest, cell[6]), dead, lost);
}

/* A note for people: "bad: NAME: TEXT", and what to do, unless the note before it had the same. */
static void print_note(const char *name, const doctor_note *note, const char **advice) {
  char shown[256], value[40], text[256];
  if (note->share)
    snprintf(value, sizeof value, "%.3g %%", 100.0 * note->value);
  else
    number(note->value, value);
    /* The text is one of the rules' own, not a stranger's. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  snprintf(text, sizeof text, note->text, value);
#pragma GCC diagnostic pop
  if (*advice && strcmp(*advice, note->advice) != 0)
    printf("    %s\n", *advice);
  printf("%s: %s: %s\n", doctor_verdict_name(note->verdict), visible(name, shown, sizeof shown),
         text);
  *advice = note->advice;
}

/* Of the model first, then of the layers. What to do stands behind the last of those that want the
 * same. */
static void print_notes(const glow_model *model, const glow_diagnosis *d,
                        const glow_model_diagnosis *m) {
  doctor_note notes[DOCTOR_MOST_NOTES];
  const char *advice = NULL;
  int count = doctor_judge_model(m, notes);
  for (int k = 0; k < count; k++)
    print_note("model", &notes[k], &advice);
  for (int32_t i = 0; i < glow_model_layer_count(model); i++) {
    glow_layer_diagnosis l = layer_at(d, i);
    count = doctor_judge_layer(&l, m, notes);
    for (int k = 0; k < count; k++)
      print_note(l.name, &notes[k], &advice);
  }
  if (advice)
    printf("    %s\n", advice);
}

static void print_model(const glow_model_diagnosis *m, const glow_diagnosis *d) {
  char name[256], trip[32];
  if (m->count)
    printf("\ndata:    %lld samples, %lld of them not finite; there and back: %s\n",
           (long long)m->count, (long long)m->lost, number(m->round_trip, trip));
  else
    puts("\ndata:    none (--data): what needs data is not known");
  if (m->first_nonfinite >= 0)
    printf("first layer that is not finite: %s\n",
           visible(layer_at(d, m->first_nonfinite).name, name, sizeof name));
  if (m->drawn)
    printf("samples: of %lld, %lld overflow at temperature 0.7, and %lld at 1\n",
           (long long)m->drawn, (long long)m->drawn_lost[0], (long long)m->drawn_lost[1]);
}

doctor_verdict doctor_print_table(const glow_model *model, const glow_diagnosis *d) {
  doctor_note notes[DOCTOR_MOST_NOTES];
  glow_model_diagnosis m = model_of(d);
  int32_t layers = glow_model_layer_count(model);
  printf("%-28s %-15s %-5s %8s %8s %8s %8s %8s %8s %8s %9s %9s\n", "layer", "type", "", "cond.no.",
         "least", "largest", "there&", "mean", "dev.", "max", "dead", "lost at");
  printf("%-28s %-15s %-5s %8s %8s %8s %8s %8s %8s %8s %9s %9s\n", "", "", "", "", "scale", "scale",
         "back", "", "", "", "units", "0.7, 1");
  doctor_verdict worst = doctor_worst(notes, doctor_judge_model(&m, notes));
  for (int32_t i = 0; i < layers; i++) {
    doctor_note own[DOCTOR_MOST_NOTES];
    glow_layer_diagnosis l = layer_at(d, i);
    doctor_verdict verdict = doctor_worst(own, doctor_judge_layer(&l, &m, own));
    print_row(&l, &m, verdict);
    worst = verdict > worst ? verdict : worst;
  }
  print_model(&m, d);
  printf("verdict: %s\n", doctor_verdict_name(worst));
  if (worst != DOCTOR_OK)
    putchar('\n');
  print_notes(model, d, &m);
  return worst;
}

/* ---- for programs ---------------------------------------------------------------------------- */

static void json_notes(json_writer *json, const doctor_note *notes, int count) {
  put_text(json, "verdict", doctor_verdict_name(doctor_worst(notes, count)));
  put_open(json, "notes", '[');
  for (int i = 0; i < count; i++) {
    put_open(json, NULL, '{');
    put_text(json, "verdict", doctor_verdict_name(notes[i].verdict));
    put_text(json, "about", notes[i].key);
    put_real(json, "value", notes[i].value);
    put_text(json, "advice", notes[i].advice);
    put_close(json, '}');
  }
  put_close(json, ']');
}

/* -1, not known, becomes null. */
static void json_count(json_writer *json, const char *key, int64_t count) {
  if (count < 0)
    put_real(json, key, (double)NAN);
  else
    put_int(json, key, count);
}

static void json_drawn_lost(json_writer *json, const int64_t *lost) {
  put_open(json, "drawn_lost", '[');
  for (int t = 0; t < GLOW_DIAGNOSE_TEMPERATURES; t++)
    json_count(json, NULL, lost[t]);
  put_close(json, ']');
}

static doctor_verdict json_layer(json_writer *json, const glow_layer_diagnosis *l,
                                 const glow_model_diagnosis *m) {
  doctor_note notes[DOCTOR_MOST_NOTES];
  int count = doctor_judge_layer(l, m, notes);
  put_open(json, NULL, '{');
  put_text(json, "name", l->name);
  put_text(json, "type", l->type);
  put_int(json, "nonfinite_parameters", l->nonfinite_parameters);
  put_real(json, "condition_number", l->condition_number);
  put_real(json, "least_scale", l->least_scale);
  put_real(json, "largest_scale", l->largest_scale);
  put_real(json, "round_trip", l->round_trip);
  put_real(json, "mean", l->mean);
  put_real(json, "deviation", l->deviation);
  put_real(json, "largest", l->largest);
  put_real(json, "nonfinite_share", l->nonfinite_share);
  json_count(json, "units", l->units);
  json_count(json, "dead_units", l->dead_units);
  json_count(json, "lost", l->lost);
  json_drawn_lost(json, l->drawn_lost);
  put_open(json, "drawn_largest", '[');
  for (int t = 0; t < GLOW_DIAGNOSE_TEMPERATURES; t++)
    put_real(json, NULL, l->drawn_largest[t]);
  put_close(json, ']');
  json_notes(json, notes, count);
  put_close(json, '}');
  return doctor_worst(notes, count);
}

doctor_verdict doctor_print_json(const char *path, const glow_model *model,
                                 const glow_diagnosis *d) {
  doctor_note notes[DOCTOR_MOST_NOTES];
  glow_model_diagnosis m = model_of(d);
  json_writer json = {stdout, false};
  int count = doctor_judge_model(&m, notes);
  doctor_verdict worst = doctor_worst(notes, count);
  put_open(&json, NULL, '{');
  put_text(&json, "model", path);
  put_open(&json, "layers", '[');
  for (int32_t i = 0; i < glow_model_layer_count(model); i++) {
    glow_layer_diagnosis l = layer_at(d, i);
    doctor_verdict verdict = json_layer(&json, &l, &m);
    worst = verdict > worst ? verdict : worst;
  }
  put_close(&json, ']');
  put_open(&json, "whole", '{');
  put_int(&json, "images", m.count);
  put_int(&json, "lost", m.lost);
  if (m.first_nonfinite >= 0)
    put_text(&json, "first_nonfinite", layer_at(d, m.first_nonfinite).name);
  put_real(&json, "round_trip", m.round_trip);
  put_int(&json, "drawn", m.drawn);
  json_drawn_lost(&json, m.drawn_lost);
  json_notes(&json, notes, count);
  put_close(&json, '}');
  put_text(&json, "verdict", doctor_verdict_name(worst));
  put_close(&json, '}');
  putchar('\n');
  return worst;
}
