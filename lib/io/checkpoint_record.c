/* The record of a checkpoint: options, schedule and progress of a trainer as JSON,
 *   {"trainer": {"micro_batch": 16, "mode": "stored", ...}, "optimizer": {"kind": "adam", ...},
 *    "schedule": {"kind": "constant", ...}, "progress": {"steps": 40, ...}}
 * A field of one of these structs is a row of the tables below, and nothing else. Reals are written
 * with 17 digits, which name a double exactly. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint.h"

/* ---- the tables ------------------------------------------------------------------------------ */

static const char *const modes[] = {"inference", "stored", "reconstructed", "fit", NULL};
static const char *const optimizers[] = {"sgd", "adam", "adamax", NULL};
static const char *const schedules[] = {"constant", "cosine", "exponential", NULL};

#define FIELD(name, kind, ...)                                                                     \
  { .key = #name, .offset = offsetof(STRUCT, name), .type = GLOW_FIELD_##kind, __VA_ARGS__ }
/* A field that is called otherwise in files than it is now. */
#define FIELD_AS(in_files, name, kind, ...)                                                        \
  {                                                                                                \
    .key = #in_files, .offset = offsetof(STRUCT, name), .type = GLOW_FIELD_##kind, __VA_ARGS__     \
  }

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
  if (record->optimizer.kind != GLOW_OPTIMIZER_SGD)
    parts[count++] = "v";
  if (record->trainer.average)
    parts[count++] = "average";
  return count;
}

/* ---- writing --------------------------------------------------------------------------------- */

static json_t *name_to_json(const glow__field *field, int32_t value) {
  const char *const *names = field->names;
  for (int32_t k = field->first; *names; k++, names++)
    if (k == value)
      return json_string(*names);
  return NULL;
}

static json_t *field_to_json(const glow__field *field, const void *from) {
  int32_t narrow = 0;
  int64_t wide = 0;
  double real = 0.0;
  uint64_t natural = 0;
  char text[32];
  switch (field->type) {
  case GLOW_FIELD_INT32: memcpy(&narrow, from, sizeof narrow); return json_integer(narrow);
  case GLOW_FIELD_INT64: memcpy(&wide, from, sizeof wide); return json_integer(wide);
  case GLOW_FIELD_REAL: memcpy(&real, from, sizeof real); return json_real(real);
  case GLOW_FIELD_NAME:
    memcpy(&narrow, from, sizeof narrow);
    return name_to_json(field, narrow);
  default:
    memcpy(&natural, from, sizeof natural);
    snprintf(text, sizeof text, "%" PRIu64, natural);
    return json_string(text);
  }
}

static glow_status group_to_json(const glow__field_group *group, const glow__record *record,
                                 json_t *root) {
  const char *base = (const char *)record + group->offset;
  json_t *object = json_object();
  if (!object || json_object_set_new(root, group->key, object) != 0)
    return glow_error(GLOW_E_MEMORY, "no memory for the record of a checkpoint");
  for (int32_t i = 0; i < group->count; i++) {
    const glow__field *field = &group->fields[i];
    json_t *value = field_to_json(field, base + field->offset);
    if (json_object_set_new(object, field->key, value) != 0)
      return glow_error(GLOW_E_MEMORY, "no memory for '%s.%s', or it has no name", group->key,
                        field->key);
  }
  return GLOW_OK;
}

