/* What layers and networks share: declaring what they need (setup), and running (pass).
 * For people who extend libglow. SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_PASS_H
#define GLOW_SYS_PASS_H

#include <glow/context.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GLOW_PRINTF(format_, first_) __attribute__((format(printf, format_, first_)))
#else
#define GLOW_PRINTF(format_, first_)
#endif

/* Records the error text of this thread, printf-like, and returns `status`. The model puts the name
 * of the layer in front. */
GLOW_API glow_status glow_error(glow_status status, const char *format, ...) GLOW_PRINTF(2, 3);

/* Memory from the context's allocator, zeroed, aligned to 64 bytes; NULL (with the error recorded)
 * when there is none. */
GLOW_API void *glow_allocate(glow_context *context, size_t bytes);
GLOW_API void glow_release(glow_context *context, void *memory); /* NULL is fine */

/* ---- configuration: what is written to files ------------------------------------------------- */

/* A flat list of keys and values. Getters leave *out alone when the key is missing. */
typedef struct glow_config glow_config;
GLOW_API glow_status glow_config_set_int(glow_config *config, const char *key, int64_t value);
GLOW_API glow_status glow_config_set_real(glow_config *config, const char *key, double value);
GLOW_API glow_status glow_config_set_text(glow_config *config, const char *key, const char *value);
/* GLOW_E_FORMAT when the key has another type, or an integer is outside [low, high]. */
GLOW_API glow_status glow_config_get_int(const glow_config *config, const char *key, int64_t low,
                                         int64_t high, int64_t *out);
GLOW_API glow_status glow_config_get_real(const glow_config *config, const char *key, double *out);
GLOW_API glow_status glow_config_get_text(const glow_config *config, const char *key,
                                          const char **out);

/* ---- setup: called once, while a model is built ---------------------------------------------- */

typedef struct glow_setup glow_setup;

GLOW_API glow_context *glow_setup_context(glow_setup *setup);
/* Declares a tensor; its number is written to *id. Trainable tensors are float32; fixed ones (state
 * such as a permutation) of either type. type: GLOW_TYPE_... of <glow/model.h>. */
GLOW_API glow_status glow_setup_tensor(glow_setup *setup, const char *name, int32_t type,
                                       int32_t trainable, int32_t rank, const int64_t *dims,
                                       int32_t *id);
/* Puts "prefix." in front of the names declared until the matching pop: for parts such as a net. */
GLOW_API glow_status glow_setup_push(glow_setup *setup, const char *prefix);
GLOW_API void glow_setup_pop(glow_setup *setup);
/* Regions of floats, each aligned to 64 bytes. Scratch is shared by all layers and holds nothing
 * between calls: `fixed` + `per_sample` n floats for a call on n samples; worker scratch is there
 * once for each worker of the executor. At most GLOW_MAX_REGIONS regions of each of the three
 * kinds. Saved regions, `fixed` + `per_sample` n floats, are filled by forward for backward. */
#define GLOW_MAX_REGIONS 32
GLOW_API glow_status glow_setup_scratch(glow_setup *setup, int64_t fixed, int64_t per_sample,
                                        int32_t *id);
/* The same for a region that backward alone uses: absent (NULL) from workspaces for inference. */
GLOW_API glow_status glow_setup_backward_scratch(glow_setup *setup, int64_t fixed,
                                                 int64_t per_sample, int32_t *id);
/* Scratch for what a pass makes of the parameters alone, such as packed weights; `backward`: by
 * backward alone. A workspace may keep it (glow_workspace_options.keep_packed): before a pass reads
 * such a region, it asks glow_pass_must_pack whether it has to be made. */
GLOW_API glow_status glow_setup_packed(glow_setup *setup, int64_t floats, int32_t backward,
                                       int32_t *id);
GLOW_API glow_status glow_setup_worker_scratch(glow_setup *setup, int64_t floats, int32_t *id);
GLOW_API glow_status glow_setup_saved(glow_setup *setup, int64_t fixed, int64_t per_sample,
                                      int32_t *id);
/* Declares a running average: fixed float32 state, [dims], that follows what training passes
 * observe of their batch, such as the mean and the variance of a batch normalisation. After a step,
 * average += momentum (observed - average); momentum in (0, 1]. Only for layers run by tasks. How a
 * pass is to use it: glow_pass_statistics. */
GLOW_API glow_status glow_setup_running(glow_setup *setup, const char *name, int32_t rank,
                                        const int64_t *dims, double momentum, int32_t *id);
/* Adds to the multiply-adds of one forward on one sample, a hint: where memory is limited
 * (GLOW_MODE_FIT), layers with most of them for each byte keep their activations first. Without
 * any, one is counted for each number of the input and each parameter. */
