/* What layers and nets share: declaring what they need (setup), and running (call). For people who
 * extend libglow.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_CALL_H
#define GLOW_SYS_CALL_H

#include <glow/sys/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- setup: called once, while a model is built ---------------------------------------------- */

typedef struct glow_setup glow_setup;

/* The context of the model that is being built. */
GLOW_API glow_context *glow_setup_context(glow_setup *setup);
/* Declares a tensor, and writes its id to *id. type: GLOW_TYPE_... of <glow/model.h>; trainable
 * tensors are float32, fixed state such as a permutation is float32 or int32. */
GLOW_API glow_status glow_setup_tensor(glow_setup *setup, const char *name, int32_t type,
                                       int32_t trainable, int32_t rank, const int64_t *dims,
                                       int32_t *id);
/* Declares weights of a product, such as the kernel of a convolution: a trainable float32 tensor
 * that may be stored in bfloat16 (glow_output.storage), for an error of 2^-9 in one of many terms
 * of a sum is a small one. All other tensors are stored as they are: a shift, a scale or a matrix
 * through which the data themselves go would move every sample. */
GLOW_API glow_status glow_setup_weights(glow_setup *setup, const char *name, int32_t rank,
                                        const int64_t *dims, int32_t *id);
/* Puts "prefix." in front of the names declared until the matching pop. */
GLOW_API glow_status glow_setup_push(glow_setup *setup, const char *prefix);
/* Ends the last glow_setup_push. */
GLOW_API void glow_setup_pop(glow_setup *setup);
/* Regions of floats, each aligned to 64 bytes: at most GLOW_MAX_REGIONS of each of the three kinds
 * scratch, worker scratch and stored. */
#define GLOW_MAX_REGIONS 64
/* Scratch of `fixed` + `per_sample` n floats for a call on n samples. It is shared by all layers,
 * and holds nothing between calls. */
GLOW_API glow_status glow_setup_scratch(glow_setup *setup, int64_t fixed, int64_t per_sample,
                                        int32_t *id);
/* The same for a region that only backward uses; it is NULL in workspaces for inference. */
GLOW_API glow_status glow_setup_backward_scratch(glow_setup *setup, int64_t fixed,
                                                 int64_t per_sample, int32_t *id);
/* The same for a backward that goes through a batch in blocks, and reuses the region for each:
 * `per_sample` n floats, but no more than `most`. */
GLOW_API glow_status glow_setup_block_scratch(glow_setup *setup, int64_t per_sample, int64_t most,
                                              int32_t *id);
/* Scratch for what is computed from parameters alone, such as packed weights; `backward` 1: only
 * backward uses it. A workspace may cache it (glow_workspace_options.cache_packed), so before
 * reading such a region ask glow_call_must_pack whether it has to be filled. */
GLOW_API glow_status glow_setup_packed(glow_setup *setup, int64_t floats, int32_t backward,
                                       int32_t *id);
/* Scratch of `floats` floats for each worker of the executor. */
GLOW_API glow_status glow_setup_worker_scratch(glow_setup *setup, int64_t floats, int32_t *id);
/* A region of `fixed` + `per_sample` n floats that forward fills for backward. */
GLOW_API glow_status glow_setup_stored(glow_setup *setup, int64_t fixed, int64_t per_sample,
                                       int32_t *id);
/* Declares a running average: fixed float32 state [dims] that follows what training passes observe
 * of their batches, such as the mean and the variance of a batch normalisation. After a step,
 * average += momentum (observed - average), with momentum in (0, 1]. Only for layers run by tasks.
 * glow_call_statistics says how a call should use it. */
GLOW_API glow_status glow_setup_running_average(glow_setup *setup, const char *name, int32_t rank,
                                                const int64_t *dims, double momentum, int32_t *id);
/* Adds to the number of multiply-adds of one forward and of one inverse on one sample, which are
 * hints for the plan of memory. Under GLOW_MODE_BUDGET, layers with the most of them for each byte
 * are stored first. A layer whose inverse costs more than four times its forward is stored in every
 * training mode. Without this call, one multiply-add is counted for each element of the input and
 * each parameter. */
GLOW_API glow_status glow_setup_work(glow_setup *setup, int64_t forward, int64_t inverse);
/* Adds to the number of multiply-adds of one `prepare`, with which a reader of files compares
 * glow_limits.prepare_work before anything is prepared. Needed where they are more than a few for
 * each element of the layer's tensors, which bound the rest: as for inverting a matrix. */
