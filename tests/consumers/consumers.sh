#!/bin/sh
# Installs the library into an empty prefix and builds programs outside the tree with what
# pkg-config says: C and C++17, with the shared and with the static library; then runs them.
# Usage: consumers.sh SOURCE_ROOT BLAS C_COMPILER CXX_COMPILER (which may be empty).
# SPDX-License-Identifier: MIT
set -eu
root=$1 blas=$2 cc=$3 cxx=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

# Not optimised, because this is about the files that are installed.
CC=$cc meson setup "$work/build" "$root" --prefix "$prefix" --libdir lib -Doptimization=0 \
  -Dblas="$blas" -Dtests=disabled -Dexamples=disabled > "$work/log" 2>&1 ||
  { cat "$work/log"; exit 1; }
meson install -C "$work/build" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }

for file in lib/libglow.so lib/libglow.so.0 lib/libglow.a lib/pkgconfig/libglow.pc \
  include/glow/glow.h include/glow/sys/base.h include/glow/sys/call.h include/glow/sys/check.h \
  include/glow/sys/layer.h include/glow/sys/math.h include/glow/sys/net.h include/glow/sys/options.h; do
  [ -e "$prefix/$file" ] || { echo "not installed: $file"; exit 1; }
done

export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
export LD_LIBRARY_PATH="$prefix/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
pkg-config --print-errors --exists libglow
cflags=$(pkg-config --cflags libglow)
shared=$(pkg-config --libs libglow)
static=$(pkg-config --libs --static libglow | sed 's/-lglow/-l:libglow.a/')
case " $shared $static " in
*blas* | *blis*) echo "a BLAS is linked, not loaded when it is asked for: $shared; $static"; exit 1 ;;
esac

# build_and_run NAME COMPILER SOURCE LIBRARIES
build_and_run() {
  # shellcheck disable=SC2086
  $2 -Wall -Wextra -Werror $cflags "$3" -o "$work/$1" $4
  "$work/$1" > "$work/$1.out"
  cat "$work/$1.out"
}
check_linkage() { # NAME, 1: needs libglow.so; 0: must not
  found=$(ldd "$work/$1" | grep -c 'libglow\.so\.0' || true)
  [ "$found" = "$2" ] || { echo "$1: libglow.so.0 among its libraries $found times"; exit 1; }
}

build_and_run minimal-shared "$cc -std=c11" "$root/examples/minimal.c" "$shared"
check_linkage minimal-shared 1
build_and_run minimal-static "$cc -std=c11" "$root/examples/minimal.c" "$static"
check_linkage minimal-static 0
cmp "$work/minimal-shared.out" "$work/minimal-static.out"
# The bits/dim of the last line must be more than one bit below those of the first.
awk 'NR == 1 { first = $3 } { last = $3 } END { exit !(NR == 6 && last < first - 1) }' \
  "$work/minimal-shared.out" || { echo "the example does not learn"; exit 1; }

# These programs have types of their own, which are checked by the kit, trained, saved, refused and
# loaded. The exit status says whether the program learns, and loads what it saved.
own_types() { # NAME
  for kind in shared static; do
    libraries="$shared -lm"
    [ $kind = shared ] || libraries="$static -lm"
    # shellcheck disable=SC2086
    $cc -std=c11 -Wall -Wextra -Werror $cflags "$root/examples/$1/$1.c" -o "$work/$1" $libraries
    "$work/$1" "$work/$1.safetensors" > "$work/$1-$kind.out" ||
      { cat "$work/$1-$kind.out"; echo "examples/$1 failed"; exit 1; }
  done
  cat "$work/$1-static.out"
  cmp "$work/$1-shared.out" "$work/$1-static.out"
  grep -q 'keeps the contract of' "$work/$1-shared.out" &&
    grep -q 'log-densities the same' "$work/$1-shared.out" ||
    { echo "examples/$1: its types do not keep the contract, or do not survive a file"; exit 1; }
}
own_types custom
grep -q "type 'example.pixel' is not registered" "$work/custom-shared.out" ||
  { echo "examples/custom: types that nobody has registered were loaded"; exit 1; }
awk '/^step/ { if (!n++) first = $3; last = $3 } END { exit !(n == 4 && last < first - 0.5) }' \
  "$work/custom-shared.out" || { echo "examples/custom does not learn"; exit 1; }
own_types two_nets
awk '/^log-likelihood/ { n++; better = $NF - $2 } END { exit !(n == 1 && better > 0.5) }' \
  "$work/two_nets-shared.out" || { echo "examples/two_nets does not learn"; exit 1; }
own_types attention
awk '/bits\/dim, after/ { n++; better = $1 - $NF } END { exit !(n == 1 && better > 0.5) }' \
  "$work/attention-shared.out" || { echo "examples/attention does not learn"; exit 1; }

if [ -z "$cxx" ]; then
  echo "no C++ compiler"
  exit 77
fi
build_and_run layer-shared "$cxx -std=c++17" "$root/tests/consumers/layer.cpp" "$shared"
check_linkage layer-shared 1
build_and_run layer-static "$cxx -std=c++17" "$root/tests/consumers/layer.cpp" "$static"
check_linkage layer-static 0
