/* Cropping to a shape and resizing by area, row by row: an image need not be in memory as a whole.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_RESIZE_H
#define GLOWTOOL_RESIZE_H

#include <stdbool.h>
#include <stdint.h>

/* A part of an image. */
typedef struct resize_window {
  int64_t top, left, rows, columns;
} resize_window;
/* The middle of an image, as much of it as has the proportions of the result. */
resize_window resize_middle(int64_t height, int64_t width, int64_t to_height, int64_t to_width);

/* A window of an image, averaged over areas to [to_height, to_width, channels]: each output pixel
 * is the mean of the rectangle that it covers, parts of pixels counted by their area, rounded to
 * nearest, halves up. So enlarging an image by a whole number repeats its pixels. All sums are of
 * whole numbers, so that the result does not depend on the order of the rows. */
typedef struct resize {
  resize_window window;
  int64_t channels, to_height, to_width;
  int64_t next;   /* row of the image that is put next */
  int64_t row;    /* of the window, whose means are in `line` */
  int64_t done;   /* rows of the result that have been taken */
  uint32_t *line; /* [to_width, channels]: of one row, times window.columns */
  uint64_t *sums; /* [to_width, channels]: of the rows up to now, times columns and rows */
} resize;

/* Sides of at most 2^24. False: out of memory. resize_close is due in any case. */
bool resize_open(resize *r, const resize_window *window, int64_t channels, int64_t to_height,
                 int64_t to_width);
/* The next row [width, channels] of the image, from the top on, also outside of the window. */
void resize_put(resize *r, const uint8_t *row);
/* After each row until it is false: the next row [to_width, channels] of the result. */
bool resize_take(resize *r, uint8_t *to);
void resize_close(resize *r);

/* The middle of an image [height, width, channels] to [to_height, to_width, channels]. False: out
 * of memory. */
bool resize_crop(const uint8_t *from, int64_t height, int64_t width, int64_t channels,
                 int64_t to_height, int64_t to_width, uint8_t *to);

#endif