GLOW_API glow_status glow_setup_work(glow_setup *setup, int64_t per_sample);
/* Bytes for values derived from the parameters, filled by prepare. Call at most once per layer. */
GLOW_API glow_status glow_setup_derived(glow_setup *setup, size_t bytes);
/* Floats of latents that the layer emits per sample. */
GLOW_API glow_status glow_setup_latents(glow_setup *setup, int64_t height, int64_t width,
                                        int64_t channels);
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
/* The layer reads a context vector of `size` numbers for each sample. All layers of a model that do
 * read the same one. */
GLOW_API glow_status glow_setup_context_vector(glow_setup *setup, int64_t size);
/* Data-dependent initialisation in `rounds` rounds with `bytes` of state kept during each. */
GLOW_API glow_status glow_setup_init(glow_setup *setup, int32_t rounds, size_t bytes);

/* ---- pass: one call of a layer's function ---------------------------------------------------- */

typedef struct glow_pass glow_pass;

GLOW_API int64_t glow_pass_samples(const glow_pass *pass);
GLOW_API const void *glow_pass_tensor(const glow_pass *pass, int32_t id);
/* build, init only: else NULL */
GLOW_API void *glow_pass_tensor_mutable(const glow_pass *pass, int32_t id);
/* Where to ADD the gradient of a trainable tensor; never NULL in backward. */
GLOW_API float *glow_pass_gradient(const glow_pass *pass, int32_t id);
GLOW_API float *glow_pass_scratch(const glow_pass *pass, int32_t id);
/* 1: the caller must fill this region of glow_setup_packed now, and it counts as filled from here
 * on. 0: it holds what was made of the present parameters. */
GLOW_API int32_t glow_pass_must_pack(const glow_pass *pass, int32_t id);
GLOW_API float *glow_pass_worker_scratch(const glow_pass *pass, int32_t id, uint32_t worker);
/* NULL in passes that keep nothing (inference; forward of a reconstructed pass). */
GLOW_API float *glow_pass_saved(const glow_pass *pass, int32_t id);
/* 1 in a backward pass when the saved regions hold what forward wrote; 0: they are there, to be
 * filled by backward itself. */
GLOW_API int32_t glow_pass_saved_valid(const glow_pass *pass);
/* Where the statistics of the batch come from, for layers with running averages. A sample's results
 * do not depend on the rest of its batch with RUNNING, and do with the others.
 *   RUNNING  use the averages, the tensors declared with glow_setup_running
 *   BATCH    forward of a training pass: compute them from the batch, write them to
 *            glow_pass_observed, and use them
 *   KEPT     backward, and what it runs to reconstruct: use those in glow_pass_observed, to which
 *            forward wrote them; gradients go through them */
enum { GLOW_STATISTICS_RUNNING = 1, GLOW_STATISTICS_BATCH = 2, GLOW_STATISTICS_KEPT = 3 };
GLOW_API int32_t glow_pass_statistics(const glow_pass *pass);
/* What the pass observes for running average `id`, of its shape; NULL with RUNNING. */
GLOW_API float *glow_pass_observed(const glow_pass *pass, int32_t id);
GLOW_API const void *glow_pass_derived(const glow_pass *pass);
GLOW_API void *glow_pass_derived_mutable(const glow_pass *pass); /* prepare only: else NULL */
GLOW_API void *glow_pass_init_state(const glow_pass *pass);      /* init only: else NULL */
/* NULL in models without classes, and in `logits` */
GLOW_API const int32_t *glow_pass_labels(const glow_pass *pass);
/* The context vector of sample n of this pass. */
GLOW_API const float *glow_pass_context_vector(const glow_pass *pass, int64_t n);
/* Where backward ADDS the gradient of it; NULL when nobody wants that. */
GLOW_API float *glow_pass_context_gradient(const glow_pass *pass, int64_t n);
GLOW_API int32_t glow_pass_latent_form(const glow_pass *pass); /* GLOW_LATENTS_... */
/* Latents of sample n of this layer start at result + n * glow_pass_latent_stride. Forward writes
 * them; inverse and backward (raw form) read them. */
GLOW_API float *glow_pass_latents(const glow_pass *pass);
GLOW_API int64_t glow_pass_latent_stride(const glow_pass *pass);
GLOW_API glow_context *glow_pass_context(const glow_pass *pass);
GLOW_API const char *glow_pass_layer_name(const glow_pass *pass);
/* Runs fn(arg, t, worker) for t in [0, tasks) on the executor. Split work into tasks by shapes and
 * sample counts only, so that results never depend on the number of workers. Layers that are run by
 * samples must not call this. */
GLOW_API void glow_pass_run(const glow_pass *pass, uint32_t tasks, glow_task_fn fn, void *arg);

enum { GLOW_INIT_BEGIN = 1, GLOW_INIT_BATCH = 2, GLOW_INIT_END = 3 };

#ifdef __cplusplus
}
#endif
#endif
