/* Numbers that explain themselves: what is wrong with a model whose samples are not finite, whose
 * latents do not lead back to the data, or that does not learn, layer by layer. What the numbers
 * mean, and from where on they are bad: docs/diagnosis.md.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_DIAGNOSE_H
#define GLOW_DIAGNOSE_H

#include <glow/workspace.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Temperatures at which samples are drawn. */
#define GLOW_DIAGNOSE_TEMPERATURES 2

/* What a model is diagnosed with. */
typedef struct glow_diagnose_options {
  size_t struct_size;
  const float *x;        /* data [count, dims]; NULL: none, and what needs data is not known */
  const int32_t *labels; /* [count], for models with classes */
  int64_t count;         /* default 0 */
  /* Samples to draw at each temperature; default 256; 0: none. Models with classes: of all classes
   * in turn. Where each sample has a condition: sample n with that of sample n of the data. */
  int64_t drawn;
  uint64_t seed;                                  /* of the samples, as in glow_sample_options */
  double temperature[GLOW_DIAGNOSE_TEMPERATURES]; /* default 0.7 and 1 */
} glow_diagnose_options;
#define GLOW_DIAGNOSE_OPTIONS_INIT                                                                 \
  {                                                                                                \
    sizeof(glow_diagnose_options), NULL, NULL, 0, 256, 0, {                                        \
      0.7, 1.0                                                                                     \
    }                                                                                              \
  }

/* What was found of one layer. A double that is not known is NaN, a count -1: because there are no
 * data, or because the layer's table has no `diagnose` (<glow/sys/layer.h>) or has nothing of the
 * kind. A sample is *lost* at the first layer behind which it is not finite; it counts in nothing
 * after that. */
typedef struct glow_layer_diagnosis {
  size_t struct_size;
  const char *name, *type;      /* owned by the model */
  int64_t nonfinite_parameters; /* elements of its tensors that are not finite */
  /* From the parameters; scales of couplings and of a split's prior: on the data. */
  double condition_number; /* of the matrix that pixels are multiplied by: its largest singular
                              value divided by the smallest */
  double least_scale;      /* of the absolute factors that elements are multiplied by, of the */
  double largest_scale;    /* slopes of splines, or of the deviations of a prior */
  /* On the data. */
  double round_trip;      /* max |x' - x| / rms(x), x' = inverse(forward(x)) of this layer alone */
  double mean, deviation; /* of the elements of its output; of its latents if nothing is left */
  double largest;         /* absolute element of it */
  double nonfinite_share; /* of it: elements that are not finite, out of all */
  int64_t units;          /* ReLU units of its nets */
  int64_t dead_units;     /* of these, how many are 0 in all samples */
  int64_t lost;           /* samples of the data that are lost here */
  /* In samples, on their way from latents to x, at each temperature. */
  int64_t drawn_lost[GLOW_DIAGNOSE_TEMPERATURES];
  double drawn_largest[GLOW_DIAGNOSE_TEMPERATURES]; /* absolute element that the layer gives */
} glow_layer_diagnosis;
#define GLOW_LAYER_DIAGNOSIS_INIT                                                                  \
  {                                                                                                \
    sizeof(glow_layer_diagnosis), NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {0, 0}, {        \
      0, 0                                                                                         \
    }                                                                                              \
  }

/* What was found of the whole model. */
typedef struct glow_model_diagnosis {
  size_t struct_size;
  int64_t count;           /* samples of the data */
  int64_t lost;            /* of these, how many are not finite behind some layer */
  int32_t first_nonfinite; /* index of the first layer where one is lost; -1: none is */
  int32_t reserved;        /* 0 */
  double round_trip;       /* as in glow_layer_diagnosis, through all layers and back */
  int64_t drawn;           /* samples at each temperature */
  int64_t drawn_lost[GLOW_DIAGNOSE_TEMPERATURES];
} glow_model_diagnosis;
#define GLOW_MODEL_DIAGNOSIS_INIT                                                                  \
  {                                                                                                \
    sizeof(glow_model_diagnosis), 0, 0, 0, 0, 0, 0, {                                              \
      0, 0                                                                                         \
    }                                                                                              \
  }

typedef struct glow_diagnosis glow_diagnosis;

/* Diagnoses the workspace's model, with its present parameters. options NULL: the defaults, without
 * data. Data are taken in batches of the workspace, whatever their number; conditions are those of
 * glow_workspace_set_condition. Memory for three states of a batch, and for what the largest layer
 * stores for backward, is taken from the context for the duration. Refuses data that are not finite
 * (GLOW_E_NUMERIC), and models that are not ready for passes (GLOW_E_STATE). What a forward left
 * for glow_workspace_backward is lost. The result is the caller's. */
GLOW_API glow_status glow_workspace_diagnose(glow_workspace *workspace,
                                             const glow_diagnose_options *options,
                                             glow_diagnosis **out);
/* Sets *diagnosis to NULL. NULL and a pointer to NULL are fine. */
GLOW_API void glow_diagnosis_destroy(glow_diagnosis **diagnosis);
/* Describes layer `index`, in the order of forward, in *out, whose struct_size the caller has set.
 * There are as many as glow_model_layer_count says. */
GLOW_API glow_status glow_diagnosis_layer(const glow_diagnosis *diagnosis, int32_t index,
                                          glow_layer_diagnosis *out);
/* The same for the whole model. */
GLOW_API glow_status glow_diagnosis_model(const glow_diagnosis *diagnosis,
                                          glow_model_diagnosis *out);

#ifdef __cplusplus
}
#endif
#endif
