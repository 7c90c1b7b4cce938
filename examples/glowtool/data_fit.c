/* Giving samples the shape of their set: grey or colour, cropped and resized, on a larger black
 * ground. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "data_internal.h"
#include "image.h"
#include "memory.h"
#include "resize.h"

bool data_sample_shape(data_sample *s, int64_t height, int64_t width, int64_t channels, bool floats,
                       const char *path, message error) {
  size_t wanted = (size_t)(height * width * channels) * (floats ? sizeof(float) : 1);
  if (s->room < wanted || !s->data) {
    if (!memory_fits((int64_t)wanted, path, "a sample", error))
      return false;
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

bool data_check_image(const data_sources *s, const data_reader *r, message error) {
  int64_t pixels, bytes;
  if (r->height < 1 || r->width < 1 || r->channels < 1 ||
      __builtin_mul_overflow(r->height, r->width, &pixels) ||
      __builtin_mul_overflow(pixels, r->channels * (int64_t)sizeof(float), &bytes))
    return data_fail(error, "%s: images of %lld x %lld with %lld channels", r->path,
                     (long long)r->width, (long long)r->height, (long long)r->channels);
  if (pixels > s->options.max_pixels)
    return data_fail(error, "%s: %lld x %lld pixels are more than the %lld of --max-pixels",
                     r->path, (long long)r->width, (long long)r->height,
                     (long long)s->options.max_pixels);
  return memory_fits(bytes, r->path, "a sample", error);
}

bool data_row_shape(const data_sources *s, data_reader *r, int64_t numbers, message error) {
  const int64_t *shape = s->row_shape;
  if (!shape[0])
    return data_fail(error,
                     "%s: a table, where images are wanted; --shape WxHxC says what its rows are, "
                     "and --model vector learns from tables",
                     r->path);
  if (s->options.condition)
    return data_fail(error,
                     "%s: --condition chooses columns of vectors; rows that are images, by "
                     "--shape, have none",
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
  image_change_channels(in->data, in->height * in->width, channels, out.data);
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
