/* The options that say what samples are learnt from, scored and so on, for all commands.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_DATA_ROWS_H
#define GLOWTOOL_DATA_ROWS_H

#include "options_rows.h"
#include "sample_source.h"

#define DATA_FORMAT_HELP                                                                           \
  "what it is, where contents do not tell: images, cifar10, cifar100, cifar100-coarse, mnist, "    \
  "emnist, npy, npz, safetensors, csv, raw:CxHxW (planar records of bytes), or digits "            \
  "or shapes (generated, no files)"
/* How samples are made of files: `form` is a data_options in the table's settings. */
#define DATA_FORM_ROWS(form)                                                                       \
  FLAG("upsample", form.upsample, "enlarge images that are smaller than the size"),                \
      FLAG("skip-small", form.skip_small, "leave them out, and say how many"),                     \
      FLAG("skip-bad", form.skip_bad,                                                              \
           "leave files and rows out that cannot be read, and say how many"),                      \
      TEXT("pad", "SIZE", form.pad, NULL,                                                          \
           "put images into the middle of black ones of this size"),                               \
      TEXT("background", "R,G,B", form.background, NULL,                                           \
           "what is under transparent pixels: white (the default), black, or three numbers"),      \
      FLAG("planar", form.planar, "arrays of images are [N, C, H, W], not [N, H, W, C]"),          \
      TEXT("tensor", "NAME", form.tensor, NULL,                                                    \
           "the samples of .npz and safetensors files; default x, or the only one"),               \
      CHOICE("classes-from", form.classes_from, "files", data_class_sources,                       \
             "labels of pictures: files (--labels), or folders: a class is a folder in --data"),   \
      TEXT("classes", "FILE", form.classes, NULL,                                                  \
           "names of the classes, in their order, as training writes them"),                       \
      TEXT("shape", "WxH[xC]", form.shape, NULL,                                                   \
           "of a table whose rows are images: their width, height and channels"),                  \
      TEXT("data-columns", "NAME,...", form.columns, NULL,                                         \
           "of a table: columns that are data; default: all that have no other part"),             \
      TEXT("condition", "NAME,...", form.condition, NULL,                                          \
           "of a table: columns that the density is conditioned on"),                              \
      TEXT("label-column", "NAME", form.label_column, NULL, "of a table: the class of a row"),     \
      TEXT("id-column", "NAME", form.id_column, NULL, "of a table: what a row is called"),         \
      CHOICE("header", form.header, "auto", data_headers,                                          \
             "of a table: is its first row names? auto: when none of them is a number"),           \
      INT("data-memory", form.memory, "0", 0, 1e9,                                                 \
          "MiB of samples to keep in memory, others are read when they are wanted; 0: half of "    \
          "the machine's")

/* Rules for such a table. */
#define DATA_FORM_RULES                                                                            \
  RULE("skip-small", "!upsample", "small images are enlarged"),                                    \
      RULE("classes-from", "!labels", "labels come from files")
/* Rows for a table whose settings have a sample_source `source`, and shapes_seed, seed, batch,
 * threads and kernels. */
#define SAMPLE_DATA_ROWS                                                                           \
  LIST("data", source.paths, "files or folders of samples"),                                       \
      TEXT("format", "NAME", source.form.format, "auto", DATA_FORMAT_HELP),                        \
      LIST("labels", source.labels,                                                                \
           "labels of --data: a file for each, or a table of file names"),                         \
      DATA_FORM_ROWS(source.form),                                                                 \
      INT("shapes-seed", shapes_seed, "1", 0, SEED_MAX, "of generated images")
/* Rules for such a table. */
#define SAMPLE_DATA_RULES                                                                          \
  RULE("data", "format!=shapes", "shapes are generated"),                                          \
      RULE("data", "format!=digits", "digits are generated"),                                      \
      RULE("labels", "format!=shapes", "shapes are generated and have none"),                      \
      RULE("labels", "format!=digits", "digits are generated with theirs"),                        \
      RULE("labels", "format!=cifar10", "those files hold their own"),                             \
      RULE("labels", "format!=cifar100*", "those files hold their own"),                           \
      RULE("labels", "data", NULL), DATA_FORM_RULES
#define GENERATED_RULE                                                                             \
  RULE("shapes-seed", "format=shapes|format=digits", "it is the seed of generated images")
#define SAMPLE_RUN_ROWS                                                                            \
  INT("seed", seed, "0", 0, SEED_MAX, "of the noise inside the bins of the pixels"),               \
      INT("batch", batch, "16", 1, 65536, "samples passed at a time"), MACHINE_ROWS

#endif