glow_status glow__record_write(glow_context *context, const glow__record *record, char **out) {
  json_t *root = json_object();
  glow_status status =
      root ? GLOW_OK : glow_error(GLOW_E_MEMORY, "no memory for the record of a checkpoint");
  *out = NULL;
  for (int32_t i = 0; status == GLOW_OK && i < GLOW_FIELD_GROUPS; i++)
    status = group_to_json(&glow__checkpoint_groups[i], record, root);
  char *text = status == GLOW_OK ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
  json_decref(root);
  if (status != GLOW_OK)
    return status;
  if (!text)
    return glow_error(GLOW_E_MEMORY, "no memory for the record of a checkpoint");
  *out = glow__strdup(context, text);
  free(text);
  return *out ? GLOW_OK : GLOW_E_MEMORY;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool name_from_json(const glow__field *field, const json_t *value, int32_t *out) {
  const char *const *names = field->names;
  const char *text = json_string_value(value);
  for (int32_t k = field->first; text && *names; k++, names++)
    if (strcmp(*names, text) == 0) {
      *out = k;
      return true;
    }
  return false;
}

/* Decimal digits alone: strtoull would take blanks and a minus. */
static bool natural_from_json(const json_t *value, uint64_t *out) {
  const char *text = json_string_value(value);
  if (!text || !*text || strspn(text, "0123456789") != strlen(text))
    return false;
  errno = 0;
  *out = strtoull(text, NULL, 10);
  return errno == 0;
}

static bool field_from_json(const glow__field *field, const json_t *value, void *to) {
  int32_t narrow = 0;
  uint64_t natural = 0;
  int64_t wide = json_integer_value(value);
  double real = json_number_value(value);
  switch (field->type) {
  case GLOW_FIELD_INT32:
    narrow = (int32_t)wide;
    memcpy(to, &narrow, sizeof narrow);
    return json_is_integer(value) && narrow == wide;
  case GLOW_FIELD_INT64: memcpy(to, &wide, sizeof wide); return json_is_integer(value);
  case GLOW_FIELD_REAL: memcpy(to, &real, sizeof real); return json_is_number(value);
  case GLOW_FIELD_NAME:
    if (!name_from_json(field, value, &narrow))
      return false;
    memcpy(to, &narrow, sizeof narrow);
    return true;
  default:
    if (!natural_from_json(value, &natural))
      return false;
    memcpy(to, &natural, sizeof natural);
    return true;
  }
}

static const glow__field *find_field(const glow__field_group *group, const char *key) {
  for (int32_t i = 0; i < group->count; i++)
    if (strcmp(group->fields[i].key, key) == 0)
      return &group->fields[i];
  return NULL;
}

/* An unknown key is an option that this version cannot honour. */
static glow_status refuse_unknown(const glow__field_group *group, json_t *object) {
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) if (!find_field(group, key)) return glow_error(
      GLOW_E_FORMAT, "'%s.%.100s' is not known to this version of the library", group->key, key);
  return GLOW_OK;
}

static glow_status group_from_json(const glow__field_group *group, const json_t *root,
                                   glow__record *record) {
  static const char *const kinds[] = {"",         "a whole number of 32 bits", "a whole number",
                                      "a number", "a text of digits",          "a known name"};
  char *base = (char *)record + group->offset;
  json_t *object = json_object_get(root, group->key);
  if (!json_is_object(object))
    return glow_error(GLOW_E_FORMAT, "there is no object '%s'", group->key);
  GLOW_TRY(refuse_unknown(group, object));
  for (int32_t i = 0; i < group->count; i++) {
    const glow__field *field = &group->fields[i];
    const json_t *value = json_object_get(object, field->key);
    if (!value && field->later)
      continue;
    if (!value)
      return glow_error(GLOW_E_FORMAT, "'%s.%s' is missing", group->key, field->key);
    if (!field_from_json(field, value, base + field->offset))
      return glow_error(GLOW_E_FORMAT, "'%s.%s' is not %s", group->key, field->key,
                        kinds[field->type]);
  }
  return GLOW_OK;
}

glow_status glow__record_read(const char *text, glow__record *out) {
  json_error_t error;
  *out = (glow__record){
      GLOW_TRAINER_OPTIONS_INIT, GLOW_OPTIMIZER_OPTIONS_INIT, GLOW_SCHEDULE_INIT, {0, 0, 0, 0}};
  json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
  if (!root)
    return glow_error(json_error_code(&error) == json_error_out_of_memory ? GLOW_E_MEMORY
                                                                          : GLOW_E_FORMAT,
                      "byte %d: %s", error.position, error.text);
  glow_status status =
      json_object_size(root) <= GLOW_FIELD_GROUPS
          ? GLOW_OK
          : glow_error(GLOW_E_FORMAT, "it has parts not known to this version of the library");
  for (int32_t i = 0; status == GLOW_OK && i < GLOW_FIELD_GROUPS; i++)
    status = group_from_json(&glow__checkpoint_groups[i], root, out);
  json_decref(root);
  out->trainer.optimizer = &out->optimizer;
  out->trainer.schedule = &out->schedule;
  return status;
}
