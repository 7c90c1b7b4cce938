/* Pictures one by one: decoded when they are wanted. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data_internal.h"
#include "image.h"

typedef struct pictures {
  picture_list list;
  const data_sources *sources; /* how they are wanted */
} pictures;

static bool decode(data_reader *r, int64_t index, bool header_only, image *out, message error) {
  const pictures *p = r->state;
  const data_sources *s = p->sources;
  const char *path = p->list.paths[index];
  image_form form = {.height = s->options.height,
                     .width = s->options.width,
                     .channels = s->wanted.channels,
                     .max_pixels = s->options.max_pixels,
                     .header_only = header_only};
  file_bytes file;
  memcpy(form.background, s->background, sizeof form.background);
  if (!data_read_whole(path, &file, error))
    return false;
  bool ok = image_decode(path, &file, &form, out, error);
  free(file.data);
  return ok;
}

static bool read_picture(data_reader *r, int64_t index, data_sample *out, message error) {
  image in;
  if (!decode(r, index, false, &in, error))
    return false;
  free(out->data);
  out->data = in.pixels;
  out->room = (size_t)(in.height * in.width * in.channels);
  return data_sample_shape(out, in.height, in.width, in.channels, false, r->path, error);
}

static bool shape_of_picture(data_reader *r, int64_t index, data_sample *out, message error) {
  image in;
  if (!decode(r, index, true, &in, error))
    return false;
  out->height = in.height;
  out->width = in.width;
  out->channels = in.channels;
  out->floats = false;
  return true;
}

static void name_picture(data_reader *r, int64_t index, char *out, size_t size) {
  const pictures *p = r->state;
  snprintf(out, size, "%s", p->list.paths[index]);
}

static void close_pictures(data_reader *r) {
  pictures *p = r->state;
  data_list_free(&p->list);
  free(p);
}

static const data_reader_ops picture_ops = {read_picture, shape_of_picture, name_picture,
                                            close_pictures};

bool data_open_pictures(data_sources *s, picture_list *list, message error) {
  pictures *p = malloc(sizeof *p);
  if (!list->count || !p) {
    free(p);
    return !list->count || data_fail(error, "out of memory for the names of pictures");
  }
  data_reader r = {.ops = &picture_ops,
                   .path = list->paths[0],
                   .state = p,
                   .count = list->count,
                   .labels = list->labels,
                   .named = true};
  p->list = *list;
  p->list.labels = NULL;
  p->sources = s;
  *list = (picture_list){0};
  s->met |= MET_PICTURES;
  return data_add(s, &r, error);
}
