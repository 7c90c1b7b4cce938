#!/bin/sh
# A function under GLOW_DEPRECATED: its use is a warning with the text, and none where the program
# allows it or the library itself is built. Usage: deprecated.sh SOURCE_ROOT C_COMPILER.
# SPDX-License-Identifier: MIT
set -eu
root=$1 cc=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/old.c" << 'END'
#include <glow/base.h>
GLOW_DEPRECATED("since 0.3: call glow_b") GLOW_API int glow_a(void);
int main(void) { return glow_a(); }
END
# shellcheck disable=SC2086 # compilers and their options are split into words
compile() {
  $cc -std=c11 -Wall -Wextra -Werror -fsyntax-only -I "$root/include" "$@" "$work/old.c"
}
if compile 2> "$work/said"; then
  echo "a deprecated function is used without a warning"
  exit 1
fi
grep -q 'since 0.3: call glow_b' "$work/said" || { cat "$work/said"; exit 1; }
compile -DGLOW_ALLOW_DEPRECATED
compile -DGLOW_BUILDING
