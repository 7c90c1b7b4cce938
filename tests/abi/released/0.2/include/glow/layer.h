/* The flow layers that come with libglow. Each layer maps x to y; log-dets are log|det dy/dx| of
 * one sample, in nats, in double. For layers of your own see <glow/sys/layer.h>.
 *
 * All constructors here have one form: options NULL means the defaults, and the layer that they
 * make belongs to the caller until it is given to a builder. On failure *out is NULL, and
 * GLOW_E_ARGUMENT names the option, what was found and what is expected.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LAYER_H
#define GLOW_LAYER_H

#include <glow/net.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct glow_layer glow_layer;

/* For a layer that was not given to a builder. Sets *layer to NULL. NULL and a pointer to NULL are
 * fine. */
GLOW_API void glow_layer_destroy(glow_layer **layer);

/* actnorm: y_c = (x_c + bias_c) exp(logs_c); log-det = H W sum_c logs_c. Parameters bias [C], logs
 * [C]; data-dependent initialisation gives every channel mean 0 and standard deviation 1 (bias =
 * -mean, logs = -log(sd + floor), with the biased variance over batch and pixels). Kingma and
 * Dhariwal 2018, 3.1. */
typedef struct glow_actnorm_options {
  size_t struct_size;
  double floor; /* added to the standard deviation; default 1e-6 */
} glow_actnorm_options;
#define GLOW_ACTNORM_OPTIONS_INIT                                                                  \
  { sizeof(glow_actnorm_options), 1e-6 }
/* Makes an actnorm. */
GLOW_API glow_status glow_actnorm_create(glow_context *context, const glow_actnorm_options *options,
                                         glow_layer **out);

/* Invertible 1x1 convolution: y_o = sum_i W[o,i] x_i; log-det = H W log|det W|. It starts as the Q
 * of the QR factorisation of a random matrix. Plain form: parameter weight [C,C]. LU form: W = P M
 * with M = (L + I) (U + diag(sign_s exp(log_s))), where row i of W is row perm[i] of M; or, with
 * `columns`, W = M P, where column j of W is column perm[j] of M. Parameters lower [C,C] (only the
 * part below the diagonal is used), upper [C,C] (only the part above it), log_s [C]; fixed state
 * sign_s [C], perm [C]. Kingma and Dhariwal 2018, 3.2. */
typedef struct glow_invconv_options {
  size_t struct_size;
  int32_t lu;      /* 1: LU form (default); 0: plain */
  int32_t columns; /* 1: the LU form permutes columns; default 0: rows */
  uint64_t seed;   /* of the starting values */
} glow_invconv_options;
#define GLOW_INVCONV_OPTIONS_INIT                                                                  \
  { sizeof(glow_invconv_options), 1, 0, 0 }
/* Makes a 1x1 convolution. */
GLOW_API glow_status glow_invconv_create(glow_context *context, const glow_invconv_options *options,
                                         glow_layer **out);

/* Fixed permutation of the channels: y_c = x_{index[c]}; log-det = 0. Fixed state index [C].
 * EVEN_ODD: channels 0, 2, 4, ..., then 1, 3, 5, ..., so that the halves of a coupling are the even
 * and the odd ones, as in NICE. */
enum {
  GLOW_PERMUTATION_REVERSE = 701,
  GLOW_PERMUTATION_SHUFFLE = 702,
  GLOW_PERMUTATION_EVEN_ODD = 703,
  /* For presets only, which use a 1x1 convolution instead of a permutation. */
  GLOW_PERMUTATION_INVCONV = 704,
  GLOW_PERMUTATION_INVCONV_LU = 705
};
typedef struct glow_permute_options {
  size_t struct_size;
  int32_t kind;     /* GLOW_PERMUTATION_REVERSE (default), _SHUFFLE, or _EVEN_ODD */
  int32_t reserved; /* 0 */
  uint64_t seed;    /* of the shuffle */
} glow_permute_options;
#define GLOW_PERMUTE_OPTIONS_INIT                                                                  \
  { sizeof(glow_permute_options), GLOW_PERMUTATION_REVERSE, 0, 0 }
/* Makes a permutation. */
GLOW_API glow_status glow_permute_create(glow_context *context, const glow_permute_options *options,
                                         glow_layer **out);

