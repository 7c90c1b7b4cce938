/* Messages, numbers for people, and opening a context. SPDX-License-Identifier: MIT */
#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpus.h"
#include "options.h"

/* ---- messages -------------------------------------------------------------------------------- */

int utf8_length(const char *text) {
  const unsigned char *s = (const unsigned char *)text;
  static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
  int length = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
  if (length < 2 || s[0] > 0xF4)
    return length == 1;
  uint32_t code = s[0] & (0xFFu >> (length + 1));
  for (int i = 1; i < length; i++) {
    if ((s[i] & 0xC0) != 0x80)
      return 0;
    code = code << 6 | (s[i] & 0x3Fu);
  }
  bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  return code < smallest[length] || code > 0x10FFFF || surrogate ? 0 : length;
}

/* Terminals act on C0, DEL and, as UTF-8, C1; bidirectional overrides reorder what is read. */
static bool harmless(const char *text, int length) {
  const unsigned char *s = (const unsigned char *)text;
  if (length == 1)
    return s[0] >= 0x20 && s[0] != 0x7F;
  if (length == 2 && s[0] == 0xC2 && s[1] < 0xA0)
    return false;
  if (length == 3 && s[0] == 0xE2 && (s[1] == 0x80 || s[1] == 0x81))
    return !(s[1] == 0x80 && s[2] >= 0xA8 && s[2] <= 0xAE) && !(s[1] == 0x81 && s[2] >= 0xA6);
  return length > 0;
}

char *visible(const char *text, char *out, size_t size) {
  size_t used = 0;
  while (*text && used + 5 < size) {
    int length = utf8_length(text);
    if (harmless(text, length)) {
      memcpy(out + used, text, (size_t)length);
      used += (size_t)length;
      text += length;
    } else {
      used += (size_t)snprintf(out + used, size - used, "\\x%02x", (unsigned char)*text++);
    }
  }
  out[used] = '\0';
  return out;
}

/* The last complaint since messages_forget; kept instead of printed on a rank that holds. */
static char last[MESSAGE_BYTES];
static bool held;

static void print(const char *text) {
  char shown[8192];
  fflush(stdout);
  fprintf(stderr, "glowtool: %s\n", visible(text, shown, sizeof shown));
}

int complain(const char *format, ...) {
  char text[MESSAGE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  memcpy(last, text, sizeof last);
  if (!held)
    print(text);
  return TOOL_BAD;
}

void mention(const char *format, ...) {
  char text[MESSAGE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (!held)
    print(text);
}

void announce(const char *format, ...) {
  char text[MESSAGE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  print(text);
}

void messages_hold(void) {
  held = true;
}

const char *messages_last(void) {
  return last;
}

void messages_forget(void) {
  last[0] = '\0';
}

void messages_release(int32_t rank) {
  if (held && *last && rank >= 0)
    announce("rank %d: %s", (int)rank, last);
  else if (held && *last)
    print(last);
  held = rank >= 0;
  if (held)
    messages_forget();
}

int complain_failure(const char *text, int number) {
  complain("%s", text);
  return number == ENOMEM ? TOOL_FAILED : TOOL_BAD;
}

static int exit_code(glow_status status) {
  switch (status) {
  case GLOW_E_ARGUMENT:
  case GLOW_E_SHAPE:
  case GLOW_E_FORMAT:
  case GLOW_E_IO:
  case GLOW_E_NOT_FOUND:
  case GLOW_E_LIMIT:
  case GLOW_E_UNSUPPORTED: return TOOL_BAD;
  case GLOW_E_MEMORY:
  case GLOW_E_NUMERIC:
  case GLOW_E_CANCELLED: return TOOL_FAILED;
  default: return TOOL_UNEXPECTED;
  }
}

int complain_status(glow_status status, const char *doing) {
  const char *what = glow_last_error();
  if (!*what)
    what = glow_status_text(status);
  if (doing)
    complain("%s: %s", doing, what);
  else
    complain("%s", what);
  return exit_code(status);
}

const char *short_count(double count, char out[32]) {
  if (count < 1e4)
    snprintf(out, 32, "%.0f", count);
  else if (count < 1e6)
    snprintf(out, 32, "%.1f k", count / 1e3);
  else if (count < 1e9)
    snprintf(out, 32, "%.1f M", count / 1e6);
  else
    snprintf(out, 32, "%.1f G", count / 1e9);
  return out;
}

const char *short_bytes(double bytes, char out[32]) {
  const double mib = 1024.0 * 1024.0;
  if (bytes < mib)
    snprintf(out, 32, "%.1f KiB", bytes / 1024.0);
  else if (bytes < 1024.0 * mib)
    snprintf(out, 32, "%.1f MiB", bytes / mib);
  else
    snprintf(out, 32, "%.1f GiB", bytes / (1024.0 * mib));
  return out;
}

/* ---- the library ----------------------------------------------------------------------------- */

static void on_log(int32_t level, const char *text, void *payload) {
  (void)payload;
  if (level >= GLOW_LOG_WARNING)
    mention("warning: %s", text);
}

static bool kernels_exist(const char *name) {
  const char *known = "auto";
  for (uint32_t i = 0; known; known = glow_kernels_name(i++))
    if (strcmp(known, name) == 0)
      return true;
  return false;
}

static int refuse_kernels(const char *name) {
  char list[256] = "auto";
  size_t used = strlen(list);
  const char *known;
  for (uint32_t i = 0; (known = glow_kernels_name(i)) && used < sizeof list; i++)
    used += (size_t)snprintf(list + used, sizeof list - used, ", %s", known);
  return complain("this build and CPU have no kernels '%s'; there are %s", name, list);
}

const option_choice product_types[] = {
    {"float32", GLOW_PRODUCTS_FLOAT32}, {"bfloat16", GLOW_PRODUCTS_BFLOAT16}, {NULL, 0}};

const char *products_name(const glow_context *context) {
  int32_t products = glow_context_products(context);
  int i = 0;
  while (product_types[i].value != products)
    i++;
  return product_types[i].name;
}

int open_context(int64_t threads, const char *kernels, int64_t products, glow_context **out) {
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  *out = NULL;
  if (!kernels)
    kernels = getenv("GLOW_KERNELS");
  if (kernels && *kernels && !kernels_exist(kernels))
    return refuse_kernels(kernels);
  /* The pool's threads each run products of their own: a BLAS that starts more would be in the way.
   * One without such a call runs as it does; one that is not there is told of below. */
  if (kernels && strcmp(kernels, "cblas") == 0)
    glow_blas_set_threads(1);
  options.threads = (uint32_t)(threads ? threads : usable_cpus());
  options.kernels = kernels && *kernels ? kernels : NULL;
  options.products = (int32_t)products;
  options.log = on_log;
  glow_status status = glow_context_create(&options, out);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, NULL);
}

int workspace_bytes(const glow_model *model, int64_t batch, int32_t mode, uint64_t *out) {
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  options.batch = batch;
  options.mode = mode;
  glow_status status = glow_workspace_plan_bytes(model, &options, out);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, NULL);
}
