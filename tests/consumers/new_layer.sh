#!/bin/sh
# Walks a new layer through the places that CONTRIBUTING.md names, and through no others: it copies the
# tree, adds a small layer there, and checks that the contract test includes it, that the lists agree,
# and that the test finds a fault that is sown into it.
# Usage: new_layer.sh SOURCE_ROOT BLAS C_COMPILER. SPDX-License-Identifier: MIT
set -eu
root=$1 blas=$2 cc=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir "$tree"
for part in meson.build meson_options.txt LICENSE README.md CHANGELOG.md include lib tests examples docs \
  packaging; do
  [ ! -e "$root/$part" ] || cp -R "$root/$part" "$tree"
done
cd "$tree"

before() { # WORDS FILE: the text of stdin in front of the first line with these words
  cat > "$work/text"
  grep -qF "$1" "$2" || { echo "$2 has no line with $1"; exit 1; }
  awk -v words="$1" -v text="$work/text" '
    !done && index($0, words) { while ((getline line < text) > 0) print line; done = 1 }
    { print }' "$2" > "$work/changed"
  cat "$work/changed" > "$2"
}

# 1. Its file, and its constructor in the public header.
cat > lib/layers/asinh.c << 'END_OF_FILE'
/* asinh: draws far values in. With u = x / scale: y = scale asinh(u), log dy/dx = -log(1 + u^2) / 2.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "layers/layers.h"

typedef struct asinh_layer {
  glow_asinh_options o;
  int64_t size; /* elements of a sample */
} asinh_layer;

static glow_status asinh_configure(void *self, glow_setup *setup, const glow_shape *input,
                                   glow_shape *output) {
  asinh_layer *l = self;
  (void)setup;
  *output = *input;
  l->size = glow_shape_size(input);
  return GLOW_OK;
}

static void asinh_forward(const void *self, const glow_call *call, const float *x, float *y,
                          double *logdet, double *logprior) {
  const asinh_layer *l = self;
  (void)logprior;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * l->size; i < (n + 1) * l->size; i++) {
      double u = (double)x[i] / l->o.scale;
      y[i] = (float)(l->o.scale * asinh(u));
      logdet[n] -= 0.5 * log1p(u * u);
    }
}

static glow_status asinh_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                 double *logdet, double *logprior) {
  (void)logprior;
  const asinh_layer *l = self;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * l->size; i < (n + 1) * l->size; i++) {
      double u = sinh((double)y[i] / l->o.scale);
      x[i] = (float)(l->o.scale * u);
      logdet[n] += 0.5 * log1p(u * u);
    }
  return GLOW_OK;
}

/* dx = dy / sqrt(1 + u^2) - d_logdet u / (scale (1 + u^2)). */
static void asinh_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const asinh_layer *l = self;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * l->size; i < (n + 1) * l->size; i++) {
      double u = sinh((double)g->y[i] / l->o.scale), square = 1 + u * u;
      g->dx[i] = (float)((double)g->dy[i] / sqrt(square) -
                         g->d_logdet[n] * u / (l->o.scale * square));
      if (!g->x)
        g->x_out[i] = (float)(l->o.scale * u);
    }
}

static const glow_option asinh_rows[] = {
    GLOW_OPTION(glow_asinh_options, scale, REAL, .low = 1e-3, .high = 1e3, .fallback = 1),
};
static const glow_options_table asinh_table = {GLOW_OPTIONS_TABLE(glow_asinh_options, asinh_rows)};

const glow_layer_ops glow__asinh_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "asinh",
    .flags = GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS | GLOW_LAYER_ALWAYS_PREPARES,
    .options = &asinh_table,
    .self_size = sizeof(asinh_layer),
    .configure = asinh_configure,
    .forward = asinh_forward,
    .inverse = asinh_inverse,
    .backward = asinh_backward,
};

