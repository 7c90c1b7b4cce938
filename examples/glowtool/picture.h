/* Pictures that glowtool writes: grids of images and curves, as PNG. SPDX-License-Identifier: MIT
 * */
#ifndef GLOWTOOL_PICTURE_H
#define GLOWTOOL_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes to a temporary file beside path and renames it. channels 1 or 3. */
bool picture_write_png(const char *path, int64_t width, int64_t height, int64_t channels,
                       const uint8_t *pixels, char *error, size_t error_size);
/* `count` images [height, width, channels] in a grid of `columns`, small images enlarged by whole
 * factors, with a thin gap. */
bool picture_write_grid(const char *path, int64_t count, int64_t height, int64_t width,
                        int64_t channels, int64_t columns, const uint8_t *pixels, char *error,
                        size_t error_size);

/* One line of a chart. */
typedef struct picture_series {
  const char *name;
  int64_t count;
  const double *x;
  const double *y;
} picture_series;
/* A line chart with axes, ticks, labels and a legend. */
bool picture_write_chart(const char *path, const char *title, const char *x_label,
                         const char *y_label, const picture_series *series, int64_t count,
                         char *error, size_t error_size);

#endif
