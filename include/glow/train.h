/* Training: optimizers, learning-rate schedules, and the trainer that puts a step together.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TRAIN_H
#define GLOW_TRAIN_H

#include <glow/workspace.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- schedule -------------------------------------------------------------------------------- */

enum { GLOW_SCHEDULE_CONSTANT = 901, GLOW_SCHEDULE_COSINE = 902, GLOW_SCHEDULE_EXPONENTIAL = 903 };
/* Learning rate of step s = 1, 2, ...: rate * min(1, s / warmup) * curve, where with
 * t = clamp((s - warmup) / (steps - warmup), 0, 1) the curve is 1, or
 * final + (1 - final) (1 + cos(pi t)) / 2, or final^t. */
typedef struct glow_schedule {
  size_t struct_size;
  int32_t kind; /* default constant */
  int32_t reserved;
  double rate;    /* default 1e-3 */
  double final;   /* last rate as a fraction of `rate`, in (0, 1]; default 0.01 */
  int64_t warmup; /* steps; default 0 */
  int64_t steps;  /* where cosine and exponential end; default 0: never, the curve stays 1 */
} glow_schedule;
#define GLOW_SCHEDULE_INIT                                                                         \
  { sizeof(glow_schedule), GLOW_SCHEDULE_CONSTANT, 0, 1e-3, 0.01, 0, 0 }
/* Rate of a step; schedule NULL: the defaults. NaN if the schedule is not valid or step < 1. */
GLOW_API double glow_schedule_rate(const glow_schedule *schedule, int64_t step);

/* ---- optimizer ------------------------------------------------------------------------------- */

typedef struct glow_optimizer glow_optimizer;

enum {
  GLOW_OPTIMIZER_SGD = 1001,
  GLOW_OPTIMIZER_ADAM = 1002,
  GLOW_OPTIMIZER_ADAMAX = 1003,
  GLOW_OPTIMIZER_LION = 1004
};
/* SGD: v = beta1 v + g; p -= rate v. Adam and Adamax: Kingma and Ba 2015, with bias correction.
 * Lion (Chen et al. 2023): p -= rate sign(beta1 m + (1 - beta1) g), with sign(0) = 0, then
 * m = beta2 m + (1 - beta2) g; its authors use beta2 0.99, and a rate 3 to 10 times below Adam's.
 * Weight decay is decoupled (Loshchilov and Hutter 2019): p -= rate weight_decay p, before the
 * step. */
typedef struct glow_optimizer_options {
  size_t struct_size;
  int32_t kind; /* default Adam */
  int32_t reserved;
  double beta1;        /* also the momentum of SGD; default 0.9 */
  double beta2;        /* default 0.999; not for SGD */
  double epsilon;      /* default 1e-8 */
  double weight_decay; /* default 0 */
} glow_optimizer_options;
#define GLOW_OPTIMIZER_OPTIONS_INIT                                                                \
  { sizeof(glow_optimizer_options), GLOW_OPTIMIZER_ADAM, 0, 0.9, 0.999, 1e-8, 0.0 }
/* Makes an optimizer with a state for the model's parameters. options NULL: the defaults. */
GLOW_API glow_status glow_optimizer_create(const glow_model *model,
                                           const glow_optimizer_options *options,
                                           glow_optimizer **out);
/* Sets *optimizer to NULL. NULL and a pointer to NULL are fine. */
GLOW_API void glow_optimizer_destroy(glow_optimizer **optimizer);
/* Updates the model's parameters once with these gradients, laid out like them, and prepares the
 * model. `model` must be the one that the optimizer was made for. If a parameter or a gradient is
 * not finite, or the new parameters would make a layer singular, it fails with GLOW_E_NUMERIC,
 * which names the layer, and parameters and the optimizer's state are as before. */
GLOW_API glow_status glow_optimizer_step(glow_optimizer *optimizer, glow_model *model,
                                         const float *gradients, double rate);
