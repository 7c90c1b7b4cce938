/* The settings of `glowtool train`. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_TRAIN_OPTIONS_H
#define GLOWTOOL_TRAIN_OPTIONS_H

#include "data.h"
#include "options.h"
#include "tool.h"

/* What a run does when a loss or gradient is not finite. */
enum { DIVERGENCE_STOP = 1, DIVERGENCE_REWIND = 2 };

typedef struct train_settings {
  /* data */
  option_list data, test, labels, test_labels;
  data_options form;
  const char *size;
  char size_of_model[48]; /* the model of --from */
  int64_t images, test_images;
  /* model */
  const char *preset, *model;
  int64_t couplings, net_depth, density;
  int64_t levels, depth, hidden, blocks, permutation, coupling, scale, bits, bins;
  double floor, bound;
  bool no_net_actnorm, fixed_prior, spatial_prior, border, conditional, no_data_init,
      no_standardise;
  /* training */
  int64_t steps, batch, micro_batch, optimizer, schedule, warmup, init_images, seed;
  double class_weight, labelled;
  bool only_labelled;
  int64_t labelled_times;
  double noise, rate, beta1, beta2, epsilon, weight_decay, final, clip_norm, clip_value, ema;
  double gain_l2;
  bool reconstruct, flip;
  const char *memory; /* bytes of passes, NULL: any */
  /* machine */
  int64_t threads, products, max_memory;
  int64_t ranks, rank_timeout, sums;
  const char *kernels;
  /* results */
  const char *out;
  int64_t save_every, test_every, sample_every, samples, report_every, checkpoint_every, keep;
  int64_t on_divergence;
  double temperature;
  bool json, quiet, no_checkpoints, overwrite;
  /* going on */
  const char *from;   /* NULL: a model from random weights */
  const char *resume; /* NULL: a new run */
} train_settings;

/* Parses, and, unless a run is to be resumed, applies the preset and checks. Returns like
 * options_parse. */
int train_parse(option_state *state, train_settings *settings, int argc, char **argv);
/* Checks what concerns several options. */
int train_check(const option_state *state, const train_settings *settings);
/* The settings as the library wants them. */
glow_optimizer_options train_optimizer_options(const train_settings *settings);
glow_schedule train_schedule(const train_settings *settings);
/* Without its optimizer and schedule. */
glow_trainer_options train_trainer_options(const train_settings *settings);

#endif
