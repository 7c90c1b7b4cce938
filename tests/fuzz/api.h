/* Between the files of the target of calls. An input is records of RECORD bytes: the call, then its
 * arguments. A byte of 0 is the usual choice everywhere, so a record of zeros after the first byte
 * is a legal call where there is what it needs. SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_FUZZ_API_H
#define GLOW_TEST_FUZZ_API_H

#include "fuzz.h"

enum { RECORD = 12, SLOTS = 3, CONTEXTS = 2, MOST_COUNT = 5 };

/* ---- memory ---------------------------------------------------------------------------------- */

/* Counts, fails beyond a budget, and fails when it is told to. */
typedef struct api_memory {
  size_t live;      /* bytes */
  int32_t fail_at;  /* the allocation that fails, from 1; 0: none */
  bool fail_on;     /* all after it fail too */
  int32_t calls;    /* since fail_at was set */
  int32_t failures; /* since the last call of the library began */
} api_memory;
glow_allocator api_allocator(api_memory *memory);

/* ---- what calls work on ---------------------------------------------------------------------- */

typedef enum api_kind {
  API_NET,
  API_LAYER,
  API_BUILDER,
  API_MODEL,
  API_WORKSPACE,
  API_OPTIMIZER,
  API_TRAINER,
  API_RNG,
  API_KINDS
} api_kind;

typedef struct api_slot {
  void *object;    /* NULL: none */
  int32_t context; /* it was made in */
  int32_t model;   /* slot of the model that it works on; -1: none */
  float *lent;     /* its condition, which it borrows */
  int64_t ran;     /* a workspace: samples of the last forward, for backward; 0: none. A trainer: it
                      has had callbacks, which no checkpoint keeps */
  int32_t mode;    /* a workspace: GLOW_MODE_... */
} api_slot;

typedef struct api {
  const uint8_t *record; /* of the present call */
  int32_t at;            /* next byte of it */
  api_memory memory;
  glow_context *contexts[CONTEXTS];
  api_slot slots[API_KINDS][SLOTS];
  void *scratch[48]; /* arguments of the present call, freed after it */
  int32_t scratch_count;
  bool trace;
  uint64_t before; /* fingerprint of everything before the call */
  bool may_change; /* a refusal may leave something changed: what is documented */
} api;

/* ---- arguments (api_values.c) ---------------------------------------------------------------- */

/* The next byte of the record; 0 after its end. */
uint8_t api_byte(api *a);
/* True for one of `in` values of a byte, never for 0. */
bool api_rarely(api *a, int32_t in);
/* Memory of exactly this size, so that a sanitizer sees a byte too far. Freed after the call. */
void *api_scratch(api *a, size_t bytes);
void api_scratch_free(api *a);

