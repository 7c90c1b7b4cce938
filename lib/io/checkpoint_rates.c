/* Rate factors in a checkpoint: the key glow.rates of the metadata, JSON text with the factors that
 * are not 1, in the order of the model's tensors,
 *   {"level0.step0.actnorm.bias": 0.0, "level0.step0.actnorm.logs": 0.0}
 * Without any there is no such key. SPDX-License-Identifier: MIT */
#include <string.h>

#include "host/host.h"
#include "io/checkpoint.h"
#include "io/json.h"

glow_status glow__rates_write(glow_context *context, const glow__rates *rates, char **out) {
  glow__text text = {.context = context, .status = GLOW_OK};
  for (int32_t i = 0; i < glow_model_tensor_count(rates->model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    if (rates->factors[i] == 1.0)
      continue;
    GLOW_TRY(glow_model_tensor(rates->model, i, &info));
    glow__text_put(&text, text.length ? "," : "{");
    glow__text_quoted(&text, info.name);
    glow__text_put(&text, ":");
    glow__text_real(&text, rates->factors[i]);
  }
  if (text.length)
    glow__text_put(&text, "}");
  *out = text.bytes;
  if (text.status != GLOW_OK) {
    glow_release(context, text.bytes);
    *out = NULL;
  }
  return text.status;
}

/* Moves *at to the tensor of this name, from where it is. */
static glow_status find_next(const glow_model *model, const char *name, int32_t *at) {
  for (; *at < glow_model_tensor_count(model); ++*at) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    GLOW_TRY(glow_model_tensor(model, *at, &info));
    if (strcmp(info.name, name) == 0)
      return GLOW_OK;
  }
  return glow_error(GLOW_E_FORMAT,
                    "'%.200s' is no tensor, or is not in the order of the model's tensors", name);
}

static glow_status read_factors(glow__json *json, glow__rates *rates) {
  if (glow__json_peek(json) != '{')
    return glow_error(GLOW_E_FORMAT, "it is not an object");
  GLOW_TRY(glow__json_enter(json, true));
  for (int32_t at = 0;; at++) {
    const char *name = NULL;
    glow__json_number number;
    GLOW_TRY(glow__json_next_key(json, &name));
    if (!name)
      break;
    GLOW_TRY(find_next(rates->model, name, &at));
    GLOW_TRY(glow__json_number_read(json, &number));
    if (number.kind == GLOW_JSON_NONE || !(number.real >= 0.0))
      return glow_error(GLOW_E_FORMAT, "the factor of '%.200s' is not a number >= 0", name);
    rates->factors[at] = number.real;
  }
  glow__rates_renew(rates);
  return glow__json_end(json);
}

glow_status glow__rates_read(const glow_tensor_file *file, glow__rates *rates) {
  const char *text = glow_tensor_file_metadata(file, GLOW_RATES_KEY);
  glow__json json;
  if (!text)
    return GLOW_OK;
  GLOW_TRY(glow__json_open(rates->context, text, "rates", &json));
  glow_status status = read_factors(&json, rates);
  glow__json_close(&json);
  return status == GLOW_OK ? status : glow__error_prefix(status, GLOW_RATES_KEY);
}