/* Tensors whose name is `prefix`, or begins with it and a dot, train at `factor` times the learning
 * rate, their weight decay too; "": all. 0: they are held. Of calls that meet in a tensor the last
 * one wins; at first all factors are 1. GLOW_E_NOT_FOUND if no tensor has such a name;
 * GLOW_E_ARGUMENT if the factor is not finite or below 0; nothing has changed then.
 *
 * What is held keeps its bits and its state in the optimizer, and its gradients are not looked at.
 * The trainer leaves it out of clipping and of the norm of the gradient, gives it to the average as
 * it is, and does not initialise it. Fixed state may be named too: held running averages do not
 * move, and a held standardisation is not initialised. A layer whose trainable tensors are all held
 * is held with its fixed state. (In training passes batch normalisations use the statistics of the
 * batch all the same.) */
GLOW_API glow_status glow_optimizer_set_rate_factor(glow_optimizer *optimizer, const char *prefix,
                                                    double factor);
/* Factor of the tensor of this name; NaN if there is none. */
GLOW_API double glow_optimizer_rate_factor(const glow_optimizer *optimizer, const char *tensor);
/* The optimizer's state, flat vectors laid out as glow_model_parameters, owned by the optimizer: 0
 * is m, the average of gradients (the momentum of SGD); 1 is v, for Adam and Adamax; NULL for
 * others. It may be written between steps, to go on with a run whose state was kept elsewhere: set
 * the step count too. A state with which the parameters would not be finite is
 * refused by the next step. */
GLOW_API float *glow_optimizer_state(glow_optimizer *optimizer, int32_t index);
/* Sets the number of updates made so far, 0 or more, from which bias corrections follow. */
GLOW_API glow_status glow_optimizer_set_step_count(glow_optimizer *optimizer, int64_t steps);
/* Fills *out, whose struct_size the caller has set, with the options in force. */
GLOW_API glow_status glow_optimizer_get_options(const glow_optimizer *optimizer,
                                                glow_optimizer_options *out);
/* Updates made so far. */
GLOW_API int64_t glow_optimizer_step_count(const glow_optimizer *optimizer);

/* ---- batches --------------------------------------------------------------------------------- */

/* Samples for a step or an initialisation, with all that they come with. The arrays are the
 * caller's, and are only read during the call. What is not finite, or does not fit the model, is
 * refused, and nothing changes. */
typedef struct glow_batch {
  size_t struct_size;
  int64_t count;          /* 1 or more */
  const float *x;         /* [count, dims]; or */
  const uint8_t *pixels;  /* [count, dims], 8 bits, for models with bits 1 to 8: they are
                              dequantised, with new noise in each step */
  const int32_t *labels;  /* [count], for models with classes: see <glow/workspace.h>; or NULL */
  const float *condition; /* [condition_count, condition size], for models that take one, or NULL */
  int64_t condition_count; /* `count`, or 1: all samples get the same; 0 without a condition */
  const double *weights;   /* [count], finite, 0 or more, their mean from 1e-50 to 1e50; NULL: all
                              are 1. Each loss is the weighted mean sum_n w_n l_n / sum_n w_n, so
                              that a weight of 2 equals a sample that is there twice, and a weight
                              of 0 one that is not there. (It must be finite all the same, and
                              batch normalisations count all samples alike.) */
} glow_batch;
#define GLOW_BATCH_INIT                                                                            \
  { sizeof(glow_batch), 0, NULL, NULL, NULL, NULL, 0, NULL }

/* ---- trainer --------------------------------------------------------------------------------- */

typedef struct glow_trainer glow_trainer;

