/* What becomes of a picture's rows: grey or colour, cropped and resized, turned.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "memory.h"

/* ---- setting up ------------------------------------------------------------------------------ */

/* The middle of the picture as it is seen, in the rows and columns that are stored. */
static resize_window stored_window(const image *stored, const image *seen, const image *out,
                                   image_turn turn) {
  resize_window w = resize_middle(seen->height, seen->width, out->height, out->width);
  if (turn.swap)
    w = (resize_window){w.left, w.top, w.columns, w.rows};
  if (turn.down)
    w.top = stored->height - w.rows - w.top;
  if (turn.right)
    w.left = stored->width - w.columns - w.left;
  return w;
}

bool image_rows_open(image_rows *r, const char *path, const image *stored, int orientation,
                     const image_form *form, image *out, message error) {
  image seen = *stored;
  image_turn turn = image_turn_of(orientation);
  image_turn_shape(&seen, orientation);
  *out = seen;
  if (form->height) {
    out->height = form->height;
    out->width = form->width;
  }
  if (form->channels)
    out->channels = form->channels;
  *r = (image_rows){.out = out,
                    .height = stored->height,
                    .width = stored->width,
                    .channels = stored->channels,
                    .orientation = orientation,
                    .height_out = turn.swap ? out->width : out->height,
                    .width_out = turn.swap ? out->height : out->width};
  int64_t bytes = out->height * out->width * out->channels;
  if (!memory_fits(bytes, path, "the picture", error))
    return false;
  bool good = (out->pixels = malloc((size_t)bytes)) != NULL;
  if (good && out->channels != stored->channels)
    good = (r->changed = malloc((size_t)(stored->width * out->channels))) != NULL;
  if (good && (seen.height != out->height || seen.width != out->width)) {
    resize_window window = stored_window(stored, &seen, out, turn);
    r->small = malloc((size_t)(r->width_out * out->channels));
    good = resize_open(&r->scale, &window, out->channels, r->height_out, r->width_out) && r->small;
  }
  return good || data_fail(error, "%s: out of memory for %lld x %lld pixels", path,
                           (long long)out->width, (long long)out->height);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Row r->row of what is to be turned, to its place in the result. */
static void place(image_rows *r, const uint8_t *row) {
  image_turn turn = image_turn_of(r->orientation);
  const image *out = r->out;
  int64_t channels = out->channels, y = r->row++;
  y = turn.down ? r->height_out - 1 - y : y;
  if (!turn.swap && !turn.right) {
    memcpy(out->pixels + y * out->width * channels, row, (size_t)(out->width * channels));
    return;
  }
  for (int64_t i = 0; i < r->width_out; i++) {
    int64_t x = turn.right ? r->width_out - 1 - i : i;
    int64_t at = turn.swap ? x * out->width + y : y * out->width + x;
    memcpy(out->pixels + at * channels, row + i * channels, (size_t)channels);
  }
}

void image_rows_put(image_rows *r, const uint8_t *row) {
  if (r->changed) {
    image_change_channels(row, r->width, r->out->channels, r->changed);
    row = r->changed;
  }
  if (!r->small) {
    place(r, row);
    return;
  }
  resize_put(&r->scale, row);
  while (resize_take(&r->scale, r->small))
    place(r, r->small);
}

void image_rows_close(image_rows *r) {
  resize_close(&r->scale);
  free(r->changed);
  free(r->small);
  r->changed = r->small = NULL;
}

/* ---- values ---------------------------------------------------------------------------------- */

void image_change_channels(const uint8_t *from, int64_t pixels, int64_t to_channels, uint8_t *to) {
  for (int64_t p = 0; p < pixels; p++)
    if (to_channels == 3)
      memset(to + 3 * p, from[p], 3);
    else /* luma of ITU-R BT.601 */
      to[p] = (uint8_t)((299 * from[3 * p] + 587 * from[3 * p + 1] + 114 * from[3 * p + 2] + 500) /
                        1000);
}

/* (alpha value + (most - alpha) background most / 255) / most, times 255 / most. */
uint8_t image_blend(uint32_t value, uint32_t alpha, uint32_t most, uint8_t background) {
  uint64_t square = (uint64_t)most * most;
  uint64_t sum = (uint64_t)alpha * value * 255 + (uint64_t)(most - alpha) * background * most;
  return (uint8_t)((sum + square / 2) / square);
}
