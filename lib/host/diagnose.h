/* A diagnosis while it is made: diagnose.c (what is asked and answered, and what parameters say),
 * diagnose_data.c (data, forward and back), diagnose_drawn.c (samples, from latents to x).
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_HOST_DIAGNOSE_H
#define GLOW_HOST_DIAGNOSE_H

#include <glow/diagnose.h>
#include <glow/sys/math.h>

#include "host/findings.h"
#include "host/outcome.h"
#include "host/run.h"

/* Of one layer. */
typedef struct glow__examined {
  glow_findings findings;
  glow_moments *moments;       /* of the elements of the output, as of one channel */
  double largest;              /* of them */
  int64_t elements, nonfinite; /* of the output: those looked at, and those not finite */
  double error, squares;       /* round trip: max |x' - x|; sum of x^2 */
  int64_t compared;            /* elements of that sum */
  int64_t lost;                /* samples of the data */
  int64_t drawn_lost[GLOW_DIAGNOSE_TEMPERATURES];
  double drawn_largest[GLOW_DIAGNOSE_TEMPERATURES];
} glow__examined;

typedef struct glow__examination {
  glow_workspace *ws;
  glow_diagnose_options o;
  glow__examined *layers; /* [node_count] */
  float *states[3];       /* what goes into a layer, what comes out, and what that leads back to:
                                 [batch, size of the largest] */
  float *stored;          /* stored regions of the layer that runs */
  double *ignored;        /* [batch]: log-dets of inverses */
  unsigned char *lost;    /* [batch]: the sample is not finite behind an earlier layer */
  int32_t *drawn_labels;  /* [batch], in models with classes */
  double error, squares;  /* round trip through all layers */
  int64_t compared;
} glow__examination;

/* All data; all samples. */
glow_status glow__examine_data(glow__examination *e);
glow_status glow__examine_drawn(glow__examination *e);

/* diagnose.c: a batch begins; no sample is lost. */
void glow__examine_batch(glow__examination *e, int64_t samples);
/* Marks samples of this batch whose rows [samples, size], or sums, are not finite, and sets their
 * sums to 0. sums2 may be NULL. Returns how many were not lost before. */
int64_t glow__examine_lose(glow__examination *e, int64_t samples, const float *rows, int64_t size,
                           double *sums, double *sums2);
/* Puts the row of a sample that is not lost in the place of lost ones, so that the layers that
 * follow speak of usual samples only. False: all are lost. */
bool glow__examine_replace(const glow__examination *e, int64_t samples, float *rows, int64_t size);
/* The largest absolute element that is finite. */
double glow__largest_finite(const float *x, int64_t count, double largest);

#endif
