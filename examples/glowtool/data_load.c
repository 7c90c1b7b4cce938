/* Making a set of what has been opened: every sample is read once, and kept if all of them fit in
 * memory; and classes are numbered. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "data_internal.h"
#include "memory.h"

bool data_read_place(data_sources *s, int64_t place, void *to, float *condition, message error) {
  int64_t index;
  data_reader *r = data_reader_at(s, place, &index);
  s->scratch.condition = condition;
  char name[512];
  return r->ops->read(r, index, &s->scratch, error) &&
         data_fit(s, data_place_name(s, place, name, sizeof name), to, error);
}

/* Samples that are not kept are read here only to find out which can be; the rest are read when
 * they are needed. */
static bool needs_look(const data_sources *s, int64_t place) {
  int64_t index;
  const data_reader *r = data_reader_at(s, place, &index);
  return s->options.skip_bad || (r->ops->shape && !s->options.once);
}

/* Reads every sample once: to keep it, and in any case to know that it can be read. */
static bool load(data_sources *s, sample_set *set, const bool *use, message error) {
  size_t size = data_bytes(set);
  uint64_t most =
      s->options.memory ? (uint64_t)s->options.memory << 20 : (uint64_t)memory_of_machine() / 2;
  uint64_t all = (uint64_t)set->count * (size + (size_t)set->condition * sizeof(float));
  int64_t total = s->starts[s->reader_count], kept = 0;
  bool keep = all <= most && !s->options.once;
  if (s->reader_count && !memory_fits((int64_t)size, s->readers[0].path, "a sample", error))
    return false;
  set->samples = malloc(keep ? (size_t)set->count * size + 1 : size + 1);
  size_t conditions = keep ? (size_t)(set->count * set->condition) : (size_t)set->condition;
  set->conditions = malloc((conditions + 1) * sizeof(float));
  set->places = malloc((size_t)set->count * sizeof *set->places);
  if (!set->samples || !set->conditions || !set->places)
    return data_fail(error, "out of memory for %lld samples", (long long)set->count);
  for (int64_t place = 0; place < total; place++) {
    int64_t at = keep ? kept : 0;
    if (!use[place])
      continue;
    if (!keep && !needs_look(s, place)) {
      set->places[kept++] = place;
      continue;
    }
    if (data_read_place(s, place, (char *)set->samples + (size_t)at * size,
                        set->conditions + at * set->condition, error)) {
      set->places[kept++] = place;
      continue;
    }
    if (!data_bad(s, error))
      return false;
  }
  set->count = kept;
  if (!kept)
    return data_fail(error, "%s", s->bad ? s->first_bad : "there are no samples in the data");
  if (s->bad)
    data_note(s, "%lld samples that cannot be read were left out (the first: %s)",
              (long long)s->bad, s->first_bad);
  if (keep)
    return true;
  free(set->samples);
  free(set->conditions);
  set->samples = NULL;
  set->conditions = NULL;
  if (!s->options.once)
    data_note(s,
              "%.0f MiB of samples are more than the %.0f MiB allowed in memory: they are read "
              "whenever they are needed",
              (double)all / 0x1p20, (double)most / 0x1p20);
  return true;
}

/* A number, where names have been given. */
static bool label_without_name(const data_sources *s, int64_t place, int32_t label, message error) {
  char name[512];
  return data_fail(error, "%s: its label is %d, but only %d classes have names, from 0 on%s%s",
                   data_place_name(s, place, name, sizeof name), label, s->classes.count,
                   s->options.classes ? ": " : "", s->options.classes ? s->options.classes : "");
}

/* Numbers of the classes of all samples that are there, through set->places. */
static bool take_labels(data_sources *s, sample_set *set, message error) {
  int32_t *numbers = malloc(((size_t)s->classes.count + 1) * sizeof *numbers);
  bool any = false, plain = false, named = false;
  int64_t none = 0;
  for (int32_t i = 0; i < s->reader_count; i++) {
    any |= s->readers[i].labels != NULL;
    plain |= s->readers[i].labels && !s->readers[i].named;
    named |= s->readers[i].labels && s->readers[i].named;
  }
  if (!numbers || (any && !(set->labels = malloc((size_t)set->count * sizeof *set->labels)))) {
    free(numbers);
    return data_fail(error, "out of memory for labels");
  }
  bool ok = classes_number(&s->classes, numbers, error);
  if (ok && plain && named && s->classes.count)
    ok =
        data_fail(error, "some labels are numbers, others names such as '%s'", s->classes.names[0]);
  for (int64_t i = 0; ok && any && i < set->count; i++) {
    int64_t index;
    const data_reader *r = data_reader_at(s, set->places[i], &index);
    int32_t label = r->labels ? r->labels[index] : -1;
    set->labels[i] = r->named && label >= 0 ? numbers[label] : label;
    if (r->classes > set->classes)
      set->classes = r->classes;
    if (set->labels[i] >= set->classes)
      set->classes = set->labels[i] + 1;
    none += label < 0;
    if (s->classes.count && set->labels[i] >= s->classes.count)
      ok = label_without_name(s, set->places[i], set->labels[i], error);
  }
  free(numbers);
  if (s->classes.count) /* it is known how many there are, whatever a format assumes */
    set->classes = s->classes.count;
  set->class_names = s->classes.count ? s->classes.names : NULL;
  if (ok && any && none == set->count) { /* not one */
    free(set->labels);
    set->labels = NULL;
    set->classes = 0;
    none = 0;
  }
  if (ok && none)
    data_note(s, "%lld of %lld samples have no label", (long long)none, (long long)set->count);
  return ok;
}

/* In memory samples stand one behind the other: no places are needed, but for names. */
bool data_fill(data_sources *s, sample_set *set, message error) {
  int64_t total = s->reader_count ? s->starts[s->reader_count] : 0;
  bool *use = malloc((size_t)total + 1);
  if (!use)
    return data_fail(error, "out of memory for %lld samples", (long long)total);
  bool ok = data_choose_shape(s, use, error);
  set->height = s->wanted.height;
  set->width = s->wanted.width;
  set->channels = s->wanted.channels;
  set->floats = s->wanted.floats;
  set->condition = s->reader_count ? s->readers[0].condition : 0;
  for (int32_t i = 1; ok && i < s->reader_count; i++)
    if (s->readers[i].condition != set->condition)
      ok = data_fail(error, "%s: %lld conditions, after others with %lld", s->readers[i].path,
                     (long long)s->readers[i].condition, (long long)set->condition);
  for (int64_t i = 0; ok && i < total; i++)
    set->count += use[i];
  ok = ok && load(s, set, use, error) && take_labels(s, set, error);
  free(use);
  return ok;
}
