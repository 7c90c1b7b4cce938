/* Internal face of check/: the layer under test in a model of its own, and calls of its functions
 * with memory that shows what was read before it was written and what was written beyond its end.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_CHECK_H
#define GLOW_LIB_CHECK_H

#include <glow/sys/check.h>

#include "host/outcome.h"
#include "host/run.h"

/* Guard floats behind (and before) every array and behind every region, which nobody may write to.
 * */
enum { GLOW_CHECK_GUARD = 64, GLOW_CHECK_DIMS = 512, GLOW_CHECK_BATCH = 16 };

/* What forward makes. */
typedef struct glow__outputs {
  float *y, *z;
  double *logdet, *logprior;
} glow__outputs;

/* Arrays of [samples, dims] floats. */
enum {
  CHECK_X,  /* the inputs */
  CHECK_X2, /* other inputs */
  CHECK_Y,  /* forward(x), outputs of reference */
  CHECK_Z,  /* its latents, raw */
  CHECK_Y2, /* outputs that are compared */
  CHECK_Z2,
  CHECK_BACK, /* what inverse gives */
  CHECK_DY,   /* weights of y and z in an objective */
  CHECK_DZ,
  CHECK_DX, /* gradients of x: of reference, and to compare */
  CHECK_DX2,
  CHECK_WORK,
  CHECK_WORK2,
  CHECK_ARRAYS
};
/* Arrays of [samples] doubles. */
enum {
  CHECK_LOGDET, /* of CHECK_Y */
  CHECK_LOGPRIOR,
  CHECK_LOGDET2, /* of CHECK_Y2 */
  CHECK_LOGPRIOR2,
  CHECK_SUM, /* temporary */
  CHECK_SUM2,
  CHECK_D_LOGDET, /* weights in an objective */
  CHECK_D_LOGPRIOR,
  CHECK_ZERO,
  CHECK_DOUBLES
};

typedef struct glow__check {
  glow_check_options o;
  glow_context *context; /* of the caller */
  glow_context shadow;   /* like it, with an executor and a counting allocator of the check's own */
  int64_t allocations, live, fail_at; /* of shadow: calls, blocks, the call that fails */
  bool out_of_memory;                 /* the caller's allocator failed: nothing can be said */
  glow_model *model;                  /* the layer and, when it leaves something, a prior */
  const glow__node *node;
  glow_workspace *ws;
  glow__regions declared[3]; /* scratch, worker, stored: as the layer declared them */
  glow__region regions[3][GLOW_MAX_REGIONS]; /* their memory */
  int64_t dims, samples, wide; /* elements of a sample; samples of a call, and of a wide one */
  int64_t span;                /* samples that the arrays are laid out for: one of the two */
  int32_t *labels, *suspects;  /* [wide]; [tensors and the input]: disagree with differences */
  float *arrays[CHECK_ARRAYS];
  double *doubles[CHECK_DOUBLES]; /* of [wide] */
  float *gradients[2];            /* [parameters] */
  float *base;                    /* [parameters]: what they are between the checks */
  float *saved;                   /* [stored regions], a second set */
  float *vectors[4]; /* [wide, condition size], if the layer reads conditions: they, a copy, a
                        direction, and gradients */
  float *logits[3];  /* [wide, logits], if the layer has any: they, others, and their weights in
                        an objective */
  double *jacobian;  /* [dims, dims] */
  unsigned char *arena;
  double start;            /* what log-det and log-prior are before a call */
  bool of_batch;           /* passes use the statistics of their batch, if the layer has any */
  const char *name;        /* of the check that runs */
  int32_t faults, in_step; /* so far; found by the current check */
  uint64_t drawn;          /* random numbers so far */
  char first[900];         /* the first fault */
} glow__check;

/* How an array of samples is laid out: `stride` floats from one to the next; `first` is the number
 * of the first one in messages. */
typedef struct glow__grid {
  glow_shape shape;
  int64_t stride, samples, first;
} glow__grid;

static inline glow__grid glow__grid_x(const glow__check *c, int64_t samples) {
  return (glow__grid){c->node->in, c->dims, samples, 0};
}
static inline glow__grid glow__grid_y(const glow__check *c, int64_t samples) {
  return (glow__grid){c->node->out, c->node->out_size, samples, 0};
}
static inline glow__grid glow__grid_z(const glow__check *c, int64_t samples) {
  return (glow__grid){c->node->latent_shape, c->dims, samples, 0};
}

/* ---- reports (report.c) ---------------------------------------------------------------------- */

