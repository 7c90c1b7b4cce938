/* What restoring gave, image by image: signal-to-noise, the picture, and the file of results.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_RESTORE_REPORT_H
#define GLOWTOOL_RESTORE_REPORT_H

#include "observation.h"
#include "rows.h"

/* A way to restore. */
enum { BY_FILLING, BY_PIXELS, BY_GAUSSIAN, BY_MODEL, WAYS };

/* Squared errors of images against their originals. */
typedef struct signal_to_noise {
  int64_t images;
  double sum, squares; /* of the images' ratios, in dB */
  double error;        /* sum of their mean squared errors */
} signal_to_noise;

/* Over the elements that are hidden, or, where none is, over all; 10 log10(1 / error), the values
 * having a range of 1. Counts the image. */
void signal_add(signal_to_noise *s, const observation *o, const float *original, const float *x);
double signal_mean(const signal_to_noise *s);           /* dB; NaN without images */
double signal_standard_error(const signal_to_noise *s); /* of that mean */
double signal_of_mean(const signal_to_noise *s);        /* dB of the mean error */

/* The first images in a picture, a row for each: the original, what was observed, and so on. */
typedef struct restore_picture {
  int64_t rows, columns, dims;
  int64_t used;    /* rows */
  uint8_t *pixels; /* [rows, columns, dims] */
} restore_picture;
/* Returns an exit code; restore_picture_close is due in any case. */
int restore_picture_open(restore_picture *p, int64_t rows, int64_t columns, int64_t dims);
void restore_picture_close(restore_picture *p);
/* Puts x [dims] into a column of the next row; after the last column the row is full. */
void restore_picture_put(restore_picture *p, int64_t column, const float *x);
int restore_picture_write(const restore_picture *p, const char *path, const glow_shape *shape);

#endif
