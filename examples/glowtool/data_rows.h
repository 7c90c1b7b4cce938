/* The options that say which samples to train on, to score and so on, for all commands.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_DATA_ROWS_H
#define GLOWTOOL_DATA_ROWS_H

#include "options_rows.h"
#include "sample_source.h"

#define DATA_FORMAT_HELP                                                                           \
  "format of the files, where their contents do not show it: images, cifar10, cifar100, "          \
  "cifar100-coarse, mnist, "                                                                       \
  "emnist, npy, npz, safetensors, csv, raw:CxHxW (planar records of bytes), or digits or shapes "  \
  "(generated, without files)"
#define DATA_TEXT(number) DATA_TEXT_OF(number)
#define DATA_TEXT_OF(number) #number
/* How samples are made of files: `form` is a data_options in the table's settings. */
#define DATA_FORM_ROWS(form)                                                                       \
  FLAG("upsample", form.upsample, "enlarge images that are smaller than the size"),                \
      FLAG("skip-small", form.skip_small,                                                          \
           "leave out images that are smaller than the size, and say how many"),                   \
      FLAG("skip-bad", form.skip_bad,                                                              \
           "leave out files and rows that cannot be read, and say how many"),                      \
      TEXT("pad", "SIZE", form.pad, NULL,                                                          \
           "put images into the middle of black images of this size"),                             \
      TEXT("background", "R,G,B", form.background, NULL,                                           \
           "colour under transparent pixels: white (the default), black, or R,G,B from 0 to 255"), \
      FLAG("planar", form.planar, "arrays of images are [N, C, H, W], not [N, H, W, C]"),          \
      TEXT("tensor", "NAME", form.tensor, NULL,                                                    \
           "name of the samples in .npz and safetensors files; default: x, or the only array"),    \
      CHOICE("classes-from", form.classes_from, "files", data_class_sources,                       \
             "where the labels of pictures come from: files (--labels), or folders: each folder "  \
             "in --data is a class"),                                                              \
      TEXT("classes", "FILE", form.classes, NULL,                                                  \
           "names of the classes, in order, as training writes them"),                             \
      TEXT("shape", "WxH[xC]", form.shape, NULL,                                                   \
           "for a table whose rows are images: their width, height and channels"),                 \
      TEXT("data-columns", "NAME,...", form.columns, NULL,                                         \
           "for a table: the columns that are data; default: all that no other option names"),     \
      TEXT("condition", "NAME,...", form.condition, NULL,                                          \
           "for a table: the columns that the density is conditioned on"),                         \
      TEXT("label-column", "NAME", form.label_column, NULL,                                        \
           "for a table: the column with the class of each row"),                                  \
      TEXT("id-column", "NAME", form.id_column, NULL,                                              \
           "for a table: the column with the name of each row"),                                   \
      CHOICE("header", form.header, "auto", data_headers,                                          \
             "for a table: is the first row the names of the columns? auto: if none of its "       \
             "fields is a number"),                                                                \
      INT("data-memory", form.memory, "0", 0, 1e9,                                                 \
          "MiB of samples to keep in memory; if there are more, they are read whenever they are "  \
          "needed; 0: half of the machine's memory"),                                              \
      INT("max-pixels", form.max_pixels, DATA_TEXT(DATA_MOST_PIXELS), 1, 1e9,                      \
          "pixels of an image; one that has more is refused before it is decoded")

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
           "labels of --data: one file for each of its files, or one table of file names and "     \
           "labels"),                                                                              \
      DATA_FORM_ROWS(source.form),                                                                 \
      INT("shapes-seed", shapes_seed, "1", 0, SEED_MAX, "seed of generated images")
/* Rules for such a table. */
#define SAMPLE_DATA_RULES                                                                          \
  RULE("data", "format!=shapes", "shapes are generated"),                                          \
      RULE("data", "format!=digits", "digits are generated"),                                      \
      RULE("labels", "format!=shapes", "shapes are generated and have none"),                      \
      RULE("labels", "format!=digits", "digits are generated with their labels"),                  \
      RULE("labels", "format!=cifar10", "those files hold their own labels"),                      \
      RULE("labels", "format!=cifar100*", "those files hold their own labels"),                    \
      RULE("labels", "data", NULL), DATA_FORM_RULES
#define GENERATED_RULE                                                                             \
  RULE("shapes-seed", "format=shapes|format=digits", "it is the seed of generated images")
#define SAMPLE_RUN_ROWS                                                                            \
  INT("seed", seed, "0", 0, SEED_MAX, "seed of the noise inside the bins of pixels"),              \
      INT("batch", batch, "16", 1, 65536, "samples that go through the model at a time"),          \
      MACHINE_ROWS

#endif
