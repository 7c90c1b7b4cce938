/* What layers and networks share: declaring what they need (setup), and running (call).
 * For people who extend libglow. SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_CALL_H
#define GLOW_SYS_CALL_H

#include <glow/sys/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- setup: called once, while a model is built ---------------------------------------------- */

typedef struct glow_setup glow_setup;

GLOW_API glow_context *glow_setup_context(glow_setup *setup);
/* Declares a tensor; its number is written to *id. Trainable tensors are float32; fixed ones (state
 * such as a permutation) float32 or int32. type: GLOW_TYPE_... of <glow/model.h>. */
GLOW_API glow_status glow_setup_tensor(glow_setup *setup, const char *name, int32_t type,
                                       int32_t trainable, int32_t rank, const int64_t *dims,
                                       int32_t *id);
/* Puts "prefix." in front of the names declared until the matching pop. */
GLOW_API glow_status glow_setup_push(glow_setup *setup, const char *prefix);
GLOW_API void glow_setup_pop(glow_setup *setup);
/* Regions of floats, each aligned to 64 bytes. Scratch is shared by all layers and holds nothing
 * between calls: `fixed` + `per_sample` n floats for a call on n samples; worker scratch is there
 * once for each worker of the executor. At most GLOW_MAX_REGIONS regions of each of the three
 * kinds. Stored regions, `fixed` + `per_sample` n floats, are filled by forward for backward. */
#define GLOW_MAX_REGIONS 64
GLOW_API glow_status glow_setup_scratch(glow_setup *setup, int64_t fixed, int64_t per_sample,
                                        int32_t *id);
/* The same for a region that backward alone uses: absent (NULL) from workspaces for inference. */
GLOW_API glow_status glow_setup_backward_scratch(glow_setup *setup, int64_t fixed,
                                                 int64_t per_sample, int32_t *id);
/* Scratch for what a pass makes of the parameters alone, such as packed weights; `backward`: by
 * backward alone. A workspace may cache it (glow_workspace_options.cache_packed): before a pass
 * reads such a region, it asks glow_call_must_pack whether it has to be made. */
GLOW_API glow_status glow_setup_packed(glow_setup *setup, int64_t floats, int32_t backward,
                                       int32_t *id);
GLOW_API glow_status glow_setup_worker_scratch(glow_setup *setup, int64_t floats, int32_t *id);
GLOW_API glow_status glow_setup_stored(glow_setup *setup, int64_t fixed, int64_t per_sample,
                                       int32_t *id);
/* Declares a running average: fixed float32 state, [dims], that follows what training passes
 * observe of their batch, such as the mean and the variance of a batch normalisation. After a step,
 * average += momentum (observed - average); momentum in (0, 1]. Only for layers run by tasks. How a
 * call is to use it: glow_call_statistics. */
GLOW_API glow_status glow_setup_running_average(glow_setup *setup, const char *name, int32_t rank,
                                                const int64_t *dims, double momentum, int32_t *id);
/* Adds to the multiply-adds of one forward and of one inverse on one sample, hints for the plan of
 * memory. Under GLOW_MODE_BUDGET, layers with most of them for each byte are stored first; a layer
 * whose inverse costs more than four times its forward is stored in every training mode. Without
 * any, one is counted for each element of the input and each parameter. */
GLOW_API glow_status glow_setup_work(glow_setup *setup, int64_t forward, int64_t inverse);
/* Bytes for values derived from the parameters, filled by prepare. At most once for a layer, and
 * once for each net of it. */
GLOW_API glow_status glow_setup_derived(glow_setup *setup, size_t bytes);
/* Shape of the latents that the layer emits for each sample. */
GLOW_API glow_status glow_setup_latents(glow_setup *setup, const glow_shape *shape);
/* Density of those latents in whitened form, from which samples are drawn: GLOW_DENSITY_... of
 * <glow/layer.h>. Gaussian without this call. */
GLOW_API glow_status glow_setup_latent_density(glow_setup *setup, int32_t density);
/* The layer reads labels in [0, classes). */
GLOW_API glow_status glow_setup_labels(glow_setup *setup, int32_t classes);
/* ... and -1 for a sample whose class is not known, in all passes but those that whiten latents or
 * undo it. A model takes such samples when all its layers that read labels do. */
GLOW_API glow_status glow_setup_unlabelled(glow_setup *setup);
/* The layer gives `count` logits of each sample, in glow_layer_ops.logits. One layer of a model at
 * most does. */
GLOW_API glow_status glow_setup_logits(glow_setup *setup, int64_t count);
/* The layer or net reads a condition of this shape for each sample: a vector {1, 1, D} or an image.
 * All layers of a model that do read the same one. */
GLOW_API glow_status glow_setup_condition(glow_setup *setup, const glow_shape *shape);
/* Data-dependent initialisation in `rounds` rounds with `bytes` of state during each, which starts
 * as zeros. At most once for a layer, and once for each net of it. */
GLOW_API glow_status glow_setup_initialise(glow_setup *setup, int32_t rounds, size_t bytes);

/* ---- call: one call of a function of a layer or net ------------------------------------------ */

typedef struct glow_call glow_call;

