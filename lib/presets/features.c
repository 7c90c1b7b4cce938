/* What this build of the library has, for programs that meet it at run time.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/base.h"
#include "math/kernels16.h"

static bool has_files(void) {
#ifdef GLOW_HAVE_FILES
  return true;
#else
  return false;
#endif
}

static bool has_debug(void) {
#ifdef GLOW_DEBUG
  return true;
#else
  return false;
#endif
}

static bool has_threads(void) {
  return true;
}

/* Products in bfloat16 by instructions of their own, not by float32. */
static bool has_bfloat16(void) {
#ifdef GLOW_HAVE_AVX512_BF16
  return glow__kernels_cpu_has("avx512bf16");
#else
  return false;
#endif
}

static const struct feature {
  const char *name;
  bool (*has)(void);
} features[] = {
    {"threads", has_threads},
    {"files", has_files},
    {"bfloat16", has_bfloat16},
    {"debug", has_debug},
};
enum { FEATURES = sizeof features / sizeof *features };

const char *glow_feature_name(uint32_t index) {
  for (int i = 0; i < FEATURES; i++)
    if (features[i].has() && index-- == 0)
      return features[i].name;
  return glow_kernels_name(index);
}

int32_t glow_feature(const char *name) {
  const char *known;
  for (uint32_t i = 0; name && (known = glow_feature_name(i)); i++)
    if (strcmp(known, name) == 0)
      return 1;
  return 0;
}