void glow__check_fault(glow__check *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Nothing more needs to be checked: there was a fault, and the caller does not ask for all of them.
 * */
static inline bool glow__check_over(const glow__check *c) {
  return c->out_of_memory || (c->faults && !c->o.report);
}
/* "sample 0, row 1, column 2, channel 3" of element i of sample n. */
typedef struct glow__place {
  char text[120];
} glow__place;
glow__place glow__check_place(const glow_shape *shape, int64_t n, int64_t i);
/* Reports the first element in which a differs from b by more than tolerance (1 + |b|), or by any
 * bit if tolerance is 0: "`what` by 0.1 at sample 0, ...". True: there is none. */
bool glow__check_same(glow__check *c, const char *what, const glow__grid *grid, const float *a,
                      const float *b, double tolerance);
/* The same for one value per sample: "`what`: sample 1: 0.5 instead of 0.7". */
bool glow__check_same_sums(glow__check *c, const char *what, int64_t samples, const double *a,
                           const double *b, double tolerance);

/* ---- calls (call.c) -------------------------------------------------------------------------- */

/* Fills an array with a NaN pattern, and gives its address. */
float *glow__check_fresh(glow__check *c, int32_t array);
/* Reports what forward and its like have not written, have written but not finite, or have written
 * behind the end. True: nothing. */
bool glow__check_written(glow__check *c, const char *function, const char *what, const float *array,
                         const glow__grid *grid);
/* Outputs of forward in arrays: of reference, or to compare. */
glow__outputs glow__check_outputs(glow__check *c, bool second);
/* The functions of the layer, on `samples` samples with the labels from `first` on. False: a fault
 * was reported. saved NULL: nothing is kept. */
bool glow__check_forward(glow__check *c, const float *x, int64_t first, int64_t samples,
                         int32_t form, float *saved, const glow__outputs *out);
bool glow__check_inverse(glow__check *c, const glow__outputs *in, int64_t first, int64_t samples,
                         int32_t form, float *x, double *logdet, double *logprior);
/* gradient: what is given, and where to write. z: the raw latents. gradients are added to; NULL:
 * nobody wants them. */
bool glow__check_backward(glow__check *c, const glow_layer_gradient *gradient, float *z,
                          int64_t first, int64_t samples, float *saved, bool valid,
                          float *gradients);
/* inverse into x, and back through it: g has what is given besides x and y. */
bool glow__check_inverse_backward(glow__check *c, const glow__outputs *in, float *x,
                                  glow_layer_inverse_gradient *g, float *saved, float *gradients);
/* Logits into one of the sets; and their gradient, added to dx and gradients. */
bool glow__check_logits_call(glow__check *c, const float *x, int64_t first, int64_t samples,
                             int32_t set);
/* The same on all samples, of which one need not be finite: what they give is not looked at, but
 * for an inverse that ends with an error. Samples that inverse has marked: ws->statuses. */
bool glow__check_forward_any(glow__check *c, const float *x, const glow__outputs *out);
bool glow__check_inverse_any(glow__check *c, const glow__outputs *in, float *x, double *logdet);
/* No sample is marked any more: before a call of inverse. */
void glow__check_none_failed(glow__check *c);
bool glow__check_logits_any(glow__check *c, const float *x, int64_t first, int64_t samples,
                            int32_t set);
bool glow__check_logits_backward(glow__check *c, const float *x, const float *d_logits, float *dx,
                                 float *gradients);
/* Differences move inputs by up to this. */
#define GLOW_CHECK_MARGIN 0x1p-4

/* The subject of the checks (subject.c). make_model takes the layer over; free_all gives back the
 * model and all memory, whatever was made. */
void glow__check_make_shadow(glow__check *c);
glow_status glow__check_make_model(glow__check *c, glow_layer *layer);
glow_status glow__check_make_memory(glow__check *c);
void glow__check_free_all(glow__check *c);
/* Inputs and what else the passes read, at random. */
void glow__check_draw(glow__check *c);
/* Moves the parameters at random, `times` as far as usual; false: prepare refuses them. */
bool glow__check_perturb(glow__check *c, double times);
/* Other inputs for each value of `set`. */
void glow__check_draw_inputs(glow__check *c, uint64_t set);
/* Sets the parameters and prepares; false: prepare refuses them. */
bool glow__check_prepare(glow__check *c, const float *parameters);

/* ---- the checks ------------------------------------------------------------------------------ */

void glow__check_forwards(glow__check *c);
void glow__check_inverses(glow__check *c);
void glow__check_in_place(glow__check *c);
void glow__check_logdets(glow__check *c);
void glow__check_logpriors(glow__check *c);
void glow__check_gradients(glow__check *c);
void glow__check_backwards(glow__check *c);
void glow__check_logits(glow__check *c);
void glow__check_inverse_backwards(glow__check *c);
void glow__check_not_finite(glow__check *c);
void glow__check_threads(glow__check *c);
glow_status glow__check_save(glow__check *c);
glow_status glow__check_inference_form(glow__check *c);
glow_status glow__check_diagnosis(glow__check *c);
/* Whether the other model gives the same as the layer's: "`when`, the output of forward differs
 * `why`". */
glow_status glow__check_same_model(glow__check *c, const glow_model *other, const char *when,
                                   const char *why, double tolerance);

#endif
