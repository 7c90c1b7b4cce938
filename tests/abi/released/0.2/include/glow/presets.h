/* Ready-made models: Glow, RealNVP, NICE, and a flow for vectors.
 *
 * Where there is a condition, the nets of a preset standardise it by what data-dependent
 * initialisation finds (<glow/net.h>), unless the option `unstandardised` is 1. A conditioner's
 * nets are given it as it is.
 *
 * All constructors here have one form: options NULL means the defaults, and the model is the
 * caller's. On failure *out is NULL, and the error text names the option, what was found and what
 * is expected.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_PRESETS_H
#define GLOW_PRESETS_H

#include <glow/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a coupling of a preset needs from a conditioner network. */
typedef struct glow_conditioner_request {
  size_t struct_size;
  glow_shape input;     /* what the net sees: H x W x channels */
  int64_t out_channels; /* its output is H x W x out_channels */
  int32_t level;        /* of Glow, or scale of RealNVP; else 0 */
  int32_t step;         /* number of the coupling in its level, from 0 */
  uint64_t seed;        /* for the net's starting values, different for each coupling */
  glow_shape condition; /* from the preset's options; channels 0: none. The net is given it as it
                           is: for conditions of any scale, see <glow/sys/condition.h> */
} glow_conditioner_request;
/* Makes a net for a coupling. A status other than GLOW_OK ends the making of the model and is
 * returned. For the model to be saved, the net's type must be registered with the context. */
typedef glow_status (*glow_conditioner_fn)(glow_context *context,
                                           const glow_conditioner_request *request, glow_net **out,
                                           void *payload);

/* Glow (Kingma and Dhariwal 2018): each of `levels` levels is a squeeze, `depth` steps of actnorm,
 * permutation and coupling, and (except at the last level) a split; then comes the top prior.
 * Names: level{l}.squeeze, level{l}.step{k}.{actnorm, invconv | permute, coupling}, level{l}.split,
 * prior. */
typedef struct glow_glow_options {
  size_t struct_size;
  glow_shape input;       /* default 32 x 32 x 3; height and width divisible by 2^levels */
  int32_t levels;         /* L, default 3 */
  int32_t depth;          /* K, default 32 */
  int32_t hidden;         /* width of the nets; default 512 */
  int32_t permutation;    /* GLOW_PERMUTATION_...; default GLOW_PERMUTATION_INVCONV_LU */
  int32_t coupling;       /* GLOW_COUPLING_AFFINE (default) or _ADDITIVE */
  int32_t scale;          /* GLOW_SCALE_...; default GLOW_SCALE_SIGMOID */
  double floor;           /* for GLOW_SCALE_SIGMOID_FLOOR, default 0.05 */
  int32_t net_actnorm;    /* 1 (default): the nets have inner actnorms; 0: plain biases */
  int32_t learn_top;      /* 1 (default): the top prior is learned; 0: fixed */
  int32_t classes;        /* of the top prior; default 0: none */
  int32_t bits;           /* of the images, 0 to 8 (glow_builder_options); default 8 */
  uint64_t seed;          /* of all starting values */
  int32_t border;         /* 1: all 3x3 convolutions see the border of the image; default 0 */
  int32_t spatial_top;    /* 1: the top prior has a mean and log-sd for each position; default 0 */
  int32_t classifier;     /* 1: a classifier on the top latents; needs classes; default 0 */
  int32_t unstandardised; /* 1: nets take the condition as it is; default 0 */
  glow_shape condition;   /* that the couplings' nets read; channels 0 (default): none */
  glow_conditioner_fn conditioner; /* makes the couplings' nets; NULL: glow_conv_net_create */
  void *conditioner_payload;
} glow_glow_options;
#define GLOW_GLOW_OPTIONS_INIT                                                                     \
  {                                                                                                \
    sizeof(glow_glow_options), {32, 32, 3}, 3, 32, 512, GLOW_PERMUTATION_INVCONV_LU,               \
        GLOW_COUPLING_AFFINE, GLOW_SCALE_SIGMOID, 0.05, 1, 1, 0, 8, 0, 0, 0, 0, 0, {1, 1, 0},      \
        NULL, NULL                                                                                 \
  }
/* Makes a Glow model. */
GLOW_API glow_status glow_model_create_glow(glow_context *context, const glow_glow_options *options,
                                            glow_model **out);

/* RealNVP (Dinh et al. 2016): a logit; at each scale but the last three couplings under
 * checkerboard masks, a squeeze, three couplings under channel masks, and a split with a standard
 * normal prior; at the last scale four couplings under checkerboard masks; and a standard normal
 * top prior. Masks alternate. Couplings are affine, x2 s + shift with s = exp(scale tanh(raw)).
 * Their nets are residual, and twice as wide after each squeeze. A batch normalisation follows each
 * coupling. Names: logit, scale{s}.{checkerboard{k}, channels{k}}.{coupling, batchnorm},
 * scale{s}.squeeze, scale{s}.split, prior. */
