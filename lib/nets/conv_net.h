/* Glow's network, between its files: conv_net.c (what it is), conv_net_forward.c,
 * conv_net_backward.c, conv_net_init.c.
 *
 *   a1 = W1 gather(x) + e1   [pixels, 9 in] -> [pixels, hidden]
 *   h1 = relu((a1 + b1) exp(l1))
 *   a2 = W2 h1
 *   h2 = relu((a2 + b2) exp(l2))
 *   out = (sum(W3 h2) + e3 + b3) exp(3 l3)
 *
 * where without actnorms l1 = l2 = 0, and e1, e3 are what pixels gain from the border indicator
 * (math/border.h), 0 without. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_CONV_NET_H
#define GLOW_LIB_CONV_NET_H

#include "math/border.h"
#include "math/kernels.h"
#include "nets/nets.h"

typedef struct glow__conv_net {
  int32_t hidden, actnorm, edge;
  uint64_t seed;
  int64_t height, width, image; /* image = pixels of a sample */
  int64_t in, out;
  /* Frozen: W1, W2, W3 packed for forward, in memory of the net's own, instead of w1, w2, w3. */
  float *frozen[3];
  /* Tensors: weights [out, in, kh, kw]; b1 is norm1.bias or conv1.bias. l1, l2 are -1 without
   * actnorms. */
  int32_t w1, b1, l1, w2, b2, l2, w3, b3, l3;
  int32_t e1, e3; /* conv1.edge, conv3.edge [out, 3, 3], or -1 */
  /* Saved: activations after ReLU [pixels, hidden], in strips of panels. */
  int32_t h1, h2;
  /* Scratch. */
  int32_t by_tap1;   /* W1 as [hidden, (t, in)]; its gradient, transposed */
  int32_t by_tap3;   /* W3 as [(t, out), hidden]; its gradient */
  int32_t packed[3]; /* weights for forward, packed */
  int32_t taps;      /* W3 h2 [pixels, 9 out]; gradient of it in backward */
  int32_t partial;   /* sums of each strip: [strips, glow__conv_net_partial] */
  int32_t strip;     /* worker: glow__conv_strip's rows */
  /* Backward scratch. */
  int32_t back[3];    /* transposed weights, packed */
  int32_t d_gathered; /* gradient of gather(x) [pixels, 9 in] */
  int32_t sums;       /* doubles [glow__conv_net_partial] */
  /* The gradients of W1, W2, W3 by taps are L' R: gather(x)' d1, d2' h1, taps' h2, where h1 and h2
   * are those saved. Each factor [pixels, n] is in strips of panels; in bfloat16 L is in pairs of
   * pixels, R in rows. */
  int32_t left[3]; /* of W1, W2, W3 */
  int32_t d1;
  int32_t weight_block; /* bfloat16: packed columns of a worker */
} glow__conv_net;

static inline bool glow__conv_net_is_frozen(const glow__conv_net *net) {
  return net->frozen[0] != NULL;
}

/* Derived values: factors of norm1, norm2 and of the last layer; with the border indicator, what it
 * adds to each kind of pixel [9, hidden], [9, out]. */
typedef struct glow__conv_net_scales {
  float *s1, *s2, *s3;
  float *border1, *border3;
} glow__conv_net_scales;
glow__conv_net_scales glow__conv_net_scales_of(const glow__conv_net *net, const glow_call *call);

/* Floats of the border's tables. */
static inline int64_t glow__conv_net_border(const glow__conv_net *net) {
  return net->edge ? GLOW_BORDER_KINDS * (net->hidden + net->out) : 0;
}
/* Sums of a strip: bias and logs of both norms, bias and logs of the last layer, the border's
 * tables; as doubles, mean and square of one norm in initialisation, so it is even. */
static inline int64_t glow__conv_net_partial(const glow__conv_net *net) {
  return (4 * (int64_t)net->hidden + 2 * net->out + glow__conv_net_border(net) + 1) / 2 * 2;
}

/* Columns in a task of a weight gradient, whole panels of every provider; and, in bfloat16, pixels
 * packed at a time. */