typedef struct glow_trainer_options {
  size_t struct_size;
  const glow_optimizer_options *optimizer; /* NULL: defaults. Copied. */
  const glow_schedule *schedule;           /* NULL: defaults. Copied. */
  int64_t micro_batch;    /* samples that go through the model together; default 16; a step may be
                             given any number */
  int32_t mode;           /* GLOW_MODE_STORED (default), _RECONSTRUCTED or _BUDGET */
  int32_t average;        /* 1: keep an exponential moving average of the parameters; default 0 */
  double average_decay;   /* default 0.999 */
  double clip_norm;       /* > 0: scale gradients to at most this Euclidean norm; default 0, off */
  double clip_value;      /* > 0: clamp each gradient to [-v, v], before the norm; default 0, off */
  uint64_t seed;          /* of the dequantisation noise */
  double class_weight;    /* of the classifier's part of the loss, for models that have one; default
                             0.01 */
  double gain_l2;         /* adds to the loss gain_l2 times the sum of squares of all tensors called
                             "gain", the scales of weight normalisation; default 0; RealNVP: 5e-5 */
  uint64_t memory_budget; /* for GLOW_MODE_BUDGET: bytes of the trainer's workspace, gradients
                             included; parameters and the optimizer's averages come on top. 0 in
                             other modes. */
  double drift_bound;   /* see glow_workspace_options: a step whose reconstruction drifts past it is
                           made again from its start with layers that are run forward again, and so
                           are all later steps; default 1e-3; 0: only measure */
  int32_t cache_packed; /* see glow_workspace_options: pays where a step has many micro-batches;
                           default 0 */
  int32_t inverse_backward; /* 1: for glow_trainer_step_target too (<glow/objective.h>), which takes
                               room for its samples, and what glow_workspace_options says;
                               default 0 */
} glow_trainer_options;
#define GLOW_TRAINER_OPTIONS_INIT                                                                  \
  {                                                                                                \
    sizeof(glow_trainer_options), NULL, NULL, 16, GLOW_MODE_STORED, 0, 0.999, 0.0, 0.0, 0, 0.01,   \
        0.0, 0, 1e-3, 0, 0                                                                         \
  }

typedef struct glow_step_report {
  size_t struct_size;
  int64_t step;         /* number of this step, from 1 */
  double loss;          /* mean bits/dim over the batch, or the caller's loss, before the update */
  double rate;          /* learning rate used */
  double gradient_norm; /* of the whole loss, penalty included, without what is held; after the
                           hook, before clipping */
  double class_loss;    /* mean cross-entropy in bits over the labelled samples; NaN if there are
                           none with a weight above 0, or no classifier */
  double accuracy;      /* the share of them, in weights, whose largest logit is at their label; NaN
                           likewise */
  double drift;         /* the largest of the step's reconstructions, one that was past the bound
                           included: see glow_workspace_options; 0 if nothing was reconstructed */
  int32_t recomputes;   /* 1: the gradients come from layers that were run forward again */
  int32_t reserved;
  /* On several ranks (<glow/collective.h>); otherwise 0. */
  double sum_seconds;   /* from the start of the first sum of gradients to the end of the last */
  double wait_seconds;  /* of these, those in which the step only waited; the others are hidden */
  double small_seconds; /* in what ranks tell each other before, behind and after their gradients:
                           waiting for slower ranks is a part of it */
  int64_t sum_bytes;    /* of the gradients that this rank gave to sums */
} glow_step_report;
#define GLOW_STEP_REPORT_INIT                                                                      \
  { sizeof(glow_step_report), 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0.0, 0.0, 0.0, 0 }

/* Makes a trainer, which changes the model's parameters. options NULL: the defaults. */
GLOW_API glow_status glow_trainer_create(glow_model *model, const glow_trainer_options *options,
                                         glow_trainer **out);
/* Sets *trainer to NULL. NULL and a pointer to NULL are fine. */
GLOW_API void glow_trainer_destroy(glow_trainer **trainer);

/* Turns 8-bit pixels [count, dims] into model input x [count, dims]: with the model's n = 2^bits,
 * x = (floor(p / 2^(8-bits)) + u) / n - 1/2, u uniform in [0, 1) from (seed, position + element).
 * Needs a model with bits 1 to 8. */
GLOW_API glow_status glow_model_dequantise(const glow_model *model, const uint8_t *pixels,
                                           int64_t count, uint64_t seed, uint64_t position,
                                           float *x);
/* Turns model output x [count, dims] into pixels: clip(floor((x + 1/2) n) 256 / n, 0, 255). NaN
 * gives 0. Needs a model with bits 1 to 8. */
GLOW_API glow_status glow_model_quantise(const glow_model *model, const float *x, int64_t count,
                                         uint8_t *pixels);

/* Initialises the model from the data of a batch (glow_workspace_initialise). Weights are refused:
 * first values are statistics of the data as they are. */
GLOW_API glow_status glow_trainer_initialise_batch(glow_trainer *trainer, const glow_batch *batch);
/* The same with samples x [count, dims]. labels: as in passes. */
GLOW_API glow_status glow_trainer_initialise(glow_trainer *trainer, const float *x,
                                             const int32_t *labels, int64_t count);
/* The same with pixels, which are dequantised. */
GLOW_API glow_status glow_trainer_initialise_pixels(glow_trainer *trainer, const uint8_t *pixels,
                                                    const int32_t *labels, int64_t count);
