/* The internal interface of nets/. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_NETS_H
#define GLOW_LIB_NETS_H

#include <stdbool.h>
#include <stddef.h>

#include <glow/sys/math.h>
#include <glow/sys/net.h>

/* The built-in types, for the list that contexts start with. */
#define GLOW_NET_LIST(X) X(conv) X(res) X(mlp)

#define GLOW_NET_DECLARE(type) extern const glow_net_ops glow__##type##_net_ops;
GLOW_NET_LIST(GLOW_NET_DECLARE)
#undef GLOW_NET_DECLARE

/* Rows of an options table for `glow_shape condition`, in which 0 channels mean no condition.
 * channels_key: the name of its channels in files; channels_flags: GLOW_OPTION_... */
#define GLOW_NET_CONDITION_ROWS(struct_, channels_key, channels_flags)                             \
  GLOW_NET_CONDITION_ROW(struct_, channels, channels_key, channels_flags, 0, 0),                   \
      GLOW_NET_CONDITION_ROW(struct_, height, "condition_height", GLOW_NET_CONDITION_SIDE, 1, 1),  \
      GLOW_NET_CONDITION_ROW(struct_, width, "condition_width", GLOW_NET_CONDITION_SIDE, 1, 1)
#define GLOW_NET_CONDITION_SIDE (GLOW_OPTION_QUIET | GLOW_OPTION_ADDED)
#define GLOW_NET_CONDITION_ROW(struct_, side_, key_, flags_, low_, fallback_)                      \
  {                                                                                                \
    .name = "condition." #side_, .key = (key_), .offset = offsetof(struct_, condition.side_),      \
    .type = GLOW_OPTION_INT64, .flags = (flags_), .low = (low_), .high = 1 << 24,                  \
    .fallback = (fallback_)                                                                        \
  }

/* Refuses the option `standardise` where there is no condition. options: the struct's name. */
glow_status glow__net_check_standardise(const char *options, int32_t standardise,
                                        const glow_shape *condition);

/* The number of columns in a panel of a packed matrix. */
static inline int64_t glow__panel_columns(const glow_math *math) {
  return glow_math_packed_floats(math, 1, 1);
}

#endif
