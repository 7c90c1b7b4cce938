/* What layers and nets say of themselves. SPDX-License-Identifier: MIT */
#ifndef GLOW_HOST_FINDINGS_H
#define GLOW_HOST_FINDINGS_H

#include <glow/sys/findings.h>

#include "host/handles.h"

/* ReLU units of a net, or of a layer itself. */
typedef struct glow__units {
  int64_t count; /* -1: it has said nothing of them */
  unsigned char *active;
} glow__units;

/* Of one layer. */
struct glow_findings {
  glow_context *context;
  double condition_number, least_scale, largest_scale; /* NaN: none was found */
  int32_t speaker; /* the net that speaks now; GLOW_MAX_HOSTED_NETS: the layer */
  glow__units units[GLOW_MAX_HOSTED_NETS + 1];
};

void glow__findings_begin(glow_findings *findings, glow_context *context);
void glow__findings_end(glow_findings *findings);
/* Units of the layer and of all its nets, and how many are dead; both -1 if one of its nets has
 * said nothing. */
void glow__findings_count_units(const glow_findings *findings, const glow_layer *layer,
                                int64_t *units, int64_t *dead);

#endif