GLOW_API int64_t glow_call_sample_count(const glow_call *call);
GLOW_API const void *glow_call_tensor(const glow_call *call, int32_t id);
/* reset and initialise only: else NULL */
GLOW_API void *glow_call_tensor_mutable(const glow_call *call, int32_t id);
/* Where to ADD the gradient of a trainable tensor; never NULL in backward. */
GLOW_API float *glow_call_gradient(const glow_call *call, int32_t id);
GLOW_API float *glow_call_scratch(const glow_call *call, int32_t id);
/* 1: the caller must fill this region of glow_setup_packed now, and it counts as filled from here
 * on. 0: it holds what was made of the present parameters. */
GLOW_API int32_t glow_call_must_pack(const glow_call *call, int32_t id);
GLOW_API float *glow_call_worker_scratch(const glow_call *call, int32_t id, uint32_t worker);
/* NULL in calls that store nothing (inference; forward of a reconstructed pass). */
GLOW_API float *glow_call_stored(const glow_call *call, int32_t id);
/* 1 in backward when the stored regions hold what forward wrote; 0: they are there, to be filled by
 * backward itself. */
GLOW_API int32_t glow_call_stored_valid(const glow_call *call);
/* Where the statistics of the batch come from, for layers with running averages. A sample's results
 * do not depend on the rest of its batch with RUNNING, and do with the others.
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
GLOW_API int32_t glow_call_statistics(const glow_call *call);
/* What the pass observes for running average `id`, of its shape; NULL with RUNNING. */
GLOW_API float *glow_call_observed(const glow_call *call, int32_t id);
GLOW_API const void *glow_call_derived(const glow_call *call);
GLOW_API void *glow_call_derived_mutable(const glow_call *call);  /* prepare only: else NULL */
GLOW_API void *glow_call_initialise_state(const glow_call *call); /* initialise only: else NULL */
/* NULL in models without classes, and in `logits` */
GLOW_API const int32_t *glow_call_labels(const glow_call *call);
GLOW_API int32_t glow_call_latent_form(const glow_call *call); /* GLOW_LATENTS_... */
/* Latents of sample n of this layer start at result + n * glow_call_latent_stride. Forward writes
 * them; inverse and backward (raw form) read them. */
GLOW_API float *glow_call_latents(const glow_call *call);
GLOW_API int64_t glow_call_latent_stride(const glow_call *call);
GLOW_API glow_context *glow_call_context(const glow_call *call);
GLOW_API const char *glow_call_layer_name(const glow_call *call);
/* Runs fn(arg, t, worker) for t in [0, tasks) on the executor: glow_context_run. Layers that are
 * run by samples must not call this. */
GLOW_API void glow_call_run(const glow_call *call, uint32_t tasks, glow_task_fn fn, void *arg);
/* In `inverse`: records that it failed at sample n of this call, for the reason of the text,
 * printf-like, and returns GLOW_E_NUMERIC, which `inverse` then returns. May be called from tasks;
 * of several, the lowest sample is told, whatever the number of workers. */
GLOW_API glow_status glow_call_fail(const glow_call *call, int64_t n, const char *format, ...)
    GLOW_PRINTF(3, 4);

enum { GLOW_INITIALISE_BEGIN = 1401, GLOW_INITIALISE_BATCH = 1402, GLOW_INITIALISE_END = 1403 };

/* In `initialise`, at the end of a round: the values of an actnorm that gives each of the channels,
 * whose moments were taken, mean 0 and deviation 1: bias = -mean, logs = -log(sd + floor). A
 * channel with sd below the floor is constant: a warning to the context's log names the layer, the
 * part of it ("net.norm1", "" for the layer itself) and the channel. GLOW_E_NUMERIC names a channel
 * that is not finite. */
struct glow_moments; /* <glow/sys/math.h> */
GLOW_API glow_status glow_call_actnorm_values(const glow_call *call,
                                              const struct glow_moments *moments, int64_t channels,
                                              double floor, const char *part, float *bias,
                                              float *logs);

/* ---- conditions ------------------------------------------------------------------------------ */

/* The condition of sample n of this call, in the shape that was declared. */
GLOW_API const float *glow_call_condition(const glow_call *call, int64_t n);
/* Where backward ADDS the gradient of it; NULL when nobody wants that. */
GLOW_API float *glow_call_condition_gradient(const glow_call *call, int64_t n);

/* For nets over pixels: how many channels a condition adds to each pixel of an image of height x
 * width. A vector {1, 1, C} adds its C to every pixel; an image {f height, f width, C} is squeezed
 * to height x width, and adds C f^2: channel (c f + dy) f + dx is channel c of pixel (f y + dy, f x
 * + dx). GLOW_E_SHAPE for others. */
GLOW_API glow_status glow_condition_channels(const glow_shape *condition, int64_t height,
                                             int64_t width, int64_t *out);
/* joined [samples, height, width, channels + condition channels]: to each pixel of x (`stride`
 * floats apart, of which `channels` are read) its part of the condition. By tasks. */
GLOW_API void glow_call_condition_join(const glow_call *call, int64_t height, int64_t width,
                                       int64_t channels, const float *x, int64_t stride,
                                       float *joined);
/* The way back: ADDS the first `channels` of each pixel of d_joined to dx, and the others to the
 * gradient of the condition, if it is wanted. By tasks. */
GLOW_API void glow_call_condition_split(const glow_call *call, int64_t height, int64_t width,
                                        int64_t channels, const float *d_joined, float *dx,
                                        int64_t dx_stride);

#ifdef __cplusplus
}
#endif
#endif
