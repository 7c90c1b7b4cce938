/* The internal interface of the importers. A source format is one table, glow__import_format: how
 * to
 * recognise it, how to infer the shape of the model, and what to do for each part of it. The parts
 * are walked twice: first to check names and shapes of all tensors, before memory for a model is
 * taken; then, with a model, to convert. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_IMPORT_H
#define GLOW_LIB_IMPORT_H

#include <glow/import.h>

#include "io/io.h"

/* Room for a part's name; limits of what is inferred from a file. */
enum {
  GLOW_IMPORT_NAME = 256,
  GLOW_IMPORT_LEVELS = 16,
  GLOW_IMPORT_DEPTH = 4096,
  GLOW_IMPORT_CHANNELS = 1 << 24,
  GLOW_IMPORT_HIDDEN = 1 << 16,
  GLOW_IMPORT_CLASSES = 1000000
};

/* What the names and shapes of a file say about its model. */
typedef struct glow__import_plan {
  glow_shape input;
  int32_t levels, depth, hidden;
  int32_t coupling;    /* GLOW_COUPLING_... */
  int32_t net_actnorm; /* 0: plain biases */
  int32_t border;      /* convolutions have the border indicator */
  int32_t learned;     /* the top prior is learned */
  int32_t spatial;     /* it differs by pixel */
  int32_t classes;     /* rows for each class in the top prior; 0: none */
  int32_t classifier;  /* the top prior has a classifier */
  int32_t bits;
  int32_t *permutations; /* [levels, depth]: GLOW_PERMUTATION_... */
} glow__import_plan;

typedef struct glow__import {
  glow_context *context;
  glow_tensor_file *file;
  glow_import_options options;
  glow_limits limits; /* complete */
  const struct glow__import_format *format;
  const char *prefix;   /* before all names in the file: "model/", "module.", "" */
  unsigned char *known; /* [tensors of the file]: 1: it has a place in the model */
  glow__import_plan plan;
  glow_model *model;           /* NULL while names and shapes are checked */
  int32_t next;                /* tensor of the model to look at first */
  char from[GLOW_IMPORT_NAME]; /* before names of the file: "model/0/1/" */
  char to[GLOW_IMPORT_NAME];   /* before names of the model: "level0.step1." */
} glow__import;

/* What PyTorch's DataParallel and compile() put before the names of a module's tensors. */
#define GLOW_IMPORT_PREFIXES "", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."

typedef struct glow__import_format {
  int32_t id;
  const char *project;     /* "openai/glow" */
  const char *first;       /* a tensor that each model of the project has, without the prefix */
  const char *prefixes[6]; /* possible ones, up to NULL */
  const char
      *passes[3];     /* names that contain one of these are not of the model, and are accepted */
  bool levels_differ; /* levels may have permutations of different forms */
  /* Fills the plan, except for the image's height and width where the caller gives them. */
  glow_status (*infer)(glow__import *im);
  /* Put the prefix of a step, a split, the top into im->from. */
  void (*at_step)(glow__import *im, int32_t level, int32_t step);
  void (*at_split)(glow__import *im, int32_t level);
  void (*at_top)(glow__import *im);
  /* GLOW_PERMUTATION_... of the step at im->from; 0 if the file does not say. */
  int32_t (*permutation)(glow__import *im);
  /* The parts, with im->from and im->to set. `channels`: of the step; of the split's input; of the
   * top. */
  glow_status (*actnorm)(glow__import *im, int64_t channels);
  glow_status (*permute)(glow__import *im, int64_t channels, int32_t permutation);
  glow_status (*net)(glow__import *im, int64_t in, int64_t out);
  glow_status (*split)(glow__import *im, int64_t channels);
  glow_status (*top)(glow__import *im, int64_t channels);
} glow__import_format;

extern const glow__import_format glow__import_openai;
extern const glow__import_format glow__import_y0ast;
extern const glow__import_format glow__import_rosinality;

/* Fills the plan from a model, and refuses a model that `project` does not have. plan->permutations
 * is to be released, also after a failure. */
glow_status glow__export_plan(const glow_model *model, const char *project,
                              glow__import_plan *plan);
glow_status glow__export_y0ast(const glow_model *model, const glow_output *output);

/* ---- reading tensors (import_source.c) ------------------------------------------------------- */

/* A shape as two arguments: SHAPE(3, 3, in, out). */
#define GLOW_SHAPE(...)                                                                            \
  (int32_t)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) {         \
    __VA_ARGS__                                                                                    \
  }

/* Is there a tensor PREFIX FROM name? */
bool glow__import_has(const glow__import *im, const char *name);
/* Size of dimension `index` of a tensor of this rank, with a limit. */
glow_status glow__import_dim(const glow__import *im, const char *name, int32_t rank, int32_t index,
                             int64_t limit, int64_t *out);
/* Checks that the tensor is there with this shape, and counts it as known. Then *out holds its
 * values, finite, in double, for glow_release; NULL while names and shapes are checked. */
glow_status glow__import_read(glow__import *im, const char *name, int32_t rank, const int64_t *dims,
                              double **out);
