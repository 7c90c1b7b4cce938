/* Which shape the samples of a set have, and which samples have it or can be given it: a look at
 * all shapes before the first sample is read. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "data_internal.h"

bool data_too_small(const data_options *o, const data_sample *shape) {
  return shape->width < o->width || shape->height < o->height;
}

typedef struct survey {
  int64_t used, small, greys, colours;
  char first_small[700];
  data_sample first; /* shape of the first that is used */
  char first_name[512];
} survey;

static bool shape_at(data_sources *s, int64_t place, data_sample *out, message error) {
  int64_t index;
  data_reader *r = data_reader_at(s, place, &index);
  *out = (data_sample){r->height, r->width, r->channels, r->floats, NULL, 0, NULL};
  return !r->ops->shape || r->ops->shape(r, index, out, error);
}

static bool same_kind(const data_sample *a, const data_sample *b) {
  bool pictures = !a->floats && !b->floats && (a->channels == 1 || a->channels == 3) &&
                  (b->channels == 1 || b->channels == 3);
  return a->floats == b->floats && (a->channels == b->channels || pictures);
}

static bool same_size(const data_sources *s, const data_sample *a, const data_sample *b) {
  return s->options.width || s->pad_width || (a->height == b->height && a->width == b->width);
}

static bool refuse_shape(const data_sources *s, int64_t place, const survey *v,
                         const data_sample *shape, message error) {
  char name[512];
  data_place_name(s, place, name, sizeof name);
  if (shape->floats != v->first.floats)
    return data_fail(error, "%s: %s, after %s in %s: they cannot be in one set of data", name,
                     shape->floats ? "float numbers" : "pixels of 8 bits",
                     v->first.floats ? "float numbers" : "pixels of 8 bits", v->first_name);
  return data_fail(error,
                   "%s: images of %lld x %lld with %lld channels, after others of %lld x %lld with "
                   "%lld%s",
                   name, (long long)shape->width, (long long)shape->height,
                   (long long)shape->channels, (long long)v->first.width,
                   (long long)v->first.height, (long long)v->first.channels,
                   same_kind(shape, &v->first) ? "; --size makes them alike" : "");
}

/* Does the sample take part? An error only where it cannot be left out. */
static bool survey_one(data_sources *s, int64_t place, survey *v, bool *use, message error) {
  const data_options *o = &s->options;
  data_sample shape;
  *use = false;
  if (!shape_at(s, place, &shape, error))
    return data_bad(s, error);
  if (!shape.floats && data_too_small(o, &shape) && !o->upsample) {
    char name[512];
    if (!v->small++)
      snprintf(v->first_small, sizeof v->first_small, "%s, %lld x %lld",
               data_place_name(s, place, name, sizeof name), (long long)shape.width,
               (long long)shape.height);
    return true;
  }
  if (!shape.floats && o->as == DATA_VECTORS) {
    char name[512];
    return data_fail(error, "%s: images, where a table is wanted",
                     data_place_name(s, place, name, sizeof name));
  }
  if (!v->used++) {
    v->first = shape;
    data_place_name(s, place, v->first_name, sizeof v->first_name);
  }
  v->greys += shape.channels == 1;
  v->colours += shape.channels == 3;
  *use = true;
  return (same_kind(&v->first, &shape) && same_size(s, &v->first, &shape)) ||
         refuse_shape(s, place, v, &shape, error);
}

/* If all samples of a reader have one shape, one look is enough. */
static bool survey_all(data_sources *s, survey *v, bool *use, message error) {
  for (int32_t i = 0; i < s->reader_count; i++) {
    const data_reader *r = &s->readers[i];
    int64_t begin = s->starts[i], end = s->starts[i + 1];
    for (int64_t place = begin; place < end; place++) {
      if (place > begin && !r->ops->shape) {
        memset(use + place, use[begin], (size_t)(end - place));
        int64_t more = end - place;
        v->used += use[begin] ? more : 0;
        v->small += use[begin] ? 0 : more;
        v->greys += use[begin] && r->channels == 1 ? more : 0;
        v->colours += use[begin] && r->channels == 3 ? more : 0;
        break;
      }
      if (!survey_one(s, place, v, &use[place], error))
        return false;
    }
  }
  return true;
}

static bool judge_small(data_sources *s, const survey *v, message error) {
  const data_options *o = &s->options;
  if (!v->small)
    return true;
  if (o->skip_small && v->used) {
    data_note(s, "%lld images are smaller than %lld x %lld and were left out (the first: %s)",
              (long long)v->small, (long long)o->width, (long long)o->height, v->first_small);
    return true;
  }
  return data_fail(
      error,
      "%lld of %lld images are smaller than the %lld x %lld that is needed (the first: %s); "
      "--upsample enlarges them, --skip-small leaves them out",
      (long long)v->small, (long long)(v->small + v->used), (long long)o->width,
      (long long)o->height, v->first_small);
}

static void choose_channels(data_sources *s, const survey *v) {
  data_sample *w = &s->wanted;
  int64_t wider = v->colours ? 3 : v->greys ? 1 : v->first.channels;
  bool pictures = !v->first.floats && (v->greys || v->colours);
  w->channels = pictures && s->options.channels ? s->options.channels : wider;
  if (!pictures) {
    w->channels = v->first.channels;
    return;
  }
  if (w->channels == 3 && v->greys)
    data_note(s, "%lld grey images become colour ones with three equal channels",
              (long long)v->greys);
  if (w->channels == 1 && v->colours)
    data_note(s, "%lld colour images become grey: 0.299 red + 0.587 green + 0.114 blue",
              (long long)v->colours);
}

bool data_choose_shape(data_sources *s, bool *use, message error) {
  const data_options *o = &s->options;
  survey v = {0};
  if (!survey_all(s, &v, use, error) || !judge_small(s, &v, error))
    return false;
  if (!v.used)
    return data_fail(error, "%s", s->bad ? s->first_bad : "there are no samples in the data");
  choose_channels(s, &v);
  data_sample *w = &s->wanted;
  w->floats = v.first.floats;
  w->height = s->pad_height ? s->pad_height : o->height && !w->floats ? o->height : v.first.height;
  w->width = s->pad_width ? s->pad_width : o->width && !w->floats ? o->width : v.first.width;
  if (v.first.floats &&
      (s->pad_width || (o->width && (w->height != o->height || w->width != o->width))))
    return data_fail(error, "%s: images of floats are not resized: they are %lld x %lld",
                     v.first_name, (long long)v.first.width, (long long)v.first.height);
  if (!v.first.floats && o->channels && w->channels != o->channels)
    return data_fail(error, "%s: %lld channels where %lld are asked", v.first_name,
                     (long long)w->channels, (long long)o->channels);
  return true;
}
