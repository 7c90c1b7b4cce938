/* Pixels to values and back. SPDX-License-Identifier: MIT */
#include "pixel_values.h"

#include <math.h>

/* In place: bytes are at the start of the floats that they become, so the last come first. */
int read_values(const sample_set *set, int64_t first, int64_t count, float *x, float *conditions) {
  int code = read_samples(set, first, count, x, conditions);
  const uint8_t *pixels = (const uint8_t *)x;
  for (int64_t i = count * data_dims(set) - 1; code == TOOL_FINE && !set->floats && i >= 0; i--)
    x[i] = ((float)pixels[i] + 0.5f) / 256.0f - 0.5f;
  return code;
}

void values_to_pixels(const float *x, int64_t count, uint8_t *pixels) {
  for (int64_t i = 0; i < count; i++) {
    float level = floorf((x[i] + 0.5f) * 256.0f);
    pixels[i] = (uint8_t)(level >= 255.0f ? 255.0f : level > 0.0f ? level : 0.0f);
  }
}
