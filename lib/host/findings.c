/* What layers and nets say of themselves (glow/sys/findings.h). SPDX-License-Identifier: MIT */
#include "host/findings.h"

#include <math.h>
#include <string.h>

#include "math/singular.h"

enum { LAYER = GLOW_MAX_HOSTED_NETS };

void glow__findings_begin(glow_findings *findings, glow_context *context) {
  *findings = (glow_findings){.context = context,
                              .condition_number = NAN,
                              .least_scale = NAN,
                              .largest_scale = NAN,
                              .speaker = LAYER};
  for (int32_t i = 0; i <= LAYER; i++)
    findings->units[i].count = -1;
}

void glow__findings_end(glow_findings *findings) {
  for (int32_t i = 0; i <= LAYER; i++)
    glow_release(findings->context, findings->units[i].active);
}

glow_status glow_findings_matrix(glow_findings *findings, int64_t size, const double *matrix) {
  int64_t bytes = 0;
  if (!findings || !matrix || size < 1)
    return glow_error(GLOW_E_ARGUMENT, "glow_findings_matrix: a matrix of %lld rows at %s",
                      (long long)size, matrix ? "an address" : "NULL");
  if (!glow_size_multiply(size, size, &bytes) ||
      !glow_size_multiply(bytes, (int64_t)sizeof *matrix, &bytes))
    return glow_error(GLOW_E_LIMIT, "a matrix of %lld rows is too large", (long long)size);
  double *copy = glow_allocate(findings->context, (size_t)bytes);
  if (!copy)
    return GLOW_E_MEMORY;
  memcpy(copy, matrix, (size_t)bytes);
  findings->condition_number = fmax(findings->condition_number,
                                    glow__condition_number(size, copy)); /* fmax leaves NaN out */
  glow_release(findings->context, copy);
  return GLOW_OK;
}

void glow_findings_scale(glow_findings *findings, double scale) {
  if (!findings)
    return;
  findings->least_scale = fmin(findings->least_scale, fabs(scale)); /* fmin leaves NaN out */
  findings->largest_scale = fmax(findings->largest_scale, fabs(scale));
}

glow_status glow_findings_units(glow_findings *findings, int64_t units, unsigned char **active) {
  if (!findings || !active || units < 1)
    return glow_error(GLOW_E_ARGUMENT, "glow_findings_units: %lld units; 1 or more are needed",
                      (long long)units);
  glow__units *own = &findings->units[findings->speaker];
  if (own->active && own->count != units)
    return glow_error(GLOW_E_ARGUMENT, "glow_findings_units: %lld units, and %lld before",
                      (long long)units, (long long)own->count);
  if (!own->active)
    own->active = glow_allocate(findings->context, (size_t)units);
  if (!own->active)
    return GLOW_E_MEMORY;
  own->count = units;
  *active = own->active;
  return GLOW_OK;
}

static void findings_add_units(const glow__units *units, int64_t *count, int64_t *dead) {
  for (int64_t i = 0; i < units->count; i++)
    *dead += !units->active[i];
  *count += units->count > 0 ? units->count : 0;
}

void glow__findings_count_units(const glow_findings *findings, const glow_layer *layer,
                                int64_t *units, int64_t *dead) {
  *units = *dead = 0;
  findings_add_units(&findings->units[LAYER], units, dead);
  for (int32_t i = 0; i < layer->ops.net_count; i++) {
    if (findings->units[i].count < 0) {
      *units = *dead = -1;
      return;
    }
    findings_add_units(&findings->units[i], units, dead);
  }
}
