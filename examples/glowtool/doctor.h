/* What glowtool doctor makes of the numbers of a diagnosis. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_DOCTOR_H
#define GLOWTOOL_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

#include <glow/diagnose.h>

typedef enum doctor_verdict { DOCTOR_OK, DOCTOR_LOOK, DOCTOR_BAD } doctor_verdict;
const char *doctor_verdict_name(doctor_verdict verdict);

/* A number that is past a bound. */
typedef struct doctor_note {
  doctor_verdict verdict;
  double value;
  bool share;         /* the value is one of all */
  const char *key;    /* of the number, in JSON */
  const char *text;   /* what it is, for people, with a %s for the value */
  const char *advice; /* what to do */
} doctor_note;

/* More than there are rules. */
enum { DOCTOR_MOST_NOTES = 16 };

/* Both write the notes to `notes` [DOCTOR_MOST_NOTES] and return how many there are. */
int doctor_judge_layer(const glow_layer_diagnosis *layer, const glow_model_diagnosis *model,
                       doctor_note *notes);
int doctor_judge_model(const glow_model_diagnosis *model, doctor_note *notes);
/* The worst of them. */
doctor_verdict doctor_worst(const doctor_note *notes, int count);

/* The whole of it, printed. Returns the worst verdict. */
doctor_verdict doctor_print_table(const glow_model *model, const glow_diagnosis *diagnosis);
doctor_verdict doctor_print_json(const char *path, const glow_model *model,
                                 const glow_diagnosis *diagnosis);

#endif
