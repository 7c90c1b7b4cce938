#!/bin/sh
# Compares three lists of public functions: the headers, the version script and what the shared library
# exports. Also checks that the static library defines nothing global but glow_*, and that test_layout.c
# pins every public struct.
# Usage: symbols.sh SOURCE_ROOT SHARED_LIBRARY STATIC_LIBRARY [mpi]; mpi: those of the companion
# library libglow-mpi. With --map SOURCE_ROOT it prints the version script that fits the headers.
# SPDX-License-Identifier: MIT
set -eu

# The public headers of the library.
headers() {
  if [ "$companion" = mpi ]; then
    echo "$1/include/glow/mpi.h"
  else
    find "$1/include/glow" -name '*.h' ! -name mpi.h | LC_ALL=C sort
  fi
}

# Functions that the headers declare with GLOW_API, one per line, sorted.
declared() {
  headers "$1" | xargs cat | tr '\n' ' ' |
    grep -oE 'GLOW_API [^;()#]*[ *]glow_[a-z0-9_]+\(' | grep -oE 'glow_[a-z0-9_]+\($' |
    tr -d '(' | LC_ALL=C sort
}

companion=${4:-}
map=lib/libglow.map pins=tests/abi/test_layout.c
if [ "$companion" = mpi ]; then
  map=lib/mpi/libglow-mpi.map pins=tests/mpi/test_engine.c
fi
if [ "$1" = --map ]; then
  printf '/* What libglow.so exports: the functions that the public headers declare. Made by\n'
  printf ' * tests/abi/symbols.sh --map, see docs/abi.md. SPDX-License-Identifier%s MIT */\n' :
  printf 'GLOW_0 {\nglobal:\n'
  declared "$2" | sed 's/.*/  &;/'
  printf 'local:\n  *;\n};\n'
  exit 0
fi

root=$1 shared=$2 static=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

declared "$root" > "$work/headers"
sed -n 's/^ *\(glow_[a-z0-9_]*\);.*/\1/p' "$root/$map" | LC_ALL=C sort > "$work/map"
nm -D --defined-only "$shared" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
  LC_ALL=C sort > "$work/exported"

[ -s "$work/headers" ] || { echo "no public functions found in the headers"; exit 1; }
if [ -n "$(uniq -d "$work/headers")" ]; then
  echo "declared twice: $(uniq -d "$work/headers")"
  failed=1
fi
if ! diff "$work/headers" "$work/map"; then
  echo "the headers (<) and $map (>) differ"
  failed=1
fi
# The run-time library of the sanitizers adds symbols of its own.
grep -vE '^_*(asan|ubsan|lsan|sancov|interceptor|sanitizer)|^___(asan|ubsan)|^_init$|^_fini$' \
  "$work/exported" > "$work/ours" || true
if ! diff "$work/map" "$work/ours"; then
  echo "$map (<) and the symbols of $shared (>) differ"
  failed=1
fi
nm -g --defined-only "$static" | awk 'NF == 3 { print $3 }' |
  grep -vE '^glow_|^_*(asan|odr_asan|ubsan)|^DW\.ref' > "$work/strange" || true
if [ -s "$work/strange" ]; then
  echo "$static defines these without the prefix glow_:"
  cat "$work/strange"
  failed=1
fi
# shellcheck disable=SC2013 # one word a line
for struct in $(headers "$root" | xargs sed -n 's/^typedef struct \(glow_[a-z0-9_]*\) {.*/\1/p'); do
  grep -q "SIZE($struct," "$root/$pins" || {
    echo "$pins does not pin $struct"
    failed=1
  }
done
echo "$(wc -l < "$work/headers") public functions"
exit $failed
