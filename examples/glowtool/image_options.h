/* The options that eval and reconstruct share: which images, and how passes run.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_IMAGE_OPTIONS_H
#define GLOWTOOL_IMAGE_OPTIONS_H

#include "options_rows.h"
#include "score.h"

/* Rows for a table whose settings have the members of an image_source as `source`, and shapes_seed,
 * seed, batch, threads and kernels. */
#define IMAGE_DATA_ROWS                                                                            \
  LIST("data", source.paths, "files or folders of images"),                                        \
      TEXT("format", "NAME", source.format, "auto",                                                \
           "auto, cifar10, mnist, images, raw:CxHxW, or digits or shapes (generated)"),            \
      TEXT("labels", "FILE", source.labels, NULL, "labels of --data, for mnist"),                  \
      INT("shapes-seed", shapes_seed, "1", 0, SEED_MAX, "of generated images")
#define IMAGE_RUN_ROWS                                                                             \
  INT("seed", seed, "0", 0, SEED_MAX, "of the noise inside the bins of the pixels"),               \
      INT("batch", batch, "16", 1, 65536, "images passed at a time"), MACHINE_ROWS

#endif
