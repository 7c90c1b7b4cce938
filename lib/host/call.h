/* What a function of a layer or net sees while it runs. SPDX-License-Identifier: MIT */
#ifndef GLOW_HOST_CALL_H
#define GLOW_HOST_CALL_H

#include "host/model.h"

/* Why a sample failed: of the lowest of those that did, whoever is first. */
typedef struct glow__failure {
  int32_t lock;
  bool failed;
  bool fresh; /* noted since this was last cleared */
  glow_status status;
  int64_t sample;
  const char *layer; /* where it arose; NULL: not known, or before all layers */
  char text[512];
} glow__failure;

struct glow_call {
  const glow_model *model;
  const glow__node *node;
  int64_t samples;
  int64_t capacity; /* samples that the scratch regions are laid out for */
  int64_t first;    /* first sample of a block in the stored regions */
  int64_t row;      /* first sample of the batch among those of the caller */
  int64_t stored_capacity;
  bool training;      /* the pass has backward regions */
  bool may_write;     /* tensors may be written: reset and initialise */
  int32_t statistics; /* GLOW_STATISTICS_..., 0: running */
  float *observed;    /* what is observed of a batch; NULL: nothing is */
  float *gradients;   /* from that of parameter gradient_first on */
  int64_t gradient_first;
  float *scratch;
  float *packed; /* packed regions that are cached, each behind a glow__stamp; NULL: not cached */
  float *worker_scratch;
  int64_t worker_stride;
  float *stored;
  bool stored_valid;
  const glow__part *part; /* whose derived values are seen; NULL: the layer's own */
  bool prepares;          /* derived values may be written */
  void *initialise_state;
  const int32_t *labels;
  const float *condition; /* of the first sample; NULL where there is none */
  int64_t condition_step; /* floats from one sample's to the next: 0 when all share one */
  float *d_condition;
  int32_t form;
  float *latents;
  int64_t latent_stride;
  /* Set in passes where an inverse may fail; otherwise NULL. */
  int32_t *statuses;      /* of the batch's samples */
  glow__failure *failure; /* of the first of all, by the caller's rows */
};

/* Floats of all regions for `capacity` samples, each rounded up to the alignment. False:
 * overflow. */
bool glow__regions_size(const glow__regions *regions, int64_t capacity, bool training,
                        int64_t *out);
int64_t glow__region_offset(const glow__regions *regions, int32_t id, int64_t capacity,
                            bool training);

/* The version of the parameters that a cached region was made from; 0: none. Takes GLOW_ALIGN
 * bytes. */
typedef uint64_t glow__stamp;
/* Floats of the packed regions of a node with their stamps, which a workspace caches for it. False:
 * overflow. */
bool glow__packed_regions(const glow__node *node, bool training, int64_t *out);

/* Notes a failure, unless one of a lower sample was noted before. */
void glow__failure_note(glow__failure *failure, const glow__failure *other);

/* The call of net number `net` of the layer: the same call with the net's derived values. */
glow_call glow__call_of_net(const glow_call *call, int32_t net);

/* A layer's functions for starting values and derived values, and then those of its nets. */
glow_status glow__call_reset(const glow_call *call);
glow_status glow__call_prepare(const glow_call *call);
/* After a forward that stored: what its nets say. */
glow_status glow__call_diagnose_nets(const glow_call *call, glow_findings *findings);

#endif