/* Coupling: x1, a part of the elements, stays as it is and determines how the others, x2, change.
 * Affine: h = net(x1), shift = first half of h, raw = second half; y2 = (x2 + shift) s(raw), or in
 * the other order y2 = x2 s(raw) + shift; log-det = sum log s. Additive: y2 = x2 + net(x1);
 * log-det = 0. RealNVP 2016, 3.4; Glow 2018, 3.3.
 * SIGMOID_FLOOR: s = floor + (1 - floor) sigmoid(raw + 2), so that the inverse divides by at least
 * `floor`. TANH_LEARNED: s = exp(scale tanh(raw)) with a parameter scale for each channel that
 * changes, which starts at 0 under a checkerboard and at 1 under the other masks.
 * What x1 is, of C channels:
 *   GLOW_MASK_CHANNELS      the first C - floor(C/2); with `invert` the last C - floor(C/2)
 *   GLOW_MASK_CHECKERBOARD  the pixels with row + column odd, with `invert` the others; the net
 *                           maps all channels, zero at the pixels of x2
 *   GLOW_MASK_INDICES       the channels that are listed, in their order; with `invert` those that
 *                           are not listed, in ascending order
 * x2 is the rest, and is never empty. x1 may be empty: then all channels change, by what the net
 * computes from its condition. */
/* GLOW_COUPLING_SPLINE is for presets only; glow_spline_coupling_create makes such a layer. */
enum { GLOW_COUPLING_AFFINE = 301, GLOW_COUPLING_ADDITIVE = 302, GLOW_COUPLING_SPLINE = 303 };
enum {
  GLOW_SCALE_SIGMOID = 401,       /* sigmoid(raw + 2) */
  GLOW_SCALE_EXP = 402,           /* exp(raw) */
  GLOW_SCALE_TANH = 403,          /* exp(2 tanh(raw / 2)) */
  GLOW_SCALE_SIGMOID_FLOOR = 404, /* floor + (1 - floor) sigmoid(raw + 2) */
  GLOW_SCALE_TANH_LEARNED = 405   /* exp(scale tanh(raw)) */
};
enum { GLOW_MASK_CHANNELS = 501, GLOW_MASK_CHECKERBOARD = 502, GLOW_MASK_INDICES = 503 };
enum {
  GLOW_ORDER_SHIFT_SCALE = 601, /* (x2 + shift) s: Glow */
  GLOW_ORDER_SCALE_SHIFT = 602  /* x2 s + shift: RealNVP */
};
typedef struct glow_coupling_options {
  size_t struct_size;
  int32_t kind;           /* GLOW_COUPLING_AFFINE (default) or _ADDITIVE */
  int32_t scale;          /* scale function of the affine kind; default GLOW_SCALE_SIGMOID */
  double floor;           /* for GLOW_SCALE_SIGMOID_FLOOR, in (0, 1); default 0.05 */
  int32_t mask;           /* GLOW_MASK_...; default channels */
  int32_t invert;         /* 1: x1 and x2 exchanged; default 0 */
  int32_t order;          /* GLOW_ORDER_... of the affine kind; default shift, then scale */
  int32_t reserved;       /* 0 */
  const int32_t *indices; /* for GLOW_MASK_INDICES: channels, each once. Copied. */
  int64_t index_count;    /* elements of indices */
} glow_coupling_options;
#define GLOW_COUPLING_OPTIONS_INIT                                                                 \
  {                                                                                                \
    sizeof(glow_coupling_options), GLOW_COUPLING_AFFINE, GLOW_SCALE_SIGMOID, 0.05,                 \
        GLOW_MASK_CHANNELS, 0, GLOW_ORDER_SHIFT_SCALE, 0, NULL, 0                                  \
  }
/* Takes *net over, on success and on failure, and sets it to NULL. GLOW_MASK_CHANNELS needs two
 * channels or more, a checkerboard needs two pixels or more, and where x1 is empty the net must
 * read a condition. Otherwise the layer is refused with GLOW_E_SHAPE when it is added to a
 * builder. */
GLOW_API glow_status glow_coupling_create(glow_context *context,
                                          const glow_coupling_options *options, glow_net **net,
                                          glow_layer **out);

/* Spline coupling: one part of the channels stays as it is. Each element of the other part goes
 * through a monotone rational-quadratic spline of `bins` bins from [-bound, bound] onto itself;
 * elements outside stay as they are. The net gives 3 bins - 1 values for each channel that changes;
 * if all of them are 0, the spline is the identity. log-det = sum of log-derivatives. Durkan et al.
 * 2019. parity 0: the first C - floor(C/2) channels stay; 1: the last. A single channel changes, by
 * what the net computes from its condition. */
