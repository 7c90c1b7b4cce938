/* Options from a table: defaults, values from the caller or a file, checks of every field, and
 * writing to a file. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* ---- fields ---------------------------------------------------------------------------------- */

static const char *key_of(const glow_option *option) {
  return option->key ? option->key : option->name;
}

static void *field(const glow_option *option, void *options) {
  return (char *)options + option->offset;
}

static const void *field_const(const glow_option *option, const void *options) {
  return (const char *)options + option->offset;
}

static int32_t read_int32(const void *at) {
  int32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static int64_t read_int64(const void *at) {
  int64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static double read_real(const void *at) {
  double value;
  memcpy(&value, at, sizeof value);
  return value;
}

static int64_t read_integer(const glow_option *option, const void *options) {
  const void *at = field_const(option, options);
  return option->type == GLOW_OPTION_INT64 ? read_int64(at) : read_int32(at);
}

static void write_integer(const glow_option *option, void *options, int64_t value) {
  int32_t narrow = (int32_t)value;
  if (option->type == GLOW_OPTION_INT64)
    memcpy(field(option, options), &value, sizeof value);
  else
    memcpy(field(option, options), &narrow, sizeof narrow);
}

/* A list of indices: its address, followed by its length. */
typedef struct indices {
  const int32_t *at;
  int64_t count;
} indices;

/* The length is at the next place where an int64_t may be: on 32-bit ARM that may be behind
 * padding, which depends on where the address is. */
static size_t place_of_count(const glow_option *option) {
  const size_t unit = _Alignof(int64_t), end = (size_t)option->offset + sizeof(const int32_t *);
  return (end + unit - 1) / unit * unit;
}

static indices options_read_indices(const glow_option *option, const void *options) {
  indices list;
  memcpy(&list.at, field_const(option, options), sizeof list.at);
  memcpy(&list.count, (const char *)options + place_of_count(option), sizeof list.count);
  return list;
}

static void write_indices(const glow_option *option, void *options, const indices *list) {
  memcpy(field(option, options), &list->at, sizeof list->at);
  memcpy((char *)options + place_of_count(option), &list->count, sizeof list->count);
}

static void set_default(const glow_option *option, void *options) {
  switch (option->type) {
  case GLOW_OPTION_INT32:
  case GLOW_OPTION_INT64:
  case GLOW_OPTION_CHOICE: write_integer(option, options, (int64_t)option->fallback); break;
  case GLOW_OPTION_REAL: memcpy(field(option, options), &option->fallback, sizeof(double)); break;
  default: break; /* seeds, lists and reserved fields are 0 */
  }
}

static bool is_default(const glow_option *option, const void *options) {
  switch (option->type) {
  case GLOW_OPTION_INT32:
  case GLOW_OPTION_INT64:
  case GLOW_OPTION_CHOICE: return read_integer(option, options) == (int64_t)option->fallback;
  case GLOW_OPTION_REAL: return read_real(field_const(option, options)) == option->fallback;
  case GLOW_OPTION_INDICES: return options_read_indices(option, options).count == 0;
  default: return true;
  }
}

/* A field that was added in a later version means its default if it is 0. */
static void complete(const glow_option *option, void *options) {
  static const char zeros[sizeof(int64_t)];
  bool wide = option->type == GLOW_OPTION_INT64 || option->type == GLOW_OPTION_REAL;
  if (option->flags & GLOW_OPTION_ADDED &&
      memcmp(field(option, options), zeros, wide ? sizeof(int64_t) : sizeof(int32_t)) == 0)
    set_default(option, options);
}

/* ---- the check ------------------------------------------------------------------------------- */

static bool inside(const glow_option *option, double value) {
  return (option->flags & GLOW_OPTION_ABOVE_LOW ? value > option->low : value >= option->low) &&
         (option->flags & GLOW_OPTION_BELOW_HIGH ? value < option->high : value <= option->high);
}

/* "1 to 64", "0 or 1", "above 0 and below 1", "1 or more". */
static void describe_range(const glow_option *option, char *text, size_t size) {
  bool above = option->flags & GLOW_OPTION_ABOVE_LOW,
       below = option->flags & GLOW_OPTION_BELOW_HIGH;
  bool endless = option->type == GLOW_OPTION_REAL ? option->high >= 1e300 : option->high >= 0x1p62;
  if (endless)
    snprintf(text, size, above ? "above %.15g" : "%.15g or more", option->low);
  else if (above || below)
    snprintf(text, size, "%s %.15g and %s %.15g", above ? "above" : "at least", option->low,
             below ? "below" : "at most", option->high);
  else
    snprintf(text, size, option->high - option->low == 1 ? "%.15g or %.15g" : "%.15g to %.15g",
             option->low, option->high);
}

static glow_status check_number(const glow_option *option, const void *options) {
  char range[120];
  describe_range(option, range, sizeof range);
  if (option->type == GLOW_OPTION_REAL) {
    double value = read_real(field_const(option, options));
    if (isfinite(value) && inside(option, value))
      return GLOW_OK;
    return glow_error(GLOW_E_ARGUMENT, "%s is %g; it must be %s", option->name, value, range);
  }
  int64_t value = read_integer(option, options);
  if (inside(option, (double)value))
    return GLOW_OK;
  return glow_error(GLOW_E_ARGUMENT, "%s is %lld; it must be %s", option->name, (long long)value,
                    range);
}

static const glow_choice *find_choice(const glow_option *option, int32_t value) {
  for (const glow_choice *c = option->choices; c->name; c++)
    if (c->value == value)
      return c;
  return NULL;
}

/* "affine (301), additive (302)". */
static void describe_choices(const glow_option *option, bool values, char *text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  for (const glow_choice *c = option->choices; c->name && used < size; c++) {
    int wrote = values ? snprintf(text + used, size - used, "%s%s (%d)",
                                  c == option->choices ? "" : ", ", c->name, (int)c->value)
                       : snprintf(text + used, size - used, "%s%s",
                                  c == option->choices ? "" : ", ", c->name);
    used += wrote > 0 ? (size_t)wrote : 0;
  }
}

static glow_status check_choice(const glow_option *option, const void *options) {
  char known[300];
  int32_t value = read_int32(field_const(option, options));
  if (find_choice(option, value))
    return GLOW_OK;
  describe_choices(option, true, known, sizeof known);
  return glow_error(GLOW_E_ARGUMENT, "%s is %d; it must be one of %s...: %s", option->name,
                    (int)value, option->prefix ? option->prefix : "", known);
}

static glow_status check_indices(const glow_option *option, const void *options) {
  char range[120];
  indices list = options_read_indices(option, options);
  if (list.count < 0 || (list.count && !list.at) || list.count > (int64_t)1 << 24)
    return glow_error(GLOW_E_ARGUMENT, "%s: a list of %lld; it must have 0 to 2^24 and an address",
                      option->name, (long long)list.count);
  describe_range(option, range, sizeof range);
  for (int64_t i = 0; i < list.count; i++)
    if (!inside(option, (double)list.at[i]))
      return glow_error(GLOW_E_ARGUMENT, "%s[%lld] is %d; it must be %s", option->name,
                        (long long)i, (int)list.at[i], range);
  return GLOW_OK;
}

static glow_status check_field(const glow_option *option, const void *options) {
  switch (option->type) {
  case GLOW_OPTION_CHOICE: return check_choice(option, options);
  case GLOW_OPTION_INDICES: return check_indices(option, options);
  case GLOW_OPTION_UINT64: return GLOW_OK;
  case GLOW_OPTION_RESERVED:
    if (read_int32(field_const(option, options)) == 0)
      return GLOW_OK;
    return glow_error(GLOW_E_ARGUMENT, "%s must be 0", option->name);
  default: return check_number(option, options);
  }
}

glow_status glow__options_check(const glow_options_table *table, const void *options) {
  for (int32_t i = 0; i < table->count; i++) {
    glow_status status = check_field(&table->options[i], options);
    if (status != GLOW_OK)
      return glow__error_prefix(status, "%s", table->name);
  }
  return table->check ? table->check(options) : GLOW_OK;
}

void glow__options_default(const glow_options_table *table, void *to) {
  memset(to, 0, table->size);
  memcpy(to, &table->size, sizeof table->size);
  for (int32_t i = 0; i < table->count; i++)
    set_default(&table->options[i], to);
}

glow_status glow_options_read(const glow_options_table *table, const void *from, void *to) {
  if (!table || !to)
    return glow_error(GLOW_E_ARGUMENT, "glow_options_read: NULL argument");
  glow__options_default(table, to);
  GLOW_TRY(glow__options_copy(to, table->size, from, table->smallest, table->name));
  for (int32_t i = 0; i < table->count; i++)
    complete(&table->options[i], to);
  return glow__options_check(table, to);
}

/* ---- files ----------------------------------------------------------------------------------- */

static glow_status save_indices(const glow_option *option, const void *options,
                                glow__config *config) {
  indices list = options_read_indices(option, options);
  size_t room = (size_t)list.count * 12 + 1, used = 0;
  char *text = glow_allocate(glow__config_context(config), room);
  if (!text)
    return GLOW_E_MEMORY;
  for (int64_t i = 0; i < list.count; i++)
    used += (size_t)snprintf(text + used, room - used, i ? ",%d" : "%d", (int)list.at[i]);
  glow_status status = glow__config_set_text(config, key_of(option), text);
  glow_release(glow__config_context(config), text);
  return status;
}

static glow_status save_field(const glow_option *option, const void *options,
                              glow__config *config) {
  if (option->flags & GLOW_OPTION_QUIET && is_default(option, options))
    return GLOW_OK;
  switch (option->type) {
  case GLOW_OPTION_INT32:
  case GLOW_OPTION_INT64:
    return glow__config_set_int(config, key_of(option), read_integer(option, options));
  case GLOW_OPTION_REAL:
    return glow__config_set_real(config, key_of(option), read_real(field_const(option, options)));
  case GLOW_OPTION_CHOICE:
    return glow__config_set_text(
        config, key_of(option),
        find_choice(option, read_int32(field_const(option, options)))->name);
  case GLOW_OPTION_INDICES: return save_indices(option, options, config);
  default: return GLOW_OK;
  }
}

glow_status glow__options_save(const glow_options_table *table, const void *options,
                               glow__config *config) {
  for (int32_t i = 0; table && i < table->count; i++)
    GLOW_TRY(save_field(&table->options[i], options, config));
  return GLOW_OK;
}

static glow_status load_choice(const glow_option *option, const glow__config *config, void *to) {
  char known[300];
  const char *name = NULL;
  GLOW_TRY(glow__config_get_text(config, key_of(option), &name));
  for (const glow_choice *c = option->choices; name && c->name; c++)
    if (strcmp(c->name, name) == 0) {
      write_integer(option, to, c->value);
      return GLOW_OK;
    }
  if (!name)
    return GLOW_OK;
  describe_choices(option, false, known, sizeof known);
  return glow_error(GLOW_E_FORMAT, "option '%s%s' is '%.50s'; it must be one of %s", config->prefix,
                    key_of(option), name, known);
}

/* The list is in memory of the context; the caller releases it (glow__options_release). */
static glow_status load_indices(const glow_option *option, glow_context *context,
                                const glow__config *config, void *to) {
  const char *text = NULL;
  indices list = {NULL, 0};
  GLOW_TRY(glow__config_get_text(config, key_of(option), &text));
  if (!text || !*text)
    return GLOW_OK;
  int32_t *at = glow_allocate(context, strlen(text) * sizeof *at);
  if (!at)
    return GLOW_E_MEMORY;
  list.at = at;
  write_indices(option, to, &list);
  for (const char *c = text; *c;) {
    char *end = NULL;
    long long value = *c >= '0' && *c <= '9' ? strtoll(c, &end, 10) : -1;
    if (value < 0 || value > INT32_MAX || (*end && (*end != ',' || !end[1])))
      return glow_error(GLOW_E_FORMAT, "option '%s%s' is '%.50s', not a list such as 0,2,5",
                        config->prefix, key_of(option), text);
    at[list.count++] = (int32_t)value;
    c = *end ? end + 1 : end;
  }
  write_indices(option, to, &list);
  return GLOW_OK;
}

static glow_status load_field(const glow_option *option, glow_context *context,
                              const glow__config *config, void *to) {
  int64_t integer = 0;
  switch (option->type) {
  case GLOW_OPTION_INT32:
  case GLOW_OPTION_INT64:
    integer = read_integer(option, to);
    GLOW_TRY(glow__config_get_int(config, key_of(option), (int64_t)option->low,
                                  option->high >= 0x1p62 ? INT64_MAX : (int64_t)option->high,
                                  &integer));
    write_integer(option, to, integer);
    return GLOW_OK;
  case GLOW_OPTION_REAL: {
    double real = read_real(field_const(option, to));
    GLOW_TRY(glow__config_get_real(config, key_of(option), &real));
    memcpy(field(option, to), &real, sizeof real);
    return GLOW_OK;
  }
  case GLOW_OPTION_CHOICE: return load_choice(option, config, to);
  case GLOW_OPTION_INDICES: return load_indices(option, context, config, to);
  default: return GLOW_OK;
  }
}

glow_status glow__options_load(const glow_options_table *table, glow_context *context,
                               const glow__config *config, void *to) {
  glow__options_default(table, to);
  for (int32_t i = 0; i < table->count; i++)
    GLOW_TRY(load_field(&table->options[i], context, config, to));
  return GLOW_OK;
}

void glow__options_release(const glow_options_table *table, glow_context *context, void *options) {
  for (int32_t i = 0; table && i < table->count; i++)
    if (table->options[i].type == GLOW_OPTION_INDICES)
      glow_release(context,
                   (void *)(uintptr_t)options_read_indices(&table->options[i], options).at);
}

glow_status glow__options_own(const glow_options_table *table, glow_context *context,
                              void *options) {
  glow_status status = GLOW_OK;
  for (int32_t i = 0; i < table->count; i++) {
    const glow_option *option = &table->options[i];
    if (option->type != GLOW_OPTION_INDICES)
      continue;
    indices list = options_read_indices(option, options), copy = {NULL, 0};
    if (status == GLOW_OK && list.count) {
      int32_t *at = glow_allocate(context, (size_t)list.count * sizeof *at);
      if (at)
        memcpy(at, list.at, (size_t)list.count * sizeof *at);
      else
        status = GLOW_E_MEMORY;
      copy = (indices){at, at ? list.count : 0};
    }
    write_indices(option, options, &copy);
  }
  return status;
}
