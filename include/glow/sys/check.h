/* The conformance kit: puts a layer or a network to the contract of its table, and says which part
 * it breaks and where. For the tests of people who extend libglow; docs/custom-layers.md.
 *
 * What is checked, in this order, with a model of the layer alone on random inputs and parameters:
 *   build           makes a model; initial values and data-dependent initialisation are finite
 *   forward         writes all of y and of its latents and nothing else, adds to log-det and
 *                   log-prior, leaves its input alone, allocates nothing, is a function of its
 *                   input and of the declared tensors alone, sample by sample
 *   inverse         the same; gives x back from y and latents, raw and whitened, and y from x; its
 *                   log-det is minus forward's
 *   in place        forward and inverse over their input, if the table says so
 *   log-det         against the numerical Jacobian of forward
 *   log-prior       against the whitened latents and their Jacobian
 *   logits          if it has some: a function of its input alone, sample by sample
 *   gradients       of every tensor and of the input, each through y, latents, log-det, log-prior
 *                   and logits, against differences; added to what was there
 *   backward        is a function of what it is given, not of the last forward; sample by sample;
 *                   without x as with it, if the table says so
 *   threads         the same bits for any order of tasks and any number of workers
 *   save and load   the registry's factory makes from the saved options the same layer again, frees
 *                   what it takes, and survives that memory runs out
 *   freeze          what `linear` and `freeze` give does the same as the layer
 *
 * Not seen: layers whose results are wrong on other shapes than the one that is tried, and what
 * needs a numerical Jacobian that a float32 difference cannot resolve.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_CHECK_H
#define GLOW_SYS_CHECK_H

#include <glow/sys/layer.h>
#include <glow/sys/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Hears of each fault: the name of the check, as above, and what is wrong where. */
typedef void (*glow_check_fn)(const char *check, const char *fault, void *payload);

typedef struct glow_check_options {
  size_t struct_size;
  glow_shape shape;  /* of the input; default 4 x 4 x 4; at most 512 numbers */
  int32_t batch;     /* samples of a call, 2 to 16; default 3 */
  int32_t reserved;  /* 0 */
  uint64_t seed;     /* of inputs and parameters */
  double low, high;  /* inputs are uniform in [low, high]; default -2, 2 */
  double spread;     /* deviation of what is added to each trainable parameter; 0: they stay as
                        they were built; default 0.1 */
  double round_trip; /* largest errors: of inverse(forward(x)), relative to 1 + |x|; default 1e-4 */
  double logdet;     /* of log-det and log-prior, for each number of a sample; default 1e-3 */
  double gradient;   /* of a slope, relative to a typical one of its tensor; default 1e-2 */
  glow_check_fn report; /* NULL: the check ends at the first fault; else all are looked for */
  void *payload;
} glow_check_options;
#define GLOW_CHECK_OPTIONS_INIT                                                                    \
  { sizeof(glow_check_options), {4, 4, 4}, 3, 0, 0, -2.0, 2.0, 0.1, 1e-4, 1e-3, 1e-2, NULL, NULL }

/* Takes *layer over, on success and on failure, and sets it to NULL. options NULL: defaults.
 * GLOW_E_CHECK when there is a fault: glow_last_error() has the first one, "CHECK: what and where".
 * Other statuses: the check could not be made. A layer whose table has `save` must have its type
 * registered with the context. Uses its own executors beside the context's. */
GLOW_API glow_status glow_layer_check(glow_context *context, glow_layer **layer,
                                      const glow_check_options *options);
/* The same for a network, inside an affine coupling with the scale law GLOW_SCALE_TANH that gives
 * it images of options->shape and wants twice the channels back; tensors are called "net.NAME". */
GLOW_API glow_status glow_net_check(glow_context *context, glow_net **net,
                                    const glow_check_options *options);

#ifdef __cplusplus
}
#endif
#endif