/* Makes one step on a batch: gradients in micro-batches, clipping, the update, the average. The
 * loss is the mean bits/dim over the batch plus, with a classifier, class_weight times its mean
 * cross-entropy in bits over the samples whose label is not -1. (In OpenAI's code for Glow,
 * class-conditional models had a weight of 0.01.) The average starts as the parameters after the
 * first step. If the input, the loss or a gradient is not finite, or a layer would become singular,
 * the step is refused with GLOW_E_NUMERIC, which names the first offending layer, and nothing
 * changes, the step count included. report may be NULL; its struct_size is set by the caller. */
GLOW_API glow_status glow_trainer_step_batch(glow_trainer *trainer, const glow_batch *batch,
                                             glow_step_report *report);
/* The same with samples x [count, dims]. */
GLOW_API glow_status glow_trainer_step(glow_trainer *trainer, const float *x, const int32_t *labels,
                                       int64_t count, glow_step_report *report);
/* The same with pixels. */
GLOW_API glow_status glow_trainer_step_pixels(glow_trainer *trainer, const uint8_t *pixels,
                                              const int32_t *labels, int64_t count,
                                              glow_step_report *report);

/* Between backward and the update, once for each step and on the thread that makes it: the
 * gradients of the whole step, `count` of them, laid out as glow_model_parameters, before those of
 * held tensors are set to 0 and before clipping. They may be changed. A status other than GLOW_OK
 * refuses the step and is returned; a gradient that is not finite is GLOW_E_NUMERIC. */
typedef glow_status (*glow_gradient_fn)(int64_t step, float *gradients, int64_t count,
                                        void *payload);
/* hook NULL: none. */
GLOW_API glow_status glow_trainer_set_gradient_hook(glow_trainer *trainer, glow_gradient_fn hook,
                                                    void *payload);

/* What a loss of the caller's own is given, for the samples of a micro-batch, and where it writes
 * its gradients. The arrays belong to the trainer and the batch, and are valid during the call. */
typedef struct glow_loss_call {
  size_t struct_size;
  int64_t step;            /* number of the step, from 1 */
  int64_t batch;           /* samples of the whole step, on all ranks */
  int64_t first;           /* which of this rank's is the first here */
  int64_t count;           /* how many are here */
  const float *x;          /* [count, dims], dequantised if they were pixels */
  const int32_t *labels;   /* [count], or NULL */
  const float *condition;  /* [condition_count, condition size], or NULL */
  int64_t condition_count; /* `count`, or 1: all samples have the same; 0: none */
  const double *weights;   /* [count], or NULL: all are 1 */
  double weight_sum;       /* of the whole step, on all ranks */
  const double *log_prob;  /* [count], nats */
  const double *logdet;    /* [count], nats */
  const float *latents;    /* [count, dims], raw */
  const float *logits;     /* [count, glow_model_logit_count], or NULL if the model has none */
  /* Gradients of the loss by these, to be written; they are 0 beforehand. */
  double *d_log_prob;
  double *d_logdet;
  float *d_latents;
  float *d_logits; /* NULL if the model has no logits */
} glow_loss_call;
/* *loss: of these samples; that of the step is the sum over its micro-batches, so a mean is to be
 * divided by `batch` or by `weight_sum`. Called again for the same samples if a step is made again
 * because reconstruction has drifted. A status other than GLOW_OK refuses the step and is returned;
 * a loss or a gradient that is not finite refuses it with GLOW_E_NUMERIC. */
typedef glow_status (*glow_loss_fn)(const glow_loss_call *call, double *loss, void *payload);
/* Puts a loss in the place of bits/dim and of the classifier's part; the penalty gain_l2 stays. The
 * report's `loss` is then this one. loss NULL: bits/dim again. The first one allocates room for
 * latents and gradients; if that fails nothing has changed. */
GLOW_API glow_status glow_trainer_set_loss(glow_trainer *trainer, glow_loss_fn loss, void *payload);

/* Points *batch at the samples of a step. When it is called, batch->count is the number of samples
 * asked for, and all else is as in GLOW_BATCH_INIT; it may give fewer, but at least 1. The arrays
 * must stay until it is called again or the run has ended. A status other than GLOW_OK ends the run
 * and is returned. */
