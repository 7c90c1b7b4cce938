#!/bin/sh
# Builds with a sanitizer, in build-NAME, and runs tests under it; any finding fails. Usage:
#   sh tests/sanitize.sh address     address and undefined behaviour (gcc): all that does not build or read code, but for
#                                    suite `bits`, which takes two minutes and runs what others run
#   sh tests/sanitize.sh thread      data races (gcc): the programs in which threads meet, suite `threads`
#   sh tests/sanitize.sh memory      uninitialised values, with their origins (clang): the core and its files
# Behind it come options of `meson test`, such as names of tests instead of those that are chosen here. Status 77:
# the compiler, or its sanitizer, is missing. SPDX-License-Identifier: MIT
set -u
cd "$(dirname "$0")/.." || exit 1
name=${1:-}
[ $# -eq 0 ] || shift
build=build-$name

# works COMPILER SANITIZERS: such a program can be made, and runs here.
works() {
  program=$(mktemp) || exit 1
  echo 'int main(void) { return 0; }' | "$1" -fsanitize="$2" -x c -o "$program" - 2> /dev/null && "$program"
  status=$?
  rm -f "$program"
  [ $status -eq 0 ] || { echo "no program of $1 runs with -fsanitize=$2 here"; exit 77; }
}

# setup COMPILER SANITIZERS OPTION...
setup() {
  works "$1" "$2"
  compiler=$1
  sanitizers=$2
  shift 2
  ! command -v ccache > /dev/null || compiler="ccache $compiler"
  rm -rf "$build"
  CC=$compiler meson setup "$build" -Dwerror=true -Dbuildtype=debugoptimized \
    -Db_sanitize="$sanitizers" -Db_lundef=false "$@" && ninja -C "$build"
}

case $name in
address)
  [ $# -gt 0 ] || set -- --no-suite consumers --no-suite abi --no-suite bits
  setup gcc address,undefined || exit
  factor=3
  ;;
thread)
  # What the other programs run on one thread has no races, and takes ten times as long here.
  [ $# -gt 0 ] || set -- --suite threads
  # Its instrumentation hides from gcc what has been initialised.
  setup gcc thread -Dexamples=disabled -Dc_args=-Wno-maybe-uninitialized || exit
  factor=8
  ;;
memory)
  # What fills memory must be instrumented too, so there is no BLAS, and no decoder of pictures.
  [ $# -gt 0 ] || set -- --suite unit --suite train --suite io --suite fuzz --suite golden --no-suite slow
  setup clang memory -Dblas=none -Dexamples=disabled -Dc_args="['-fsanitize-memory-track-origins', '-include', '$PWD/tests/sanitize_memory.h']" || exit
  factor=4
  ;;
*)
  echo "usage: sanitize.sh address|thread|memory [MESON TEST OPTION...]" >&2
  exit 2
  ;;
esac
rm -f "$build/meson-logs/testlog.json"
meson test -C "$build" --no-rebuild --print-errorlogs -t "$(sh tests/patience.sh $factor)" "$@"
status=$?
python3 tests/count.py "$build/meson-logs/testlog.json" && [ $status -eq 0 ]
