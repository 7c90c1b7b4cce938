/* The conformance kit: checks a layer or a net against the contract of its table, and says which
 * part it breaks and where. For the tests of people who extend libglow: docs/custom-layers.md.
 *
 * These are the checks, in this order, on a model of the layer alone with random inputs and
 * parameters:
 *   build           makes a model; starting values and data-dependent initialisation are finite
 *   forward         writes all of y and of its latents and nothing else, adds to log-det and
 *                   log-prior, leaves its input alone, allocates nothing, is a function of its
 *                   input and of the declared tensors alone, sample by sample
 *   inverse         the same; gives x back from y and latents, raw and whitened, and y from x; its
 *                   log-det is minus forward's
 *   in place        forward and inverse may write over their input, if the table says so
 *   log-det         against the numerical Jacobian of forward
 *   log-prior       against the whitened latents and their Jacobian
 *   logits          if there are any: a function of the input alone, sample by sample
 *   not finite      a sample with NaN or infinities changes no bit of the others' results, and a
 *                   NaN does not get lost: something that its sample gives is not finite
 *   gradients       of every tensor and of the input, each through y, latents, log-det, log-prior
 *                   and logits, against differences; they are added to what was there
 *   backward        is a function of what it is given, not of the last forward; sample by sample;
 *                   gives the same without x as with it, if the table says so
 *   inverse backward
 *                   if the table has it: undoes backward, and adds the same gradients of tensors
 *   threads         the same bits for any order of tasks and any number of workers
 *   save and load   the same layer is made again from its saved options; that releases what it
 *                   allocates, and survives running out of memory
 *   inference form  what `linear` and `inference_form` give maps as the layer does
 *   diagnosis       `diagnose` succeeds, and gives back what it allocates
 *
 * The kit does not see results that are wrong only on other shapes than the one that is tried, nor
 * what would need a finer numerical Jacobian than float32 differences give.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_CHECK_H
#define GLOW_SYS_CHECK_H

#include <glow/sys/layer.h>
#include <glow/sys/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Called for each fault, with the name of the check, as above, and a text that says what is wrong
 * and where. */
typedef void (*glow_check_fn)(const char *check, const char *fault, void *payload);

typedef struct glow_check_options {
  size_t struct_size;
  glow_shape shape;  /* of the input; default 4 x 4 x 4; at most 512 elements */
  int32_t batch;     /* samples of a call, 2 to 16; default 3 */
  int32_t reserved;  /* 0 */
  uint64_t seed;     /* of inputs and parameters */
  double low, high;  /* inputs are uniform in [low, high]; default -2, 2 */
  double spread;     /* standard deviation of noise on trainable parameters; 0: none; default 0.1 */
  double round_trip; /* largest error of inverse(forward(x)), relative to 1 + |x|; default 1e-4 */
  double logdet;     /* ... of log-det and log-prior, for each element of a sample; default 1e-3 */
  double gradient;   /* ... of a slope, relative to a typical one of its tensor; default 1e-2 */
  glow_check_fn report; /* NULL: the kit stops at the first fault; else it looks for all of them */
  void *payload;
} glow_check_options;
#define GLOW_CHECK_OPTIONS_INIT                                                                    \
  { sizeof(glow_check_options), {4, 4, 4}, 3, 0, 0, -2.0, 2.0, 0.1, 1e-4, 1e-3, 1e-2, NULL, NULL }

/* Checks a layer. Takes *layer over, on success and on failure, and sets it to NULL. options NULL:
 * the defaults. GLOW_E_CHECK if there is a fault; glow_last_error() gives the first one, "CHECK:
 * what and where". Other statuses: the check could not be made. To be checked for "save and load",
 * the layer's type must be registered with the context. Uses executors of its own beside the
 * context's. */
GLOW_API glow_status glow_layer_check(glow_context *context, glow_layer **layer,
                                      const glow_check_options *options);
/* The same for a net, inside an affine coupling with the scale function GLOW_SCALE_TANH, which
 * gives it images of options->shape and expects twice the channels back. Tensors are called
 * "net.NAME". */
GLOW_API glow_status glow_net_check(glow_context *context, glow_net **net,
                                    const glow_check_options *options);

#ifdef __cplusplus
}
#endif
#endif