glow_status glow_asinh_create(glow_context *context, const glow_asinh_options *options,
                              glow_layer **out) {
  return glow_layer_create(context, &glow__asinh_ops, options, NULL, out);
}
END_OF_FILE
before '/* Logit: ' include/glow/layer.h << 'END_OF_FILE'
/* asinh: y = scale asinh(x / scale); log-det = -1/2 sum log(1 + (x / scale)^2). */
typedef struct glow_asinh_options {
  size_t struct_size;
  double scale; /* 1e-3 to 1e3; default 1 */
} glow_asinh_options;
#define GLOW_ASINH_OPTIONS_INIT                                                                    \
  { sizeof(glow_asinh_options), 1.0 }
GLOW_API glow_status glow_asinh_create(glow_context *context, const glow_asinh_options *options,
                                       glow_layer **out);

END_OF_FILE
# 2. One line in the list of built-in layers.
# shellcheck disable=SC1003 # a backslash
echo '  X(asinh) \' | before '  X(actnorm)' lib/layers/layers.h
# 3. One line in Meson.
echo "  'layers/asinh.c'," | before "'layers/batchnorm.c'" lib/meson.build
# 4. The symbol map, and the struct pinned (by hand, where there is no Python for layout.py).
sh tests/abi/symbols.sh --map . > "$work/map"
cat "$work/map" > lib/libglow.map
before 'SIZE(glow_logit_options,' tests/abi/layout.def << 'END_OF_FILE'
SIZE(glow_asinh_options, 16, 12, 16)
PLACE(glow_asinh_options, struct_size, 0, 0, 0)
PLACE(glow_asinh_options, scale, 8, 4, 8)
END_OF_FILE
# 5. One row of the contract test, with what makes the layer.
before 'static const row rows' tests/contract/test_check_built_in.c << 'END_OF_FILE'
static glow_status make_asinh(glow_context *context, glow_layer **out) {
  glow_asinh_options o = GLOW_ASINH_OPTIONS_INIT;
  o.scale = 0.75;
  return glow_asinh_create(context, &o, out);
}

END_OF_FILE
echo '    {"asinh", make_asinh, GLOW_CHECK_OPTIONS_INIT},' |
  before '"logit of data"' tests/contract/test_check_built_in.c
# 6. Its lines in the docs.
echo '| asinh | y = s asinh(x / s) | -1/2 sum log(1 + (x / s)^2) |' |
  before '| logit ' docs/conventions.md
# shellcheck disable=SC2016
echo '| `asinh` | `scale` (1) |' | before '| `logit`' docs/format.md

# Nothing else has changed.
changed=$(for part in include lib tests docs; do diff -rq "$root/$part" "$part" || true; done)
[ "$(echo "$changed" | wc -l)" = 9 ] || { echo "nine places were to change:"; echo "$changed"; exit 1; }

CC=$cc meson setup "$work/build" . -Doptimization=1 -Dblas="$blas" -Dexamples=disabled \
  -Dtests=enabled > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
build() {
  meson compile -C "$work/build" glow:shared_library glow:static_library test_check_built_in \
    test_layout > "$work/log" 2>&1 || { tail -n 30 "$work/log"; exit 1; }
}
build
if grep -q 'asinh.*warning' "$work/log"; then
  cat "$work/log"
  exit 1
fi
"$work/build/tests/test_layout" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$work/build/tests/test_check_built_in" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
sh tests/abi/symbols.sh . "$work/build/lib/libglow.so" "$work/build/lib/libglow.a"
sh tests/abi/objects.sh "$work/build/lib/libglow.a" lib/libglow.map
sh tests/abi/folders.sh .

# The contract test includes it: it finds a log-det of the wrong sign.
sed 's/logdet\[n\] -= /logdet[n] += /' lib/layers/asinh.c > "$work/wrong.c"
cat "$work/wrong.c" > lib/layers/asinh.c
build
if "$work/build/tests/test_check_built_in" > "$work/log" 2>&1; then
  echo "the contract test does not see the new layer"
  exit 1
fi
grep -q 'asinh on .*log-det' "$work/log" || { cat "$work/log"; exit 1; }
echo "a new layer in its places"
