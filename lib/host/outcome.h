/* What becomes of each sample of a pass. SPDX-License-Identifier: MIT */
#ifndef GLOW_HOST_OUTCOME_H
#define GLOW_HOST_OUTCOME_H

#include "host/workspace.h"

/* A pass: begin; for each batch screen, run, mark, blank what is handed out, hand out; end. Samples
 * n are of the batch; texts name them by the row of the caller. */

void glow__outcome_begin(glow_workspace *ws);
/* A new batch, which starts at ws->first: all samples are fine but those whose input is not finite:
 * x [samples, dims], or NULL, and their conditions. what: "input", "latents". */
void glow__outcome_screen(glow_workspace *ws, const char *what, const float *x, int64_t samples);
/* Marks the samples whose results are not finite: vectors [samples, size] or NULL, logdet, and
 * logprior or NULL. Returns the first of them if it is the first of the whole pass, whose layer the
 * text still wants (glow__outcome_blame); -1 otherwise. */
int64_t glow__outcome_mark(glow_workspace *ws, int64_t samples, const float *vectors, int64_t size,
                           const double *logdet, const double *logprior);
/* Sample n, which was marked, is not finite at this layer. NULL: it is not known where. */
void glow__outcome_blame(glow_workspace *ws, int64_t n, const char *layer);
/* NaN in the rows of marked samples. values NULL: nothing. */
void glow__outcome_blank(const glow_workspace *ws, int64_t samples, float *values, int64_t size);
void glow__outcome_blank_doubles(const glow_workspace *ws, int64_t samples, double *values);
/* Counts the batch's marked samples and writes statuses [samples] if it is not NULL. */
void glow__outcome_hand_out(glow_workspace *ws, int64_t samples, int32_t *statuses);
/* The status of the whole pass of `count` samples. failed: NULL, or how many were marked; layer:
 * NULL, or where the first of them arose. */
glow_status glow__outcome_end(glow_workspace *ws, int64_t count, const int32_t *statuses,
                              int64_t *failed, const char **layer);
/* Ends a pass early. Returns the status. */
glow_status glow__outcome_stop(glow_workspace *ws, glow_status status);
/* For work that is of the whole batch: the error of the first marked sample, if there is one. */
glow_status glow__outcome_refuse(const glow_workspace *ws);

bool glow__finite_floats(const float *x, int64_t count);

#endif
