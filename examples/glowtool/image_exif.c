/* EXIF's orientation (tag 0x0112 of the first directory of a TIFF, as the standard CIPA DC-008
 * says), and how images are turned by it. SPDX-License-Identifier: MIT */
#include <string.h>

#include "image.h"

enum { ORIENTATION = 0x0112, SHORT = 3, ENTRY = 12 };

typedef struct tiff {
  const uint8_t *data;
  size_t size;
  bool big; /* the most significant byte comes first */
} tiff;

static uint32_t number(const tiff *t, size_t at, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; i++)
    value = value << 8 | t->data[t->big ? at + (size_t)i : at + (size_t)(count - 1 - i)];
  return value;
}

int exif_orientation(const uint8_t *data, size_t size) {
  if (size > 6 && memcmp(data, "Exif\0\0", 6) == 0) {
    data += 6;
    size -= 6;
  }
  if (size < 8 || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0))
    return 1;
  tiff t = {data, size, data[0] == 'M'};
  size_t at = number(&t, 4, 4);
  if (at > size - 2)
    return 1;
  uint32_t entries = number(&t, at, 2);
  at += 2;
  for (uint32_t i = 0; i < entries && at + ENTRY <= size; i++, at += ENTRY)
    if (number(&t, at, 2) == ORIENTATION && number(&t, at + 2, 2) == SHORT) {
      uint32_t value = number(&t, at + 8, 2);
      return value >= 1 && value <= 8 ? (int)value : 1;
    }
  return 1;
}

/* 2, 4, 5 and 7 are mirrored; from 5 on rows and columns change places. */
image_turn image_turn_of(int orientation) {
  static const image_turn turns[9] = {
      [2] = {false, true, false}, [3] = {false, true, true}, [4] = {false, false, true},
      [5] = {true, false, false}, [6] = {true, false, true}, [7] = {true, true, true},
      [8] = {true, true, false}};
  return turns[orientation];
}

void image_turn_shape(image *shape, int orientation) {
  if (!image_turn_of(orientation).swap)
    return;
  int64_t height = shape->height;
  shape->height = shape->width;
  shape->width = height;
}
