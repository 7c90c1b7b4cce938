/* Fuzz target: the reader and the writer of JSON. Passing over a text and reading it agree; what is
 * read is written, and that is read and written to the same bytes. SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "io/json.h"

static glow_status copy_value(glow__json *json, glow__text *out);

static glow_status copy_members(glow__json *json, bool object, glow__text *out) {
  bool more = true;
  const int32_t depth = json->depth;
  GLOW_TRY(glow__json_enter(json, object));
  glow__text_put(out, object ? "{" : "[");
  for (int64_t i = 0;; i++) {
    const char *key = NULL;
    GLOW_TRY(glow__json_next(json, &more));
    if (!more)
      break;
    glow__text_put(out, i ? "," : "");
    if (object) {
      GLOW_TRY(glow__json_key(json, &key));
      glow__text_quoted(out, key);
      glow__text_put(out, ":");
    }
    GLOW_TRY(copy_value(json, out));
  }
  PROMISE(json->depth == depth);
  glow__text_put(out, object ? "}" : "]");
  return GLOW_OK;
}

static glow_status copy_value(glow__json *json, glow__text *out) {
  static const char *const words[] = {"true", "false", "null"};
  const char next = glow__json_peek(json), *string = NULL;
  glow__json_number number;
  if (next == '{' || next == '[')
    return copy_members(json, next == '{', out);
  GLOW_TRY(glow__json_string(json, &string));
  if (string) {
    glow__text_quoted(out, string);
    return GLOW_OK;
  }
  GLOW_TRY(glow__json_number_read(json, &number));
  if (number.kind == GLOW_JSON_WHOLE)
    glow__text_number(out, number.integer);
  else if (number.kind == GLOW_JSON_REAL)
    glow__text_real(out, number.real);
  for (int i = 0; i < 3; i++)
    if (next == words[i][0] && glow__json_word(json, words[i])) {
      glow__text_put(out, words[i]);
      return GLOW_OK;
    }
  return number.kind != GLOW_JSON_NONE ? GLOW_OK : glow_error(GLOW_E_FORMAT, "a value expected");
}

/* Reads `size` bytes into *out. */
static glow_status copy_text(glow_context *context, const void *data, size_t size,
                             glow__text *out) {
  char *text = malloc(size + 1); /* of this size alone, for the sanitizer */
  PROMISE(text);
  memcpy(text, data, size);
  text[size] = '\0';
  glow__json json = {.text = text, .size = (int64_t)size, .what = "text"}, skipped = json;
  *out = (glow__text){.context = context, .status = GLOW_OK};
  glow_status passed = glow__json_skip(&skipped);
  if (passed == GLOW_OK)
    passed = glow__json_end(&skipped);
  glow_status read = copy_value(&json, out);
  if (read == GLOW_OK)
    read = glow__json_end(&json);
  PROMISE(read == passed && (read == GLOW_OK || read == GLOW_E_FORMAT));
  PROMISE(out->status == GLOW_OK && json.at <= json.size && skipped.at <= skipped.size);
  PROMISE(text[size] == '\0');
  free(text);
  return read;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_memory memory;
  glow_context *context = fuzz_context(&memory, 16 << 20);
  glow__text once, twice;
  if (copy_text(context, data, size, &once) == GLOW_OK) {
    PROMISE(copy_text(context, once.bytes, (size_t)once.length, &twice) == GLOW_OK);
    PROMISE(once.length == twice.length && strcmp(once.bytes, twice.bytes) == 0);
    glow_release(context, twice.bytes);
  }
  glow_release(context, once.bytes);
  fuzz_end(context, &memory);
  return 0;
}
