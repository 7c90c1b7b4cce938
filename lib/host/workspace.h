/* The workspace: the plan of its memory, and what every pass checks first.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_HOST_WORKSPACE_H
#define GLOW_HOST_WORKSPACE_H

#include "host/call.h"

/* A layer that runs by samples is cut into at most this many blocks: enough to share among threads,
 * few enough that a gradient buffer for each is cheap. */
#define GLOW_MAX_BLOCKS 16
/* With fewer elements than this, a call by samples is one block: waking a thread costs more than
 * the work. */
#define GLOW_BLOCK_MIN 8192
/* Samples in a block of a by-samples call on `samples` samples; depends on shapes alone. */
int64_t glow__block_samples(const glow__node *node, int64_t samples);

/* Where everything is in the workspace's one block, in floats. */
typedef struct glow__plan {
  int64_t batch;
  int32_t mode;
  uint32_t workers;
  int32_t stored_count;   /* nodes that are stored */
  bool needs_spare;       /* some layer cannot reconstruct and must run forward again */
  int64_t state;          /* floats of the largest state, all samples */
  int64_t states[2];      /* ping-pong: offsets */
  int64_t gradients_x[2]; /* backward */
  int64_t spare;
  int64_t latents;
  int64_t logdet, logprior, weight_logdet, weight_logprior; /* doubles */
  int64_t logits;
  int64_t scratch, worker_scratch, worker_stride;
  bool cache_packed;
  int64_t input;  /* copy of x for comparison, where layers are reconstructed */
  int64_t stored; /* room for the stored regions of the largest reconstructed layer */
  /* States for running layers again (recompute.c), all of one size. */
  int64_t slots, slot_stride;
  int32_t slot_count;
  int64_t block_gradients; /* buffers of by-samples layers */
  int64_t block_stride;
  bool inputs_only;            /* no gradients of parameters */
  int64_t parameter_gradients; /* with inputs_only: for layers that cannot leave theirs out */
  int64_t observed;            /* in the last forward pass */
  int64_t observed_sum; /* doubles: of the batches since gradients were zeroed, times samples */
  bool inverse_backward;
  int64_t iteration; /* memory for going back through an inverse by iteration (iterate.c) */
  int64_t total;
} glow__plan;

struct glow_workspace {
  glow_context *context; /* of the model, which holds it */
  const glow_model *model;
  glow__plan plan;
  float *memory;
  uint64_t bytes;
  /* For each node, offsets of its input and of its stored regions if it is stored; otherwise -1.
   * NULL: no node is stored. */
  int64_t *inputs, *stored;
  int64_t *packed; /* offset of each node's packed regions; NULL: not cached */
  double drift_bound, drift, largest_drift;
  bool recomputes;        /* a drift was past the bound, or an inverse failed: recompute.c */
  const float *condition; /* the caller's [condition_count, condition size] */
  int64_t condition_count;
  const unsigned char *held; /* of each tensor, or NULL: glow__workspace_set_held */
  int64_t first;             /* of the samples of the pass that the present batch starts with */
  int64_t base;              /* what the caller calls the first sample of a pass, in messages */
  bool told_scale;           /* a warning of input that cannot be right was given */
  void (*final)(int64_t first, int64_t end, void *payload); /* glow__workspace_set_final */
  void *final_payload;
  int32_t cancel; /* set and read by several threads: glow_workspace_cancel */
  /* The last forward, for backward. */
  int32_t statistics; /* GLOW_STATISTICS_BATCH or _RUNNING */
  int64_t samples;    /* 0: none; -1: one that had a sample which is not finite */
  bool inverted;      /* it was an inverse pass, for glow_workspace_inverse_backward, */
  int32_t form;       /* with latents in this form */
  const int32_t *labels;
  int32_t *label_copy;      /* room for the batch's labels, in models with classes */
  int64_t observed_samples; /* in the sums of what was observed */
  bool has_logits;          /* a pass has computed them */
  /* The samples of the present pass (outcome.c). */
  int32_t *statuses;     /* [batch], of the present batch */
  int64_t failed;        /* samples of the batches before it that have failed */
  glow__failure failure; /* the first one's */
};

static inline bool glow__is_training(const glow_workspace *ws) {
  return ws->plan.mode != GLOW_MODE_INFERENCE;
}

/* The region of doubles at an offset of the plan. */
static inline double *glow__doubles(const glow_workspace *ws, int64_t offset) {
  return (double *)(void *)(ws->memory + offset);
}

