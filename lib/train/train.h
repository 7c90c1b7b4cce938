/* The internal interface of train/. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_TRAIN_H
#define GLOW_LIB_TRAIN_H

#include <glow/train.h>

#include "base/base.h"

/* The tables of options. */
extern const glow_options_table glow__collective_table, glow__optimizer_table, glow__schedule_table,
    glow__trainer_table;

/* Copies and checks a schedule; NULL gives the defaults. */
glow_status glow__schedule_read(const glow_schedule *from, glow_schedule *to);

/* ---- notes: texts under keys ----------------------------------------------------------------- */

typedef struct glow__note {
  struct glow__note *next;
  char *key, *value;
} glow__note;

glow_status glow__notes_add(glow_context *context, glow__note **list, const char *key,
                            const char *value);
/* NULL if the key has no note. */
const char *glow__notes_find(const glow__note *list, const char *key);
void glow__notes_destroy(glow_context *context, glow__note **list);

/* ---- optimizers ------------------------------------------------------------------------------ */

/* What one step makes of its gradients, in one pass over them and all that they move: each is
 * clamped to [-clip_value, clip_value] and multiplied by `scale`, and after the parameter the
 * average moves: by `approach` of what lies between them, or all of it with 1. */
typedef struct glow__update {
  const float *gradients;
  double squares; /* the sum of those of the gradients is known to be finite, and at most this */
  double rate;
  float clip_value; /* INFINITY: none */
  float scale;
  float *average; /* or NULL */
  float approach;
} glow__update;
/* glow_optimizer_step in two halves. Try refuses what could not be prepared; then all is as before.
 * If it does not, one of two follows at once: move, with the same update; or glow_model_prepare,
 * and all is as before. */
glow_status glow__optimizer_try(glow_optimizer *optimizer, const glow__update *update);
void glow__optimizer_move(glow_optimizer *optimizer, const glow__update *update);

/* The optimizer's options; valid for as long as it lives. */
const glow_optimizer_options *glow__optimizer_options(const glow_optimizer *optimizer);
/* The state of a trainer's optimizer: flat vectors, v NULL for SGD and Lion. */
void glow__optimizer_moments(const glow_optimizer *optimizer, float **m, float **v);
void glow__optimizer_set_steps(glow_optimizer *optimizer, int64_t steps);
/* Of the checkpoint that it was loaded from. */
glow__note **glow__optimizer_notes(glow_optimizer *optimizer);

/* ---- the classifier's part of the loss ------------------------------------------------------- */

typedef struct glow__class_sums {
  double loss;     /* bits, over the labelled samples */
  double labelled; /* shares of these, known beforehand, because the loss is their mean */
  double right;    /* shares of those of them that have the largest logit at the label */
} glow__class_sums;

/* Adds the loss and the right ones of [count, classes], each sample with its share, to *sums, and
 * writes the gradient of weight times the loss. False: a logit is not finite. */
bool glow__cross_entropy(const float *logits, const int32_t *labels, const double *shares,
                         int64_t count, int64_t classes, double weight, float *d_logits,
                         glow__class_sums *sums);

/* The loss of one sample, and whether its largest logit is at the label: *right is 1 or 0. */
double glow__class_loss(const float *logits, int64_t classes, int32_t label, double *right);

/* Adds the gradients 2 gain_l2 g of gain_l2 |g|^2 to the model's flat gradients, for the scales g
 * of weight normalisation. */
glow_status glow__penalise_gains(const glow_model *model, double gain_l2, float *gradients);

/* ---- callbacks ------------------------------------------------------------------------------- */

typedef struct glow__callback {
  char before[1024]; /* the last error text, to see whether the function leaves one */
} glow__callback;

/* Around the call of a caller's function: `status` is what it returned, `what` it ("the batch
 * callback"), of this step; 0: of none. */
void glow__callback_begin(glow__callback *callback);
glow_status glow__callback_end(const glow__callback *callback, glow_status status, int64_t step,
                               const char *what);

/* ---- what a trainer is made of, for checkpoints ---------------------------------------------- */