typedef struct glow_spline_coupling_options {
  size_t struct_size;
  int32_t bins;          /* 2 to 64; default 8 */
  int32_t parity;        /* 0 (default) or 1 */
  double bound;          /* default 4 */
  double min_width;      /* of a bin, as a fraction of 2 bound; default 1e-3 */
  double min_height;     /* likewise; default 1e-3 */
  double min_derivative; /* at a knot; default 1e-3 */
} glow_spline_coupling_options;
#define GLOW_SPLINE_COUPLING_OPTIONS_INIT                                                          \
  { sizeof(glow_spline_coupling_options), 8, 0, 4.0, 1e-3, 1e-3, 1e-3 }
/* Takes *net over, on success and on failure, and sets it to NULL. An input of one channel needs a
 * net that reads a condition. */
GLOW_API glow_status glow_spline_coupling_create(glow_context *context,
                                                 const glow_spline_coupling_options *options,
                                                 glow_net **net, glow_layer **out);

/* Scaling: y_i = x_i exp(logs_i) for each element i of a sample; log-det = sum logs. Parameter logs
 * [H, W, C], 0 at the start. With from_data, data-dependent initialisation gives each element
 * standard deviation 1 on the data: logs = -log(sd + 1e-6). Dinh et al. 2014, 3.3. */
typedef struct glow_scaling_options {
  size_t struct_size;
  int32_t from_data; /* 1: first values from data; default 0 */
  int32_t reserved;  /* 0 */
} glow_scaling_options;
#define GLOW_SCALING_OPTIONS_INIT                                                                  \
  { sizeof(glow_scaling_options), 0, 0 }
/* Makes a scaling layer. */
GLOW_API glow_status glow_scaling_create(glow_context *context, const glow_scaling_options *options,
                                         glow_layer **out);

/* Flatten: [H,W,C] to [1,1,H W C], in the order in which it is stored; log-det 0. */
typedef struct glow_flatten_options {
  size_t struct_size;
} glow_flatten_options;
#define GLOW_FLATTEN_OPTIONS_INIT                                                                  \
  { sizeof(glow_flatten_options) }
/* Makes a flatten layer. */
GLOW_API glow_status glow_flatten_create(glow_context *context, const glow_flatten_options *options,
                                         glow_layer **out);

/* Squeeze by 2: [H,W,C] to [H/2,W/2,4C]; output channel c*4 + 2*dy + dx. log-det 0. H, W even. */
typedef struct glow_squeeze_options {
  size_t struct_size;
} glow_squeeze_options;
#define GLOW_SQUEEZE_OPTIONS_INIT                                                                  \
  { sizeof(glow_squeeze_options) }
/* Makes a squeeze. */
GLOW_API glow_status glow_squeeze_create(glow_context *context, const glow_squeeze_options *options,
                                         glow_layer **out);

/* Split: the first half of the channels stays. The second half becomes latents, which are Gaussian
 * given the first half: mean, log-sd = halves of (conv3x3(first half) + bias) exp(3 logs), which
 * starts at zero. Parameters prior.weight [C, C/2, 3, 3], prior.bias [C], prior.logs [C]. Kingma
 * and Dhariwal 2018, 3.6 and code. With `border`, that convolution has one more input channel,
 * which is 1 in the padding around the image and 0 inside; its weights are prior.edge [C, 3, 3].
 * With `fixed`, the latents are standard normal and there are no parameters (Dinh et al. 2016,
 * 3.6). C must be even. */
typedef struct glow_split_options {
  size_t struct_size;
  int32_t border; /* 1: the convolution sees the border of the image; default 0 */
  int32_t fixed;  /* 1: a standard normal prior, without `border`; default 0 */
} glow_split_options;
#define GLOW_SPLIT_OPTIONS_INIT                                                                    \
  { sizeof(glow_split_options), 0, 0 }
/* Makes a split. */
GLOW_API glow_status glow_split_create(glow_context *context, const glow_split_options *options,
                                       glow_layer **out);

/* Batch normalisation: y_c = (x_c - mean_c) / sqrt(var_c + epsilon); log-det = -H W / 2 sum_c
 * log(var_c + epsilon). In training passes (glow_workspace_forward of a workspace in a training
 * mode) mean and biased variance are those of the batch, and gradients go through them. In all
 * other passes they are the running averages, fixed state mean [C] and var [C], which
 * data-dependent initialisation sets and every training step moves: average += momentum (batch -
 * average). With a lag, training uses lag * running average + (1 - lag) * batch. Dinh et al. 2016,
 * 3.7 and appendix E. */
