#!/bin/sh
# Looks for faults without running anything, and fails with what is found. Usage:
#   sh tests/analyze/analyze.sh gcc            gcc -fanalyzer, on lib/
#   sh tests/analyze/analyze.sh clang-tidy     the checks of .clang-tidy, on lib/, examples/ and tests/support/
#   sh tests/analyze/analyze.sh shellcheck     all scripts; settings are in .shellcheckrc
# With files behind it, only these are looked at. A missing tool gives exit status 77. False alarms stand
# with their reasons in accepted.txt; what an analyzer cannot know of other files stands in known.h, and of
# glowtool's in known_tool.h.
# SPDX-License-Identifier: MIT
set -u
cd "$(dirname "$0")/../.." || exit 1
here=tests/analyze
jobs=$(nproc 2> /dev/null || echo 2)
[ $# -gt 0 ] || { echo "usage: analyze.sh gcc|clang-tidy|shellcheck [FILE...]" >&2; exit 2; }
tool=$1
shift

skip() {
  echo "$1"
  exit 77
}

# accepted FILE: checks whose findings in the file are known to be wrong.
accepted() {
  awk -v tool="$tool" -v file="$1" '$1 == tool && $2 == file { sub(":$", "", $3); print $3 }' \
    $here/accepted.txt
}

# Vector kernels are loops over types that analyzers do not know, that of a BLAS needs its header, and live.c is for
# builds of type debug. What needs MPI's header is looked at where that is.
mpi=$(pkg-config --cflags ompi-c 2> /dev/null) || mpi=
sources() {
  find "$@" -name '*.c' ! -name '*_avx*.c' ! -name '*_amx.c' ! -name '*_neon.c' ! -name '*_cblas.c' ! -name live.c | LC_ALL=C sort |
    if [ -n "$mpi" ]; then cat; else grep -v 'mpi'; fi
}

# each FILE...: `analyze.sh TOOL-one FILE` for each, several at once.
each() {
  printf '%s\n' "$@" | xargs -P "$jobs" -n 1 sh $here/analyze.sh "$tool-one"
}

flags="-std=gnu11 -O2 -ffp-contract=off -Iinclude -Ilib -Iexamples/glowtool -include $here/known.h
  -DGLOW_BUILDING -DGLOW_HAVE_FILES $mpi
  -DGLOWTOOL_HAVE_JPEG -DGLOWTOOL_HAVE_WEBP -DGLOWTOOL_HAVE_ZLIB"

# shellcheck disable=SC2046,SC2086 # lists of files and options
case $tool in
gcc)
  echo 'int x;' | gcc -fanalyzer -x c -fsyntax-only - 2> /dev/null ||
    skip "no gcc that has -fanalyzer (gcc 12 is what findings were mended for)"
  [ $# -gt 0 ] || set -- $(sources lib)
  each "$@"
  ;;
gcc-one)
  tool=gcc
  gcc $flags -Werror -fanalyzer $(accepted "$1" | sed 's/^/-Wno-analyzer-/') -S -o /dev/null "$1"
  ;;
clang-tidy)
  command -v clang-tidy-14 > /dev/null || skip "clang-tidy-14 is missing"
  [ $# -gt 0 ] || set -- $(sources lib examples tests/support)
  each "$@"
  ;;
clang-tidy-one)
  tool=clang-tidy
  case $1 in examples/glowtool/*) flags="$flags -include $here/known_tool.h" ;; esac
  # One file at a time: with several, clang-tidy 14 calls every va_list uninitialised.
  if ! said=$(clang-tidy-14 --quiet --checks="$(accepted "$1" | sed 's/^/-/' | tr '\n' ',')" \
    "$1" -- $flags 2>&1); then
    printf '%s\n' "$said"
    exit 1
  fi
  ;;
shellcheck)
  command -v shellcheck > /dev/null || skip "shellcheck is missing"
  [ $# -gt 0 ] || set -- .ci/run $(find examples packaging tests -name '*.sh' | LC_ALL=C sort)
  shellcheck "$@"
  ;;
*)
  echo "analyze.sh: no analyzer '$tool'" >&2
  exit 2
  ;;
esac
