#!/bin/sh
# The library in the builds of others: as a subproject of Meson, where dependency('libglow') finds it
# and neither tests nor examples nor the tool are made; as shared, static and both kinds, installed
# with DESTDIR, by pkg-config and, where it is there, by CMake, also after the prefix was moved.
# Usage: meson_and_cmake.sh SOURCE_ROOT C_COMPILER. SPDX-License-Identifier: MIT
set -eu
root=$1 cc=$2
# Major and minor, which is what programs ask for.
version=$(sed -n "s/^ *version: '\([0-9]*\.[0-9]*\)\.[0-9]*',$/\1/p" "$root/meson.build")
. "$root/tests/support/steps.sh"
cat > "$work/program.c" << 'END'
#include <glow/glow.h>
int main(void) {
  glow_context *context = NULL;
  if (glow_context_create(NULL, &context) != GLOW_OK || glow_version_number() != GLOW_VERSION_NUMBER)
    return 1;
  glow_context_destroy(&context);
  return 0;
}
END

# ---- a subproject --------------------------------------------------------------------------------

other=$work/other
mkdir -p "$other/subprojects"
ln -s "$root" "$other/subprojects/libglow"
cp "$work/program.c" "$other"
cat > "$other/meson.build" << END
project('other', 'c', meson_version: '>= 1.0.0')
executable('program', 'program.c',
  dependencies: dependency('libglow', fallback: 'libglow', version: '>= $version'))
END
# PKG_CONFIG_LIBDIR: an installed copy is not to be found.
PKG_CONFIG_LIBDIR=$work CC=$cc meson setup "$work/build-other" "$other" --wrap-mode=forcefallback \
  -Dlibglow:blas=none -Dlibglow:optimization=0 > "$work/log" 2>&1 || wrong "a subproject is not configured"
ninja -C "$work/build-other" > "$work/log" 2>&1 || wrong "a subproject is not built"
"$work/build-other/program" || wrong "a program with the subproject does not run"
[ -z "$(find "$work/build-other" -name glowtool -o -name minimal -o -name 'test_*')" ] ||
  wrong "tests, examples or the tool are made in a subproject"

# ---- shared, static, both ------------------------------------------------------------------------

with_cmake() { # PREFIX
  mkdir -p "$work/cmake"
  cp "$work/program.c" "$work/cmake"
  cat > "$work/cmake/CMakeLists.txt" << END
cmake_minimum_required(VERSION 3.13)
project(program C)
find_package(libglow $version REQUIRED)
add_executable(program program.c)
target_link_libraries(program PRIVATE libglow::libglow)
END
  rm -rf "$work/build-cmake"
  CC=$cc cmake -S "$work/cmake" -B "$work/build-cmake" -DCMAKE_PREFIX_PATH="$1" > "$work/log" 2>&1 &&
    cmake --build "$work/build-cmake" > "$work/log" 2>&1 || wrong "CMake does not find or link $1"
  "$work/build-cmake/program" || wrong "CMake's program does not run with $1"
  if sed "s/libglow $version REQUIRED/libglow 9.0 REQUIRED/" -i "$work/cmake/CMakeLists.txt" &&
    cmake -S "$work/cmake" -B "$work/build-other-version" -DCMAKE_PREFIX_PATH="$1" > "$work/log" 2>&1; then
    wrong "CMake takes this version for 9.0"
  fi
}

cmake=yes
cmake --version > /dev/null 2>&1 || cmake=no
# One after the other in one folder, so that what is compiled for both is used again.
for kind in both static shared; do
  [ -d "$work/build" ] && again=--reconfigure || again=""
  # shellcheck disable=SC2086
  CC=$cc meson setup $again "$work/build" "$root" --prefix /opt/glow --libdir lib -Doptimization=0 \
    -Dblas=none -Dsimd=false -Dfiles=disabled -Dtests=disabled -Dexamples=disabled -Dmpi=disabled \
    -Ddefault_library=$kind > "$work/log" 2>&1 || wrong "default_library=$kind is not configured"
  rm -rf "$work/stage" "$work/moved"
  DESTDIR=$work/stage meson install -C "$work/build" > "$work/log" 2>&1 ||
    wrong "default_library=$kind is not installed"
  [ "$(ls "$work/stage")" = opt ] || wrong "DESTDIR holds more than the prefix: $(ls "$work/stage")"
  mv "$work/stage/opt/glow" "$work/moved"
  lib=$work/moved/lib
  case $kind in
  both) [ -e "$lib/libglow.so" ] && [ -e "$lib/libglow.a" ] ;;
  static) [ ! -e "$lib/libglow.so" ] && [ -e "$lib/libglow.a" ] ;;
  shared) [ -e "$lib/libglow.so" ] && [ ! -e "$lib/libglow.a" ] ;;
  esac || wrong "default_library=$kind has installed $(cd "$lib" && echo libglow*)"
  for file in LICENSE README.md CHANGELOG.md docs/abi.md; do
    [ -e "$work/moved/share/doc/libglow/$file" ] || wrong "$file is not installed"
  done
  if grep -rlF -e "$root" -e "$work" "$lib/pkgconfig" "$lib/cmake"; then
    wrong "these files name the folders of the builder"
  fi

  flags() { # OPTION...
    PKG_CONFIG_PATH=$lib/pkgconfig pkg-config --define-variable=prefix="$work/moved" --cflags --libs "$@" \
      libglow
  }
  # shellcheck disable=SC2046,SC2086
  $cc "$work/program.c" $(flags) -o "$work/program" || wrong "pkg-config does not link with $kind"
  LD_LIBRARY_PATH=$lib "$work/program" || wrong "a program of pkg-config does not run with $kind"
  if [ $kind != shared ]; then
    # shellcheck disable=SC2046,SC2086
    $cc -static "$work/program.c" $(flags --static) -o "$work/program" ||
      wrong "pkg-config --static does not link with $kind"
    "$work/program" || wrong "a program of pkg-config --static does not run with $kind"
  fi
  [ $cmake = no ] || with_cmake "$work/moved"
  echo "default_library=$kind: fine"
done
[ $cmake = yes ] || { echo "no CMake: its package is not tested"; exit 77; }
