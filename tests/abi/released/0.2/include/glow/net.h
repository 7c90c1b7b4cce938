/* Conditioner networks: the function NN() inside a coupling. For nets of your own see
 * <glow/sys/net.h>.
 *
 * A net may read a condition that each sample comes with (glow_workspace_set_condition): a vector
 * {1, 1, D} or an image {H, W, C}. Networks over pixels take a vector at every pixel. They take an
 * image squeezed to the height and width of their input, of which its sides must be multiples
 * (glow_condition_channels in <glow/sys/call.h> gives the order). The multilayer perceptron takes
 * all of it after its input. All nets of a model that read a condition read the same one.
 *
 * With `standardise`, what goes in is (c - mean) / deviation, so that conditions of any mean and
 * scale train alike: by element for a vector and for a multilayer perceptron, by channel for an
 * image that a network over pixels reads. Mean and deviation are fixed state, condition_mean and
 * condition_deviation, 0 and 1 at the start, which data-dependent initialisation sets and training
 * does not change. Without it conditions should be of a scale around 1. Nets of one's own are given
 * conditions as they are; <glow/sys/condition.h> has the functions to do the same in them.
 *
 * All constructors here have one form: options NULL means the defaults, and the net belongs to the
 * caller until it is given to a layer. On failure *out is NULL, and GLOW_E_ARGUMENT names the
 * option, what was found and what is expected.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_NET_H
#define GLOW_NET_H

#include <glow/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct glow_net glow_net;

/* Glow's network: conv3x3 -> norm1 -> ReLU -> conv1x1 -> norm2 -> ReLU -> zero conv3x3, where the
 * norms are actnorms or plain biases, and the zero convolution (conv + bias) exp(3 logs) starts at
 * 0. With `border`, as in the published code, each 3x3 convolution has one more input channel,
 * which is 1 in the padding around the image and 0 inside; its weights are conv1.edge [hidden, 3,
 * 3] and conv3.edge [out, 3, 3]. A condition adds channels to the net's input. Source: Kingma and
 * Dhariwal 2018, section 3 and the code published with it. */
typedef struct glow_conv_net_options {
  size_t struct_size;
  int32_t hidden;       /* channels of both hidden layers; default 512 */
  int32_t actnorm;      /* 1: norms are actnorms (default); 0: plain biases */
  uint64_t seed;        /* of the hidden weights, normal with standard deviation 0.05 */
  int32_t border;       /* 1: convolutions see the border of the image; default 0 */
  int32_t standardise;  /* 1: the condition is standardised, and needed; default 0 */
  glow_shape condition; /* of a sample; channels 0 (default): none */
} glow_conv_net_options;
#define GLOW_CONV_NET_OPTIONS_INIT                                                                 \
  {                                                                                                \
    sizeof(glow_conv_net_options), 512, 1, 0, 0, 0, {                                              \
      1, 1, 0                                                                                      \
    }                                                                                              \
  }

/* Makes Glow's network. */
GLOW_API glow_status glow_conv_net_create(glow_context *context,
                                          const glow_conv_net_options *options, glow_net **out);

/* Multilayer perceptron over all elements of a sample's input at once: `depth` fully connected
 * layers of `hidden` units with ReLU, and a linear one that starts at 0. For vectors (H = W = 1),
 * and for images taken as vectors. Parameters fc1.weight [hidden, inputs], fc1.bias [hidden], ...,
 * fc{depth+1}. Its input is followed by the sample's condition. Dinh et al. 2014, 5.1. */
typedef struct glow_mlp_net_options {
  size_t struct_size;
  int32_t hidden;       /* default 64 */
  int32_t depth;        /* hidden layers, 1 to 64; default 2 */
  glow_shape condition; /* of a sample; channels 0 (default): none */
  uint64_t seed;        /* of the hidden weights, normal with variance 2 / inputs */
  int32_t standardise;  /* 1: the condition is standardised, and needed; default 0 */
  int32_t reserved;     /* 0 */
} glow_mlp_net_options;
#define GLOW_MLP_NET_OPTIONS_INIT                                                                  \
  { sizeof(glow_mlp_net_options), 64, 2, {1, 1, 0}, 0, 0, 0 }
/* Makes a multilayer perceptron. */
GLOW_API glow_status glow_mlp_net_create(glow_context *context, const glow_mlp_net_options *options,
                                         glow_net **out);

/* RealNVP's network: a 3x3 convolution; `blocks` residual blocks of two 3x3 convolutions with batch
 * normalisation and ReLU before each; from every stage a 1x1 convolution, whose sum goes through
 * normalisation, ReLU and a 1x1 convolution to the output. Weights are normalised, w = gain v /
 * |v|. In training passes the batch normalisations use the statistics of the batch, in all others
 * running averages, which data-dependent initialisation sets (see batch normalisation in
 * <glow/layer.h>). Without batch_norm the convolutions have biases. Source: Dinh et al. 2016, 4.1,
 * and the code published with it. */
typedef struct glow_res_net_options {
  size_t struct_size;
  int32_t hidden;      /* channels; default 32 */
  int32_t blocks;      /* 1 to 64; default 4 */
  int32_t weight_norm; /* 1 (default): weights are normalised; 0: they are v */
  int32_t batch_norm;  /* 1 (default): with batch normalisations; 0: with biases instead */
  uint64_t seed;       /* of the weights */
  int32_t standardise; /* 1: the condition is standardised, and needed; default 0 */
  int32_t reserved;    /* 0 */
  glow_shape
      condition; /* of a sample, further input of the first convolution; channels 0 (default):
                    none */
} glow_res_net_options;
#define GLOW_RES_NET_OPTIONS_INIT                                                                  \
  {                                                                                                \
    sizeof(glow_res_net_options), 32, 4, 1, 1, 0, 0, 0, {                                          \
      1, 1, 0                                                                                      \
    }                                                                                              \
  }
/* Makes a residual network. */
GLOW_API glow_status glow_res_net_create(glow_context *context, const glow_res_net_options *options,
                                         glow_net **out);

/* For a net that was not given to a layer. Sets *net to NULL. NULL and a pointer to NULL are
 * fine. */
GLOW_API void glow_net_destroy(glow_net **net);

#ifdef __cplusplus
}
#endif
#endif