GLOW_API glow_status glow_setup_prepare_work(glow_setup *setup, int64_t work);
/* Declares `bytes` bytes of values derived from the parameters, which `prepare` fills. At most once
 * for a layer, and once for each net of it. */
GLOW_API glow_status glow_setup_derived(glow_setup *setup, size_t bytes);
/* Declares the shape of the latents that the layer emits for each sample. */
GLOW_API glow_status glow_setup_latents(glow_setup *setup, const glow_shape *shape);
/* Declares the density of those latents in whitened form, from which samples are drawn:
 * GLOW_DENSITY_... of <glow/layer.h>. Without this call it is Gaussian. */
GLOW_API glow_status glow_setup_latent_density(glow_setup *setup, int32_t density);
/* Declares that the layer reads labels in [0, classes). */
GLOW_API glow_status glow_setup_labels(glow_setup *setup, int32_t classes);
/* Declares that it also takes -1, for a sample whose class is not known, in all passes but those
 * that whiten latents or undo that. A model takes such samples if all its layers that read labels
 * do. */
GLOW_API glow_status glow_setup_unlabelled(glow_setup *setup);
/* Declares that the layer gives `count` logits of each sample, in glow_layer_ops.logits. At most
 * one layer of a model does. */
GLOW_API glow_status glow_setup_logits(glow_setup *setup, int64_t count);
/* Declares that the layer or net reads a condition of this shape for each sample: a vector {1, 1,
 * D} or an image. All layers and nets of a model that read one read the same, so their shapes must
 * agree. */
GLOW_API glow_status glow_setup_condition(glow_setup *setup, const glow_shape *shape);
/* Declares data-dependent initialisation in `rounds` rounds, with `bytes` bytes of state during
 * each, which start as zeros. At most once for a layer, and once for each net of it. */
GLOW_API glow_status glow_setup_initialise(glow_setup *setup, int32_t rounds, size_t bytes);

/* ---- call: one call of a function of a layer or net ------------------------------------------ */

typedef struct glow_call glow_call;

/* Samples of this call. */
GLOW_API int64_t glow_call_sample_count(const glow_call *call);
/* The elements of a tensor. */
GLOW_API const void *glow_call_tensor(const glow_call *call, int32_t id);
/* The same to be written to, in `reset` and `initialise`; NULL in other functions. */
GLOW_API void *glow_call_tensor_mutable(const glow_call *call, int32_t id);
/* Where to ADD the gradient of a trainable tensor. NULL in backward only if nobody wants gradients
 * of parameters and the table has the flag GLOW_LAYER_SKIPS_GRADIENTS. */
GLOW_API float *glow_call_gradient(const glow_call *call, int32_t id);
/* A region of glow_setup_scratch, _backward_scratch or _packed. */
GLOW_API float *glow_call_scratch(const glow_call *call, int32_t id);
/* 1: the caller must fill this region of glow_setup_packed now, and from here on it counts as
 * filled. 0: it already holds what was computed from the present parameters. */
GLOW_API int32_t glow_call_must_pack(const glow_call *call, int32_t id);
/* The worker's own region of glow_setup_worker_scratch. */
GLOW_API float *glow_call_worker_scratch(const glow_call *call, int32_t id, uint32_t worker);
/* A region of glow_setup_stored. NULL in calls that store nothing: for inference, and in the
 * forward of a layer that is reconstructed. */
GLOW_API float *glow_call_stored(const glow_call *call, int32_t id);
/* In backward, 1: the stored regions hold what forward wrote; 0: they are there, but backward has
 * to fill them itself. */
GLOW_API int32_t glow_call_stored_valid(const glow_call *call);
/* Which statistics a layer with running averages should use. With RUNNING, a sample's results do
 * not depend on the rest of its batch; with the others they do.
 *   RUNNING   use the averages, the tensors declared with glow_setup_running_average
 *   BATCH     forward of a training pass: compute them from the batch, write them to
 *             glow_call_observed, and use them
 *   OBSERVED  backward, and what it runs to reconstruct: use those in glow_call_observed, to which
 *             forward wrote them; gradients go through them */
enum {
  GLOW_STATISTICS_RUNNING = 1301,
  GLOW_STATISTICS_BATCH = 1302,
  GLOW_STATISTICS_OBSERVED = 1303
};
/* One of these. */
GLOW_API int32_t glow_call_statistics(const glow_call *call);
/* What the pass observes for running average `id`, with the shape of that tensor. NULL with
 * RUNNING. */
