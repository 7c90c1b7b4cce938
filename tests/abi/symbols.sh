#!/bin/sh
# Compares three lists of public functions: the headers, the version script and what the shared library
# exports. Also checks that the static library defines nothing global but glow_*, and that layout.def
# pins every public struct.
# Usage: symbols.sh SOURCE_ROOT SHARED_LIBRARY STATIC_LIBRARY [mpi]; mpi: those of the companion
# library libglow-mpi. With --map SOURCE_ROOT [mpi] it prints the version script that fits the headers.
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2010,SC2012 # files here have plain names
set -eu

next=0.3 # the release in preparation: functions that no released header declares are of its nodes

# What the given headers declare with GLOW_API, one per line, sorted.
declared() {
  cat "$@" | tr '\n' ' ' | grep -oE 'GLOW_API [^;()#]*[ *]glow_[a-z0-9_]+\(' |
    grep -oE 'glow_[a-z0-9_]+\($' | tr -d '(' | LC_ALL=C sort
}

# The public headers below the folder $1 that belong to the nodes $2. Most programs need those of the
# first; programs that extend the library, import models or check layers have the others.
headers_of() {
  case $2 in
  LIBGLOW) ls "$1"/glow/*.h | grep -vE '/(import|mpi)\.h$' ;;
  LIBGLOW_SYS) ls "$1"/glow/sys/*.h | grep -v '/check\.h$' ;;
  LIBGLOW_IMPORT) ls "$1"/glow/import.h ;;
  LIBGLOW_CHECK) ls "$1"/glow/sys/check.h ;;
  LIBGLOW_MPI) ls "$1"/glow/mpi.h ;;
  esac
}

# Prints the nodes of one release: what the headers below the folder $2 declare, and no older ones do.
nodes_of_release() { # RELEASE INCLUDE
  for node in $nodes; do
    # shellcheck disable=SC2046 # no header has a blank in its name
    declared $(headers_of "$2" "$node") | comm -23 - "$work/older" > "$work/new"
    [ -s "$work/new" ] || continue
    printf '%s_%s {\nglobal:\n' "$node" "$1"
    sed 's/.*/  &;/' "$work/new"
    printf '%s};\n' "$local"
    local=""
    cat "$work/new" >> "$work/found"
  done
  LC_ALL=C sort -u "$work/found" > "$work/older"
}

print_map() { # SOURCE_ROOT
  printf '/* What %s.so exports: the functions that the public headers declare, by the release that\n' $library
  printf ' * brought them. Made by tests/abi/symbols.sh --map, see docs/abi.md.\n'
  printf ' * SPDX-License-Identifier%s MIT */\n' :
  : > "$work/older"
  : > "$work/found"
  local="local:
  *;
"
  # What is recorded of the next one is not out yet: its nodes still grow.
  for release in $(ls "$1/tests/abi/released" 2> /dev/null | grep -E '^[0-9.]+$' | grep -vxF $next |
    sort -V); do
    nodes_of_release "$release" "$1/tests/abi/released/$release/include"
  done
  nodes_of_release $next "$1/include"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C

library=libglow map=lib/libglow.map pins=tests/abi/layout.def
nodes="LIBGLOW LIBGLOW_SYS LIBGLOW_IMPORT LIBGLOW_CHECK"
case ${4:-${3:-}} in
mpi)
  library=libglow-mpi map=lib/mpi/libglow-mpi.map pins=tests/mpi/test_engine.c
  nodes=LIBGLOW_MPI
  ;;
esac

if [ "$1" = --map ]; then
  print_map "$2"
  exit 0
fi

root=$1 shared=$2 static=$3
failed=0

for node in $nodes; do
  headers_of "$root/include" "$node"
done > "$work/files"
# shellcheck disable=SC2046
declared $(cat "$work/files") > "$work/headers"
sed -n 's/^ *\(glow_[a-z0-9_]*\);.*/\1/p' "$root/$map" | sort > "$work/map"

[ -s "$work/headers" ] || { echo "no public functions found in the headers"; exit 1; }
if [ -n "$(uniq -d "$work/headers")" ]; then
  echo "declared twice: $(uniq -d "$work/headers")"
  failed=1
fi
if ! diff "$work/headers" "$work/map"; then
  echo "the headers (<) and $map (>) differ"
  failed=1
fi
print_map "$root" > "$work/made"
if ! diff "$work/made" "$root/$map"; then
  echo "what symbols.sh --map prints (<) and $map (>) differ"
  failed=1
fi
# Each with its node, as NAME@@NODE.
awk '/\{$/ { node = $1 } /^ *glow_.*;$/ { sub(/;/, ""); print $1 "@@" node }' "$root/$map" |
  sort > "$work/versioned"
# The run-time library of the sanitizers adds symbols of its own.
nm -D --with-symbol-versions --defined-only "$shared" | awk '$2 != "A" { print $3 }' |
  grep -vE '^_*(asan|ubsan|lsan|sancov|interceptor|sanitizer)|^___(asan|ubsan)|^_init(@|$)|^_fini(@|$)' |
  sort > "$work/exported" || true
if ! diff "$work/versioned" "$work/exported"; then
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
for struct in $(xargs sed -n 's/^typedef struct \(glow_[a-z0-9_]*\) {.*/\1/p' < "$work/files"); do
  grep -q "SIZE($struct," "$root/$pins" || {
    echo "$pins does not pin $struct"
    failed=1
  }
done
echo "$(wc -l < "$work/headers") public functions"
exit $failed
