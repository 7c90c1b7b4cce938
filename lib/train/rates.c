/* Rate factors: names and prefixes of tensors on one side, runs of equal factors in the flat vector
 * on the other. Factors are kept for each tensor, so that of two calls that meet in a tensor the
 * later one wins. A layer whose trainable tensors are all held is held with its fixed state, so
 * that its running averages stay with what they belong to. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/model.h"
#include "train/rates.h"

/* ---- life ------------------------------------------------------------------------------------ */

glow_status glow__rates_create(const glow_model *model, glow__rates *out) {
  size_t count = (size_t)model->tensor_count + 1;
  glow_context *context = model->context;
  *out = (glow__rates){.context = context, .model = model};
  out->factors = glow_allocate(context, count * sizeof *out->factors);
  if (!out->factors)
    return GLOW_E_MEMORY;
  out->held = glow_allocate(context, count * sizeof *out->held);
  if (!out->held)
    return GLOW_E_MEMORY;
  out->runs = glow_allocate(context, count * sizeof *out->runs);
  if (!out->runs)
    return GLOW_E_MEMORY;
  for (int32_t i = 0; i < model->tensor_count; i++)
    out->factors[i] = 1.0;
  glow__rates_renew(out);
  return GLOW_OK;
}

void glow__rates_destroy(glow__rates *rates) {
  if (!rates->context)
    return;
  glow_release(rates->context, rates->factors);
  glow_release(rates->context, rates->held);
  glow_release(rates->context, rates->runs);
  *rates = (glow__rates){.context = NULL};
}

/* ---- what follows from the factors ----------------------------------------------------------- */

/* Trainable tensors lie in the flat vector in their own order. */
static void renew_runs(glow__rates *r) {
  r->run_count = 0;
  r->largest = 0.0;
  r->any_held = false;
  for (int32_t i = 0; i < r->model->tensor_count; i++) {
    const glow__tensor *tensor = &r->model->tensors[i];
    if (!tensor->trainable)
      continue;
    if (!r->run_count || r->runs[r->run_count - 1].factor != r->factors[i])
      r->runs[r->run_count++].factor = r->factors[i];
    r->runs[r->run_count - 1].end = tensor->offset + tensor->elements;
    r->largest = fmax(r->largest, r->factors[i]);
    r->any_held |= r->factors[i] == 0.0;
  }
}

static void renew_held(glow__rates *r, const glow__node *node) {
  bool trains = false, some = false;
  for (int32_t i = node->first_tensor; i < node->first_tensor + node->tensors; i++) {
    some |= r->model->tensors[i].trainable != 0;
    trains |= r->model->tensors[i].trainable && r->factors[i] != 0.0;
  }
  for (int32_t i = node->first_tensor; i < node->first_tensor + node->tensors; i++)
    r->held[i] = r->factors[i] == 0.0 || (some && !trains);
}

void glow__rates_renew(glow__rates *rates) {
  renew_runs(rates);
  for (int32_t i = 0; i < rates->model->node_count; i++)
    renew_held(rates, &rates->model->nodes[i]);
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool has_prefix(const char *name, const char *prefix) {
  size_t length = strlen(prefix);
  return !length ||
         (strncmp(name, prefix, length) == 0 && (name[length] == '\0' || name[length] == '.'));
}

glow_status glow__rates_set(glow__rates *rates, const char *prefix, double factor) {
  int32_t found = 0;
  if (!isfinite(factor) || factor < 0.0)
    return glow_error(GLOW_E_ARGUMENT, "the rate factor of '%.200s' is %g, not a number >= 0",
                      prefix, factor);
  for (int32_t i = 0; i < rates->model->tensor_count; i++)
    if (has_prefix(rates->model->tensors[i].name, prefix)) {
      rates->factors[i] = factor;
      found++;
    }
  if (!found)
    return glow_error(GLOW_E_NOT_FOUND,
                      "no tensor is called '%.200s', or begins with that and a dot; "
                      "glow_model_tensor tells their names",
                      prefix);
  glow__rates_renew(rates);
  return GLOW_OK;
}

double glow__rates_of(const glow__rates *rates, const char *tensor) {
  for (int32_t i = 0; i < rates->model->tensor_count; i++)
    if (strcmp(rates->model->tensors[i].name, tensor) == 0)
      return rates->factors[i];
  return NAN;
}

/* ---- flat vectors ---------------------------------------------------------------------------- */

double glow__rates_at(const glow__rates *rates, int64_t at, int64_t *end) {
  int32_t low = 0, high = rates->run_count - 1;
  while (low < high) { /* the first run that ends behind `at` */
    int32_t middle = low + (high - low) / 2;
    if (rates->runs[middle].end > at)
      high = middle;
    else
      low = middle + 1;
  }
  *end = rates->runs[low].end;
  return rates->runs[low].factor;
}

void glow__rates_zero_held(const glow__rates *r, float *x) {
  int64_t first = 0;
  for (int32_t i = 0; r->any_held && i < r->run_count; first = r->runs[i++].end)
    if (r->runs[i].factor == 0.0)
      memset(x + first, 0, (size_t)(r->runs[i].end - first) * sizeof *x);
}

double glow__rates_squares(const glow__rates *r, glow__flat *flat, const float *x) {
  double sum = glow__flat_squares(flat, x);
  int64_t at = 0;
  if (isfinite(sum) || !r->any_held)
    return sum;
  sum = 0.0;
  for (int32_t i = 0; i < r->run_count; at = r->runs[i++].end)
    for (int64_t k = at; r->runs[i].factor != 0.0 && k < r->runs[i].end; k++)
      sum += (double)x[k] * (double)x[k];
  return sum;
}

const char *glow__rates_nonfinite_layer(const glow__rates *r, const float *x) {
  for (int32_t n = r->model->node_count - 1; n >= 0; n--) {
    const glow__node *node = &r->model->nodes[n];
    for (int64_t i = node->first_parameter, end; i < node->first_parameter + node->parameters; i++)
      if (!isfinite(x[i]) && glow__rates_at(r, i, &end) != 0.0)
        return node->name;
  }
  return NULL;
}