/* Fields of an options struct that a record may set. */
typedef enum field_kind {
  FIELD_SIDE,    /* int64_t */
  FIELD_SMALL,   /* int32_t: a count */
  FIELD_FLAG,    /* int32_t */
  FIELD_ENUM,    /* int32_t from `base` on, or beside */
  FIELD_REAL,    /* double */
  FIELD_SEED,    /* uint64_t */
  FIELD_SHAPE,   /* glow_shape */
  FIELD_POINTER, /* set to NULL */
  FIELD_BYTES    /* uint64_t: a budget */
} field_kind;
typedef struct api_field {
  const char *name;
  size_t offset;
  field_kind kind;
  int32_t base;
} api_field;
#define F(type, member, kind, base)                                                                \
  { #member, offsetof(type, member), FIELD_##kind, base }

/* A copy of `options` with up to `pokes` fields set by the record; sometimes NULL, or with a size
 * that is too small, too large, or wrong. */
const void *api_options(api *a, const void *options, size_t size, const api_field *fields,
                        int32_t field_count, int32_t pokes);
#define OPTIONS(a, options, fields, pokes)                                                         \
  api_options(a, &(options), sizeof(options), fields,                                              \
              (int32_t)(sizeof(fields) / sizeof *(fields)), pokes)
glow_shape api_shape(api *a);
/* Samples of an array: 1 to MOST_COUNT, rarely 0 or less. */
int64_t api_count(api *a);
/* [count] floats, mostly ordinary; NULL for rare bytes, and if `elements` is not positive. */
float *api_floats(api *a, int64_t elements);
/* Labels for the model; NULL if it has no classes, or rarely. */
const int32_t *api_labels(api *a, const glow_model *model, int64_t count);
/* For outputs: filled with NaN. */
float *api_room(api *a, int64_t elements);
double *api_room_real(api *a, int64_t elements);
bool api_all_finite(const float *values, int64_t count);

/* ---- calls (fuzz_api.c) ---------------------------------------------------------------------- */

/* A line of the trace. */
__attribute__((format(printf, 2, 3))) void api_tell(api *a, const char *format, ...);
/* To be called around every call of the library that returns a status: CALL(a, f(...)). */
void api_begin(api *a);
glow_status api_end(api *a, glow_status status, const char *text);
#define CALL(a, call) (api_begin(a), api_end((a), (call), #call))
/* The same for a call that may leave things changed when it is refused. */
#define CALL_CHANGES(a, call) ((a)->may_change = true, api_begin(a), api_end((a), (call), #call))

/* A slot of this kind that is not empty, as the record says; NULL if there is none. */
api_slot *api_pick(api *a, api_kind kind);
/* Its object, or rarely NULL. */
void *api_object(api *a, api_slot *slot);
/* An empty slot, emptied if need be. */
api_slot *api_place(api *a, api_kind kind);
/* What `make` gave: an object if and only if the status is GLOW_OK. */
void api_keep(api *a, api_kind kind, glow_status status, void *object, int32_t context,
              int32_t model);
void api_remove(api *a, api_kind kind, api_slot *slot);
int32_t api_number(const api *a, api_kind kind, const api_slot *slot);
glow_context *api_context(api *a, int32_t *number);

/* One call, as the record says. */
typedef void (*api_call)(api *a);
#define API_CALLS(X)                                                                               \
  X(net_conv)                                                                                      \
  X(net_mlp)                                                                                       \
  X(net_res)                                                                                       \
  X(layer_coupling)                                                                                \
  X(layer_spline)                                                                                  \
  X(layer_simple)                                                                                  \
  X(layer_prior)                                                                                   \
  X(builder_create)                                                                                \
  X(builder_add)                                                                                   \
  X(builder_nest)                                                                                  \
  X(builder_finish)                                                                                \
  X(destroy)                                                                                       \
  X(fail_allocation)                                                                               \
  X(other_context)                                                                                 \
  X(random_numbers)                                                                                \
  X(model_glow)                                                                                    \
  X(model_realnvp)                                                                                 \
  X(model_nice)                                                                                    \
  X(model_vector)                                                                                  \
  X(model_ask)                                                                                     \
  X(model_set)                                                                                     \
  X(model_prepare)                                                                                 \
  X(model_pixels)                                                                                  \
  X(inference_form)                                                                                \
  X(workspace_create)                                                                              \
  X(set_condition)                                                                                 \
  X(initialise)                                                                                    \
  X(forward)                                                                                       \
  X(log_prob)                                                                                      \
  X(classify)                                                                                      \
  X(inverse)                                                                                       \
  X(sample)                                                                                        \
  X(backward)                                                                                      \
  X(gradients)                                                                                     \
  X(diagnose)                                                                                      \
  X(optimizer_create)                                                                              \
  X(optimizer_step)                                                                                \
  X(trainer_create)                                                                                \
  X(trainer_initialise)                                                                            \
  X(trainer_step)                                                                                  \
  X(trainer_pixels)                                                                                \
  X(trainer_run)                                                                                   \
  X(trainer_change)                                                                                \
  X(model_file)                                                                                    \
  X(checkpoint)                                                                                    \
  X(export)                                                                                        \
  X(model_fill)                                                                                    \
  X(trainer_target)                                                                                \
  X(evaluate)                                                                                      \
  X(importance)                                                                                    \
  X(optimizer_change)                                                                              \
  X(optimizer_file)
#define DECLARE(name) void api_##name(api *a);
API_CALLS(DECLARE)
#undef DECLARE
enum {
#define NUMBER(name) CALL_##name,
  API_CALLS(NUMBER)
#undef NUMBER
      API_CALL_COUNT
};

/* Everything that a refused call may not change, as one number. */
uint64_t api_fingerprint(api *a);
/* A model in memory; *size bytes. Freed by the caller. NULL if it is refused. */
void *api_save_model(const glow_model *model, size_t *size);
void *api_save_checkpoint(const glow_trainer *trainer, size_t *size);

#endif
