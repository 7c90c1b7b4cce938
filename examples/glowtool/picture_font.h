/* A small bitmap font for charts. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_PICTURE_FONT_H
#define GLOWTOOL_PICTURE_FONT_H

#include <stdbool.h>

enum { FONT_WIDTH = 5, FONT_HEIGHT = 7, FONT_ADVANCE = 6 };

/* Whether dot (x, y) of a character is set. Letters have one case; unknown characters are blank. */
bool font_dot(char character, int x, int y);

#endif