typedef struct glow_realnvp_options {
  size_t struct_size;
  glow_shape input;       /* default 32 x 32 x 3; height and width divisible by 2^(scales - 1) */
  int32_t scales;         /* default 2 */
  int32_t hidden;         /* of the nets at the first checkerboards; default 64 */
  int32_t blocks;         /* residual blocks of each net, 1 to 64; default 8 */
  int32_t weight_norm;    /* of the nets; default 1 */
  int32_t batch_norm;     /* in the nets and after couplings; default 1 */
  int32_t bits;           /* 0 to 8, default 8; data are in [-1/2, 1/2) in any case */
  double alpha;           /* of the logit; default 0.05 */
  double lag;             /* of the batch normalisations after couplings; default 0 */
  uint64_t seed;          /* of all starting values */
  int32_t unstandardised; /* 1: nets take the condition as it is; default 0 */
  int32_t reserved;       /* 0 */
  glow_shape condition;   /* that the couplings' nets read; channels 0 (default): none */
  glow_conditioner_fn conditioner; /* makes the couplings' nets; NULL: glow_res_net_create */
  void *conditioner_payload;
} glow_realnvp_options;
#define GLOW_REALNVP_OPTIONS_INIT                                                                  \
  {                                                                                                \
    sizeof(glow_realnvp_options), {32, 32, 3}, 2, 64, 8, 1, 1, 8, 0.05, 0.0, 0, 0, 0, {1, 1, 0},   \
        NULL, NULL                                                                                 \
  }
/* Makes a RealNVP model. */
GLOW_API glow_status glow_model_create_realnvp(glow_context *context,
                                               const glow_realnvp_options *options,
                                               glow_model **out);

/* NICE (Dinh et al. 2014): the image is taken as one vector, with its even and odd elements as the
 * halves. `couplings` additive couplings, with MLPs of `depth` hidden layers, change the halves in
 * turn; then come a factor for each element, and a fixed prior. Names: flatten, separate,
 * step{k}.{reverse, coupling}, scaling, prior. */
typedef struct glow_nice_options {
  size_t struct_size;
  glow_shape input;  /* default 28 x 28 x 1; two elements or more */
  int32_t couplings; /* default 4 */
  int32_t hidden;    /* default 1000 */
  int32_t depth;     /* default 5 */
  int32_t density;   /* of the prior; default GLOW_DENSITY_LOGISTIC */
  int32_t bits;      /* 0 to 8, default 8 */
  int32_t from_data; /* 1 (default): the factors take first values from data, so that training need
                        not find the scale of each pixel; 0: they start at 1, as in the paper */
  int32_t unstandardised;          /* 1: nets take the condition as it is; default 0 */
  uint64_t seed;                   /* of all starting values */
  glow_shape condition;            /* that the couplings' nets read; channels 0 (default): none */
  glow_conditioner_fn conditioner; /* makes the couplings' nets; NULL: glow_mlp_net_create */
  void *conditioner_payload;
} glow_nice_options;
#define GLOW_NICE_OPTIONS_INIT                                                                     \
  {                                                                                                \
    sizeof(glow_nice_options), {28, 28, 1}, 4, 1000, 5, GLOW_DENSITY_LOGISTIC, 8, 1, 0, 0,         \
        {1, 1, 0}, NULL, NULL                                                                      \
  }
/* Makes a NICE model. */
GLOW_API glow_status glow_model_create_nice(glow_context *context, const glow_nice_options *options,
                                            glow_model **out);

/* A density of vectors: a standardisation, `steps` steps of actnorm, LU mixing (a 1x1 convolution)
 * and a coupling with an MLP, then a learned Gaussian prior. The data are continuous, and so may
 * have any mean and scale. Names: standardise, step{k}.{actnorm, invconv, coupling}, prior. */
typedef struct glow_vector_flow_options {
  size_t struct_size;
  int64_t dims; /* default 2; 1 only with a condition */
  int64_t
      condition;    /* elements of the vector that the density is conditioned on; default 0: none */
  int32_t steps;    /* default 8 */
  int32_t hidden;   /* default 64 */
  int32_t depth;    /* hidden layers of the MLPs; default 2 */
  int32_t coupling; /* default GLOW_COUPLING_SPLINE */
  int32_t scale;    /* of affine couplings; default GLOW_SCALE_TANH */
  int32_t bins;     /* of splines; default 8 */
  double bound;     /* of splines; default 4 */
  uint64_t seed;    /* of all starting values */
  int32_t unstandardised;          /* 1: data and condition are taken as they are; default 0 */
  int32_t reserved;                /* 0 */
  glow_conditioner_fn conditioner; /* makes the couplings' nets; NULL: glow_mlp_net_create */
  void *conditioner_payload;
} glow_vector_flow_options;
#define GLOW_VECTOR_FLOW_OPTIONS_INIT                                                              \
  {                                                                                                \
    sizeof(glow_vector_flow_options), 2, 0, 8, 64, 2, GLOW_COUPLING_SPLINE, GLOW_SCALE_TANH, 8,    \
        4.0, 0, 0, 0, NULL, NULL                                                                   \
  }
/* Makes a flow for vectors. */
GLOW_API glow_status glow_model_create_vector_flow(glow_context *context,
                                                   const glow_vector_flow_options *options,
                                                   glow_model **out);

#ifdef __cplusplus
}
#endif
#endif