typedef glow_status (*glow_next_fn)(int64_t step, glow_batch *batch, void *payload);
/* Called after each step; a result other than 0 cancels the run. */
typedef int32_t (*glow_progress_fn)(const glow_step_report *report, void *payload);

typedef struct glow_run_options {
  size_t struct_size;
  int64_t steps;     /* how many more to make; default 0 */
  int64_t batch;     /* samples that `next` is asked for; default 16 */
  glow_next_fn next; /* not NULL */
  void *next_payload;
  glow_progress_fn progress; /* may be NULL */
  void *progress_payload;
  const glow_batch *held_out; /* data that are not trained on, or NULL. glow_evaluate tells their
                                 bits/dim, with the average if the trainer keeps one; the noise of
                                 pixels is the same each time */
  int64_t evaluate_every; /* it does after steps whose number is a multiple of this, and after the
                                 last one; default 100 */
  int64_t patience;       /* evaluations in a row without a new best after which the run ends; 0
                                 (default): never */
  int32_t keep_best;      /* 1: a run that ends without an error leaves the model, its running
                                 averages and the average as the best evaluation found them, not as
                                 the last step left them; default 0 */
  int32_t reserved;       /* 0 */
} glow_run_options;
#define GLOW_RUN_OPTIONS_INIT                                                                      \
  { sizeof(glow_run_options), 0, 16, NULL, NULL, NULL, NULL, NULL, 100, 0, 0, 0 }

typedef struct glow_run_report {
  size_t struct_size;
  int64_t steps;         /* made by this run */
  int64_t evaluations;   /* of held_out */
  int64_t best_step;     /* number of the step after which it was best; 0: no evaluation */
  double best_loss;      /* its bits/dim then; NaN without an evaluation */
  double best_error;     /* standard error of that; NaN likewise, and for a single sample */
  int32_t stopped_early; /* 1: patience ended the run */
  int32_t reserved;
} glow_run_report;
#define GLOW_RUN_REPORT_INIT                                                                       \
  { sizeof(glow_run_report), 0, 0, 0, 0.0, 0.0, 0, 0 }

/* Makes steps whose batches `next` gives. Takes memory only for what held_out asks: that of
 * glow_evaluate, and with keep_best one more vector of parameters. An evaluation in which samples
 * have no finite density is never the best. What is best is counted within one run: checkpoints do
 * not know of it. GLOW_E_CANCELLED if it was cancelled, by progress after a step or by another
 * thread within one (glow_workspace_cancel of the trainer's workspace); finished steps stay. report
 * may be NULL; its struct_size is set by the caller, and it is filled in whatever ended the run. */
GLOW_API glow_status glow_trainer_run(glow_trainer *trainer, const glow_run_options *options,
                                      glow_run_report *report);

/* Steps made so far, those before a checkpoint included. */
GLOW_API int64_t glow_trainer_step_count(const glow_trainer *trainer);
/* Fills *out, whose struct_size the caller has set, with the options in force. `optimizer` and
 * `schedule` point into the trainer. */
GLOW_API glow_status glow_trainer_get_options(const glow_trainer *trainer,
                                              glow_trainer_options *out);
/* Sets another schedule from the next step on. NULL: the defaults. */
GLOW_API glow_status glow_trainer_set_schedule(glow_trainer *trainer,
                                               const glow_schedule *schedule);
/* Rate factors of tensors, from the next step or initialisation on: see
 * glow_optimizer_set_rate_factor. Checkpoints keep them. */
GLOW_API glow_status glow_trainer_set_rate_factor(glow_trainer *trainer, const char *prefix,
                                                  double factor);
GLOW_API double glow_trainer_rate_factor(const glow_trainer *trainer, const char *tensor);
/* use 1: the model gets the averaged parameters, to evaluate, sample or save; 0: the trained ones
 * again. Steps are refused while the average is in use. Needs the option `average` and at least one
 * step. */
GLOW_API glow_status glow_trainer_use_average(glow_trainer *trainer, int32_t use);
/* The trainer's workspace, with its micro-batch and mode, for passes between steps. Owned by the
 * trainer. */
GLOW_API glow_workspace *glow_trainer_workspace(glow_trainer *trainer);

#ifdef __cplusplus
}
#endif
#endif
