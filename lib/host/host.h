/* The internal interface of host/ for train/ and io/. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_HOST_H
#define GLOW_LIB_HOST_H

#include <glow/model.h>
#include <glow/workspace.h>

#include "base/base.h"
#include "host/handles.h"

glow_context *glow__model_context(const glow_model *model);
/* A reference for an object that is made from the model, which the object gives up last of all.
 * Returns the model. */
const glow_model *glow__model_hold(const glow_model *model);
void glow__model_drop(const glow_model *model);
const glow_model *glow__workspace_model(const glow_workspace *workspace);
/* Whether the workspace now runs layers forward again instead of inverting them. Setting it gives
 * false if the workspace has no memory for that. */
bool glow__workspace_recomputes(const glow_workspace *workspace);
bool glow__workspace_set_recomputes(glow_workspace *workspace, bool recomputes);

/* What messages call the first sample of a pass: where its samples are a part of the caller's. */
void glow__workspace_set_base(glow_workspace *workspace, int64_t base);

/* The conditions that were lent to the workspace, to be put back later. */
typedef struct glow__conditions {
  const float *condition;
  int64_t count;
} glow__conditions;
void glow__workspace_conditions(const glow_workspace *workspace, glow__conditions *out);
void glow__workspace_set_conditions(glow_workspace *workspace, const glow__conditions *conditions);

/* Tensors that the trainer holds: initialisation leaves them as they are, and running averages
 * among them do not move. held: a flag for each tensor of the model, borrowed for good; NULL:
 * none. */
void glow__workspace_set_held(glow_workspace *workspace, const unsigned char *held);

/* Gradients of parameters as a pass goes back: called after each layer with the range [first, end)
 * of the flat gradients to which the pass will add nothing more. It grows from the end down in
 * glow_workspace_backward, and from the start up in glow_workspace_inverse_backward. fn NULL: it is
 * not called. */
typedef void (*glow__final_fn)(int64_t first, int64_t end, void *payload);
void glow__workspace_set_final(glow_workspace *workspace, glow__final_fn fn, void *payload);

/* Writes layer `index`'s options to config. */
glow_status glow__model_save_layer(const glow_model *model, int32_t index, glow__config *config);
/* For loading: the model that is being built, whose tensors have no memory yet; and finishing it
 * with values from `read` instead of starting values. */
const glow_model *glow__builder_model(const glow_builder *builder);
/* Bytes of the values of the model that a finished builder would become: parameters, fixed state
 * and derived values; and of a workspace for one sample (NULL: not wanted). */
glow_status glow__builder_bytes(const glow_builder *builder, uint64_t *model, uint64_t *workspace);
typedef glow_status (*glow__read_fn)(glow_model *model, void *arg);
glow_status glow__builder_finish_from(glow_builder **builder, glow__read_fn read, void *arg,
                                      glow_model **out);
/* The same for a `read` that writes every parameter, so that their memory need not be zeroed
 * before. Or the parameters are at `parameters` already, which the caller keeps for as long as the
 * model lives: see glow__model_adopt. */
glow_status glow__builder_finish_at(glow_builder **builder, glow__read_fn read, void *arg,
                                    float *parameters, glow_model **out);
/* Hands over the memory that holds the given parameters: `release` is called when the model is
 * destroyed. */
void glow__model_adopt(glow_model *model, void *memory, int64_t bytes,
                       void (*release)(void *memory, int64_t bytes));
/* Whether the parameters are in memory that was handed over. */
bool glow__model_adopted(const glow_model *model);
/* Whether the model's layers could prepare these parameters, as whoever loads them will have to.
 * The error names the layer and the cause. The model stays as it is. (trial.c) */
glow_status glow__model_check_prepares(const glow_model *model, const float *parameters);
/* Multiply-adds that preparing layer `index` takes, as it declared. */
int64_t glow__model_prepare_work(const glow_model *model, int32_t index);
/* Whether what is derived from the parameters is that of their present values. */
bool glow__model_prepared(const glow_model *model);
/* Memory of tensor `index`, trainable or fixed. */
void *glow__model_tensor_data(const glow_model *model, int32_t index);

/* Moves the running averages of the workspace's model, which must be prepared afterwards. The old
 * averages stay in the workspace until its next pass, for undo. GLOW_E_NUMERIC names a tensor that
 * would not be finite; then nothing has changed. */
glow_status glow__running_move(glow_workspace *workspace, glow_model *model);
glow_status glow__running_undo(glow_workspace *workspace, glow_model *model);
/* What was observed since gradients were zeroed, to be joined with what others have observed: sums
 * over samples, and of how many. Returns how many sums there are. */
int64_t glow__running_sums(glow_workspace *workspace, double **sums, int64_t **samples);

/* Name of the first layer with a non-finite element in this flat vector (of parameters or
 * gradients), searched from the last layer to the first, the order of backward; NULL if all are
 * finite. */
const char *glow__model_nonfinite_layer(const glow_model *model, const float *flat);

#endif
