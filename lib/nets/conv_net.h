/* Glow's network: what its files share.
 *
 *   conv_net.c              what it is: options, tensors, memory, starting values
 *   conv_net_pass.c         forward and backward, up to the products
 *   conv_net_float.c        the products in float32,
 *   conv_net_bfloat16.c     and in bfloat16: two implementations of one table
 *   conv_net_weights.c      packed weights
 *   conv_net_initialise.c   data-dependent initialisation
 *   conv_net_form.c         the inference form
 *
 *   a1 = W1 gather(x) + e1   [pixels, 9 in] -> [pixels, hidden]
 *   h1 = relu((a1 + b1) exp(l1))
 *   a2 = W2 h1
 *   h2 = relu((a2 + b2) exp(l2))
 *   out = (sum(W3 h2) + e3 + b3) exp(3 l3)
 *
 * where without actnorms l1 = l2 = 0, e1 and e3 are what pixels gain from the border indicator
 * (math/border.h), 0 without, and x includes the condition's channels (pixel_input.h).
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_CONV_NET_H
#define GLOW_LIB_CONV_NET_H

#include "math/border.h"
#include "math/strips.h"
#include "math/tiles.h"
#include "nets/pixel_input.h"

struct glow__conv_products;

typedef struct glow__conv_net {
  glow_conv_net_options options;
  const struct glow__conv_products *products;
  glow__pixel_input input;
  int64_t height, width, image; /* image: pixels of a sample */
  int64_t in, out, hidden;      /* channels; in: of x and the condition */
  /* The inference form: W1, W2, W3 packed for forward, in one block of the net's own. NULL in other
   * nets, where tensors w1, w2, w3 are packed for each pass. */
  float *own[3];
  /* Tensors: weights [out, in, kh, kw]; b1 is norm1.bias or conv1.bias. l1, l2 are -1 without
   * actnorms. */
  int32_t w1, b1, l1, w2, b2, l2, w3, b3, l3;
  int32_t e1, e3; /* conv1.edge, conv3.edge [out, 3, 3], or -1 */
  /* Stored: activations after ReLU [pixels, hidden]. float32: in strips of panels; bfloat16: rows
   * of an even length. */
  int32_t h1, h2;
  /* Scratch. */
  int32_t by_tap1;   /* W1 as [hidden, (t, in)]; its gradient, transposed */
  int32_t unpacked2; /* the inference form, backward: W2 as [hidden, hidden] */
  int32_t by_tap3;   /* W3 as [(t, out), hidden]; its gradient */
  int32_t packed[3]; /* weights for forward, packed */
  int32_t taps;      /* W3 h2 [pixels, 9 out]; gradient of it in backward */
  int32_t partial;   /* sums of each strip: [strips, glow__conv_partial] */
  int32_t strip;     /* worker: what a strip needs */
  int32_t shared;    /* float32: h1 and h2 of few pixels, which several tasks work on */
  /* Backward scratch. */
  int32_t back[3];    /* transposed weights, packed */
  int32_t d_gathered; /* gradient of gather(x) [pixels, 9 in] */
  int32_t sums;       /* doubles [glow__conv_partial] */
  /* The gradients of W1, W2, W3 by taps are L' R: gather(x)' d1, d2' h1, taps' h2, where h1 and h2
   * are those stored, and the other factors have the pixels of the block at work. Each is
   * [pixels, n]. float32: in strips of panels; bfloat16: L in pairs of pixels, R in rows. */
  int32_t left[3]; /* of W1, W2, W3 */
  int32_t d1;
  int32_t weight_panels; /* bfloat16: packed columns of a worker */
} glow__conv_net;

/* What a pass works on. */
typedef struct glow__conv_run {
  const glow__conv_net *net;
  const glow_call *call;
  const glow_math *math;
  glow__pixels x;      /* with the condition's channels */
  int64_t pixels;      /* of the batch */
  int64_t first, last; /* those at work: all, or in backward a block */
  float *out;          /* forward's result */
  float *dout;         /* backward: becomes g3 (conv_net_pass.c) */
  glow__pixels dx;
  bool inputs_only; /* gradients of parameters are left out */
} glow__conv_run;

/* A tile of a weight gradient C [m, hidden] += L' R, with sums over the pixels of a block: that of
 * W1, W2 or W3 (layer 0, 1, 2). */
typedef struct glow__conv_tile {
  int32_t layer;
  int64_t m;
  glow__tile at;
  float *c;
} glow__conv_tile;

/* ---- the products, in float32 or bfloat16 ---------------------------------------------------- */

