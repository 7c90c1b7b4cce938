/* Takes the place of several layers in a row that map each pixel to W x + b, in an inference form.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_AFFINE_H
#define GLOW_LIB_AFFINE_H

#include <glow/sys/layer.h>

/* y = W x + b at each pixel, log-det = H W log|det W|. W [channels, channels] by rows and b
 * [channels] are copied. It has no parameters and only runs. */
glow_status glow__affine_create(glow_context *context, int64_t channels, const double *w,
                                const double *b, glow_layer **out);

#endif