typedef struct glow_batchnorm_options {
  size_t struct_size;
  double epsilon;  /* in (0, 1); default 1e-4 */
  double momentum; /* in (0, 1]; default 0.1 */
  double lag;      /* in [0, 1); default 0 */
} glow_batchnorm_options;
#define GLOW_BATCHNORM_OPTIONS_INIT                                                                \
  { sizeof(glow_batchnorm_options), 1e-4, 0.1, 0.0 }
/* Makes a batch normalisation. */
GLOW_API glow_status glow_batchnorm_create(glow_context *context,
                                           const glow_batchnorm_options *options, glow_layer **out);

/* Standardisation: y_c = (x_c - mean_c) / deviation_c; log-det = -H W sum log deviation. Fixed
 * state mean [C], deviation [C], 0 and 1 at the start. Data-dependent initialisation sets them to
 * the mean and the biased deviation of each channel on the data; training does not change them. A
 * channel that is constant gets deviation 1, and is named in the log. For data whose channels have
 * units of their own, in front of all other layers. */
typedef struct glow_standardise_options {
  size_t struct_size;
} glow_standardise_options;
#define GLOW_STANDARDISE_OPTIONS_INIT                                                              \
  { sizeof(glow_standardise_options) }
/* Makes a standardisation. */
GLOW_API glow_status glow_standardise_create(glow_context *context,
                                             const glow_standardise_options *options,
                                             glow_layer **out);

/* Logit: for data in [-1/2, 1/2), y = log(p / (1 - p)) with p = alpha + (1 - 2 alpha) (x + 1/2);
 * log-det = sum log((1 - 2 alpha) / (p (1 - p))). Outside [-1/2, 1/2] the curve continues as its
 * tangent, so every real x has an image, a finite log-det and an exact inverse. Dinh et al. 2016,
 * 4.1. */
typedef struct glow_logit_options {
  size_t struct_size;
  double alpha; /* in [1e-6, 0.5); default 0.05 */
} glow_logit_options;
#define GLOW_LOGIT_OPTIONS_INIT                                                                    \
  { sizeof(glow_logit_options), 0.05 }
/* Makes a logit layer. */
GLOW_API glow_status glow_logit_create(glow_context *context, const glow_logit_options *options,
                                       glow_layer **out);

/* Densities of latents with mean 0 and scale 1: Gaussian, or logistic, exp(-e) / (1 +
 * exp(-e))^2. */
enum { GLOW_DENSITY_GAUSSIAN = 801, GLOW_DENSITY_LOGISTIC = 802 };

/* Top prior: turns everything that is left into latents. They are Gaussian with mean and log-sd per
 * channel: 0, or learned vectors mean [C], logs [C], plus with classes a row for the sample's
 * class, class_mean, class_logs [classes, C]. With `spatial`, mean and logs are learned for each
 * position, [H, W, C] (in the code published with Glow they come from a convolution that sees the
 * border of the image, and do differ by position). Or the latents are logistic, with logs the log
 * of the scale. Must be the last layer. A sample with label -1, whose class is not known, has the
 * density of the mixture of all classes, 1/K sum_k p(z|k). With `classifier`, the model has logits
 * (glow_workspace_classify): logit_k = class_bias[k] + sum_c class_weight[k,c] z_c, where z_c is
 * the mean over the pixels of channel c of the raw top latents; parameters class_weight [classes,
 * C], class_bias [classes], 0 at the start. Kingma and Dhariwal 2018, code. */
typedef struct glow_prior_options {
  size_t struct_size;
  int32_t learned;    /* 1: mean and logs are learned (default) */
  int32_t classes;    /* 0: none; else every pass needs labels in [0, classes), or -1 */
  int32_t spatial;    /* 1: mean and logs for each position; needs `learned`; default 0 */
  int32_t classifier; /* 1: logits of the classes from the latents; needs `classes`; default 0 */
  int32_t density;    /* GLOW_DENSITY_GAUSSIAN (default) or _LOGISTIC */
  int32_t reserved;   /* 0 */
} glow_prior_options;
#define GLOW_PRIOR_OPTIONS_INIT                                                                    \
  { sizeof(glow_prior_options), 1, 0, 0, 0, GLOW_DENSITY_GAUSSIAN, 0 }
/* Makes a top prior. */
GLOW_API glow_status glow_prior_create(glow_context *context, const glow_prior_options *options,
                                       glow_layer **out);

#ifdef __cplusplus
}
#endif
#endif
