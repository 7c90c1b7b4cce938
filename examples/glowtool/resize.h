/* Cropping to the central square and resizing by area. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_RESIZE_H
#define GLOWTOOL_RESIZE_H

#include <stdbool.h>
#include <stdint.h>

/* The central square of an image [height, width, channels], averaged over areas to [size, size,
 * channels]: each output pixel is the mean of the rectangle that it covers, parts of pixels
 * counted by their area, rounded to nearest. `to` may be `from`, or lie before it. False: out of
 * memory. */
bool resize_crop(const uint8_t *from, int64_t height, int64_t width, int64_t channels, int64_t size,
                 uint8_t *to);

#endif
