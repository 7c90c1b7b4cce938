/* The paper's configurations (Kingma and Dhariwal 2018, table 2 and appendix), and small ones that
 * a machine without accelerator trains in minutes.
 *
 * The published code counts 50,000 images as an epoch for every data set and warms up over 10 of
 * them: 500,000 images, here in steps of the preset's batch. Steps are for a first result; the
 * paper's models trained for as many as their authors had patience for.
 * SPDX-License-Identifier: MIT */
#include "presets.h"

#include <stdio.h>
#include <string.h>

#include "tool.h"

/* A pair stays together. */
/* clang-format off */
#define PAPER                                                                                      \
  "hidden", "512", "permutation", "invconv-lu", "scale", "sigmoid", "optimizer", "adam",           \
  "lr", "0.001", "schedule", "constant", "init-images", "512", "temperature", "0.7"

const preset presets[] = {
    {"digits", "16 x 16 generated digits by class, a minute or two: to see that it works",
     {"format", "digits", "images", "16384", "levels", "2", "depth", "8", "hidden", "96",
      "scale", "sigmoid-floor", "bits", "5", "border", "", "spatial-prior", "", "conditional", "",
      "class-weight", "0.1", "steps", "4000", "batch", "32", "lr", "0.002", "schedule", "cosine",
      "samples", "100", NULL}},
    {"quick", "16 x 16 generated shapes, or images of yours, in a minute or two",
     {"format", "shapes", "size", "16", "levels", "2", "depth", "8", "hidden", "64",
      "scale", "tanh", "bits", "5",
      "steps", "1000", "batch", "32", "lr", "0.002", "warmup", "20", "schedule", "cosine",
      "temperature", "0.8", NULL}},
    {"small", "L 3, K 8, width 128, batch 32: 32 x 32 on two cores, under an hour",
     {"levels", "3", "depth", "8", "hidden", "128", "coupling", "affine", "bits", "8",
      "steps", "1000", "batch", "32", "lr", "0.001", "warmup", "50", "init-images", "256", NULL}},
    {"mnist", "28 x 28 grey digits: L 2, K 8, width 128",
     {"levels", "2", "depth", "8", "hidden", "128", "coupling", "affine", "bits", "8",
      "steps", "2000", "batch", "64", "lr", "0.001", "warmup", "50", NULL}},
    {"nice-mnist", "NICE, 28 x 28 grey digits: 4 couplings of 3 x 512, logistic prior",
     {"model", "nice", "couplings", "4", "hidden", "512", "net-depth", "3", "bits", "8",
      "steps", "5000", "batch", "100", "micro-batch", "100", "lr", "0.002",
      "schedule", "cosine", "test-every", "500", "temperature", "0.8", NULL}},
    {"mnist-classes", "16 x 16 grey digits by class: L 2, K 12, width 96, 5 bits, a classifier",
     {"size", "16", "levels", "2", "depth", "12", "hidden", "96", "scale", "sigmoid",
      "bits", "5", "border", "",
      "spatial-prior", "", "conditional", "", "class-weight", "0.1", "steps", "4000",
      "batch", "32", "lr", "0.002", "schedule", "cosine", "warmup", "50", "ema", "0.998", NULL}},
    {"realnvp-cifar10", "paper: RealNVP, 2 scales, 8 blocks of 64 maps, flips (3.49 bits/dim)",
     {"model", "realnvp", "levels", "2", "hidden", "64", "blocks", "8", "bits", "8",
      "flip", "", "gain-l2", "5e-5", "batch", "64", "micro-batch", "64", "steps", "100000", NULL}},
    {"cifar10", "paper: 32 x 32, L 3, K 32, affine, 8 bits (3.35 bits/dim)",
     {PAPER,
      "levels", "3", "depth", "32", "coupling", "affine", "bits", "8",
      "batch", "512", "warmup", "977", "steps", "100000", NULL}},
    {"imagenet32", "paper: 32 x 32, L 3, K 48, affine, 8 bits (4.09 bits/dim)",
     {PAPER,
      "size", "32", "levels", "3", "depth", "48", "coupling", "affine", "bits", "8",
      "batch", "512", "warmup", "977", "steps", "200000", NULL}},
    {"imagenet64", "paper: 64 x 64, L 4, K 48, affine, 8 bits (3.81 bits/dim)",
     {PAPER,
      "size", "64", "levels", "4", "depth", "48", "coupling", "affine", "bits", "8",
      "batch", "128", "warmup", "3907", "steps", "400000", NULL}},
    {"lsun64", "paper: 64 x 64, L 4, K 48, affine, 8 bits (bedroom 2.38)",
     {PAPER,
      "size", "64", "levels", "4", "depth", "48", "coupling", "affine", "bits", "8",
      "batch", "128", "warmup", "3907", "steps", "400000", NULL}},
    {"lsun96", "paper: 96 x 96, L 5, K 64, additive, 5 bits",
     {PAPER,
      "size", "96", "levels", "5", "depth", "64", "coupling", "additive", "bits", "5",
      "batch", "320", "warmup", "1563", "steps", "200000", "micro-batch", "8", NULL}},
    {"lsun128", "paper: 128 x 128, L 5, K 64, additive, 5 bits",
     {PAPER,
      "size", "128", "levels", "5", "depth", "64", "coupling", "additive", "bits", "5",
      "batch", "160", "warmup", "3125", "steps", "200000", "micro-batch", "4", NULL}},
    {"celeba256", "paper: 256 x 256, L 6, K 32, additive, 5 bits (1.03 bits/dim)",
     {PAPER,
      "size", "256", "levels", "6", "depth", "32", "coupling", "additive", "bits", "5",
      "batch", "40", "warmup", "12500", "steps", "400000", "micro-batch", "1", NULL}},
    {"cifar10-conditional", "paper: CIFAR-10 by class, 5 bits",
     {PAPER,
      "levels", "3", "depth", "32", "coupling", "additive", "bits", "5", "conditional", "",
      "class-weight", "0.01", "batch", "512", "warmup", "977", "steps", "100000", NULL}},
    {NULL, NULL, {NULL}},
};
/* clang-format on */

const preset *preset_find(const char *name) {
  char list[512] = "";
  size_t used = 0;
  for (const preset *p = presets; p->name; p++) {
    if (strcmp(p->name, name) == 0)
      return p;
    if (used < sizeof list)
      used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", p->name);
  }
  complain("--preset: '%s' is not one of %s", name, list);
  return NULL;
}

void presets_print(void) {
  for (const preset *p = presets; p->name; p++)
    printf("  %-20s  %s\n", p->name, p->about);
}
