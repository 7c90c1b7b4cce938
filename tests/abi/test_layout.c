/* Holds the size of every public struct, the place of every field and the value of every constant
 * to layout.def, and the names of the status codes. Fields are only ever appended: a line of the
 * list may be added, never changed, without a new GLOW_SOVERSION. docs/abi.md.
 * SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <glow/import.h>
#include <glow/sys/base.h>
#include <glow/sys/call.h>
#include <glow/sys/check.h>
#include <glow/sys/condition.h>
#include <glow/sys/findings.h>
#include <glow/sys/layer.h>
#include <glow/sys/math.h>
#include <glow/sys/net.h>
#include <glow/sys/options.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "layout.h"

typedef struct pin {
  const char *what;
  size_t actual, expected;
} pin;

#define SIZE(type, ...) {"sizeof " #type, sizeof(type), PINNED(__VA_ARGS__)},
#define PLACE(type, field, ...) {#type "." #field, offsetof(type, field), PINNED(__VA_ARGS__)},
#define CONSTANT(name, value)
static const pin pins[] = {
#include "layout.def"
};

static void structs_keep_their_layout(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof pins / sizeof *pins; i++) {
    if (pins[i].actual != pins[i].expected)
      print_error("%s: %zu, was %zu\n", pins[i].what, pins[i].actual, pins[i].expected);
    assert_int_equal(pins[i].actual, pins[i].expected);
  }
}

static void status_codes_keep_their_values(void **state) {
  (void)state;
  static const struct {
    glow_status status;
    int32_t value;
    const char *name;
  } codes[] = {
      {GLOW_OK, 0, "GLOW_OK"},
      {GLOW_E_ARGUMENT, -10, "GLOW_E_ARGUMENT"},
      {GLOW_E_NOT_FOUND, -15, "GLOW_E_NOT_FOUND"},
      {GLOW_E_SHAPE, -20, "GLOW_E_SHAPE"},
      {GLOW_E_STATE, -30, "GLOW_E_STATE"},
      {GLOW_E_MEMORY, -40, "GLOW_E_MEMORY"},
      {GLOW_E_NUMERIC, -50, "GLOW_E_NUMERIC"},
      {GLOW_E_IO, -60, "GLOW_E_IO"},
      {GLOW_E_FORMAT, -70, "GLOW_E_FORMAT"},
      {GLOW_E_LIMIT, -80, "GLOW_E_LIMIT"},
      {GLOW_E_UNSUPPORTED, -90, "GLOW_E_UNSUPPORTED"},
      {GLOW_E_CANCELLED, -100, "GLOW_E_CANCELLED"},
      {GLOW_E_CHECK, -110, "GLOW_E_CHECK"},
  };
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    assert_int_equal(codes[i].status, codes[i].value);
    assert_string_equal(glow_status_name(codes[i].status), codes[i].name);
  }
}

/* Values that stand in callers' programs. */
#undef SIZE
#undef PLACE
#undef CONSTANT
#define SIZE(type, ...)
#define PLACE(type, field, ...)
#define CONSTANT(name, value) {name, value},
static const int32_t pairs[][2] = {
#include "layout.def"
};

static void constants_keep_their_values(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    assert_int_equal(pairs[i][0], pairs[i][1]);
}

/* A constant of one enumeration that is given for another is refused, because no two share a value.
 * Flags and levels of the log are below 100. */
static void enumerations_share_no_value(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    for (size_t j = 0; j < i; j++)
      if (pairs[i][0] > 100 && pairs[i][0] == pairs[j][0])
        fail_msg("two constants are %lld", (long long)pairs[i][0]);
}

static void versions_agree(void **state) {
  (void)state;
  char text[32];
  snprintf(text, sizeof text, "%d.%d.%d", GLOW_VERSION_MAJOR, GLOW_VERSION_MINOR,
           GLOW_VERSION_PATCH);
  assert_string_equal(glow_version(), text);
  assert_int_equal(glow_version_number(),
                   GLOW_VERSION_MAJOR * 10000 + GLOW_VERSION_MINOR * 100 + GLOW_VERSION_PATCH);
  assert_int_equal(GLOW_SOVERSION, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(structs_keep_their_layout),
      cmocka_unit_test(status_codes_keep_their_values),
      cmocka_unit_test(constants_keep_their_values),
      cmocka_unit_test(enumerations_share_no_value),
      cmocka_unit_test(versions_agree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
