/* The record of a checkpoint: options, schedule and progress of a trainer as JSON,
 *   {"trainer": {"micro_batch": 16, "mode": "stored", ...}, "optimizer": {"kind": "adam", ...},
 *    "schedule": {"kind": "constant", ...}, "progress": {"steps": 40, ...}}
 * without "trainer" and "schedule" where an optimizer was saved alone.
 * A field of one of these structs is a row of the tables below, and nothing else. Reals are
 * written with 17 digits, which identify a double exactly. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint.h"
#include "io/json.h"

/* ---- the tables ------------------------------------------------------------------------------ */

static const char *const modes[] = {"inference", "stored", "reconstructed", "fit", NULL};
static const char *const optimizers[] = {"sgd", "adam", "adamax", "lion", NULL};
static const char *const schedules[] = {"constant", "cosine", "exponential", NULL};

#define FIELD(name, kind, ...)                                                                     \
  { .key = #name, .offset = offsetof(STRUCT, name), .type = GLOW_FIELD_##kind, __VA_ARGS__ }
/* A field whose name in files differs from its name now. */
#define FIELD_AS(in_files, name, kind, ...)                                                        \
  { .key = #in_files, .offset = offsetof(STRUCT, name), .type = GLOW_FIELD_##kind, __VA_ARGS__ }

#define STRUCT glow_trainer_options
static const glow__field trainer_fields[] = {
    FIELD(micro_batch, INT64),
    FIELD(mode, NAME, .names = modes, .first = GLOW_MODE_INFERENCE),
    FIELD(average, INT32),
    FIELD(average_decay, REAL),
    FIELD(clip_norm, REAL),
    FIELD(clip_value, REAL),
    FIELD(seed, UINT64),
    FIELD(class_weight, REAL),
    FIELD(gain_l2, REAL, .later = true),
    FIELD_AS(memory_limit, memory_budget, UINT64, .later = true),
    FIELD(drift_bound, REAL, .later = true),
    FIELD_AS(keep_packed, cache_packed, INT32, .later = true),
    FIELD(inverse_backward, INT32, .later = true),
};
#undef STRUCT

#define STRUCT glow_optimizer_options
static const glow__field optimizer_fields[] = {
    FIELD(kind, NAME, .names = optimizers, .first = GLOW_OPTIMIZER_SGD),
    FIELD(beta1, REAL),
    FIELD(beta2, REAL),
    FIELD(epsilon, REAL),
    FIELD(weight_decay, REAL),
};
#undef STRUCT

#define STRUCT glow_schedule
static const glow__field schedule_fields[] = {
    FIELD(kind, NAME, .names = schedules, .first = GLOW_SCHEDULE_CONSTANT),
    FIELD(rate, REAL),
    FIELD(final, REAL),
    FIELD(warmup, INT64),
    FIELD(steps, INT64),
};
#undef STRUCT

#define STRUCT glow__progress
static const glow__field progress_fields[] = {
    FIELD(steps, INT64),
    FIELD(optimizer_steps, INT64),
    FIELD(noise_position, UINT64),
    FIELD(recomputes, INT64, .later = true),
};
#undef STRUCT

#define GROUP(name)                                                                                \
  {                                                                                                \
#name, offsetof(glow__record, name), name##_fields,                                            \
        (int32_t)(sizeof name##_fields / sizeof *name##_fields)                                    \
  }
const glow__field_group glow__checkpoint_groups[GLOW_FIELD_GROUPS] = {
    GROUP(trainer), GROUP(optimizer), GROUP(schedule), GROUP(progress)};

size_t glow__field_size(int32_t type) {
  return type == GLOW_FIELD_INT32 || type == GLOW_FIELD_NAME ? 4 : 8;
}

int32_t glow__record_parts(const glow__record *record, const char *parts[GLOW_CHECKPOINT_PARTS]) {
  int32_t count = 0;
  parts[count++] = "m";
  if (record->optimizer.kind == GLOW_OPTIMIZER_ADAM ||
      record->optimizer.kind == GLOW_OPTIMIZER_ADAMAX)
    parts[count++] = "v";
  if (record->trainer.average)
    parts[count++] = "average";
  return count;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_name(const glow__field *field, int32_t value, glow__text *out) {
  const char *const *names = field->names;
  for (int32_t k = field->first; *names; k++, names++)
    if (k == value) {
      glow__text_quoted(out, *names);
      return;
    }
  if (out->status == GLOW_OK)
    out->status = glow_error(GLOW_E_ARGUMENT, "%d has no name", value);
}

static void put_field(const glow__field *field, const void *from, glow__text *out) {
  int32_t narrow = 0;
  int64_t wide = 0;
  double real = 0.0;
  uint64_t natural = 0;
  char text[32];
  switch (field->type) {
  case GLOW_FIELD_INT32:
    memcpy(&narrow, from, sizeof narrow);
    glow__text_number(out, narrow);
    break;
  case GLOW_FIELD_INT64:
    memcpy(&wide, from, sizeof wide);
    glow__text_number(out, wide);
    break;
  case GLOW_FIELD_REAL:
    memcpy(&real, from, sizeof real);
    glow__text_real(out, real);
    break;
  case GLOW_FIELD_NAME:
    memcpy(&narrow, from, sizeof narrow);
    put_name(field, narrow, out);
    break;
  default:
    memcpy(&natural, from, sizeof natural);
    snprintf(text, sizeof text, "%" PRIu64, natural);
    glow__text_quoted(out, text);
  }
}

static glow_status put_group(const glow__field_group *group, const glow__record *record,
                             glow__text *out) {
  const char *base = (const char *)record + group->offset;
  glow__text_quoted(out, group->key);
  glow__text_put(out, ":{");
  for (int32_t i = 0; i < group->count; i++) {
    const glow__field *field = &group->fields[i];
    glow__text_put(out, i ? "," : "");
    glow__text_quoted(out, field->key);
    glow__text_put(out, ":");
    GLOW_TRY(out->status);
    put_field(field, base + field->offset, out);
    if (out->status != GLOW_OK)
      return glow__error_prefix(out->status, "'%s.%s'", group->key, field->key);
  }
  glow__text_put(out, "}");
  return out->status;
}

/* Whether an optimizer saved alone does without this group. */
static bool is_of_trainer(int32_t group) {
  return glow__checkpoint_groups[group].offset == offsetof(glow__record, trainer) ||
         glow__checkpoint_groups[group].offset == offsetof(glow__record, schedule);
}

glow_status glow__record_write(glow_context *context, const glow__record *record, char **out) {
  glow__text text = {.context = context, .status = GLOW_OK};
  for (int32_t i = 0; text.status == GLOW_OK && i < GLOW_FIELD_GROUPS; i++) {
    if (record->loop && is_of_trainer(i))
      continue;
    glow__text_put(&text, text.length ? "," : "{");
    text.status = put_group(&glow__checkpoint_groups[i], record, &text);
  }
  glow__text_put(&text, "}");
  *out = text.bytes;
  if (text.status != GLOW_OK) {
    glow_release(context, text.bytes);
    *out = NULL;
  }
  return text.status;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool find_name(const glow__field *field, const char *text, int32_t *out) {
  const char *const *names = field->names;
  for (int32_t k = field->first; text && *names; k++, names++)
    if (strcmp(*names, text) == 0) {
      *out = k;
      return true;
    }
  return false;
}

/* Only decimal digits: strtoull would accept blanks and a minus. */
static bool natural_of(const char *text, uint64_t *out) {
  if (!text || !*text || strspn(text, "0123456789") != strlen(text))
    return false;
  errno = 0;
  *out = strtoull(text, NULL, 10);
  return errno == 0;
}

/* *good: the value has the type of the field. */
static glow_status read_value(glow__json *json, const glow__field *field, void *to, bool *good) {
  int32_t narrow = 0;
  uint64_t natural = 0;
  const char *text = NULL;
  glow__json_number number;
  GLOW_TRY(glow__json_number_read(json, &number));
  if (number.kind == GLOW_JSON_NONE)
    GLOW_TRY(glow__json_string(json, &text));
  const bool whole = number.kind == GLOW_JSON_WHOLE;
  switch (field->type) {
  case GLOW_FIELD_INT32:
    narrow = (int32_t)number.integer;
    memcpy(to, &narrow, sizeof narrow);
    *good = whole && narrow == number.integer;
    break;
  case GLOW_FIELD_INT64:
    memcpy(to, &number.integer, sizeof number.integer);
    *good = whole;
    break;
  case GLOW_FIELD_REAL:
    memcpy(to, &number.real, sizeof number.real);
    *good = number.kind != GLOW_JSON_NONE;
    break;
  case GLOW_FIELD_NAME:
    *good = find_name(field, text, &narrow);
    memcpy(to, &narrow, sizeof narrow);
    break;
  default: *good = natural_of(text, &natural); memcpy(to, &natural, sizeof natural);
  }
  return GLOW_OK;
}

/* The index of the field, or -1. */
static int32_t find_field(const glow__field_group *group, const char *key) {
  for (int32_t i = 0; i < group->count; i++)
    if (strcmp(group->fields[i].key, key) == 0)
      return i;
  return -1;
}

/* An unknown key is an option that this version cannot respect. seen: a bit for each field. */
static glow_status read_field(glow__json *json, const glow__field_group *group, const char *key,
                              void *base, uint32_t *seen) {
  static const char *const kinds[] = {"",         "a whole number of 32 bits", "a whole number",
                                      "a number", "a text of digits",          "a known name"};
  int32_t i = find_field(group, key);
  bool good = false;
  if (i < 0)
    return glow_error(GLOW_E_FORMAT, "'%s.%.100s' is not known to this version of the library",
                      group->key, key);
  if (*seen >> i & 1)
    return glow_error(GLOW_E_FORMAT, "duplicate key '%s.%s'", group->key, key);
  *seen |= (uint32_t)1 << i;
  const glow__field *field = &group->fields[i];
  GLOW_TRY(read_value(json, field, (char *)base + field->offset, &good));
  return good ? GLOW_OK
              : glow_error(GLOW_E_FORMAT, "'%s.%s' is not %s", group->key, key, kinds[field->type]);
}

static glow_status read_group(glow__json *json, const glow__field_group *group, void *base) {
  uint32_t seen = 0;
  if (glow__json_peek(json) != '{')
    return glow_error(GLOW_E_FORMAT, "'%s' is missing, or not an object", group->key);
  GLOW_TRY(glow__json_enter(json, true));
  for (;;) {
    const char *key = NULL;
    GLOW_TRY(glow__json_next_key(json, &key));
    if (!key)
      break;
    GLOW_TRY(read_field(json, group, key, base, &seen));
  }
  for (int32_t i = 0; i < group->count; i++)
    if (!(seen >> i & 1) && !group->fields[i].later)
      return glow_error(GLOW_E_FORMAT, "'%s.%s' is missing", group->key, group->fields[i].key);
  return GLOW_OK;
}

static int32_t find_group(const char *key) {
  for (int32_t i = 0; i < GLOW_FIELD_GROUPS; i++)
    if (strcmp(glow__checkpoint_groups[i].key, key) == 0)
      return i;
  return -1;
}

/* seen: a bit for each group. */
static bool lacks_trainer(uint32_t seen) {
  for (int32_t i = 0; i < GLOW_FIELD_GROUPS; i++)
    if (is_of_trainer(i) && seen >> i & 1)
      return false;
  return true;
}

static glow_status read_groups(glow__json *json, glow__record *out) {
  uint32_t seen = 0;
  GLOW_TRY(glow__json_enter(json, true));
  for (;;) {
    const char *key = NULL;
    GLOW_TRY(glow__json_next_key(json, &key));
    if (!key)
      break;
    int32_t i = find_group(key);
    if (i < 0)
      return glow_error(GLOW_E_FORMAT,
                        "it has parts that this version of the library does not know: '%.100s'",
                        key);
    if (seen >> i & 1)
      return glow_error(GLOW_E_FORMAT, "duplicate key '%s'", key);
    seen |= (uint32_t)1 << i;
    const glow__field_group *group = &glow__checkpoint_groups[i];
    GLOW_TRY(read_group(json, group, (char *)out + group->offset));
  }
  out->loop = lacks_trainer(seen);
  for (int32_t i = 0; i < GLOW_FIELD_GROUPS; i++)
    if (!(seen >> i & 1) && !(out->loop && is_of_trainer(i)))
      return glow_error(GLOW_E_FORMAT, "'%s' is missing, or not an object",
                        glow__checkpoint_groups[i].key);
  return glow__json_end(json);
}

glow_status glow__record_read(glow_context *context, const char *text, glow__record *out) {
  glow__json json;
  *out = (glow__record){GLOW_TRAINER_OPTIONS_INIT,
                        GLOW_OPTIMIZER_OPTIONS_INIT,
                        GLOW_SCHEDULE_INIT,
                        {0, 0, 0, 0},
                        false};
  GLOW_TRY(glow__json_open(context, text, "record", &json));
  glow_status status = read_groups(&json, out);
  glow__json_close(&json);
  out->trainer.optimizer = &out->optimizer;
  out->trainer.schedule = &out->schedule;
  return status;
}