GLOW_API float *glow_call_observed(const glow_call *call, int32_t id);
/* The derived values, which `prepare` has computed. */
GLOW_API const void *glow_call_derived(const glow_call *call);
/* The same to be written to, in `prepare`; NULL in other functions. */
GLOW_API void *glow_call_derived_mutable(const glow_call *call);
/* The state of the present round, in `initialise`; NULL in other functions. */
GLOW_API void *glow_call_initialise_state(const glow_call *call);
/* Labels [samples] of this call; NULL in models without classes, and in `logits`. */
GLOW_API const int32_t *glow_call_labels(const glow_call *call);
/* The form of the latents that this call writes or reads: GLOW_LATENTS_... */
GLOW_API int32_t glow_call_latent_form(const glow_call *call);
/* This layer's latents: those of sample n start at result + n * glow_call_latent_stride. Forward
 * writes them; inverse, and backward in raw form, read them. */
GLOW_API float *glow_call_latents(const glow_call *call);
/* Floats from the latents of one sample to those of the next. */
GLOW_API int64_t glow_call_latent_stride(const glow_call *call);
/* The context of the model. */
GLOW_API glow_context *glow_call_context(const glow_call *call);
/* The name of the layer in its model, for messages. */
GLOW_API const char *glow_call_layer_name(const glow_call *call);
/* Runs fn(arg, t, worker) for t in [0, tasks) on the executor, like glow_context_run. Layers that
 * are run by samples must not call this. */
GLOW_API void glow_call_run(const glow_call *call, uint32_t tasks, glow_task_fn fn, void *arg);
/* In `inverse`: records that sample n of this call has failed, with a printf-like text that says
 * why. `inverse` goes on with the other samples and returns GLOW_OK; what it leaves in x and logdet
 * of this one is not used. May be called from tasks. If several samples fail, a pass that ends with
 * an error names the lowest, whatever the number of workers. */
GLOW_API void glow_call_fail(const glow_call *call, int64_t n, const char *format, ...)
    GLOW_PRINTF(3, 4);

/* Phases of a round of `initialise`. */
enum { GLOW_INITIALISE_BEGIN = 1401, GLOW_INITIALISE_BATCH = 1402, GLOW_INITIALISE_END = 1403 };

/* In `initialise`, at the end of a round: computes the values of an actnorm that gives each channel
 * whose moments were taken mean 0 and standard deviation 1: bias = -mean, logs = -log(sd + floor).
 * A channel with sd below the floor is constant; a warning to the context's log then names the
 * layer, the part of it ("net.norm1", or "" for the layer itself) and the channel. GLOW_E_NUMERIC
 * names a channel that is not finite. */
struct glow_moments; /* <glow/sys/math.h> */
GLOW_API glow_status glow_call_actnorm_values(const glow_call *call,
                                              const struct glow_moments *moments, int64_t channels,
                                              double floor, const char *part, float *bias,
                                              float *logs);

/* ---- conditions ------------------------------------------------------------------------------ */

/* The condition of sample n of this call, with the declared shape. */
GLOW_API const float *glow_call_condition(const glow_call *call, int64_t n);
/* Where backward ADDS its gradient; NULL if the caller of the pass did not ask for it. */
GLOW_API float *glow_call_condition_gradient(const glow_call *call, int64_t n);

/* For nets over pixels: how many channels a condition adds to each pixel of an image of height x
 * width. A vector {1, 1, C} adds its C channels to every pixel. An image {f height, f width, C} is
 * squeezed to height x width, and adds C f^2 channels: channel (c f + dy) f + dx of pixel (y, x) is
 * channel c of pixel (f y + dy, f x + dx). Other shapes are refused with GLOW_E_SHAPE. */
GLOW_API glow_status glow_condition_channels(const glow_shape *condition, int64_t height,
                                             int64_t width, int64_t *out);
/* Writes joined [samples, height, width, channels + condition channels]: each pixel of x (`stride`
 * floats apart, of which `channels` are read) followed by its part of the condition. Runs tasks, so
 * it is for layers that are run by tasks. */
GLOW_API void glow_call_condition_join(const glow_call *call, int64_t height, int64_t width,
                                       int64_t channels, const float *x, int64_t stride,
                                       float *joined);
/* The way back: ADDS the first `channels` channels of each pixel of d_joined to dx, and the others
 * to the gradient of the condition, if that was asked for. Runs tasks. */
GLOW_API void glow_call_condition_split(const glow_call *call, int64_t height, int64_t width,
                                        int64_t channels, const float *d_joined, float *dx,
                                        int64_t dx_stride);

#ifdef __cplusplus
}
#endif
#endif
