/* The border indicator: one more input channel of a 3x3 convolution, which is 1 outside the image,
 * where all other channels are 0, and 0 inside it. Source: the code published with Glow (Kingma and
 * Dhariwal 2018).
 *
 * Its weights are edge [n, 9]: output o of a pixel gains the sum of edge[o, t] over the taps t
 * that are outside. That is one vector for each of nine kinds of pixel, (first, inner or last row)
 * x (first, inner or last column); pixels that are inner in both gain nothing. In an image of one
 * row, that row counts as the first, with taps outside on both sides. SPDX-License-Identifier: MIT
 * */
#ifndef GLOW_LIB_BORDER_H
#define GLOW_LIB_BORDER_H

#include <stdint.h>

enum { GLOW_BORDER_KINDS = 9, GLOW_BORDER_INNER = 4 };

/* table [9, n]: what each kind gains. */
void glow__border_table(int64_t height, int64_t width, int64_t n, const float *edge, float *table);
/* Takes `columns` columns of a table and, for pixels [first, last) of a batch of images, rows of as
 * many floats that are `stride` apart: each row becomes what its pixel gains. */
void glow__border_fill(int64_t height, int64_t width, int64_t n, int64_t columns,
                       const float *table, int64_t first, int64_t last, float *rows,
                       int64_t stride);
/* Rows of n floats: adds to each what its pixel gains. */
void glow__border_add(int64_t height, int64_t width, int64_t n, const float *table, int64_t first,
                      int64_t last, float *rows);
/* `columns` columns of sums [9, n] += the rows of each kind except the inner one: the gradient of
 * the table. */
void glow__border_sums(int64_t height, int64_t width, int64_t n, int64_t columns, const float *rows,
                       int64_t stride, int64_t first, int64_t last, float *sums);
/* Adds the gradient of edge, from that of the table. */
void glow__border_gradient(int64_t height, int64_t width, int64_t n, const double *sums,
                           float *d_edge);

#endif
