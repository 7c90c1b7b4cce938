/* The rows of layout.def as assertions: to be compiled for a machine of 32 bits, without its C
 * library (layout_32.sh). SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <glow/import.h>
#include <glow/sys/check.h>
#include <glow/sys/condition.h>
#include <glow/sys/findings.h>
#include <glow/sys/layer.h>
#include <glow/sys/math.h>
#include <glow/sys/net.h>
#include <glow/sys/options.h>

#include "layout.h"

_Static_assert(sizeof(void *) == 4, "a machine of 32 bits");

#define SIZE(type, ...) _Static_assert(sizeof(type) == PINNED(__VA_ARGS__), "size of " #type);
#define PLACE(type, field, ...)                                                                    \
  _Static_assert(offsetof(type, field) == PINNED(__VA_ARGS__), "place of " #type "." #field);
#define CONSTANT(name, value) _Static_assert((name) == (value), #name);
#include "layout.def"