enum { GLOW_WEIGHT_COLUMNS = 128, GLOW_WEIGHT_PIXELS = 256 };

void glow__conv_net_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                            float *out);
void glow__conv_net_backward(const void *self, const glow_call *call, const float *x,
                             int64_t stride, const float *out, float *dout, float *dx,
                             int64_t dx_stride);
glow_status glow__conv_net_init(const void *self, const glow_call *call, int32_t round,
                                int32_t phase, const float *x, int64_t stride);

/* Shared by the passes: what a strip task works on. */
typedef struct glow__conv_run {
  const glow__conv_net *net;
  const glow_call *call;
  const glow__kernels *kernels;
  const struct glow__kernels16 *kernels16; /* NULL: products are float32 */
  const float *x;
  int64_t stride;
  int64_t pixels; /* of the batch */
  float *out;
} glow__conv_run;

/* Packs the weights, in parallel: for forward, unless they are frozen, or transposed for the data
 * gradients. */
void glow__conv_net_pack(const glow__conv_run *run);
void glow__conv_net_pack_back(const glow__conv_run *run);
/* W1, W2 or W3 (layer 0, 1, 2) as forward's products take them. */
const float *glow__conv_net_weights(const glow__conv_run *run, int32_t layer);
/* The inference form (glow_net_ops.freeze). */
glow_status glow__conv_net_freeze(const void *self, const glow_call *call, glow_net **out);
/* Wraps a net, frozen or not; takes it over. */
glow_status glow__conv_net_wrap(glow_context *context, glow__conv_net *net, glow_net **out);

/* Channels of the wider of input and output. */
static inline int64_t glow__conv_net_wide(const glow__conv_net *net) {
  return net->in > net->out ? net->in : net->out;
}

/* Rows of a strip. Activations are in the saved regions when there are such, else in the worker's
 * memory. */
typedef struct glow__conv_strip {
  int64_t first, rows;
  float *gathered;     /* [rows, 9 in] or [rows, 9 out] */
  float *h1, *h2;      /* [rows, hidden] */
  glow_layout hidden; /* of h1, h2 and their gradients: panels, as packed */
} glow__conv_strip;
glow__conv_strip glow__conv_net_strip(const glow__conv_run *run, uint32_t task, uint32_t worker);
/* relu((a + bias) scale), where `bias` is a tensor. */
glow_epilogue glow__conv_net_norm(const glow__conv_run *run, int32_t bias, const float *scale);
/* Strip's h1 from x, and h2 from h1; a1 and a2 in their places when finish is not set. */
void glow__conv_net_first(const glow__conv_run *run, const glow__conv_strip *strip, bool finish);
void glow__conv_net_second(const glow__conv_run *run, const glow__conv_strip *strip, bool finish);

/* What a task of backward works on. */
typedef struct glow__conv_back {
  glow__conv_run run;
  float *dout; /* becomes g3 (conv_net_backward.c) */
  const float *out;
  float *dx;
  int64_t dx_stride;
} glow__conv_back;

/* Parts of a strip's sums in backward. */
typedef struct glow__conv_sums {
  float *b1, *l1, *b2, *l2, *b3, *l3;
  float *e1, *e3; /* by kind of pixel; with the border indicator */
} glow__conv_sums;
glow__conv_sums glow__conv_net_strip_sums(const glow__conv_run *run, uint32_t task);
/* rows [*, hidden] of pixels [first, last) become what the border adds to W1 gather(x). */
void glow__conv_net_border_fill(const glow__conv_run *run, int64_t first, int64_t last, float *rows,
                                glow_layout layout);
/* Sums of d, rows of n floats, which is the gradient of what the border adds to. */
void glow__conv_net_border_sums(const glow__conv_run *run, int64_t n, const float *d,
                                glow_layout layout, int64_t first, int64_t last, float *sum);
/* Floats of a packed matrix [k, n]. */
int64_t glow__conv_net_packed(const glow__kernels *kernels, const struct glow__kernels16 *kernels16,
                              int64_t k, int64_t n);

glow__conv_run glow__conv_net_run(const glow__conv_net *net, const glow_call *call, const float *x,
                                  int64_t stride, float *out);

#endif
