#!/bin/sh
# Holds structs and constants to layout.def on 32 bits: with int64_t aligned to 4 bytes as on i386, and
# to 8 as on ARM. Nothing but a compiler for x86 is needed, for nothing is linked.
# Usage: layout_32.sh SOURCE_ROOT C_COMPILER. SPDX-License-Identifier: MIT
set -eu
root=$1 cc=$2
# shellcheck disable=SC2086 # compilers and their options are split into words
compile() {
  $cc -m32 -ffreestanding -std=gnu11 -fsyntax-only -I "$root/include" "$@"
}
echo 'int nothing;' | compile -malign-double -x c - 2> /dev/null ||
  { echo "$cc does not compile for 32 bits"; exit 77; }
for options in "" -malign-double; do
  # shellcheck disable=SC2086
  compile $options "$root/tests/abi/layout_32.c"
  echo "32 bits $options: every size, place and constant as pinned"
done
