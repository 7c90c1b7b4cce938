#!/bin/sh
# Installs what is missing, builds, and runs every test. The last line is `N passed, N failed`, with
# `, N skipped` if some were. Usage:
#   sh tests/run.sh [--no-install] [--build DIR] [MESON SETUP OPTION ...]
#   --no-install     name the packages that are missing instead of installing them
#   sh tests/run.sh --golden DIR    only the golden comparison, over all *.safetensors of DIR
# SPDX-License-Identifier: MIT
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build
golden="" install=""
while [ $# -gt 0 ]; do
  case $1 in
  --no-install)
    install=--no-install
    shift
    ;;
  --build | --golden)
    [ $# -ge 2 ] || { echo "run.sh: $1 needs a folder" >&2; exit 2; }
    case $2 in /*) folder=$2 ;; *) folder=$PWD/$2 ;; esac
    if [ "$1" = --build ]; then build=$folder; else golden=$folder; fi
    shift 2
    ;;
  *) break ;;
  esac
done

give_up() {
  echo "$1" >&2
  echo "0 passed, 1 failed"
  exit 1
}

if [ -n "$golden" ] && [ ! -d "$golden" ]; then
  echo "run.sh: no folder $golden" >&2
  exit 2
fi
sh "$root/tests/install-deps.sh" $install tests tool || give_up "cannot go on without these packages"

sh "$root/tests/configure.sh" "$build" -Dtests=enabled -Dexamples=enabled -Dglowtool=enabled \
  -Djpeg=enabled -Dwebp=enabled -Dzlib=enabled "$@" || give_up "cannot configure $build"

if [ -n "$golden" ]; then
  log=$(ninja -C "$build" tests/golden 2>&1) || { echo "$log"; give_up "cannot build"; }
  OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 exec "$build/tests/golden" "$golden"
fi

ninja -C "$build" || give_up "cannot build"
log=$build/meson-logs/testlog.json
rm -f "$log"
meson test -C "$build" --no-rebuild --print-errorlogs -t "$(sh "$root/tests/patience.sh")"
tests=$?
[ -f "$log" ] || give_up "the tests did not run"
python3 "$root/tests/count.py" "$log"
counted=$?
[ $tests -eq 0 ] && [ $counted -eq 0 ]
