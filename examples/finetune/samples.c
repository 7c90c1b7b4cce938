/* Reading, splitting and shuffling. SPDX-License-Identifier: MIT */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *message) {
  fprintf(stderr, "finetune: %s\n", message);
  exit(2);
}

static void *reserve(size_t bytes) {
  void *memory = malloc(bytes);
  if (!memory)
    fail("out of memory");
  return memory;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Pictures are cut and resized to the shape of the model. */
static data_options form_of(const glow_model *model, const settings *o) {
  glow_shape shape;
  glow_model_input_shape(model, &shape);
  bool vectors = shape.height == 1 && shape.width == 1 && !glow_model_bits(model);
  data_options form = {.format = "auto", .as = vectors ? DATA_VECTORS : DATA_IMAGES};
  form.condition = o->condition;
  if (!vectors) {
    form.width = shape.width;
    form.height = shape.height;
    form.channels = shape.channels == 1 || shape.channels == 3 ? shape.channels : 0;
  }
  return form;
}

static void check_fit(const sample_set *set, const glow_model *model) {
  char message[300];
  glow_shape m;
  glow_model_input_shape(model, &m);
  if (set->condition != glow_model_condition_size(model)) {
    snprintf(message, sizeof message,
             "the model takes a condition of %lld elements, not of %lld: see --condition",
             (long long)glow_model_condition_size(model), (long long)set->condition);
    fail(message);
  }
  if (m.height != set->height || m.width != set->width || m.channels != set->channels) {
    snprintf(message, sizeof message,
             "the data are %lld x %lld x %lld; the model reads %lld x %lld x %lld",
             (long long)set->height, (long long)set->width, (long long)set->channels,
             (long long)m.height, (long long)m.width, (long long)m.channels);
    fail(message);
  }
  if (!glow_model_bits(model) && !set->floats)
    fail("the model is for continuous data, and these are pixels");
}

/* ---- choosing -------------------------------------------------------------------------------- */

static void chosen_open(chosen *c, const samples *s, const glow_model *model, int64_t room) {
  size_t n = (size_t)room;
  *c = (chosen){.batch = GLOW_BATCH_INIT, .samples = reserve(n * data_bytes(&s->set))};
  if (s->set.condition)
    c->conditions = reserve(n * (size_t)s->set.condition * sizeof(float));
  if (glow_model_class_count(model))
    c->labels = reserve(n * sizeof *c->labels);
}

/* Sample `number` of the data becomes number `at` here. */
static void chosen_put(chosen *c, const sample_set *set, int64_t at, int64_t number) {
  char error[1024] = "";
  float *conditions = c->conditions ? c->conditions + at * set->condition : NULL;
  char *to = c->samples + (size_t)at * data_bytes(set);
  if (!data_read(set, number, 1, to, conditions, error, sizeof error))
    fail(error);
  if (c->labels)
    c->labels[at] = set->labels ? set->labels[number] : -1;
}

static void chosen_finish(chosen *c, const sample_set *set, int64_t count) {
  c->batch.count = count;
  c->batch.x = set->floats ? (const float *)(const void *)c->samples : NULL;
  c->batch.pixels = set->floats ? NULL : (const uint8_t *)c->samples;
  c->batch.labels = c->labels;
  c->batch.condition = c->conditions;
  c->batch.condition_count = c->conditions ? count : 0;
}

static void chosen_close(chosen *c) {
  free(c->samples);
  free(c->conditions);
  free(c->labels);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void shuffle(samples *s, int64_t first) {
  int64_t count = s->set.count - first;
  int32_t *places = reserve((size_t)count * 2 * sizeof *places), *old = places + count;
  memcpy(old, s->order + first, (size_t)count * sizeof *old);
  if (glow_rng_permutation(s->rng, places, count) != GLOW_OK)
    fail(glow_last_error());
  for (int64_t i = 0; i < count; i++)
    s->order[first + i] = old[places[i]];
  free(places);
}

void samples_open(samples *s, glow_context *context, const glow_model *model, const settings *o) {
  char error[1024] = "";
  const data_options form = form_of(model, o);
  *s = (samples){.rng = NULL};
  if (!data_open(o->data, o->files, &form, &s->set, error, sizeof error))
    fail(error);
  check_fit(&s->set, model);
  int64_t held_out = (s->set.count * o->held_out + 99) / 100;
  if (s->set.count < 2 || held_out == s->set.count || s->set.count > INT32_MAX)
    fail("there must be data to train on and data to hold out");
  if (glow_rng_create(context, (uint64_t)o->seed, &s->rng) != GLOW_OK)
    fail(glow_last_error());
  s->order = reserve((size_t)s->set.count * sizeof *s->order);
  for (int64_t i = 0; i < s->set.count; i++)
    s->order[i] = (int32_t)i;
  shuffle(s, 0);
  chosen_open(&s->held_out, s, model, held_out);
  chosen_open(&s->training, s, model, o->batch);
  for (int64_t i = 0; i < held_out; i++)
    chosen_put(&s->held_out, &s->set, i, s->order[i]);
  chosen_finish(&s->held_out, &s->set, held_out);
  s->next = held_out;
}

void samples_next(samples *s, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    if (s->next == s->set.count) {
      s->next = s->held_out.batch.count;
      shuffle(s, s->next);
    }
    chosen_put(&s->training, &s->set, i, s->order[s->next++]);
  }
  chosen_finish(&s->training, &s->set, count);
}

void samples_close(samples *s) {
  chosen_close(&s->held_out);
  chosen_close(&s->training);
  free(s->order);
  glow_rng_destroy(&s->rng);
  data_free(&s->set);
}
