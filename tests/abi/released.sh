#!/bin/sh
# Holds the interface to every release in tests/abi/released/: its functions have the same
# declarations, its constants the same values, its structs the same places of fields; its consumer,
# compiled against its headers as they were, runs with today's library and prints what it printed;
# and abidiff, where it is installed, finds its symbols and their signatures unchanged.
#   released.sh SOURCE_ROOT SHARED_LIBRARY C_COMPILER    compares
#   released.sh --abidiff SOURCE_ROOT C_COMPILER         has abidiff compare with the recorded ABI
#   released.sh --record SOURCE_ROOT RELEASE             writes released/RELEASE anew: docs/release.md
# Exit status 77: there is nothing to compare with, or no abidiff. SPDX-License-Identifier: MIT
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C

releases_of() { # SOURCE_ROOT
  for folder in "$1"/tests/abi/released/[0-9]*; do
    [ ! -d "$folder" ] || echo "$folder"
  done
}
skip() {
  echo "$1"
  exit 77
}

# The library with debugging information, which abidw reads. Its exported functions are the same
# whatever else a build has.
build_with_types() { # SOURCE_ROOT C_COMPILER
  for folder in base math host nets layers presets train io check; do
    ls "$1/lib/$folder"/*.c
  done | grep -vE '/(unsupported|live|kernels(16)?_(avx.*|amx|neon|cblas))\.c$' > "$work/sources"
  # shellcheck disable=SC2046,SC2086 # compilers have options; sources have no blanks in their names
  $2 -std=gnu11 -O0 -g -shared -fPIC -fvisibility=hidden -DGLOW_BUILDING -DGLOW_HAVE_FILES -I "$1/include" \
    -I "$1/lib" -Wl,--version-script,"$1/lib/libglow.map" -Wl,-soname,libglow.so \
    -o "$work/libglow.so" $(cat "$work/sources") -lm -pthread
}

# ---- abidiff -------------------------------------------------------------------------------------

if [ "$1" = --abidiff ]; then
  root=$2 cc=$3
  [ -n "$(releases_of "$root")" ] || skip "nothing was released yet"
  command -v abidiff > /dev/null || skip "no abidiff: apt-get install abigail-tools"
  [ "$(uname -m)" = x86_64 ] || skip "the recorded ABI is that of x86_64"
  build_with_types "$root" "$cc"
  for folder in $(releases_of "$root"); do
    # Symbols, their versions, and signatures: what was added since does no harm, all else is an error.
    # Fields of structs it would not tell from those that are appended; layout.def holds their places.
    abidiff --exported-interfaces-only --ignore-soname --headers-dir2 "$root/include" --no-added-syms \
      "$folder/libglow.abi" "$work/libglow.so" ||
      { echo "the ABI of release ${folder##*/} has changed"; exit 1; }
    echo "abidiff: compatible with ${folder##*/}"
  done
  exit 0
fi

# ---- recording -----------------------------------------------------------------------------------

if [ "$1" = --record ]; then
  root=$2 release=$3
  folder=$root/tests/abi/released/$release
  build_with_types "$root" "${CC:-cc}"
  rm -rf "$folder/include"
  mkdir -p "$folder"
  cp -R "$root/include" "$folder/include"
  cp "$root/tests/abi/layout.def" "$folder/layout.def"
  [ -e "$folder/consumer.c" ] || cp "$root/tests/abi/consumer.c" "$folder/consumer.c"
  # Without the first option it leaves out functions that other sources of the library call.
  abidw --exported-interfaces-only --headers-dir "$root/include" --drop-private-types --no-show-locs \
    --no-corpus-path --no-comp-dir-path --no-elf-needed --type-id-style hash \
    --out-file "$folder/libglow.abi" "$work/libglow.so"
  # shellcheck disable=SC2086
  ${CC:-cc} -std=c11 -I "$folder/include" "$folder/consumer.c" -o "$work/consumer" "$work/libglow.so"
  LD_LIBRARY_PATH=$work "$work/consumer" > "$folder/consumer.expected"
  echo "recorded $folder"
  exit 0
fi

# ---- comparing -----------------------------------------------------------------------------------

root=$(cd "$1" && pwd) library=$2 cc=$3
case $library in /*) ;; *) library=$PWD/$library ;; esac
[ -n "$(releases_of "$root")" ] || skip "nothing was released yet"

# The declarations of the functions of a release, to be compiled after today's headers.
declarations() { # INCLUDE
  find "$1/glow" -name '*.h' ! -name mpi.h -exec cat {} + | sed '/^ *#/d' | tr '\n' ' ' | sed 's:/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/::g' |
    grep -oE 'GLOW_API [^;{}]*;'
}

# Structs with a struct_size grow; the others stay as they are.
layout() { # RELEASE_FOLDER
  sed -n 's/^PLACE(\([a-z0-9_]*\), struct_size,.*/\1/p' "$1/layout.def" > "$work/growing"
  awk -v growing="$work/growing" '
    BEGIN { while ((getline name < growing) > 0) grows[name] = 1 }
    /^SIZE\(/ { name = $0; gsub(/^SIZE\(|,.*/, "", name); if (name in grows) sub(/^SIZE/, "AT_LEAST") }
    /^(SIZE|PLACE|CONSTANT|AT_LEAST)\(/' "$1/layout.def"
}

failed=0
for folder in $(releases_of "$root"); do
  release=${folder##*/}
  {
    for header in "$root"/include/glow/*.h "$root"/include/glow/sys/*.h; do
      [ "${header##*/}" != mpi.h ] || continue # of the companion, and it needs MPI
      echo "#include <${header#"$root"/include/}>"
    done
    echo "#include \"$root/tests/abi/layout.h\""
    declarations "$folder/include"
    echo '#define AT_LEAST(type, ...) _Static_assert(sizeof(type) >= PINNED(__VA_ARGS__), "size of " #type);'
    echo '#define SIZE(type, ...) _Static_assert(sizeof(type) == PINNED(__VA_ARGS__), "size of " #type);'
    echo '#define PLACE(type, field, ...) _Static_assert(offsetof(type, field) == PINNED(__VA_ARGS__),'
    echo ' "place of " #type "." #field);'
    echo '#define CONSTANT(name, value) _Static_assert((name) == (value), #name);'
    layout "$folder"
  } | sed 's/_Static_assert(offsetof\(.*\),$/_Static_assert(offsetof\1, \\/' > "$work/today.c"
  [ "$(grep -c '^GLOW_API' "$work/today.c")" -gt 100 ] ||
    { echo "$folder: its headers declare next to nothing"; failed=1; }
  # shellcheck disable=SC2086
  $cc -std=gnu11 -fsyntax-only -I "$root/include" "$work/today.c" ||
    { echo "the interface of release $release has changed"; failed=1; }
  # shellcheck disable=SC2086
  $cc -std=c11 -I "$folder/include" "$folder/consumer.c" -o "$work/consumer" "$library" \
    -Wl,-rpath,"$(dirname "$library")" || { echo "$release: its consumer cannot be linked"; failed=1; continue; }
  if ! "$work/consumer" > "$work/out"; then
    echo "$release: its consumer fails"
    failed=1
  elif ! diff "$folder/consumer.expected" "$work/out"; then
    echo "$release: its consumer printed (<) and prints (>)"
    failed=1
  else
    echo "$release: declarations, constants and structs are the same; its consumer runs"
  fi
done
exit $failed