typedef struct glow__conv_products {
  /* Packed matrices [k, n] in the form that these products read: see glow_math_pack. */
  int64_t (*packed_floats)(const glow_context *context, int64_t k, int64_t n);
  int64_t (*panel_count)(const glow_context *context, int64_t n);
  void (*pack)(const glow_context *context, int64_t k, int64_t n, const float *b, int64_t rs,
               int64_t cs, float *packed, int64_t first, int64_t last);
  /* Writes columns [first, last) of a packed matrix [k, n] as rows: to[n, k] is its transpose. */
  void (*unpack)(const glow_context *context, int64_t k, int64_t n, const float *packed, float *to,
                 int64_t first, int64_t last);
  /* Declares a strip's memory and the stored activations, and what else backward needs. */
  glow_status (*declare)(glow__conv_net *net, glow_setup *setup);
  glow_status (*declare_backward)(glow__conv_net *net, glow_setup *setup);
  /* From x to W3 h2, in scratch `taps`; */
  void (*forward)(const glow__conv_run *run);
  /* and, for a block of pixels, from g3 to d1, the factors of the weight gradients, and the strips'
   * sums for both norms and e1. */
  void (*backward)(const glow__conv_run *run);
  /* What is then left to do for the gradient of gather(x). NULL: backward has done it. */
  uint32_t (*input_tasks)(const glow__conv_run *run);
  void (*input_task)(const glow__conv_run *run, uint32_t task);
  int64_t block_pixels; /* most in a block: whole strips */
  /* Of a tile of a weight gradient; the columns: whole panels. */
  int64_t weight_rows, weight_columns;
  void (*weight_gradient)(const glow__conv_run *run, const glow__conv_tile *tile, uint32_t worker);
  /* Sets active[j] to 1 for the units of stored h1 and, from active[hidden] on, h2, that are above
   * 0 in a pixel. */
  void (*mark_active)(const glow__conv_run *run, unsigned char *active);
  /* W1 gather(x) (round 0) or W2 h1 (round 1) of a strip: rows of `hidden` floats. */
  const float *(*before_norm)(const glow__conv_run *run, uint32_t task, uint32_t worker,
                              int32_t round);
} glow__conv_products;

extern const glow__conv_products glow__conv_float;
extern const glow__conv_products glow__conv_bfloat16;

/* ---- conv_net.c ------------------------------------------------------------------------------ */

/* Sizes, tensors and memory of a net, or of an inference form, which has no weights, and gradients
 * of its inputs alone. */
glow_status glow__conv_configure(glow__conv_net *net, glow_setup *setup, const glow_shape *input,
                                 int64_t out_channels, bool form);
/* Fills the derived values (glow_net_ops.prepare). */
glow_status glow__conv_prepare(const void *self, const glow_call *call);

/* Derived values: factors of norm1, norm2 and of the last layer; with the border indicator, what it
 * adds to each kind of pixel [9, hidden], [9, out]. */
typedef struct glow__conv_scales {
  float *s1, *s2, *s3;
  float *border1, *border3;
} glow__conv_scales;
glow__conv_scales glow__conv_scales_of(const glow__conv_net *net, const glow_call *call);

/* Floats of the border's tables. */
static inline int64_t glow__conv_border_floats(const glow__conv_net *net) {
  return net->options.border ? GLOW_BORDER_KINDS * (net->hidden + net->out) : 0;
}
/* Sums of a strip: bias and logs of both norms, bias and logs of the last layer, the border's
 * tables. In initialisation they are doubles, mean and square of one norm, so the size is even. */
static inline int64_t glow__conv_partial(const glow__conv_net *net) {
  return (4 * net->hidden + 2 * net->out + glow__conv_border_floats(net) + 1) / 2 * 2;
}
/* Channels of the wider of input and output. */
static inline int64_t glow__conv_wide(const glow__conv_net *net) {
  return net->in > net->out ? net->in : net->out;
}

/* ---- conv_net_pass.c ------------------------------------------------------------------------- */

/* Joins x with the condition. */
glow__conv_run glow__conv_run_of(const glow__conv_net *net, const glow_call *call, const float *x,
                                 int64_t stride);
void glow__conv_net_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                            float *out);
void glow__conv_net_backward(const void *self, const glow_call *call, const float *x,
                             int64_t stride, const float *out, float *dout, float *dx,
                             int64_t dx_stride);

/* relu((a + bias) scale), where `bias` is a tensor. */
glow_epilogue glow__conv_norm(const glow__conv_run *run, int32_t bias, const float *scale);
/* Parts of a strip's sums in backward. */
typedef struct glow__conv_sums {
  float *b1, *l1, *b2, *l2, *b3, *l3;
  float *e1, *e3; /* by kind of pixel; with the border indicator */
} glow__conv_sums;
glow__conv_sums glow__conv_strip_sums(const glow__conv_run *run, uint32_t task);
/* rows [*, hidden] of pixels [first, last) become what the border adds to W1 gather(x). */
void glow__conv_border_fill(const glow__conv_run *run, int64_t first, int64_t last, float *rows,
                            glow_layout layout);
/* Sums of d, the gradient of what the border adds to, in rows of n floats. */
void glow__conv_border_sums(const glow__conv_run *run, int64_t n, const float *d,
                            glow_layout layout, int64_t first, int64_t last, float *sum);

/* ---- conv_net_weights.c ---------------------------------------------------------------------- */

/* Packs the weights, in parallel: for forward, unless the net has packed ones of its own, or
 * transposed for the data gradients. */
void glow__conv_pack(const glow__conv_run *run);
void glow__conv_pack_back(const glow__conv_run *run);
/* Packs them for forward into packed[3]; room: hidden 9 (in + out) floats. */
void glow__conv_pack_to(const glow__conv_run *run, float *room, float *const *packed);
/* W1, W2 or W3 (layer 0, 1, 2) in the form that forward's products read. */
const float *glow__conv_weights(const glow__conv_run *run, int32_t layer);

/* glow_net_ops.diagnose */
glow_status glow__conv_net_diagnose(const void *self, const glow_call *call,
                                    glow_findings *findings);

/* ---- conv_net_initialise.c, conv_net_form.c: glow_net_ops.initialise and inference_form ------ */

glow_status glow__conv_net_initialise(const void *self, const glow_call *call, int32_t round,
                                      int32_t phase, const float *x, int64_t stride);
glow_status glow__conv_net_form(const void *self, const glow_call *call, glow_net **out);

#endif
