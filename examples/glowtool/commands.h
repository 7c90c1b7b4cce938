/* The commands, each with the table of its options. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_COMMANDS_H
#define GLOWTOOL_COMMANDS_H

#include "options.h"

/* Name and purpose of each, in the order of the help. */
#define COMMANDS(X)                                                                                \
  X(train, "learn a model from images, or from a table")                                           \
  X(eval, "bits per dimension of images under a model")                                            \
  X(score, "log-densities of samples, as tensors or a table")                                      \
  X(sample, "draw new images, or other samples, from a model")                                     \
  X(encode, "samples to latents, as tensors or a table")                                           \
  X(decode, "latents to samples, as tensors or a table")                                           \
  X(reconstruct, "images to latents and back, and the error")                                      \
  X(interpolate, "what lies between images, in the latent space")                                  \
  X(attribute, "a direction of the latent space, and images moved along it")                       \
  X(sweep, "the same latents at several temperatures")                                             \
  X(restore, "images from a part of them, from noise, or from few pixels")                         \
  X(anomaly, "how well scores tell other images from usual ones")                                  \
  X(import, "a model from weights of other projects")                                              \
  X(export, "a model under another project's names, or in bfloat16")                               \
  X(info, "what is in a model file")                                                               \
  X(doctor, "what is wrong with a model, layer by layer, and what to do")

/* Each gets its own arguments, argv[0] being its name. Returns the exit code. */
#define DECLARE(name, about)                                                                       \
  int command_##name(int argc, char **argv);                                                       \
  extern const option_table name##_table;
COMMANDS(DECLARE)
#undef DECLARE

#endif
