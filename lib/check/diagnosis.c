/* Diagnosis: `diagnose` of the layer and of its nets succeeds, with and without data, gives back
 * what it allocates, and finds nothing that cannot be. SPDX-License-Identifier: MIT */
#include <math.h>

#include "check/check.h"
#include "host/diagnose.h"

static void diagnosis_look(glow__check *c, const glow_diagnosis *d) {
  glow_layer_diagnosis l = GLOW_LAYER_DIAGNOSIS_INIT;
  if (glow_diagnosis_layer(d, 0, &l) != GLOW_OK)
    glow__check_fault(c, "%s", glow_last_error());
  else if (l.condition_number < 1)
    glow__check_fault(c, "a condition number of %g; none is below 1", l.condition_number);
  else if (l.lost > 0)
    glow__check_fault(c, "%lld samples of %lld are not finite behind the layer", (long long)l.lost,
                      (long long)c->wide);
}

glow_status glow__check_diagnosis(glow__check *c) {
  const glow_layer_ops *ops = &c->node->layer->ops;
  glow_diagnose_options o = GLOW_DIAGNOSE_OPTIONS_INIT;
  glow_diagnosis *d = NULL;
  int64_t live = c->live;
  if (!ops->diagnose && !ops->net_count)
    return GLOW_OK;
  o.x = c->arrays[CHECK_X];
  o.labels = c->labels;
  o.count = c->wide;
  o.drawn = 0; /* random parameters need not make usual samples */
  glow_status status = glow_workspace_diagnose(c->ws, &o, &d);
  if (status == GLOW_OK)
    diagnosis_look(c, d);
  else if (status != GLOW_E_MEMORY)
    glow__check_fault(c, "%s", glow_last_error());
  glow_diagnosis_destroy(&d);
  if (c->live != live)
    glow__check_fault(c, "it leaves %lld allocations behind", (long long)(c->live - live));
  return status == GLOW_E_MEMORY ? status : GLOW_OK;
}