/* The same for a vector of whole numbers that is a permutation of 0 to count - 1. */
glow_status glow__import_read_permutation(glow__import *im, const char *name, int64_t count,
                                          int32_t **out);

/* A single whole number, of any type. Read also while names and shapes are checked. */
glow_status glow__import_read_flag(glow__import *im, const char *name, int64_t *out);

/* ---- converting (import_convert.c) ----------------------------------------------------------- */

/* Order of output channels in the file, where ours are (first half, second half). */
enum { GLOW_ORDER_SAME = 0, GLOW_ORDER_INTERLEAVED = 1, GLOW_ORDER_SWAPPED = 2 };

/* How a weight [out, in, taps] of ours is stored in a tensor; vectors have in = taps = 1. */
typedef struct glow__import_layout {
  int64_t out, in, taps; /* of the file's tensor */
  int64_t first, count;  /* of its input channels, those that are used */
  bool inputs_first;     /* [taps, in, out], as TensorFlow has it; else [out, in, taps] */
  bool sum;              /* over the input channels: the result is [out, taps] */
  int32_t order;         /* GLOW_ORDER_... */
  double factor;
} glow__import_layout;

glow__import_layout glow__import_vector(int64_t count, int32_t order, double factor);

/* Reads a tensor and takes it apart by its layout: values for glow_release; NULL while names and
 * shapes are checked. */
glow_status glow__import_take(glow__import *im, const char *name, int32_t rank, const int64_t *dims,
                              const glow__import_layout *layout, double **out);
/* The same, into the model's tensor TO target. */
glow_status glow__import_copy(glow__import *im, const char *name, int32_t rank, const int64_t *dims,
                              const glow__import_layout *layout, const char *target);
/* Rounds to the model's tensor TO target. Not to be called while names and shapes are checked. */
glow_status glow__import_write(glow__import *im, const char *target, const double *values,
                               int64_t count);
glow_status glow__import_write_integers(glow__import *im, const char *target, const int32_t *values,
                                        int64_t count);

/* The reversal of the channels, if the file has no tensor for it. */
glow_status glow__import_write_reverse(glow__import *im, int64_t channels);

/* A tensor's name and shape. */
typedef struct glow__import_tensor {
  const char *name;
  int32_t rank;
  const int64_t *dims;
} glow__import_tensor;

/* Top prior from a zero convolution of zeros, h = (border + bias) exp(3 logs) [2C]: mean and log-sd
 * are its halves. `border` (NULL: none) is the sum of those weights [2C, 9] whose taps are outside
 * the image, which makes the prior differ by pixel. */
glow_status glow__import_top_prior(glow__import *im, int64_t channels,
                                   const glow__import_tensor *border,
                                   const glow__import_layout *border_layout,
                                   const glow__import_tensor *bias,
                                   const glow__import_tensor *logs);

/* A linear layer (W x + bias) exp(3 logs), W by its layout [out, in]. */
typedef struct glow__import_linear {
  glow__import_tensor weight, bias, logs;
  bool inputs_first;
} glow__import_linear;
/* From a class's one-hot vector: rows of mean and log-sd [classes, C]; */
glow_status glow__import_class_rows(glow__import *im, int64_t channels,
                                    const glow__import_linear *linear);
/* from the means of the top latents: logits of the classes. */
glow_status glow__import_classifier(glow__import *im, int64_t channels,
                                    const glow__import_linear *linear);

/* ---- 1x1 convolutions (import_invconv.c) ----------------------------------------------------- */

/* Names of the factors of W = P (L + I) (U + diag(sign exp(log_s))): [C, C] and [C]. */
typedef struct glow__import_factors {
  const char *p, *lower, *upper, *log_s, *sign;
} glow__import_factors;
/* To LU form. columns (NULL: ones) [C]: -1 where a column changes its sign, which the factors
 * allow. transposed: y = x W in the file, so W is composed, transposed and factored again. */
glow_status glow__import_lu(glow__import *im, int64_t channels, const glow__import_factors *factors,
                            const double *columns, bool transposed);
/* To the plain form. */
glow_status glow__import_weight(glow__import *im, const char *name, int32_t rank,
                                const int64_t *dims, int64_t channels, const double *columns,
                                bool transposed);

/* ---- the model (import_model.c) -------------------------------------------------------------- */

/* Fills in what the first step tells: input channels from those of its actnorm, hidden width, kind
 * of coupling from the output channels of its net. Checks the counts of levels and steps. */
glow_status glow__import_plan_step(glow__import *im, int64_t channels, int64_t hidden, int64_t out);
/* A builder with all layers of the plan, named as in the Glow preset. */
glow_status glow__import_build(glow_context *context, const glow__import_plan *plan,
                               glow_builder **out);
/* Finds the kinds of permutation, from im->format->permutation or the options. */
glow_status glow__import_permutations(glow__import *im);
/* Converts all parts; while there is no model, only checks them. */
glow_status glow__import_walk(glow__import *im);
/* Memory of the model's tensor `name`, which has this type and size, searched from *next on; *next
 * becomes the place of the one found. */
glow_status glow__import_find(const glow_model *model, int32_t *next, const char *name,
                              int32_t type, int64_t count, void **out);

#endif
