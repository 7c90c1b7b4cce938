/* What must be the same on all ranks, as lines of text: rank 0 sends its own, and a rank that has
 * another line refuses with both. SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/model.h"
#include "train/collective.h"
#include "train/trainer.h"

/* ---- text ------------------------------------------------------------------------------------ */

/* Measured first, at NULL, and then written. */
typedef struct lines {
  char *at;
  size_t room, used;
} lines;

static void lines_add(lines *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void lines_add(lines *l, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length =
      vsnprintf(l->at ? l->at + l->used : NULL, l->at ? l->room - l->used : 0, format, arguments);
  va_end(arguments);
  l->used += length > 0 ? (size_t)length : 0;
}

/* ---- what it says ---------------------------------------------------------------------------- */

static void lines_add_config(lines *l, const char *of, const glow__config *config) {
  for (int32_t i = 0; i < glow__config_count(config); i++) {
    const glow__config_entry *e = glow__config_at(config, i);
    if (e->type == GLOW_CONFIG_INT)
      lines_add(l, "%s: %s = %lld\n", of, e->key, (long long)e->integer);
    else if (e->type == GLOW_CONFIG_REAL)
      lines_add(l, "%s: %s = %.17g\n", of, e->key, e->real);
    else
      lines_add(l, "%s: %s = %s\n", of, e->key, e->text);
  }
}

static glow_status lines_add_options(lines *l, glow_context *context, const char *of,
                                     const glow_options_table *table, const void *options) {
  glow__config config;
  GLOW_TRY(glow__config_create(context, &config));
  glow_status status = glow__options_save(table, options, &config);
  if (status == GLOW_OK)
    lines_add_config(l, of, &config);
  glow__config_destroy(&config);
  return status;
}

/* A layer that cannot be saved has its type and tensors alone. */
static glow_status lines_add_layer(lines *l, const glow_model *model, int32_t index) {
  const glow__node *node = &model->nodes[index];
  glow__config config;
  char of[300]; /* names have at most 200 bytes */
  snprintf(of, sizeof of, "layer '%s'", node->name);
  lines_add(l, "layer %d: '%s', of type '%s'\n", (int)index, node->name, node->layer->ops.type);
  GLOW_TRY(glow__config_create(model->context, &config));
  glow_status status = glow__model_save_layer(model, index, &config);
  if (status == GLOW_OK)
    lines_add_config(l, of, &config);
  glow__config_destroy(&config);
  return status == GLOW_E_MEMORY ? status : GLOW_OK;
}

static void lines_add_tensor(lines *l, const glow__tensor *tensor, double factor) {
  lines_add(l, "tensor '%s':", tensor->name);
  for (int32_t i = 0; i < tensor->rank; i++)
    lines_add(l, " %lld", (long long)tensor->dims[i]);
  lines_add(l, ", %s, of type %d\n", tensor->trainable ? "trainable" : "fixed", (int)tensor->type);
  lines_add(l, "rate factor of '%s' = %.17g\n", tensor->name, factor);
}

static glow_status lines_add_model(lines *l, const glow_model *model, const glow__rates *rates) {
  lines_add(l, "model: input %lld x %lld x %lld, %d bits, %d classes\n",
            (long long)model->input.height, (long long)model->input.width,
            (long long)model->input.channels, (int)model->bits, (int)model->classes);
  lines_add(l, "model: condition %lld x %lld x %lld\n", (long long)model->condition.height,
            (long long)model->condition.width, (long long)model->condition.channels);
  for (int32_t i = 0; i < model->node_count; i++)
    GLOW_TRY(lines_add_layer(l, model, i));
  for (int32_t i = 0; i < model->tensor_count; i++)
    lines_add_tensor(l, &model->tensors[i], rates->factors[i]);
  return GLOW_OK;
}

/* Fields that no file keeps are written here. */
static glow_status lines_add_trainer(lines *l, const glow_trainer *t) {
  const glow_trainer_options *o = &t->options;
  GLOW_TRY(lines_add_options(l, t->context, "trainer", &glow__trainer_table, o));
  lines_add(l, "trainer: seed = %llu\n", (unsigned long long)o->seed);
  lines_add(l, "trainer: memory_budget = %llu\n", (unsigned long long)o->memory_budget);
  lines_add(l, "trainer: loss of the caller's = %s\n", t->loss.fn ? "yes" : "no");
  lines_add(l, "trainer: gradient hook = %s\n", t->hook ? "yes" : "no");
  GLOW_TRY(lines_add_options(l, t->context, "optimizer", &glow__optimizer_table, o->optimizer));
  return lines_add_options(l, t->context, "schedule", &glow__schedule_table, &t->schedule);
}

static glow_status lines_add_all(lines *l, const glow__collective *c, const glow_trainer *t) {
  lines_add(l, "libglow %s\n", glow_version());
  lines_add(l, "collective: size = %d\n", (int)c->table.size);
  GLOW_TRY(lines_add_options(l, t->context, "collective", &glow__collective_table, &c->options));
  GLOW_TRY(lines_add_trainer(l, t));
  return lines_add_model(l, t->model, glow__optimizer_rates(t->optimizer));
}

/* ---- comparing ------------------------------------------------------------------------------- */

static glow_status make_text(const glow__collective *c, const glow_trainer *t, lines *l) {
  *l = (lines){NULL, 0, 0};
  GLOW_TRY(lines_add_all(l, c, t));
  l->room = l->used + 1;
  l->used = 0;
  l->at = glow_allocate(c->context, l->room);
  return l->at ? lines_add_all(l, c, t) : GLOW_E_MEMORY;
}

/* In messages. */
static int line_length(const char *line) {
  size_t length = strcspn(line, "\n");
  return (int)(length < 400 ? length : 400);
}

/* The first line that differs. */
static glow_status compare_text(const char *own, const char *other) {
  for (size_t length; *own; own += length, other += length) {
    length = strcspn(own, "\n") + 1;
    if (strncmp(own, other, length) != 0)
      break;
  }
  if (!*own && !*other)
    return GLOW_OK;
  return glow_error(GLOW_E_ARGUMENT, "it has \"%.*s\" where rank 0 has \"%.*s\"", line_length(own),
                    own, line_length(other), other);
}

/* Rank 0's text takes the place of a rank's own, which is kept. */
static glow_status exchange_text(glow__collective *c, const lines *own) {
  int64_t bytes = (int64_t)own->room;
  GLOW_TRY(glow__collective_broadcast(c, &bytes, sizeof bytes, 0));
  char *other = glow_allocate(c->context, (size_t)bytes);
  glow_status status = other ? GLOW_OK : GLOW_E_MEMORY;
  status = glow__collective_tell(c, status, GLOW_CALL_JOIN, NULL, 0);
  if (status == GLOW_OK && c->table.rank == 0)
    memcpy(other, own->at, own->room);
  if (status == GLOW_OK)
    status = glow__collective_broadcast(c, other, bytes, 0);
  if (status == GLOW_OK)
    status = glow__collective_tell(c, compare_text(own->at, other), GLOW_CALL_JOIN, NULL, 0);
  glow_release(c->context, other);
  return status;
}

glow_status glow__collective_compare(glow__collective *c, const glow_trainer *t) {
  lines own;
  glow_status status = make_text(c, t, &own);
  status = glow__collective_tell(c, status, GLOW_CALL_JOIN, NULL, 0);
  if (status == GLOW_OK)
    status = exchange_text(c, &own);
  glow_release(c->context, own.at);
  return status;
}