/* Is node i stored: its input, its output and its stored regions, as backward needs them? */
static inline bool glow__is_stored(const glow_workspace *ws, int32_t i) {
  return ws->stored && ws->stored[i] >= 0;
}
/* The input of node i as forward stored it for backward; NULL: it was not stored. */
static inline float *glow__stored_input(const glow_workspace *ws, int32_t i) {
  if (i >= ws->model->node_count)
    return NULL;
  int64_t offset = ws->inputs ? ws->inputs[i] : i == 0 ? ws->plan.input : -1;
  return offset < 0 ? NULL : ws->memory + offset;
}

/* Can backward of this node leave gradients of parameters out? */
static inline bool glow__skips_gradients(const glow__node *node) {
  return !node->parameters || glow__layer_flags(node->layer) & GLOW_LAYER_SKIPS_GRADIENTS;
}

/* A layer whose inverse costs more than this many forwards is not inverted just to save memory. */
enum { GLOW_DEAR_INVERSE = 4 };
static inline bool glow__inverse_is_dear(const glow__node *node) {
  return node->inverse_work / GLOW_DEAR_INVERSE > node->forward_work;
}
/* The plan of a workspace with these options. store: which nodes are stored, of this many bytes;
 * NULL: the mode alone decides. *store is the caller's to release. */
glow_status glow__plan_make(const glow_model *model, const glow_workspace_options *options,
                            glow__plan *plan, unsigned char **store);
/* Bytes of the handle with its tables, which come before the floats; and of everything. */
size_t glow__plan_header(const glow_model *model, const glow__plan *plan);
uint64_t glow__plan_bytes(const glow_model *model, const glow__plan *plan);
/* Makes the same plan again, and writes the offsets of each node into the workspace's tables. */
void glow__plan_place(const glow_workspace_options *options, const unsigned char *store,
                      uint32_t workers, glow_workspace *ws);
/* iterate.c: floats for going back by iteration through the inverses of layers that need it;
 * INT64_MAX: too many. */
int64_t glow__iterate_floats(const glow_model *model, int64_t batch);
/* Chooses the nodes to store, besides those that are chosen already, so that a workspace takes at
 * most `room` floats: store[i] = 1. least: floats if only those are stored. */
glow_status glow__choose_stored(const glow_model *model, int64_t batch, int64_t least, int64_t room,
                                unsigned char *store);
/* What a region of this many floats takes in the workspace. False: overflow. */
static inline bool glow__aligned(int64_t floats, int64_t *out) {
  const int64_t unit = GLOW_ALIGN / (int64_t)sizeof(float);
  return glow_size_add(floats, unit - 1, out) && (*out = *out / unit * unit, true);
}

/* Parameters and derived values are a new version, ready for passes. */
static inline void glow__model_ready(glow_model *model) {
  model->prepared = true;
  model->version++;
}

/* Slots that running nodes forward again needs (recompute.c). */
int32_t glow__recompute_slots(int32_t nodes);
/* Zeroes the sums of what passes observed (running.c). */
void glow__running_clear(glow_workspace *ws);

glow_status glow__check_ready(const glow_model *model);
/* Between layers: GLOW_E_CANCELLED if someone asked for that. What the pass has done so far is then
 * of no use to backward. */
glow_status glow__check_cancelled(glow_workspace *ws);
/* base: what the caller calls the first sample. form: GLOW_LATENTS_WHITENED if latents are or will
 * be whitened, which needs a class. */
glow_status glow__check_labels(const glow_model *model, int64_t base, const int32_t *labels,
                               int64_t count, int32_t form);
/* That there is a condition for each of `count` samples, if the model takes them, and a finite one
 * where all share it. */
glow_status glow__check_condition(const glow_workspace *ws, int64_t count);
/* The same, and that all are finite: for work that is of all samples together. */
glow_status glow__check_conditions_finite(const glow_workspace *ws, int64_t count);
/* 1 or more samples; and at most one batch. */
glow_status glow__check_count(const glow_workspace *ws, int64_t count);
glow_status glow__check_batch(const glow_workspace *ws, int64_t count);
/* The data x [count, dims] are finite, or else an error. */
glow_status glow__check_finite(const glow_workspace *ws, const float *x, int64_t count);
/* They are of a scale that can be right, or else a warning. */
void glow__warn_of_scale(glow_workspace *ws, const float *x, int64_t count);
/* 0 becomes raw. */
glow_status glow__check_form(int32_t *form);
/* Number of samples in the batch that starts at `first` of `count`. */
static inline int64_t glow__batch_at(const glow_workspace *ws, int64_t first, int64_t count) {
  return count - first < ws->plan.batch ? count - first : ws->plan.batch;
}

#endif
