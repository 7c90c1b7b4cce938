/* Cropping to a shape and resizing by area. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_RESIZE_H
#define GLOWTOOL_RESIZE_H

#include <stdbool.h>
#include <stdint.h>

/* The middle of an image [height, width, channels], as much of it as has the proportions of the
 * result, averaged over areas to [to_height, to_width, channels]: each output pixel is the mean of
 * the rectangle that it covers, parts of pixels counted by their area, rounded to nearest. So
 * enlarging an image by a whole number repeats its pixels. False: out of memory. */
bool resize_crop(const uint8_t *from, int64_t height, int64_t width, int64_t channels,
                 int64_t to_height, int64_t to_width, uint8_t *to);

#endif