/* What changes with the steps. */
typedef struct glow__progress {
  int64_t steps;
  int64_t optimizer_steps; /* equal to steps: only the trainer uses its optimizer */
  uint64_t noise_position; /* in the sequence of dequantisation noise */
  int64_t recomputes;      /* 1: reconstruction has drifted past its bound before */
} glow__progress;

/* Flat vectors as long as the parameters; the trainer owns them. */
typedef struct glow__trainer_vectors {
  float *parameters; /* the trained ones, even while the average is in use */
  float *m;
  float *v;       /* NULL for SGD and Lion */
  float *average; /* NULL if there is none */
} glow__trainer_vectors;

glow_model *glow__trainer_model(const glow_trainer *trainer);
glow_optimizer *glow__trainer_optimizer(const glow_trainer *trainer);
void glow__trainer_vectors_of(const glow_trainer *trainer, glow__trainer_vectors *out);
void glow__trainer_progress(const glow_trainer *trainer, glow__progress *out);
/* Refuses values that no trainer can have reached. */
glow_status glow__trainer_set_progress(glow_trainer *trainer, const glow__progress *progress);
glow__note **glow__trainer_notes(const glow_trainer *trainer);

/* ---- flat vectors: elementwise work over fixed blocks; whatever the number of workers ------- */

typedef struct glow__flat {
  glow_context *context;
  int64_t count; /* elements of each vector */
  uint32_t blocks;
  double *sums; /* [blocks] */
} glow__flat;

glow_status glow__flat_create(glow_context *context, int64_t count, glow__flat *out);
void glow__flat_destroy(glow__flat *flat);
/* x within [-limit, limit]; NaN stays. */
static inline float glow__clamp(float x, float limit) {
  const float low = limit < x ? limit : x; /* in this form one instruction each, also of vectors */
  return -limit > low ? -limit : low;
}
/* Sum of squares in double. Finite exactly when all elements are: count * FLT_MAX^2 fits. */
double glow__flat_squares(glow__flat *flat, const float *x);
/* The same of elements clamped to [-limit, limit]. */
double glow__flat_clamped_squares(glow__flat *flat, const float *x, float limit);
void glow__flat_scale(glow__flat *flat, float *x, float factor);
void glow__flat_swap(glow__flat *flat, float *x, float *y);

/* ---- batches --------------------------------------------------------------------------------- */

typedef struct glow__batch {
  glow_batch given;
  double mean_weight; /* 1 without weights */
  double weight_sum;  /* `count` without weights */
  int64_t total;      /* samples that these means are of: `count`, and those of other ranks */
  int64_t first;      /* of these, samples before the batch */
} glow__batch;

/* Copies and checks a batch for this model. */
glow_status glow__batch_read(const glow_model *model, const glow_batch *from, glow__batch *to);
/* The same of a batch that may be a part of a larger one: its weights may all be 0, and it has no
 * mean weight before the next function has told what the whole is. */
glow_status glow__batch_read_part(const glow_model *model, const glow_batch *from, glow__batch *to);
glow_status glow__batch_set_whole(glow__batch *batch, int64_t first, int64_t total,
                                  double weight_sum);
/* Weight of a sample divided by the mean weight: exactly 1 if all weights are the same power of 2,
 * or there are none. */
double glow__batch_weight(const glow__batch *batch, int64_t sample);
/* Lends the workspace the conditions of samples `first` and on. */
glow_status glow__batch_lend_conditions(const glow__batch *batch, int64_t first,
                                        glow_workspace *workspace);
/* Conditions for `count` samples, as many or one for all; `what` they are of. */
glow_status glow__conditions_check(const char *what, const float *condition,
                                   int64_t condition_count, int64_t count);
/* Lends the workspace those of samples `first` and on. */
glow_status glow__conditions_lend(const float *condition, int64_t condition_count, int64_t first,
                                  glow_workspace *workspace);
/* Number of elements of a batch [count, dims]; refuses counts below 1 and products that overflow.
 * */
glow_status glow__batch_elements(const glow_model *model, int64_t count, int64_t *elements);
/* Refuses models of continuous data. */
glow_status glow__check_pixels(const glow_model *model);

#endif
