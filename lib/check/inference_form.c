/* The inference form: `linear` and `inference_form` must give the same map as the layer.
 * SPDX-License-Identifier: MIT */
#include "check/check.h"
#include "presets/presets.h"

/* Roundings in another order, of x, of sums over channels, and of what an inverse stretches: the
 * difference may be as large as that of a round trip. */
glow_status glow__check_inference_form(glow__check *c) {
  const glow_layer_ops *ops = &c->node->layer->ops;
  glow_model *form = NULL;
  if (!ops->linear && !ops->inference_form && !ops->net_count)
    return GLOW_OK;
  glow_status status = glow__model_inference_form(c->model, 1, &form);
  if (status == GLOW_OK)
    status =
        glow__check_same_model(c, form, "as an inference form",
                               ops->linear ? "(W x + b of `linear` is something else?)"
                                           : "(the layer of `inference_form` does something else?)",
                               c->o.round_trip);
  else if (status != GLOW_E_MEMORY && status != GLOW_E_UNSUPPORTED) {
    glow__check_fault(c, "%s", glow_last_error());
    status = GLOW_OK;
  }
  glow_model_destroy(&form);
  return status == GLOW_E_UNSUPPORTED ? GLOW_OK : status; /* a part of it cannot be made again */
}
