/* Which pixels of an image are missing: --mask. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_MASK_H
#define GLOWTOOL_MASK_H

#include <stdbool.h>

#include "tool.h"

#define MASK_HELP                                                                                  \
  "what is missing: a quarter of the image, which is upper-left, upper-right, lower-left, "        \
  "lower-right or middle; a rectangle X,Y,WxH; or a picture, black where pixels are missing"

/* hidden: [height, width]. Returns an exit code. */
int mask_read(const char *text, const glow_shape *shape, bool *hidden);

#endif
