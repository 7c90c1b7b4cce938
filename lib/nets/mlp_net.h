/* Fully connected network, shared by its files: mlp_net.c (options, tensors, memory),
 * mlp_net_forward.c, mlp_net_backward.c. A sample's image is taken as one vector x0 = (x,
 * condition), so that the net sees all of it at once:
 *
 *   h_l = relu(W_l h_{l-1} + b_l)     l = 1 .. depth, h_0 = x0      [samples, hidden]
 *   out = W_{depth+1} h_depth + b_{depth+1}                        [samples, H W out_channels]
 *
 * With `standardise`, x0 = (x, (condition - mean) / deviation), element by element.
 *
 * Layers are counted from 0 here: layer l has W [outputs, inputs]. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_MLP_NET_H
#define GLOW_LIB_MLP_NET_H

#include <glow/sys/condition.h>

#include "nets/nets.h"

#define GLOW_MLP_MOST_LAYERS 65

typedef struct glow__mlp_layer {
  int64_t inputs, outputs;
  int64_t input_panels, output_panels; /* of packed matrices with as many columns */
  int32_t weight, bias;                /* tensors */
  int64_t packed,
      back; /* places of packed W', in the derived values, and of packed W, in scratch */
} glow__mlp_layer;

typedef struct glow__mlp_net {
  glow_mlp_net_options options;
  int32_t hidden, depth;
  int64_t condition;                /* elements of a sample's condition, 0: none */
  glow_condition_standard standard; /* with `standardise` */
  int64_t pixels, channels;         /* of x */
  int64_t packed_size;              /* floats of all W', packed */
  glow__mlp_layer layers[GLOW_MLP_MOST_LAYERS];
  int32_t narrow; /* all weights stay in the cache while a strip of samples goes through them */
  /* Stored: h_1 .. h_depth [depth, samples, hidden]. */
  int32_t h;
  /* Scratch. */
  int32_t input;  /* x0 [samples, inputs] */
  int32_t states; /* wide nets: h of two layers [2, samples, hidden] */
  int32_t strip;  /* worker, narrow nets: the same of a strip */
  /* Backward scratch. */
  int32_t back;    /* W of all layers, packed */
  int32_t d;       /* gradients before ReLU [depth, samples, hidden] */
  int32_t d_input; /* gradient of x0 */
  int32_t block;   /* worker: a packed block of activations; or a row of sums, in double */
} glow__mlp_net;

/* Samples in a block of rows that is packed for a weight gradient, and columns in one of its tasks.
 * */
enum { GLOW_MLP_ROWS = 256, GLOW_MLP_COLUMNS = 64 };
/* A task has at least this many multiplications, about 40 us: waking a thread for fewer would cost
 * more. */
#define GLOW_MLP_WORK ((int64_t)1 << 21)

void glow__mlp_net_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                           float *out);
glow_status glow__mlp_net_diagnose(const void *self, const glow_call *call,
                                   glow_findings *findings);
void glow__mlp_net_backward(const void *self, const glow_call *call, const float *x, int64_t stride,
                            const float *out, float *dout, float *dx, int64_t dx_stride);

/* What the passes share. */
typedef struct glow__mlp_run {
  const glow__mlp_net *net;
  const glow_call *call;
  const glow_math *math;
  const float *packed; /* all W', or NULL before they are prepared */
  glow_layout rows;    /* of matrices in rows, but for how far apart rows are */
  int64_t samples;
  const float *x; /* the net's input: pixels of `stride` floats */
  int64_t stride;
  const float *input; /* x0: rows of `input_stride` floats */
  int64_t input_stride;
  int32_t layer; /* the layer, in runs over one layer */
} glow__mlp_run;

/* A matrix in rows of `stride` floats. */
static inline glow_layout glow__mlp_rows(const glow__mlp_run *run, int64_t stride) {
  glow_layout rows = run->rows;
  rows.row = stride;
  return rows;
}

/* x0 is x itself if that is a matrix already; otherwise it is gathered in scratch. */
void glow__mlp_net_begin(const glow__mlp_net *net, const glow_call *call, const float *x,
                         int64_t stride, glow__mlp_run *run);

/* How a product [samples, n] with inner size k is cut into tasks: strips of samples, and groups of
 * panels of columns. Depends on shapes alone. */
typedef struct glow__mlp_cut {
  int64_t rows, strips; /* samples in a strip, number of strips */
  int64_t panels;       /* in a group */
  int64_t groups;
} glow__mlp_cut;
glow__mlp_cut glow__mlp_net_cut(const glow__mlp_run *run, int64_t n, int64_t k);
/* Task t's part: rows [first, first + rows) and panels [from, to). */
typedef struct glow__mlp_part {
  int64_t first, rows, from, to;
} glow__mlp_part;
glow__mlp_part glow__mlp_net_part(const glow__mlp_run *run, const glow__mlp_cut *cut, int64_t n,
                                  uint32_t task);

#endif
