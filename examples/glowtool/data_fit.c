/* Giving samples the shape of their set: grey or colour, cropped and resized, on a larger black
 * ground. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "data_internal.h"
#include "resize.h"

bool data_sample_shape(data_sample *s, int64_t height, int64_t width, int64_t channels, bool floats,
                       const char *path, message error) {
  size_t wanted = (size_t)(height * width * channels) * (floats ? sizeof(float) : 1);
  if (s->room < wanted || !s->data) {
    void *more = realloc(s->data, wanted + 1);
    if (!more)
      return data_fail(error, "%s: out of memory for a sample of %zu bytes", path, wanted);
    s->data = more;
    s->room = wanted;
  }
  s->height = height;
  s->width = width;
  s->channels = channels;
  s->floats = floats;
  return true;
}

bool data_row_shape(const data_sources *s, data_reader *r, int64_t numbers, message error) {
  const int64_t *shape = s->row_shape;
  if (!shape[0])
    return data_fail(error,
                     "%s: a table, where images are wanted; --shape WxHxC says what its rows are, "
                     "and --model vector learns from tables",
                     r->path);
  r->height = shape[0];
  r->width = shape[1];
  r->channels = shape[2];
  return shape[0] * shape[1] * shape[2] == numbers ||
         data_fail(error, "%s: rows of %lld values, but images of %lld x %lld x %lld have %lld",
                   r->path, (long long)numbers, (long long)shape[1], (long long)shape[0],
                   (long long)shape[2], (long long)(shape[0] * shape[1] * shape[2]));
}

int64_t data_planar(const data_reader *r, int64_t i) {
  return i % r->channels * (r->height * r->width) + i / r->channels;
}

static void change_channels(const uint8_t *from, int64_t pixels, int64_t to_channels, uint8_t *to) {
  for (int64_t p = 0; p < pixels; p++)
    if (to_channels == 3)
      memset(to + 3 * p, from[p], 3);
    else /* luma of ITU-R BT.601 */
      to[p] = (uint8_t)((299 * from[3 * p] + 587 * from[3 * p + 1] + 114 * from[3 * p + 2] + 500) /
                        1000);
}

/* Into the middle of a black image. */
static bool pad(const data_sample *in, const data_sample *wanted, const char *path, uint8_t *to,
                message error) {
  if (in->height > wanted->height || in->width > wanted->width)
    return data_fail(error, "%s: %lld x %lld pixels do not fit into the %lld x %lld of --pad", path,
                     (long long)in->width, (long long)in->height, (long long)wanted->width,
                     (long long)wanted->height);
  int64_t top = (wanted->height - in->height) / 2, left = (wanted->width - in->width) / 2;
  size_t row = (size_t)(in->width * in->channels);
  memset(to, 0, (size_t)(wanted->height * wanted->width * wanted->channels));
  for (int64_t y = 0; y < in->height; y++)
    memcpy(to + ((top + y) * wanted->width + left) * wanted->channels,
           (const uint8_t *)in->data + (size_t)y * row, row);
  return true;
}

static bool fit_channels(data_sample *in, int64_t channels, const char *path, message error) {
  if (in->channels == channels)
    return true;
  data_sample out = {0};
  if (!data_sample_shape(&out, in->height, in->width, channels, false, path, error))
    return false;
  change_channels(in->data, in->height * in->width, channels, out.data);
  free(in->data);
  out.condition = in->condition;
  *in = out;
  return true;
}

static bool fit_size(data_sample *in, int64_t height, int64_t width, const char *path,
                     message error) {
  if (!height || (in->height == height && in->width == width))
    return true;
  data_sample out = {0};
  if (!data_sample_shape(&out, height, width, in->channels, false, path, error))
    return false;
  if (!resize_crop(in->data, in->height, in->width, in->channels, height, width, out.data)) {
    free(out.data);
    return data_fail(error, "%s: out of memory", path);
  }
  free(in->data);
  out.condition = in->condition;
  *in = out;
  return true;
}

bool data_fit(data_sources *s, const char *path, void *to, message error) {
  data_sample *in = &s->scratch;
  const data_sample *w = &s->wanted;
  const data_options *o = &s->options;
  if (!in->floats && !(fit_channels(in, w->channels, path, error) &&
                       fit_size(in, o->height, o->width, path, error)))
    return false;
  if (!in->floats && s->pad_width)
    return pad(in, w, path, to, error);
  if (in->height != w->height || in->width != w->width || in->channels != w->channels)
    return data_fail(error, "%s: its shape has changed since it was first read", path);
  memcpy(to, in->data,
         (size_t)(w->height * w->width * w->channels) * (w->floats ? sizeof(float) : 1));
  return true;
}
